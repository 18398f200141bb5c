"""Multigrid cycles: convergence that does not depend on the size, the same as pyamg, and where it fails and why."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.figure import Figure
from pyamg.multilevel import MultilevelSolver
from pyamg.relaxation.smoothing import change_smoothers

from meganet.backend import to_host
from meganet.ground.validate import InputError
from meganet.linop import CirculantConvolution, Identity, Matrix
from meganet.multigrid import (
    Cycle,
    GridHierarchy,
    Jacobi,
    Poisson,
    convergence_factor,
    full_multigrid,
    multigrid_cycle,
    restrict_kernels,
    solve,
)
from meganet.plotting import plot_cycle, plot_relaxation, plot_residuals

BOUNDARIES = ("dirichlet", "neumann", "periodic")
LAPLACE = -np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def small():
    return GridHierarchy(Identity(8), "dirichlet")


def in_pyamg(hierarchy):
    """The same levels in pyamg, with Gauss-Seidel relaxation before and after."""
    levels = []
    for level in reversed(hierarchy.levels):
        levels.append(MultilevelSolver.Level())
        levels[-1].A = level.A.matrix
        if level is not hierarchy[0]:
            levels[-1].R, levels[-1].P = level.R.matrix, level.P.matrix
    solver = MultilevelSolver(levels, coarse_solver="pinv")
    sweep = ("gauss_seidel", {"sweep": "forward"})
    change_smoothers(solver, presmoother=sweep, postsmoother=sweep)
    return solver


@pytest.mark.parametrize("kind", ["V", "W"])
def test_cycles_are_those_of_pyamg(kind, rng):
    hierarchy = GridHierarchy(Poisson((32, 16)), relaxation="gauss-seidel")
    f, u = rng.standard_normal((2, 32, 16))
    expected = in_pyamg(hierarchy).solve(f.ravel(), x0=u.ravel(), maxiter=3, cycle=kind, tol=1e-30)
    for _ in range(3):
        u = multigrid_cycle(hierarchy, u, f, Cycle(kind))
    np.testing.assert_allclose(u.ravel(), expected, rtol=1e-9, atol=1e-9 * abs(expected).max())


def test_the_convergence_factor_is_independent_of_the_size_and_that_of_pyamg():
    import pyamg

    factors, theirs = [], []
    for n in (64, 128, 256, 512):
        A = Poisson((n, n))
        factors.append(convergence_factor(GridHierarchy(A), cycles=12))
        sweep = ("gauss_seidel", {"sweep": "forward"})
        classical = pyamg.ruge_stuben_solver(A.matrix, presmoother=sweep, postsmoother=sweep)
        residuals = []
        start = np.random.default_rng(0).standard_normal(n * n)
        classical.solve(0 * start, x0=start, residuals=residuals, maxiter=12, tol=1e-30)
        theirs.append((residuals[-1] / residuals[-4]) ** (1 / 3))
    assert max(factors) <= 0.15 and max(factors) - min(factors) < 0.04
    assert max(theirs) <= 0.15 and max(factors) < max(theirs)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("relaxation", [None, "gauss-seidel"])
def test_every_boundary_converges_alike(boundary, relaxation):
    for shape in ((64, 64), (64, 32), 256, (16, 16, 16)):
        hierarchy = GridHierarchy(Poisson(shape, boundary), relaxation=relaxation)
        assert convergence_factor(hierarchy, cycles=12) <= 0.3
        if shape == (64, 64):
            assert convergence_factor(hierarchy, cycles=12) <= 0.15


def test_red_black_relaxation_is_no_match_for_r_in_one_dimension():
    assert convergence_factor(GridHierarchy(Poisson(64), relaxation="red-black")) > 0.3
    default = GridHierarchy(Poisson(64))
    assert type(default[-1].relaxation) is Jacobi and convergence_factor(default) < 0.2
    assert type(GridHierarchy(Poisson((1, 64)))[-1].relaxation) is Jacobi


def test_constant_p_makes_the_coarse_operator_twice_too_strong_and_linear_p_cures_it():
    A, double = Poisson((64, 64), "periodic"), Poisson((32, 32), "periodic")
    constant = GridHierarchy(A, interpolation="constant")
    np.testing.assert_allclose(constant[-2].A.matrix.toarray(), 2 * double.matrix.toarray(), atol=1e-8)
    two, three = (GridHierarchy(A, interpolation="constant", levels=levels) for levels in (2, 3))
    assert 0.45 < convergence_factor(two) < convergence_factor(three) < convergence_factor(constant)
    assert convergence_factor(constant) > 0.7
    assert convergence_factor(GridHierarchy(A)) < 0.15
    # an operator of order 0, the identity and a bit, does with constant P
    other = CirculantConvolution((np.eye(3)[1][:, None] * np.eye(3)[1] + 0.1 * LAPLACE)[None, None], (32, 32))
    assert convergence_factor(GridHierarchy(other, interpolation="constant")) < 0.15


@pytest.mark.parametrize("interpolation", ["linear", "constant"])
def test_the_levels_of_a_circulant_operator_are_convolutions_with_the_galerkin_stencils(interpolation, rng):
    stencil = LAPLACE[None, None] + 0.1 * rng.standard_normal((1, 1, 3, 3))
    hierarchy = GridHierarchy(CirculantConvolution(stencil, (32, 16)), interpolation=interpolation, levels=3)
    for level, shape in ((hierarchy[-2], (16, 8)), (hierarchy[-3], (8, 4))):
        stencil = restrict_kernels(stencil, interpolation)
        expected = CirculantConvolution(stencil, shape).tosparse().toarray()
        np.testing.assert_allclose(level.A.matrix.toarray(), expected, atol=1e-12)
        assert level.A.domain_shape == (1, *shape)


def test_coarse_operators_are_galerkin_products():
    hierarchy = GridHierarchy(Poisson((16, 12)))
    for fine, coarse in zip(hierarchy.levels[1:], hierarchy.levels, strict=False):
        product = fine.R @ fine.A @ fine.P
        np.testing.assert_allclose(coarse.A.matrix.toarray(), product.tosparse().toarray(), atol=1e-9)
    assert [level.name for level in hierarchy] == ["4x3", "8x6", "16x12"]


def test_full_multigrid_reaches_the_error_of_the_discretisation():
    for n in (32, 64, 128):
        x = (np.arange(n) + 0.5) / n
        exact = np.outer(np.sin(np.pi * x), np.sin(2 * np.pi * x))
        hierarchy, f = GridHierarchy(Poisson((n, n))), 5 * np.pi**2 * exact
        discretisation = np.linalg.norm(solve(hierarchy, f, tolerance=1e-12).u - exact)
        assert np.linalg.norm(full_multigrid(hierarchy, f, cycles=2) - exact) < 1.3 * discretisation
        assert np.linalg.norm(full_multigrid(hierarchy, f) - exact) < 2 * discretisation


class Counted(Jacobi):
    """A relaxation that notes where it is called."""

    calls: list

    def sweep_unchecked(self, u, f):
        self.calls.append(self.operator.domain_shape)
        return super().sweep_unchecked(u, f)


@pytest.mark.parametrize("kind", ["V", "W"])
def test_the_visits_that_are_drawn_are_those_that_are_made(kind):
    Counted.calls = []
    hierarchy = GridHierarchy(Poisson((32, 32)), relaxation=Counted)
    u = np.zeros((32, 32))
    multigrid_cycle(hierarchy, u, u, Cycle(kind))
    names = [level.A.domain_shape for level in hierarchy]
    made = [names.index(shape) for shape in Counted.calls]
    drawn = list(Cycle(kind).visits(len(hierarchy)))
    # between two visits to a coarser grid a level is relaxed twice: after the one and before the other
    expected = []
    for place, level in enumerate(drawn):
        between = 0 < place < len(drawn) - 1 and drawn[place - 1] < level > drawn[place + 1]
        lower = 0 < place < len(drawn) - 1 and drawn[place - 1] == drawn[place + 1] == level - 1
        expected += [level] * (0 if level == 0 else 2 if between and lower else 1)
    assert made == expected


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_a_singular_system_is_solved_where_there_is_a_solution(boundary, rng):
    A = Poisson((32, 16), boundary)
    hierarchy = GridHierarchy(A)
    exact = rng.standard_normal((32, 16))
    exact -= exact.mean()
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-4)):
        found = solve(hierarchy, (A @ exact).astype(dtype), tolerance=tolerance)
        assert found.converged and found.u.dtype == dtype
        np.testing.assert_allclose(found.u, exact, atol=100 * tolerance)
    with pytest.raises(InputError, match="f: expected mean zero: constants are in the null space"):
        solve(hierarchy, np.ones((32, 16)))
    assert abs(full_multigrid(hierarchy, A @ exact).mean()) < 1e-12
    assert hierarchy.singular and not GridHierarchy(Poisson((32, 16))).singular


def test_a_singular_system_whose_transpose_has_another_null_space(rng):
    # rows that sum to zero, columns that do not: right-hand sides A u have a mean
    A = Matrix(np.diag(rng.uniform(1, 2, 8)) @ Poisson(8, "periodic", h=1.0).matrix)
    exact = rng.standard_normal(8)
    found = solve(GridHierarchy(A, "periodic"), A @ exact)
    assert found.converged and abs((A @ exact).mean()) > 1e-3
    np.testing.assert_allclose(found.u, exact - exact.mean(), atol=1e-6)


def test_cells_that_are_not_square_need_another_relaxation():
    assert convergence_factor(GridHierarchy(Poisson((64, 16)))) < 0.15
    assert convergence_factor(GridHierarchy(Poisson((64, 16), h=(1 / 64, 1 / 16)))) > 0.5


def test_solve_on_every_backend_and_dtype(backend, dtype, rng):
    f = rng.standard_normal((16, 8))
    expected = solve(GridHierarchy(Poisson((16, 8), backend="numpy")), f)
    hierarchy = GridHierarchy(Poisson((16, 8), backend=backend))
    right = backend.asarray(f, dtype)
    found = solve(hierarchy, right)
    assert found.converged and backend.owns(found.u) and found.u.dtype == dtype
    np.testing.assert_allclose(to_host(found.u), expected.u, atol=1e-4)
    np.testing.assert_array_equal(to_host(right), f.astype(dtype))
    full = full_multigrid(hierarchy, right, Cycle("W"), 3)
    np.testing.assert_allclose(to_host(full), expected.u, atol=1e-3)
    several = multigrid_cycle(
        hierarchy, backend.asarray(np.zeros((3, 16, 8)), dtype), backend.asarray([f, 2 * f, -f], dtype)
    )
    one = multigrid_cycle(hierarchy, 0 * right, right)
    np.testing.assert_allclose(to_host(several)[1], 2 * to_host(one), rtol=1e-3, atol=1e-6)


def test_solve_says_whether_it_has_converged():
    hierarchy, f = GridHierarchy(Poisson((32, 32))), np.ones((32, 32))
    few = solve(hierarchy, f, max_cycles=2)
    assert not few.converged and len(few.residuals) == 3 and 0 < few.factor < 0.2
    again = solve(hierarchy, f, few.u)
    assert again.converged and again.residuals[0] == few.residuals[-1]
    exact = solve(hierarchy, 0 * f)
    assert exact.converged and len(exact.residuals) == 1 and np.isnan(exact.factor) and (exact.u == 0).all()
    for scale in (1e200, 1e-200, 1e308):
        scaled = solve(hierarchy, scale * f)
        assert scaled.converged and len(scaled.residuals) == len(again.residuals) + 2 and np.isfinite(scaled.u).all()
    kept = few.u.copy()
    solve(hierarchy, f, few.u)
    assert (few.u == kept).all()


def test_what_is_handed_out_is_nobody_elses():
    hierarchy, f = GridHierarchy(Poisson((8, 8))), np.ones((8, 8))
    u = solve(hierarchy, f).u
    again = solve(hierarchy, f, u)
    kept = again.u.copy()
    u[:] = 7
    assert len(again.residuals) == 1 and (again.u == kept).all()
    assert isinstance(Cycle("V", np.int64(2)).before, int) and type(Cycle("V", np.int64(2)).before) is int
    copied = copy.deepcopy(GridHierarchy(Poisson((8, 8)), relaxation="gauss-seidel"))
    np.testing.assert_array_equal(
        multigrid_cycle(copied, f, f), multigrid_cycle(GridHierarchy(Poisson((8, 8)), relaxation="gauss-seidel"), f, f)
    )


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_a_small_shift_makes_an_operator_regular(boundary):
    for n, shift in ((2**15, 1.0), (16, 1e-9)):
        h = 1 / n if shift == 1.0 else 1.0
        A = Matrix(Poisson(n, boundary, h=h).matrix + shift * sp.eye_array(n))
        hierarchy = GridHierarchy(A, boundary)
        assert not hierarchy.singular
        np.testing.assert_allclose(solve(hierarchy, shift * np.ones(n), tolerance=1e-6).u, 1, rtol=1e-3)


def test_a_kernel_in_float32_whose_sum_is_zero_up_to_rounding_is_singular(rng):
    kernel = (LAPLACE / 3 + np.array([[-0.1, 0, -0.1], [0, 0.4, 0], [-0.1, 0, -0.1]]))[None, None].astype(np.float32)
    hierarchy = GridHierarchy(CirculantConvolution(kernel, (16, 16)))
    assert hierarchy.singular
    f = rng.standard_normal((1, 16, 16)).astype(np.float32)
    found = solve(hierarchy, f - f.mean())
    assert found.converged and abs(found.u.mean()) < 1e-5
    with pytest.raises(InputError, match="f: expected mean zero"):
        solve(hierarchy, f - f.mean() + 1)


def test_nonzeros_count_entries_that_are_not_zero():
    five = GridHierarchy(CirculantConvolution(LAPLACE[None, None], (16, 16)))
    assert five[-1].nonzeros == 5 * 256 == GridHierarchy(Poisson((16, 16), "periodic"))[-1].nonzeros


def test_a_printed_hierarchy_tells_levels_unknowns_and_complexity():
    hierarchy = GridHierarchy(Poisson((32, 32)), relaxation=lambda A: Jacobi(A, 0.7))
    lines = str(hierarchy).splitlines()
    assert len(lines) == 2 + len(hierarchy) and "1,024" in lines[-2] and "Jacobi relaxation" in lines[-1]
    assert f"operator complexity {hierarchy.operator_complexity:.2f}" in lines[-1]
    np.testing.assert_allclose(hierarchy.operator_complexity, in_pyamg(hierarchy).operator_complexity())
    np.testing.assert_allclose(hierarchy.grid_complexity, in_pyamg(hierarchy).grid_complexity())
    assert repr(hierarchy) == "<GridHierarchy: 2x2, 4x4, 8x8, 16x16, 32x32>"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridHierarchy(Poisson((31, 32))), "operator: expected an even grid of more than two cells"),
        (lambda: GridHierarchy(Poisson((8, 8)), levels=4), "levels: expected at most 3 for a grid of 8x8, got 4"),
        (
            lambda: GridHierarchy(Poisson((134, 134))),
            "operator: expected a coarsest grid of 1,024 cells or less, got 67x67",
        ),
        (
            lambda: GridHierarchy(Identity(8)),
            "boundary: expected one of neumann, dirichlet, periodic for an operator that has none",
        ),
        (
            lambda: GridHierarchy(CirculantConvolution(np.ones((4, 4, 3, 3)), (8, 8))),
            "operator: expected a convolution of one channel, got 4 channels",
        ),
        (lambda: GridHierarchy(Identity((2, 2, 8, 8)), "periodic"), "operator: expected one of grid functions"),
        (lambda: GridHierarchy(Poisson(8), relaxation=lambda A: None), "relaxation: expected a function that returns"),
        (lambda: solve(Poisson(8), np.ones(8)), "hierarchy: expected a GridHierarchy"),
        (lambda: solve(small(), np.ones(8), cycle="V"), "cycle: expected a Cycle"),
        (lambda: multigrid_cycle(small(), np.ones(8), np.ones(8), "V"), "cycle: expected a Cycle"),
        (lambda: full_multigrid(small(), np.ones(8, int)), "dtype of f: expected"),
        (lambda: full_multigrid(small(), np.full(8, np.nan)), "f: expected finite numbers"),
        (lambda: full_multigrid(GridHierarchy(Poisson(8, "periodic")), np.ones(8)), "f: expected mean zero"),
        (lambda: convergence_factor(small(), "W"), "cycle: expected a Cycle"),
        (
            lambda: GridHierarchy(Matrix(np.diag([1, np.nan, 2, 3]))),
            "operator: expected finite numbers, got inf or nan",
        ),
        (
            lambda: GridHierarchy(Poisson(8), relaxation=Jacobi(Poisson(8))),
            "relaxation: expected a name, or a function",
        ),
        (lambda: multigrid_cycle(small(), np.ones((0, 8)), np.ones((0, 8))), "u: expected"),
        (lambda: convergence_factor(small(), seed=None), "seed: expected"),
        (lambda: solve(small(), None), "f: expected an array"),
        (lambda: plot_residuals({"a": [0.0]}), r"residuals\['a'\]: expected finite norms"),
        (lambda: plot_residuals({"a": 3.0}), r"residuals\['a'\]: expected"),
        (lambda: plot_relaxation(Jacobi(Poisson((100, 100)))), r"relaxations\[''\]: expected one of 4,096 cells"),
        (lambda: plot_residuals([1.0, 0.1]), "residuals: expected"),
        (lambda: plot_relaxation([1.0, 0.1]), "relaxations: expected"),
        (lambda: GridHierarchy(np.eye(4)), "operator: expected a LinearOperator"),
        (lambda: GridHierarchy(Matrix(np.zeros((4, 4))), "periodic"), "operator: expected a matrix without zeros"),
        (lambda: GridHierarchy(Identity(8), "free"), "boundary: expected"),
        (lambda: GridHierarchy(Identity(8), "periodic", interpolation="cubic"), "interpolation: expected"),
        (lambda: GridHierarchy(Identity(8), "periodic", levels=1), "levels: expected"),
        (lambda: GridHierarchy(Identity(8), "periodic", relaxation="sor"), "relaxation: expected"),
        (lambda: Cycle("F"), "kind: expected"),
        (lambda: Cycle("V", -1, 1), "before: expected"),
        (lambda: Cycle("V", 0, 0), "before, after: expected a sweep before or after"),
        (lambda: solve(small(), np.ones(9)), "f: expected"),
        (lambda: solve(small(), np.full(8, np.nan)), "f: expected finite numbers"),
        (lambda: solve(small(), np.ones(8), np.full(8, np.inf)), "u: expected finite numbers"),
        (lambda: solve(small(), np.ones(8), tolerance=0), "tolerance: expected"),
        (lambda: multigrid_cycle(small(), np.ones(8), np.ones(9)), "f: expected"),
        (lambda: full_multigrid(small(), np.ones(9)), r"f: expected shape \(8,\) or \(N, 8\), got shape \(9,\)"),
        (lambda: convergence_factor(small(), cycles=3), "cycles: expected"),
        (lambda: plot_cycle(Identity(8)), "hierarchy: expected a GridHierarchy"),
        (lambda: plot_relaxation({"a": Identity(8)}), r"relaxations\['a'\]: expected a Relaxation"),
        (lambda: plot_residuals({"a": []}), r"residuals\['a'\]: expected"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_plots_draw_what_was_measured():
    figure = Figure(figsize=(9, 3))
    axes = figure.subplots(1, 3)
    A = Poisson((8, 8), "periodic")
    plot_relaxation({"weight 1": Jacobi(A, 1.0), "weight 4/5": Jacobi(A)}, axes[0], boundary="periodic")
    one, damped = (line.get_ydata() for line in axes[0].lines)
    # the checkerboard is untouched by Jacobi's method, and constants by every relaxation
    np.testing.assert_allclose([one[0], one[-1], damped[0], damped[-1]], [1, 1, 1, 0.6])
    hierarchy = GridHierarchy(Poisson((16, 16)))
    plot_cycle(hierarchy, axes[1], full=True)
    assert list(axes[1].lines[0].get_ydata()) == [0, 1, 0, 1, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    plot_residuals({"V(1,1)": [2.0, 0.2], "W(1,1)": [2.0, 0.1]}, axes[2])
    assert list(axes[2].lines[1].get_ydata()) == [1, 0.05]
