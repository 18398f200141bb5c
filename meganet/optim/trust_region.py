"""Newton's method in a trust region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim.descent import Search, Step, descend
from meganet.optim.krylov import gmres_in_ball
from meganet.optim.methods import Model, Newton
from meganet.optim.problem import Control, Function, Hessian, Point, Problem, Result
from meganet.optim.steihaug import Preconditioner

LARGEST_RADIUS = 1e3
SMALLEST_RADIUS = 1e-14
"""Relative to the first radius."""


def agreement(problem: Problem, point: Point, new: Point, promised: float) -> float:
    """Return the ratio of the actual to the promised reduction; -1 if nothing is promised or the end is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> from meganet.optim.trust_region import agreement
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.ones(2))
    >>> agreement(problem, problem.at(np.ones(2)), problem.at(np.zeros(2)), promised=4.0)
    0.5
    """
    if not new.finite:
        return -1.0
    actual, noise = point.value - new.value, problem.noise(point)
    # the quotient of two reductions that are round-off says nothing
    if abs(promised) <= noise and abs(actual) <= noise:
        return 1.0
    return actual / promised if promised > 0 else -1.0


def next_radius(radius: float, length: float, ratio: float, on_boundary: bool, largest: float) -> float:
    """Return the radius after a step of some length, as `trust_region` says.

    Examples
    --------
    >>> from meganet.optim.trust_region import next_radius
    >>> next_radius(1.0, 0.5, 0.1, False, 10.0), next_radius(1.0, 1.0, 0.9, True, 10.0)
    (0.125, 2.0)
    """
    if not ratio >= 0.25:
        return 0.25 * min(radius, length)
    return min(2 * radius, largest) if ratio > 0.75 and on_boundary else radius


def promised_share(accept: float) -> float:
    """Return the argument `accept`; refuse one that is not in [0, 1/4).

    Examples
    --------
    >>> from meganet.optim.trust_region import promised_share
    >>> promised_share(0)
    0.0
    """
    accept = validate.real("accept", accept)
    if not 0 <= accept < 0.25:
        validate.reject("accept", "a number in [0, 1/4)", repr(accept))
    return accept


@dataclass(frozen=True)
class _Radius(Search[Model]):
    """Steps to the minimum of a model within a radius, the size, as `trust_region` says."""

    largest: float
    accept: float
    argument: ClassVar[str] = "radius"

    def __call__(self, problem: Problem, point: Point, way: Model, size: float) -> Step[Any] | str:
        if size < SMALLEST_RADIUS * self.size:
            return "radius"
        solved = way(size)
        if not solved.finite:
            return "not finite"
        new = problem.at(point.x + solved.step)
        ratio = agreement(problem, point, new, solved.reduction)
        on_boundary = solved.length >= size * (1 - 1e-6)
        radius = next_radius(size, solved.length, ratio, on_boundary, self.largest)
        accepted = ratio > self.accept
        columns = {"radius": size, "ratio": ratio, "accepted": int(accepted), "cg_steps": solved.products}
        columns |= {"boundary": int(on_boundary)}
        if accepted:
            # the model is not taken again, and its Hessian may keep much memory
            return Step(point, None, new, solved.length, radius, columns)
        return Step(point, way, point, 0.0, radius, columns)


def trust_region(
    fun: Function,
    x0: Array,
    hessian: Hessian,
    *,
    subproblem: str = "steihaug",
    radius: float = 1.0,
    max_radius: float = LARGEST_RADIUS,
    accept: float = 1e-4,
    max_products: int | None = None,
    preconditioner: Preconditioner | None = None,
    control: Control | None = None,
) -> Result:
    """Minimise a function by Newton steps from a model that is trusted within a radius.

    The step p minimises ``<g, p> + <p, H p> / 2`` within the radius, approximately. It is taken if the function falls
    by more than `accept` times what the model promises. The radius shrinks to a quarter of the step below 1/4 of the
    promise, and doubles above 3/4 if the step reached it.

    Parameters
    ----------
    fun, x0, hessian, control
        As in `newton_cg`.
    subproblem : {"steihaug", "gmres"}
        Conjugate gradients in the ball, to the relative accuracy ``min(0.5, sqrt(||g||))``; or the smallest residual in
        a Krylov space, for an H that is not symmetric or badly indefinite.
    radius, max_radius : float
        First and largest radius.
    accept : float
        In [0, 1/4).
    max_products : int, optional
        Products with H for one step, at most; n for "steihaug", ``min(n, 20)`` for "gmres" if not given.
    preconditioner : callable, optional
        ``r -> M^-1 r`` with a symmetric positive definite M like H, for "steihaug"; the ball is then in the norm of M.

    Returns
    -------
    Result
        The step is measured in the norm of the preconditioner. Own columns: radius (of the step), ratio (actual over
        promised reduction), accepted (0 or 1), cg_steps, boundary. A rejected step is an iteration, with the point
        unchanged. ``state["radius"]`` is the radius of the next step.

    Notes
    -----
    Nocedal and Wright, *Numerical Optimization* (2006), algorithm 4.1 with 7.2: the method of the thesis' equation
    (3.7).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import trust_region
    >>> q = np.array([1.0, 10.0])
    >>> fun = lambda x: ((q * x * x).sum() / 2 + (x**4).sum(), q * x + 4 * x**3)
    >>> result = trust_region(fun, np.ones(2), lambda x: np.diag(q + 12 * x * x), radius=0.5)
    >>> result.reason, bool(abs(result.x).max() < 1e-5), result.history.column("radius")[:3]
    ('gradient', True, [0.5, 0.5, 1.0])
    """
    validate.choice("subproblem", subproblem, ["steihaug", "gmres"])
    if subproblem == "gmres" and preconditioner is not None:
        validate.reject("preconditioner", "None for the subproblem 'gmres'", "one")
    accept = promised_share(accept)
    if max_products is not None:
        max_products = validate.integer("max_products", max_products)
    largest = validate.real("max_radius", max_radius, above=0)
    problem = Problem(fun, x0, hessian)
    search = _Radius(largest, accept, size=min(validate.real("radius", radius, above=0), largest))
    start = {"radius": search.size, "ratio": 1.0, "accepted": 1, "cg_steps": 0, "boundary": 0}
    if subproblem == "steihaug":
        return descend(problem, Newton(max_products, preconditioner).model, search, start, control)
    solve = partial(gmres_in_ball, dimension=min(len(problem.x0), 20) if max_products is None else max_products)
    return descend(problem, lambda _, p, last: partial(solve, problem.hessian(p.x), p.gradient), search, start, control)
