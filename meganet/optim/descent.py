"""Optimisers along a direction: steepest descent, nonlinear conjugate gradients, Newton-CG."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from meganet import _validate
from meganet.backend import Array
from meganet.optim import functions
from meganet.optim.line_search import Armijo, LineSearch, StrongWolfe, searched
from meganet.optim.problem import Control, Function, Hessian, Point, Problem, Result, Step, minimize
from meganet.optim.steihaug import Preconditioner, steihaug


def steepest_descent(
    fun: Function,
    x0: Array,
    *,
    line_search: LineSearch | None = None,
    project: Callable[[Array], Array] | None = None,
    control: Control | None = None,
) -> Result:
    """Minimise a function along its negative gradient, projected if there is a feasible set.

    Parameters
    ----------
    fun : callable
        ``x -> value, gradient``.
    x0 : array, (n,)
        float32 or float64, on any backend; with `project` its projection is the start.
    line_search : LineSearch, optional
        `Armijo` if not given; with `project` it must be one. The first trial is twice the last step, at the beginning
        ``min(1, 1 / ||g||)``.
    project : callable, optional
        Projection P onto a convex set, such as `bounds`; convergence is then that of ``x - P(x - g)``.
    control : Control, optional

    Returns
    -------
    Result
        Own column: length, the step length that was accepted.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import steepest_descent
    >>> result = steepest_descent(lambda x: ((x * x).sum(), 2 * x), np.array([1.0, 2.0]))
    >>> result.reason, bool(abs(result.x).max() < 1e-5)
    ('gradient', True)
    """
    search: LineSearch = Armijo() if line_search is None else line_search
    if project is not None:
        if not isinstance(search, Armijo):
            _validate.reject("line_search", "Armijo, or None, with a projection", repr(line_search))
        search = replace(search, project=project)
    functions.required("line_search", search)
    problem = Problem(fun, x0)
    if project is not None:
        project = functions.owned("project", project)
        problem.x0 = project(problem.x0)
    last: list[float] = []

    def advance(point: Point) -> Step:
        step = 2 * last[-1] if last else min(1.0, 1 / point.norm)
        found = searched(search, problem, point, -point.gradient, step)
        if found is None:
            return Step(point, 0.0, {}, "line search")
        last.append(found[1])
        return Step(found[0], _distance(problem, found[0], point), {"length": found[1]})

    def measure(point: Point) -> float:
        if project is None:
            return point.norm
        gap = point.x - project(point.x - point.gradient)
        return math.sqrt(problem.dot(gap, gap))

    return minimize(problem, control, advance, {"length": 0.0}, measure)


def nonlinear_cg(
    fun: Function, x0: Array, *, line_search: LineSearch | None = None, control: Control | None = None
) -> Result:
    """Minimise a function by nonlinear conjugate gradients, Polak-Ribiere with restart (PR+).

    ``p <- -g + b p`` with ``b = max(<g, g - g_old> / <g_old, g_old>, 0)``.

    Parameters
    ----------
    fun, x0, control
        As in `steepest_descent`.
    line_search : LineSearch, optional
        ``StrongWolfe(curvature=0.1)`` if not given.

    Returns
    -------
    Result
        Own columns: length, and beta, the factor b.

    Notes
    -----
    Nocedal and Wright, section 5.2.
    """
    search = StrongWolfe(curvature=0.1) if line_search is None else line_search
    functions.required("line_search", search)
    problem = Problem(fun, x0)
    state: dict[str, Array] = {}

    def advance(point: Point) -> Step:
        g, beta, length = point.gradient, 0.0, min(1.0, 1 / point.norm)
        direction = -g
        if state:
            beta = max(problem.dot(g, g - state["g"]) / problem.dot(state["g"], state["g"]), 0.0)
            trial = direction + beta * state["p"]
            slope = problem.dot(g, trial)
            if slope < 0:
                direction, length = trial, state["length"] * min(state["slope"] / slope, 10.0)
            else:
                beta = 0.0
        found = searched(search, problem, point, direction, length)
        if found is None:
            return Step(point, 0.0, {}, "line search")
        state.update(g=g, p=direction, length=found[1], slope=problem.dot(g, direction))
        return Step(found[0], _distance(problem, found[0], point), {"length": found[1], "beta": beta})

    return minimize(problem, control, advance, {"length": 0.0, "beta": 0.0})


def newton_cg(
    fun: Function,
    x0: Array,
    hessian: Hessian,
    *,
    line_search: LineSearch | None = None,
    preconditioner: Preconditioner | None = None,
    max_products: int | None = None,
    control: Control | None = None,
) -> Result:
    """Minimise a function along truncated Newton directions, with a line search.

    ``H p = -g`` is solved by conjugate gradients to the relative accuracy ``min(0.5, sqrt(||g||))``, or until a
    direction of negative curvature is met.

    Parameters
    ----------
    fun, x0, control
        As in `steepest_descent`.
    hessian : callable
        ``x -> H`` with products ``H @ v``, for instance ``objective.hessian``.
    line_search : LineSearch, optional
        `Armijo` if not given; the first trial is 1.
    preconditioner : callable, optional
        ``r -> M^-1 r`` with a symmetric positive definite M like H.
    max_products : int, optional
        Conjugate gradient steps for one direction, at most; n if not given.

    Returns
    -------
    Result
        Own columns: length, cg_steps.

    Notes
    -----
    Nocedal and Wright, algorithm 7.1.
    """
    search = Armijo() if line_search is None else line_search
    functions.required("line_search", search)
    problem = Problem(fun, x0, hessian)

    def advance(point: Point) -> Step:
        solved = steihaug(
            problem.hessian(point.x),
            point.gradient,
            math.inf,
            rtol=min(0.5, math.sqrt(point.norm)),
            max_iterations=max_products,
            preconditioner=preconditioner,
        )
        if not math.isfinite(solved.reduction):
            return Step(point, 0.0, {}, "not finite")
        found = searched(search, problem, point, solved.step, 1.0)
        if found is None:
            return Step(point, 0.0, {}, "line search")
        return Step(found[0], _distance(problem, found[0], point), {"length": found[1], "cg_steps": solved.products})

    return minimize(problem, control, advance, {"length": 0.0, "cg_steps": 0})


def _distance(problem: Problem, new: Point, old: Point) -> float:
    moved = new.x - old.x
    return math.sqrt(problem.dot(moved, moved))
