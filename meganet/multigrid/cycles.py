"""Two-grid, V- and W-cycles and full multigrid, section 2.4 of the thesis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.backend import Array, to_host
from meganet.ground import validate
from meganet.multigrid.grid_hierarchy import CoarsestLevel, GridHierarchy, vanishes_on_constants
from meganet.multigrid.relaxation import check_grid_functions, check_pair

CYCLES = {"V": 1, "W": 2}
"""How often a cycle visits the next coarser grid."""

TOLERANCES = {"float32": 1e-4, "float64": 1e-8}
"""Of `solve`, if none is given."""


@dataclass(frozen=True)
class Cycle:
    """How a cycle goes through a hierarchy: ``Cycle("V", 1, 1)`` is V(1,1); on two levels V is the two-grid method.

    Parameters
    ----------
    kind : {"V", "W"}
        One visit to the next coarser grid, or two.
    before, after : int
        Sweeps of relaxation before and after the correction from the coarser grid, not both 0.

    Examples
    --------
    >>> from meganet.multigrid import Cycle
    >>> print(Cycle("W", 2, 1), list(Cycle("W").visits(3)))
    W(2,1) [2, 1, 0, 1, 0, 1, 2]
    """

    kind: str = "V"
    before: int = 1
    after: int = 1

    def __post_init__(self) -> None:
        validate.choice("kind", self.kind, CYCLES)
        sweeps = {name: validate.integer(name, getattr(self, name), minimum=0) for name in ("before", "after")}
        if not any(sweeps.values()):
            validate.reject("before, after", "a sweep before or after the correction", "0 and 0")
        validate.store(self, **sweeps)

    def visits(self, levels: int) -> Iterator[int]:
        """Yield the levels in the order in which the cycle comes to them, from the finest, ``levels - 1``, on."""
        finest = validate.integer("levels", levels) - 1
        yield finest
        if finest:
            coarser = list(self.visits(finest))
            # the second visit goes on where the first one ended
            yield from coarser + (self.corrections(finest) - 1) * coarser[1:]
            yield finest

    def corrections(self, level: int) -> int:
        """Return how often a level is corrected from the next coarser one.

        Once from the coarsest, where the equations are solved: a second visit would have nothing to correct.
        """
        return CYCLES[self.kind] if level > 1 else 1

    def __str__(self) -> str:
        return f"{self.kind}({self.before},{self.after})"


V11 = Cycle()


@dataclass(frozen=True, eq=False)
class Solution:
    """What `solve` found.

    Attributes
    ----------
    u : array
        The last approximation.
    residuals : ndarray, (cycles + 1,)
        Norms ``||f - A u||`` before the first cycle and after each.
    converged : bool
        Whether the last is within the tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Solution
    >>> Solution(np.zeros(2), np.array([1.0, 0.1]), False).factor
    0.1
    """

    u: Array
    residuals: np.ndarray[Any, Any]
    converged: bool

    @property
    def factor(self) -> float:
        """The mean factor by which a cycle reduced the residual; nan without a cycle or a first residual."""
        first, last, cycles = float(self.residuals[0]), float(self.residuals[-1]), len(self.residuals) - 1
        return (last / first) ** (1 / cycles) if cycles and first else float("nan")


def multigrid_cycle(hierarchy: GridHierarchy, u: Array, f: Array, cycle: Cycle = V11) -> Array:
    """Return the approximation of ``A u = f`` after one cycle.

    Relaxation makes the error smooth; its equation, ``A e = f - A u``, is then solved on the coarser grid, in the same
    way, and the error is interpolated back: ``u + P e``.

    Parameters
    ----------
    hierarchy : GridHierarchy
        The levels of A.
    u, f : array, shape of the grid, or (N, ...) of it
        Approximation and right-hand side, float32 or float64, on the hierarchy's backend.
    cycle : Cycle
        V(1,1) if not given.

    Returns
    -------
    array
        New, like `u`.

    Raises
    ------
    InputError
        For other shapes, dtypes or backends.

    Notes
    -----
    Trottenberg, Oosterlee and Schuller, Multigrid, 2001, who call it the multigrid cycle with cycle index 1 or 2.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GridHierarchy, Poisson, multigrid_cycle
    >>> A = Poisson((64, 64))
    >>> u, f = np.zeros((64, 64)), np.ones((64, 64))
    >>> for _ in range(3):
    ...     u = multigrid_cycle(GridHierarchy(A), u, f)
    ...     print(f"{abs(f - A @ u).max():.4f}")
    0.1526
    0.0094
    0.0007
    """
    _check(hierarchy, cycle)
    check_pair(hierarchy[-1].A, u, f)
    shape = (-1, *hierarchy[-1].A.domain_shape)
    return _cycle(hierarchy, len(hierarchy) - 1, u.reshape(shape), f.reshape(shape), cycle).reshape(u.shape)


def _check(hierarchy: GridHierarchy, cycle: Cycle) -> None:
    validate.instance("hierarchy", hierarchy, GridHierarchy, "a GridHierarchy")
    validate.instance("cycle", cycle, Cycle, 'a Cycle, such as Cycle("V", 1, 1)')


def _cycle(hierarchy: GridHierarchy, number: int, u: Array, f: Array, cycle: Cycle) -> Array:
    """Return a batch of approximations on a level after a cycle."""
    level = hierarchy.levels[number]
    if isinstance(level, CoarsestLevel):
        return level.inverse.apply_unchecked(f)
    for _ in range(cycle.before):
        u = level.relaxation.sweep_unchecked(u, f)
    residual = level.R.apply_unchecked(f - level.A.apply_unchecked(u))
    error = 0 * residual
    for _ in range(cycle.corrections(number)):
        error = _cycle(hierarchy, number - 1, error, residual, cycle)
    u = u + level.P.apply_unchecked(error)
    for _ in range(cycle.after):
        u = level.relaxation.sweep_unchecked(u, f)
    return u


def full_multigrid(hierarchy: GridHierarchy, f: Array, cycle: Cycle = V11, cycles: int = 1) -> Array:
    """Return an approximation of ``A u = f`` by nested iteration: from the coarsest grid on, each grid starts from P u.

    Parameters
    ----------
    hierarchy : GridHierarchy
        The levels of A.
    f : array, shape of the grid, or (N, ...) of it
        float32 or float64, on the hierarchy's backend; on the coarser grids it is R f.
    cycle : Cycle
        V(1,1) if not given.
    cycles : int
        How many on each grid.

    Returns
    -------
    array
        Like `f`.

    Raises
    ------
    InputError
        As for `solve`.

    Notes
    -----
    Trottenberg, Oosterlee and Schuller, Multigrid, 2001.

    Examples
    --------
    The error is about that of the discretisation, which falls with ``h^2``:

    >>> import numpy as np
    >>> from meganet.multigrid import GridHierarchy, Poisson, full_multigrid
    >>> for n in (64, 128):
    ...     x = np.sin(np.pi * (np.arange(n) + 0.5) / n)
    ...     exact, hierarchy = np.outer(x, x), GridHierarchy(Poisson((n, n)))
    ...     print(f"{abs(full_multigrid(hierarchy, 2 * np.pi**2 * exact) - exact).max():.6f}")
    0.000242
    0.000061
    """
    _check(hierarchy, cycle)
    check_grid_functions(hierarchy[-1].A, "f", f)
    _check_right_hand_side(hierarchy, f)
    validate.integer("cycles", cycles)
    rights = [f.reshape(-1, *hierarchy[-1].A.domain_shape)]
    for level in reversed(hierarchy.finer):
        rights.append(level.R.apply_unchecked(rights[-1]))
    u = hierarchy[0].inverse.apply_unchecked(rights.pop())
    for number, level in enumerate(hierarchy.finer, start=1):
        right, u = rights.pop(), level.P.apply_unchecked(u)
        for _ in range(cycles):
            u = _cycle(hierarchy, number, u, right, cycle)
    return _normalised(hierarchy, u).reshape(f.shape)


def solve(
    hierarchy: GridHierarchy,
    f: Array,
    u: Array | None = None,
    cycle: Cycle = V11,
    *,
    tolerance: float | None = None,
    max_cycles: int = 50,
) -> Solution:
    """Solve ``A u = f`` by multigrid cycles until ``||f - A u|| <= tolerance ||f||``.

    Parameters
    ----------
    hierarchy : GridHierarchy
        The levels of A.
    f : array, shape of the grid
        float32 or float64, finite. Of mean zero if constants are in the null spaces of A and its transpose; u then is
        the solution of mean zero.
    u : array, optional
        Where to start; zero if not given.
    cycle : Cycle
        V(1,1) if not given.
    tolerance : float, optional
        Above 0; if not given 1e-8 in float64, 1e-4 in float32, whose round-off may be more on large grids.
    max_cycles : int
        Most cycles.

    Returns
    -------
    Solution
        Also if it has not converged: `converged` says so.

    Raises
    ------
    InputError
        For other shapes, dtypes or backends, numbers that are not finite, or an `f` with a mean where there is no
        solution.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GridHierarchy, Poisson, solve
    >>> found = solve(GridHierarchy(Poisson((64, 64))), np.ones((64, 64)))
    >>> found.converged, len(found.residuals) - 1, round(found.factor, 2)
    (True, 8, 0.08)
    """
    _check(hierarchy, cycle)
    A = hierarchy[-1].A
    A.backend.require_floats("f", f)
    validate.array_shape("f", f, A.domain_shape)
    _check_right_hand_side(hierarchy, f)
    tolerance = TOLERANCES[str(f.dtype)] if tolerance is None else validate.real("tolerance", tolerance, above=0)
    max_cycles = validate.integer("max_cycles", max_cycles)
    if u is None:
        u = 0 * f
    check_pair(A, u, f)
    _check_finite("u", u)
    # of numbers near the largest ones sums would overflow
    scale = max(_largest(f), _largest(u)) or 1.0
    f, u = f / scale, _normalised(hierarchy, u / scale)
    size = _norm(f)
    residuals = [_norm(f - A @ u)]
    while residuals[-1] > tolerance * size and len(residuals) <= max_cycles:
        u = _normalised(hierarchy, multigrid_cycle(hierarchy, u, f, cycle))
        residuals.append(_norm(f - A @ u))
    with np.errstate(over="ignore"):  # a norm may be infinite where the numbers are not
        norms = np.array(residuals) * scale
    return Solution(u * scale, norms, bool(residuals[-1] <= tolerance * size))


def convergence_factor(hierarchy: GridHierarchy, cycle: Cycle = V11, *, cycles: int = 20, seed: int = 0) -> float:
    """Estimate the asymptotic factor by which a cycle reduces the error: the spectral radius of its error operator.

    Parameters
    ----------
    hierarchy : GridHierarchy
        The levels of A.
    cycle : Cycle
        V(1,1) if not given.
    cycles : int
        At least 4. So many cycles are done for ``A u = 0`` from random numbers, which are scaled after each; the mean
        factor of the last quarter is returned.
    seed : int
        Of the random numbers.

    Returns
    -------
    float

    Examples
    --------
    >>> from meganet.multigrid import Cycle, GridHierarchy, Poisson, convergence_factor
    >>> for n in (32, 64, 128):  # bounded independently of the size
    ...     print(n, round(convergence_factor(GridHierarchy(Poisson((n, n)))), 2))
    32 0.08
    64 0.1
    128 0.11
    """
    _check(hierarchy, cycle)
    cycles = validate.integer("cycles", cycles, minimum=4)
    A = hierarchy[-1].A
    rng = np.random.default_rng(validate.integer("seed", seed, minimum=0))
    error = _normalised(hierarchy, A.backend.asarray(rng.standard_normal(A.domain_shape)))
    factors = []
    for _ in range(cycles):
        size = _norm(error)
        if size == 0:
            return 0.0
        error = _normalised(hierarchy, multigrid_cycle(hierarchy, error / size, 0 * error, cycle))
        factors.append(_norm(error))
    last = np.array(factors[-(cycles // 4) :])
    return float(np.exp(np.mean(np.log(np.maximum(last, np.finfo(float).tiny)))))


def _normalised(hierarchy: GridHierarchy, u: Array) -> Array:
    """Return each of the approximations without its mean, where constants are in the null space."""
    if not hierarchy.singular:
        return u
    return u - _mean(hierarchy, u)


def _mean(hierarchy: GridHierarchy, u: Array) -> Array:
    A = hierarchy[-1].A
    return u.sum(axis=tuple(range(-len(A.domain_shape), 0)), keepdims=True) / A.shape[1]


def _check_finite(name: str, x: Array) -> None:
    if not np.isfinite(_largest(x)):
        validate.reject(name, "finite numbers", "inf or nan")


def _check_right_hand_side(hierarchy: GridHierarchy, f: Array) -> None:
    _check_finite("f", f)
    A = hierarchy[-1].A
    if not hierarchy.singular or not vanishes_on_constants(A.matrix.T, A.dtype):
        return
    largest = _largest(f) or 1.0
    mean = _largest(_mean(hierarchy, f / largest)) * largest
    if mean > np.sqrt(np.finfo(f.dtype).eps) / 10 * largest:
        validate.reject("f", "mean zero: constants are in the null space of the operator", f"mean {mean:g}")


def _largest(x: Array) -> float:
    return float(to_host(abs(x).max()))


def _norm(x: Array) -> float:
    """Return the Euclidean norm of all numbers, where their squares may overflow too."""
    largest = _largest(x)
    return largest * float(to_host(((x / largest) ** 2).sum())) ** 0.5 if 0 < largest < np.inf else largest
