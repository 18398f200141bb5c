"""Relaxation against the textbook's loops, formulas and pyamg; the model problem, its modes; R and P as operators."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet.backend import to_host
from meganet.ground.validate import InputError
from meganet.linop import CirculantConvolution, Identity, Matrix
from meganet.multigrid import (
    GaussSeidel,
    Jacobi,
    Poisson,
    Prolongation,
    RedBlack,
    Restriction,
    modes,
    prolongate_kernels,
    prolongation,
    restrict_images,
    restrict_kernels,
    restriction,
)

BOUNDARIES = ("dirichlet", "neumann", "periodic")
SHAPES = st.one_of(st.integers(2, 9), st.tuples(*2 * [st.integers(1, 6)]), st.tuples(*3 * [st.integers(1, 3)])).filter(
    lambda shape: np.prod(shape) > 1
)


def dense(operator):
    return operator.tosparse().toarray()


def swept(matrix, u, f, order, weight=1.0):
    """Relax cells in groups, one after the other, as a textbook says it."""
    u = u.copy()
    for cells in order:
        new = [u[i] + weight * (f[i] - matrix[i] @ u) / matrix[i, i] for i in cells]
        u[list(cells)] = new
    return u


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 10**6))
def test_relaxations_are_the_loops_of_the_textbook(shape, seed):
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    matrix = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.5) + np.diag(rng.uniform(2, 3, n))
    operator = Matrix(matrix, shape, shape)
    u, f = rng.standard_normal((2, *operator.domain_shape))
    parity = np.indices(operator.domain_shape).sum(axis=0).ravel() % 2
    cases = [
        (Jacobi(operator, 0.7), [range(n)], 0.7),
        (GaussSeidel(operator), [[i] for i in range(n)], 1.0),
        (RedBlack(operator), [np.flatnonzero(parity == 0), np.flatnonzero(parity == 1)], 1.0),
    ]
    kept = u.copy()
    for relaxation, order, weight in cases:
        expected = swept(matrix, swept(matrix, u.ravel(), f.ravel(), order, weight), f.ravel(), order, weight)
        found = relaxation(u, f, sweeps=2)
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-8, atol=1e-8 * abs(expected).max())
        assert (u == kept).all() and relaxation(u, f, sweeps=0) is not u
        np.testing.assert_array_equal(relaxation(u, f, sweeps=0), u)


def test_the_same_as_pyamg(rng):
    from pyamg.relaxation import relaxation as pyamg

    A = Poisson((12, 10), "dirichlet", h=1.0)
    u, f = rng.standard_normal((2, 12, 10))
    for ours, theirs in (
        (GaussSeidel(A), lambda x: pyamg.gauss_seidel(A.matrix, x, f.ravel())),
        (Jacobi(A, 0.6), lambda x: pyamg.jacobi(A.matrix, x, f.ravel(), omega=0.6)),
    ):
        x = u.ravel().copy()
        theirs(x)
        np.testing.assert_allclose(ours(u, f).ravel(), x, rtol=1e-12)


@pytest.mark.parametrize("weight", [0.5, 2 / 3, 1.0])
def test_jacobi_multiplies_a_mode_by_what_the_formula_says(weight):
    n = 16
    for k, mode in enumerate(modes(n), start=1):
        factor = 1 - 2 * weight * np.sin(np.pi * k / n / 2) ** 2
        # the rows at the walls have another diagonal, 3 instead of 2
        np.testing.assert_allclose(Jacobi(Poisson(n), weight)(mode, 0 * mode)[1:-1], factor * mode[1:-1], atol=1e-12)
    for mode in modes(n, "periodic"):
        size = np.linalg.norm(Jacobi(Poisson(n, "periodic"), weight)(mode, 0 * mode))
        eigenvalue = np.sum(mode * (Poisson(n, "periodic", h=1.0) @ mode))
        np.testing.assert_allclose(size, abs(1 - weight * eigenvalue / 2), atol=1e-12)


@pytest.mark.parametrize("kind", [Jacobi, RedBlack, GaussSeidel])
def test_high_frequencies_die_and_low_ones_stay(kind):
    relaxation, basis = kind(Poisson((16, 16))), modes((16, 16))
    low, high = basis[0], basis[-1]
    assert np.linalg.norm(relaxation(low, 0 * low, 3)) > 0.8
    left = relaxation(high, 0 * high, 3)
    oscillatory = np.max(np.indices((16, 16)), axis=0).ravel() >= 8
    assert np.linalg.norm(basis.reshape(256, 256)[oscillatory] @ left.ravel()) < 0.3


@pytest.mark.parametrize("kind", [Jacobi, RedBlack])
def test_relaxation_on_every_backend_and_dtype(kind, backend, dtype, rng):
    u, f = rng.standard_normal((2, 3, 6, 4))
    expected = kind(Poisson((6, 4), h=1.0, backend="numpy"))(u, f)
    relaxation = kind(Poisson((6, 4), h=1.0, backend=backend))
    found = relaxation(backend.asarray(u, dtype), backend.asarray(f, dtype))
    assert backend.owns(found) and found.dtype == dtype
    np.testing.assert_allclose(to_host(found), expected, rtol=1e-5, atol=1e-5)
    one = relaxation(backend.asarray(u[1], dtype), backend.asarray(f[1], dtype))
    np.testing.assert_allclose(to_host(one), to_host(found)[1], rtol=1e-6, atol=1e-6)


def test_gauss_seidel_keeps_the_dtype_and_refuses_a_device(dtype, rng):
    from guard_array import GUARD

    u = rng.standard_normal((3, 8)).astype(dtype)
    found = GaussSeidel(Poisson(8))(u, 0 * u)
    assert found.dtype == dtype
    with pytest.raises(InputError, match="operator: expected one on numpy; on a GPU use RedBlack or Jacobi"):
        GaussSeidel(Poisson(8, backend=GUARD))


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.sampled_from(BOUNDARIES))
def test_modes_are_orthonormal_eigenvectors(shape, boundary):
    A, basis = Poisson(shape, boundary), modes(shape, boundary)
    flat = basis.reshape(len(basis), -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-12)
    values = np.einsum("ij,ij->i", (A @ basis).reshape(len(basis), -1), flat)
    np.testing.assert_allclose((A @ basis).reshape(len(basis), -1), values[:, None] * flat, atol=1e-9 * A.matrix.max())
    assert (values > -1e-9).all()


def test_poisson_is_the_five_point_stencil_and_a_circulant_convolution():
    stencil = -np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    K = CirculantConvolution(stencil[None, None], (6, 5))
    np.testing.assert_array_equal(dense(K), dense(Poisson((6, 5), "periodic", h=1.0)))
    n, x = 64, (np.arange(64) + 0.5) / 64
    u = np.outer(np.sin(np.pi * x), np.sin(2 * np.pi * x))
    np.testing.assert_allclose(Poisson((n, n)) @ u, 5 * np.pi**2 * u, atol=0.2)
    half = dense(Poisson(6, h=0.5))
    np.testing.assert_allclose(half, 4 * dense(Poisson(6, h=1.0)))
    np.testing.assert_allclose(dense(Poisson((2, 3), h=(1.0, 2.0)))[0], [3 + 3 / 4, -1 / 4, 0, -1, 0, 0])


def test_r_and_p_are_operators_with_the_matrices_of_the_functions(rng):
    for shape in ((8,), (4, 6), (1, 8), (1, 4, 6), (2, 4, 6)):
        fine = shape if len(shape) > 1 else (1, *shape)
        for boundary in BOUNDARIES:
            P = Prolongation(shape, boundary=boundary)
            assert (P.tosparse() != prolongation(fine, boundary=boundary)).nnz == 0
            assert P.range_shape == shape and P.domain_shape == Restriction(shape).range_shape
        assert (Restriction(shape).tosparse() != restriction(fine)).nnz == 0
    x = rng.standard_normal((5, 4, 6))
    np.testing.assert_allclose(Restriction((4, 6)) @ x, restrict_images(x), rtol=1e-14)


@pytest.mark.parametrize("interpolation", ["linear", "constant"])
def test_the_galerkin_product_of_a_circulant_operator_is_that_of_its_stencil(interpolation, rng):
    stencil = rng.standard_normal((1, 1, 3, 3))
    shape = (1, 12, 8)
    R, P = Restriction(shape), Prolongation(shape, interpolation, boundary="periodic")
    coarse = CirculantConvolution(restrict_kernels(stencil, interpolation), (6, 4))
    np.testing.assert_allclose(dense(R @ CirculantConvolution(stencil, (12, 8)) @ P), dense(coarse), atol=1e-12)
    fine = CirculantConvolution(prolongate_kernels(stencil, interpolation), (12, 8))
    again = CirculantConvolution(stencil, (6, 4))
    np.testing.assert_allclose(dense(R @ fine @ P), dense(again), atol=1e-10)


def test_beyond_the_edges_of_linear_interpolation():
    ones = np.ones(4)
    for boundary, edge in (("neumann", 1.0), ("periodic", 1.0), ("dirichlet", 0.5)):
        np.testing.assert_array_equal(Prolongation(8, boundary=boundary) @ ones, [edge, *6 * [1.0], edge])
    np.testing.assert_array_equal(
        Prolongation(8, boundary="periodic") @ np.array([4.0, 0, 0, 0])[[0, 1, 2, 3]], [3, 3, 1, 0, 0, 0, 0, 1]
    )
    # what is odd about the wall stays odd: a linear function that vanishes there is interpolated exactly
    x = (np.arange(4) + 0.5) / 4
    np.testing.assert_allclose((Prolongation(8, boundary="dirichlet") @ x)[:7], ((np.arange(8) + 0.5) / 8)[:7])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jacobi(3), "operator: expected a LinearOperator"),
        (lambda: Jacobi(Restriction((4, 4))), r"operator: expected one to its own domain, \(4, 4\)"),
        (lambda: RedBlack(Matrix(np.zeros((4, 4)))), "operator: expected a matrix without zeros on its diagonal"),
        (lambda: Jacobi(Identity(4), weight=0), "weight: expected"),
        (
            lambda: Jacobi(Identity(4))(np.ones(3), np.ones(4)),
            r"u: expected shape \(4,\) or \(N, 4\), got shape \(3,\)",
        ),
        (lambda: Jacobi(Identity(4))(np.ones((2, 4)), np.ones(4)), "f: expected the shape and dtype of u"),
        (lambda: Jacobi(Identity(4))(np.ones(4, int), np.ones(4)), "dtype of u: expected"),
        (lambda: Jacobi(Identity(4))([1.0] * 4, np.ones(4)), "u: expected an array"),
        (lambda: Jacobi(Identity(4))(np.ones(4), np.ones(4), sweeps=-1), "sweeps: expected"),
        (lambda: Poisson((4, 4), "walls"), "boundary: expected"),
        (lambda: Poisson((4, 4), h=(1.0, 2.0, 3.0)), "h: expected one mesh width, or one for each of 2 axes"),
        (lambda: Poisson((4, 4), h=0), "h: expected"),
        (lambda: modes(4, "free"), "boundary: expected"),
        (lambda: Prolongation((4, 4), boundary="free"), "boundary: expected"),
        (lambda: Restriction((3, 4)), "fine_shape: expected"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()
