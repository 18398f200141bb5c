"""Two-grid, V- and W-cycles and full multigrid, section 2.4 of the thesis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.backend import Array, to_host
from meganet.ground import validate
from meganet.multigrid.grid_hierarchy import NULL, GridHierarchy

CYCLES = {"V": 1, "W": 2}
"""How often a cycle visits the next coarser grid."""


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
        for name in ("before", "after"):
            validate.integer(name, getattr(self, name), minimum=0)
        if not self.before + self.after:
            validate.reject("after", "a sweep before or after the correction", "none of both")

    def visits(self, levels: int) -> Iterator[int]:
        """Yield the levels in the order in which the cycle comes to them, from the finest, ``levels - 1``, on."""
        finest = validate.integer("levels", levels) - 1
        yield finest
        if finest:
            coarser = list(self.visits(finest))
            # the second visit goes on where the first one ended
            yield from coarser + (visits_to_next(self, finest) - 1) * coarser[1:]
            yield finest

    def __str__(self) -> str:
        return f"{self.kind}({self.before},{self.after})"


def visits_to_next(cycle: Cycle, number: int) -> int:
    """Return how often a cycle goes from a level to the next coarser one.

    Once to the coarsest, where the equations are solved: a second visit would have nothing to correct.

    Examples
    --------
    >>> from meganet.multigrid import Cycle
    >>> from meganet.multigrid.cycles import visits_to_next
    >>> visits_to_next(Cycle("W"), 2), visits_to_next(Cycle("W"), 1)
    (2, 1)
    """
    return CYCLES[cycle.kind] if number > 1 else 1


V11 = Cycle()


@dataclass(frozen=True)
class Solution:
    """What `solve` found.

    Attributes
    ----------
    u : array
    residuals : ndarray, (cycles + 1,)
        Norms ``||f - A u||`` before the first cycle and after each.
    converged : bool
        Whether the last is below the tolerance.

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
        """The mean factor by which a cycle made the residual smaller; nan without a cycle."""
        cycles = len(self.residuals) - 1
        return float((self.residuals[-1] / self.residuals[0]) ** (1 / cycles)) if cycles else float("nan")


def multigrid_cycle(hierarchy: GridHierarchy, u: Array, f: Array, cycle: Cycle = V11) -> Array:
    """Return the approximation of ``A u = f`` after one cycle.

    Relaxation makes the error smooth; its equation, ``A e = f - A u``, is then solved on the coarser grid, in the same
    way, and the error is interpolated back: ``u + P e``.

    Parameters
    ----------
    hierarchy : GridHierarchy
    u, f : array, shape of the grid, or (N, ...) of it
        float32 or float64, on the hierarchy's backend; the result is alike.
    cycle : Cycle

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GridHierarchy, multigrid_cycle, poisson
    >>> A = poisson((64, 64))
    >>> u, f = np.zeros((64, 64)), np.ones((64, 64))
    >>> for _ in range(3):
    ...     u = multigrid_cycle(GridHierarchy(A), u, f)
    ...     print(f"{abs(f - A @ u).max():.4f}")
    0.1526
    0.0094
    0.0007
    """
    return _cycle(hierarchy, len(hierarchy) - 1, u, f, cycle)


def _cycle(hierarchy: GridHierarchy, number: int, u: Array, f: Array, cycle: Cycle) -> Array:
    level = hierarchy[number]
    if level.inverse is not None:
        return level.inverse @ f
    assert level.relaxation is not None and level.R is not None and level.P is not None
    u = level.relaxation(u, f, cycle.before)
    residual = level.R @ (f - level.A @ u)
    error = 0 * residual
    for _ in range(visits_to_next(cycle, number)):
        error = _cycle(hierarchy, number - 1, error, residual, cycle)
    return level.relaxation(u + level.P @ error, f, cycle.after)


def full_multigrid(hierarchy: GridHierarchy, f: Array, cycle: Cycle = V11, cycles: int = 1) -> Array:
    """Return an approximation of ``A u = f`` by nested iteration: from the coarsest grid on, each grid starts from P u.

    Parameters
    ----------
    hierarchy : GridHierarchy
    f : array, shape of the grid, or (N, ...) of it
        On the coarser grids it is R f.
    cycle : Cycle
    cycles : int
        How many on each grid.

    Examples
    --------
    The error is that of the discretisation already:

    >>> import numpy as np
    >>> from meganet.multigrid import GridHierarchy, full_multigrid, poisson
    >>> for n in (64, 128):
    ...     x = np.sin(np.pi * (np.arange(n) + 0.5) / n)
    ...     exact, hierarchy = np.outer(x, x), GridHierarchy(poisson((n, n)))
    ...     print(f"{abs(full_multigrid(hierarchy, 2 * np.pi**2 * exact) - exact).max():.6f}")
    0.000242
    0.000061
    """
    validate.integer("cycles", cycles)
    rights = [f]
    for level in reversed(hierarchy.levels[1:]):
        assert level.R is not None
        rights.append(level.R @ rights[-1])
    u = _cycle(hierarchy, 0, rights[-1], rights.pop(), cycle)
    for number in range(1, len(hierarchy)):
        right, way = rights.pop(), hierarchy[number].P
        assert way is not None
        u = way @ u
        for _ in range(cycles):
            u = _cycle(hierarchy, number, u, right, cycle)
    return u


def solve(
    hierarchy: GridHierarchy,
    f: Array,
    u: Array | None = None,
    cycle: Cycle = V11,
    *,
    tolerance: float = 1e-8,
    max_cycles: int = 50,
) -> Solution:
    """Solve ``A u = f`` by multigrid cycles until ``||f - A u|| <= tolerance ||f||``.

    Parameters
    ----------
    hierarchy : GridHierarchy
    f : array, shape of the grid
        float32 or float64; of mean zero if constants are in the operator's null space, and `u` then is too.
    u : array, optional
        Where to start; zero if not given.
    cycle : Cycle
    tolerance : float
        Above 0.
    max_cycles : int

    Returns
    -------
    Solution
        Also if it has not converged: `converged` says so.

    Raises
    ------
    InputError
        For an `f` with a mean where there is no solution.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GridHierarchy, poisson, solve
    >>> found = solve(GridHierarchy(poisson((64, 64))), np.ones((64, 64)))
    >>> found.converged, len(found.residuals) - 1, round(found.factor, 2)
    (True, 8, 0.08)
    """
    tolerance = validate.real("tolerance", tolerance, above=0)
    max_cycles = validate.integer("max_cycles", max_cycles)
    A = hierarchy[-1].A
    u = 0 * f if u is None else u
    for name, x in (("f", f), ("u", u)):
        A.backend.require_floats(name, x)
        validate.array_shape(name, x, A.domain_shape)
        if not np.isfinite(_largest(x)):
            validate.reject(name, "finite numbers", "inf or nan")
    size = _norm(f)
    if hierarchy.singular:
        mean = float(to_host(f.mean()))
        if abs(mean) > NULL ** (0.5 if f.dtype == np.float32 else 1) * _largest(f):
            validate.reject("f", "mean zero: constants are in the null space of the operator", f"mean {mean:g}")
        u = u - u.mean()
    residuals = [_norm(f - A @ u)]
    while residuals[-1] > tolerance * size and len(residuals) <= max_cycles:
        u = multigrid_cycle(hierarchy, u, f, cycle)
        if hierarchy.singular:
            u = u - u.mean()
        residuals.append(_norm(f - A @ u))
    return Solution(u, np.array(residuals), bool(residuals[-1] <= tolerance * size))


def convergence_factor(hierarchy: GridHierarchy, cycle: Cycle = V11, *, cycles: int = 20, seed: int = 0) -> float:
    """Return the factor by which a cycle makes the error smaller in the end: the spectral radius of its error operator.

    Parameters
    ----------
    hierarchy : GridHierarchy
    cycle : Cycle
    cycles : int
        Cycles for ``A u = 0`` from random numbers, scaled after each; the mean factor of the last quarter is returned.
    seed : int

    Examples
    --------
    >>> from meganet.multigrid import Cycle, GridHierarchy, convergence_factor, poisson
    >>> for n in (32, 64, 128):  # independent of the size
    ...     print(n, round(convergence_factor(GridHierarchy(poisson((n, n)))), 2))
    32 0.08
    64 0.1
    128 0.11
    """
    validate.integer("cycles", cycles, minimum=4)
    A = hierarchy[-1].A
    error = A.backend.asarray(np.random.default_rng(seed).standard_normal(A.domain_shape))
    zero, factors = 0 * error, []
    for _ in range(cycles):
        error = error - error.mean() if hierarchy.singular else error
        size = _norm(error)
        if size == 0:
            return 0.0
        error = multigrid_cycle(hierarchy, error / size, zero, cycle)
        factors.append(_norm(error - error.mean() if hierarchy.singular else error))
    last = np.array(factors[-(cycles // 4) :])
    return float(np.exp(np.mean(np.log(np.maximum(last, np.finfo(float).tiny)))))


def _largest(x: Array) -> float:
    return float(to_host(abs(x).max()))


def _norm(x: Array) -> float:
    """Return the Euclidean norm of all numbers, where their squares may overflow too."""
    largest = _largest(x)
    return largest * float(to_host(((x / largest) ** 2).sum())) ** 0.5 if 0 < largest < np.inf else largest
