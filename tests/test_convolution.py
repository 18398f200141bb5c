"""The convolution: every engine against the explicit matrix and against SciPy, on random shapes."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet.backend import get_backend
from meganet.ground.validate import InputError
from meganet.layers import ConvolutionLayer
from meganet.linop import CirculantConvolution
from meganet.linop._engines import NAMES, choose_engine

SHAPES = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])
).flatmap(lambda s: st.tuples(st.just(s), st.integers(s[3], 9), st.integers(s[4], 9)))


def problem(shapes, dtype="float64", seed=0):
    (n, cin, cout, k1, k2), height, width = shapes
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((cout, cin, k1, k2)).astype(dtype)
    x = rng.standard_normal((n, cin, height, width)).astype(dtype)
    return kernel, x, rng.standard_normal((n, cout, height, width)).astype(dtype)


def serving(kernel):
    return [name for name in NAMES if choose_engine(name, get_backend("numpy"), kernel.shape)]


@pytest.mark.loops
@settings(max_examples=60, deadline=None)
@given(SHAPES, st.sampled_from([1, 2000, 10**7]))
def test_engines_agree_with_the_explicit_matrix(shapes, tile_bytes):
    kernel, x, y = problem(shapes)
    n, image = len(x), x.shape[2:]
    matrix = CirculantConvolution(kernel, image).tosparse().toarray()
    backend = get_backend("numpy")
    usual, backend.tile_bytes = backend.tile_bytes, tile_bytes
    try:
        for engine in serving(kernel):
            k = CirculantConvolution(kernel, image, engine)
            np.testing.assert_allclose((k @ x).reshape(n, -1), x.reshape(n, -1) @ matrix.T, atol=1e-12)
            np.testing.assert_allclose((k.T @ y).reshape(n, -1), y.reshape(n, -1) @ matrix, atol=1e-12)
            gradient = k.kernel_adjoint(x, y)
            for index in np.ndindex(*kernel.shape):
                # the shift that belongs to this entry, written independently of the engines
                o, c, a, b = index
                shift = (kernel.shape[2] // 2 - a, kernel.shape[3] // 2 - b)
                expected = (y[:, o] * np.roll(x[:, c], shift, axis=(1, 2))).sum()
                assert gradient[index] == pytest.approx(expected, abs=1e-11)
    finally:
        backend.tile_bytes = usual


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_agrees_with_scipy_ndimage(shapes):
    kernel, x, _ = problem(shapes)
    result = CirculantConvolution(kernel, x.shape[2:]) @ x
    expected = np.zeros_like(result)
    for n, o, c in np.ndindex(len(x), *kernel.shape[:2]):
        expected[n, o] += scipy.ndimage.correlate(x[n, c], kernel[o, c], mode="grid-wrap")
    np.testing.assert_allclose(result, expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_symbol_diagonalises(shapes):
    kernel, x, _ = problem(shapes)
    operator = CirculantConvolution(kernel, x.shape[2:])
    modes = np.einsum("ocij,ncij->noij", operator.symbol(), np.fft.fft2(x))
    np.testing.assert_allclose(np.fft.ifft2(modes).real, operator @ x, atol=1e-12)


# the relative errors that the engines promise, in units of round-off
ACCURACY = {"winograd": 40, "direct": 8, "sparse": 8}


@pytest.mark.loops
@pytest.mark.parametrize("size", [14, 28])
@pytest.mark.parametrize("engine", NAMES)
def test_accuracy(engine, size, dtype):
    kernel, x, y = problem(((4, 32, 64, 3, 3), size, size))
    exact = CirculantConvolution(kernel, (size, size), "direct")
    operator = CirculantConvolution(kernel.astype(dtype), (size, size), engine)
    xd, yd = x.astype(dtype), y.astype(dtype)
    for got, expected in (
        (operator @ xd, exact @ x),
        (operator.T @ yd, exact.T @ y),
        (operator.kernel_adjoint(xd, yd), exact.kernel_adjoint(x, y)),
    ):
        assert np.linalg.norm(got - expected) < ACCURACY[engine] * np.finfo(dtype).eps * np.linalg.norm(expected)


def test_matrix_is_canonical_and_circulant():
    kernel = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    matrix = CirculantConvolution(kernel, (3, 4)).tosparse()
    assert matrix.has_canonical_format and matrix.nnz == 12 * 9
    assert np.array_equal(matrix.toarray()[0].reshape(3, 4), [[5, 6, 0, 4], [8, 9, 0, 7], [2, 3, 0, 1]])
    np.testing.assert_array_equal(matrix.sum(axis=0), matrix.sum(axis=1))


@pytest.mark.parametrize("engine", NAMES)
def test_changing_a_matrix_in_place_changes_no_other(engine):
    kernel = np.zeros((1, 1, 3, 3))
    kernel[0, 0, 0, 0] = 1
    CirculantConvolution(kernel, (4, 5)).tosparse().eliminate_zeros()
    full, x, _ = problem(((2, 1, 1, 3, 3), 4, 5))
    operator = CirculantConvolution(full, (4, 5), engine)
    assert operator.tosparse().nnz == 20 * 9
    np.testing.assert_allclose(operator @ x, CirculantConvolution(full, (4, 5), "direct") @ x, atol=1e-14)


def test_kernel_adjoint_errors():
    kernel, x, y = problem(((2, 2, 3, 3, 3), 5, 4))
    operator = CirculantConvolution(kernel, (5, 4))
    with pytest.raises(InputError, match=r"y: expected an array of shape \(N, 3, 5, 4\)"):
        operator.kernel_adjoint(x, x)
    with pytest.raises(InputError, match="y: expected 2 examples, as in x, got 1"):
        operator.kernel_adjoint(x, y[:1])
    with pytest.raises(InputError, match="x: expected float64, the dtype of the operator, got float32"):
        operator @ x.astype("float32")


@pytest.mark.parametrize(
    ("kernel_shape", "message"),
    [
        ((2, 1, 2, 3), "kernel: expected odd sizes, so that the kernel has a centre, got 2x3"),
        ((2, 1, 5, 3), "kernel: expected a kernel no larger than the 4x6 image, got 5x3"),
        ((2, 3, 3), r"kernel: expected an array of shape \(O, I, k1, k2\)"),
    ],
)
def test_wrong_kernels(kernel_shape, message):
    with pytest.raises(InputError, match=message):
        CirculantConvolution(np.zeros(kernel_shape), (4, 6))
    with pytest.raises(InputError, match="engine: expected one of 'auto', 'direct', 'sparse', 'winograd', got 'fast'"):
        CirculantConvolution(np.zeros((1, 1, 1, 1)), (4, 6), "fast")
    with pytest.raises(InputError, match="float32 or float64, got int64"):
        CirculantConvolution(np.zeros((1, 1, 1, 1), dtype="int64"), (4, 6))


def test_a_layer_names_its_own_argument_and_a_kernel_that_fits():
    message = r"kernel_shape: expected one no larger than the 1x16 image, such as \(1, 3\), got \(3, 3\)"
    with pytest.raises(InputError, match=message):
        ConvolutionLayer((1, 1, 16), 2)
    with pytest.raises(InputError, match=r"such as \(3, 1\), got \(5, 3\)"):
        ConvolutionLayer((1, 4, 2), 2, (5, 3))
