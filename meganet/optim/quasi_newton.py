"""Quasi-Newton methods: BFGS with a full matrix, and with a short memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from meganet import _validate
from meganet.backend import Array
from meganet.optim import functions
from meganet.optim.line_search import LineSearch, StrongWolfe, searched
from meganet.optim.problem import Control, Function, Point, Problem, Result, Step, minimize

CURVATURE = 1e-10
"""Pairs with ``<y, s> <= CURVATURE ||y|| ||s||`` hold no curvature, but round-off, and are left out."""


def bfgs(fun: Function, x0: Array, *, line_search: LineSearch | None = None, control: Control | None = None) -> Result:
    """Minimise a function by BFGS with the inverse Hessian as a full matrix (n^2 numbers).

    Parameters
    ----------
    fun : callable
        ``x -> value, gradient``.
    x0 : array, (n,)
        float32 or float64, on any backend.
    line_search : LineSearch, optional
        `StrongWolfe` if not given; the first trial is 1, at the beginning ``min(1, 1 / ||g||)``.
    control : Control, optional

    Returns
    -------
    Result
        Own column: length, the step length that was accepted.

    Notes
    -----
    Nocedal and Wright, algorithm 6.1 with the first scaling (6.20).
    """
    problem = Problem(fun, x0)
    inverse: list[Array] = []

    def direction(gradient: Array) -> Array:
        return -(inverse[0] @ gradient) if inverse else -gradient

    def update(s: Array, y: Array, curvature: float) -> None:
        if not inverse:
            xp = problem.backend.xp
            inverse.append(xp.eye(s.shape[0], dtype=s.dtype) * (curvature / problem.dot(y, y)))
        h, rho = inverse[0], 1 / curvature
        hy = h @ y
        # (I - rho s y') H (I - rho y s') + rho s s', multiplied out
        factor = rho * (1 + rho * problem.dot(y, hy))
        cross = s[:, None] * hy[None, :]
        inverse[0] = h + factor * (s[:, None] * s[None, :]) - rho * (cross + cross.T)

    return _quasi_newton(problem, direction, update, line_search, control)


def lbfgs(
    fun: Function,
    x0: Array,
    *,
    memory: int = 10,
    line_search: LineSearch | None = None,
    control: Control | None = None,
) -> Result:
    """Minimise a function by BFGS with the last few pairs of steps and gradient differences.

    Parameters
    ----------
    fun, x0, line_search, control
        As in `bfgs`.
    memory : int
        Number of pairs.

    Returns
    -------
    Result
        Own column: length.

    Notes
    -----
    Nocedal and Wright, algorithms 7.4 and 7.5 with the initial matrix (7.20).
    """
    problem = Problem(fun, x0)
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=_validate.integer("memory", memory))

    def direction(gradient: Array) -> Array:
        q, coefficients = gradient.copy(), []
        for s, y, curvature in reversed(pairs):
            coefficients.append(problem.dot(s, q) / curvature)
            q -= coefficients[-1] * y
        if pairs:
            _, y, curvature = pairs[-1]
            q *= curvature / problem.dot(y, y)
        for (s, y, curvature), a in zip(pairs, reversed(coefficients), strict=True):
            q += (a - problem.dot(y, q) / curvature) * s
        return -q

    return _quasi_newton(problem, direction, lambda s, y, c: pairs.append((s, y, c)), line_search, control)


def _quasi_newton(
    problem: Problem,
    direction: Callable[[Array], Array],
    update: Callable[[Array, Array, float], None],
    line_search: LineSearch | None,
    control: Control | None,
) -> Result:
    """Go along the directions, hand each pair with positive curvature to `update`."""
    search = StrongWolfe() if line_search is None else line_search
    functions.required("line_search", search)
    lengths: list[float] = []

    def advance(point: Point) -> Step:
        length = 1.0 if lengths else min(1.0, 1 / point.norm)
        found = searched(search, problem, point, direction(point.gradient), length)
        if found is None:
            return Step(point, 0.0, {}, "line search")
        new, length = found
        s, y = new.x - point.x, new.gradient - point.gradient
        lengths.append(length)
        distance, change, curvature = math.sqrt(problem.dot(s, s)), math.sqrt(problem.dot(y, y)), problem.dot(s, y)
        # of differences whose squares underflow nothing is learnt
        if curvature > CURVATURE * distance * change > 0:
            update(s, y, curvature)
        return Step(new, distance, {"length": length})

    return minimize(problem, control, advance, {"length": 0.0})
