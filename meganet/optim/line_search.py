"""Line searches: how far to go along a direction of descent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.descent import Ray, Search, Step
from meganet.optim.problem import Point, Problem

NARROW = 1e-12
"""Relative width of an interval of steps in which nothing is left to find."""


class LineSearch(Protocol):
    """How far to go along a direction.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import steepest_descent
    >>> def fixed(problem, start, direction, step):
    ...     return problem.at(start.x + 0.25 * direction), 0.25
    >>> result = steepest_descent(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]), line_search=fixed)
    >>> result.reason, result.history.column("length")[:3]
    ('gradient', [0.0, 0.25, 0.25])
    """

    def __call__(self, problem: Problem, start: Point, direction: Array, step: float) -> tuple[Point, float] | None:
        """Return the point that is accepted and its step length, tried from `step` on; None if there is none."""


@dataclass(frozen=True)
class Along(Search[Ray[Any]]):
    """A line search, perhaps one of the caller's; in a feasible set ``||x - P(x - g)||`` is small at a solution.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Armijo, Problem
    >>> from meganet.optim.descent import Ray
    >>> from meganet.optim.line_search import Along
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([3.0, 4.0]))
    >>> start = problem.at(problem.x0)
    >>> step = Along(Armijo())(problem, start, Ray(-start.gradient, trial=0.5), 0.0)
    >>> step.end.x, step.length, step.columns
    (array([0., 0.]), 5.0, {'length': 0.5})
    """

    line_search: LineSearch
    project: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        functions.required("line_search", self.line_search)

    def measure(self, problem: Problem, point: Point, size: float) -> float:
        """Return the norm of the gradient or, with a projection, of the step along it."""
        return point.norm if self.project is None else problem.distance(point.x, self.project(point.x - point.gradient))

    def __call__(self, problem: Problem, point: Point, way: Ray[Any], size: float) -> Step[Ray[Any]] | str:
        """Return the step; its size is the length that was accepted."""
        trial = 1 / max(point.norm, 1.0) if way.trial is None else way.trial
        found = self.line_search(problem, point.copy(), way.direction.copy(), trial)
        if found is None:
            return "line search"
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[0], Point):
            validate.reject("line_search", "a Point with its step length, or None from it", functions.described(found))
        end, length = found[0].copy(), functions.number("step length of line_search", problem.backend, found[1])
        return Step(point, way, end, problem.distance(end.x, point.x), length, {"length": length, **way.columns})


@dataclass(frozen=True)
class Armijo:
    """Halve the step until ``f(x + a p) <= f(x) + c a <g, p>``, or what is the same where f cannot tell any more.

    Parameters
    ----------
    decrease : float
        c, in (0, 1).
    shrink : float
        Factor of the step after a failure, in (0, 1).
    max_trials : int
    project : callable, optional
        Projection onto a feasible set: the trial point is ``P(x + a p)``, and the decrease is measured against
        ``c <g, P(x + a p) - x>``.

    Notes
    -----
    Nocedal and Wright, *Numerical Optimization* (2006), algorithm 3.1; with a projection Bertsekas' rule. Where the
    values differ by round-off only, the slope at the trial point decides, which must be below ``(2 c - 1) <g, p>``, the
    same for a quadratic f: Hager and Zhang (2005), their approximate condition. In Meganet's ``Armijo`` the step length
    is missing on the right side, see `meganet.optim.meganet_descent`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Armijo, Problem
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> start = problem.at(problem.x0)
    >>> point, length = Armijo()(problem, start, -start.gradient, 4.0)
    >>> length, point.value
    (0.5, 0.0)
    """

    decrease: float = 1e-4
    shrink: float = 0.5
    max_trials: int = 40
    project: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        validate.store(self, decrease=_fraction("decrease", self.decrease), shrink=_fraction("shrink", self.shrink))
        validate.store(self, max_trials=validate.integer("max_trials", self.max_trials))
        functions.optional("project", self.project)

    def __call__(self, problem: Problem, start: Point, direction: Array, step: float) -> tuple[Point, float] | None:
        """Return the first point with enough decrease, and its step length."""
        # a number of NumPy would widen float32
        step = float(step)
        for _ in range(self.max_trials):
            x = start.x + step * direction
            x = x if self.project is None else functions.owned("project", self.project)(x)
            moved = x - start.x
            expected, trial = problem.dot(start.gradient, moved), problem.at(x)
            if trial.finite and expected < 0:
                slope = problem.dot(trial.gradient, moved)
                if _decreased(problem, start, trial, self.decrease, expected, slope):
                    return trial, step
            step *= self.shrink
        return None


@dataclass(frozen=True)
class StrongWolfe:
    """Find a with ``f(x + a p) <= f(x) + c1 a f'`` and ``|f'(x + a p)| <= c2 |f'|``, where f' is the slope along p.

    The step is first enlarged until an interval holds such points, then the interval shrinks around the minimum of
    the cubic through values and slopes at its ends.

    Parameters
    ----------
    decrease, curvature : float
        ``0 < c1 < c2 < 1``; 0.9 suits quasi-Newton directions, 0.1 conjugate gradients.
    max_trials : int
    max_step : float

    Notes
    -----
    Nocedal and Wright, algorithms 3.5 and 3.6; where the values differ by round-off only, the slopes decide, as in
    `Armijo`. Meganet's ``Wolfe`` interpolates as if the lower end were 0 and forgets to count an evaluation.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem, StrongWolfe
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> start = problem.at(problem.x0)
    >>> point, length = StrongWolfe(curvature=0.1)(problem, start, -start.gradient, 0.1)
    >>> round(length, 12), bool(abs(point.gradient @ start.gradient) <= 0.1 * start.norm**2)
    (0.5, True)
    """

    decrease: float = 1e-4
    curvature: float = 0.9
    max_trials: int = 40
    max_step: float = 1e10

    def __post_init__(self) -> None:
        validate.store(self, **{name: _fraction(name, getattr(self, name)) for name in ("decrease", "curvature")})
        validate.store(self, max_trials=validate.integer("max_trials", self.max_trials))
        validate.store(self, max_step=validate.real("max_step", self.max_step, above=0))
        if self.curvature <= self.decrease:
            validate.reject("curvature", f"a number above decrease = {self.decrease}", repr(self.curvature))

    def __call__(self, problem: Problem, start: Point, direction: Array, step: float) -> tuple[Point, float] | None:
        """Return a point that fulfils both conditions, and its step length.

        At `max_step`, or when the trials or the interval are used up, the first condition only.
        """
        step, slope = float(step), problem.dot(start.gradient, direction)
        if not slope < 0:
            return None
        low = _End(0.0, slope, start)
        step, high, noise = min(step, self.max_step), None, problem.noise(start)
        for _ in range(self.max_trials):
            trial = problem.at(start.x + step * direction)
            end = _End(step, problem.dot(trial.gradient, direction), trial)
            enough = _decreased(problem, start, trial, self.decrease, step * slope, step * end.slope)
            if not enough or (trial.value > low.point.value + noise and low.step > 0) or not trial.finite:
                high = end
            elif abs(end.slope) <= -self.curvature * slope:
                return trial, step
            else:
                # the minimum lies between the end where the function falls and the other
                if end.slope * ((high.step if high is not None else math.inf) - low.step) >= 0:
                    high = low
                low = end
            if high is None:
                if step >= self.max_step:
                    break
                step = min(2 * step, self.max_step)
            elif abs(high.step - low.step) <= NARROW * abs(high.step):
                break
            else:
                step = _between(low, high, noise)
        return (low.point, low.step) if low.step > 0 else None


class _End(NamedTuple):
    """A trial of the step length."""

    step: float
    slope: float
    point: Point


def _decreased(problem: Problem, start: Point, trial: Point, decrease: float, expected: float, slope: float) -> bool:
    """Whether the value fell by the share `decrease` of what was expected, a negative number.

    `slope` is that at the trial point over the whole step; it decides where the values are too close to tell.
    """
    if trial.value <= start.value + decrease * expected:
        return True
    return trial.value <= start.value + problem.noise(start) and slope <= (2 * decrease - 1) * expected


def _between(low: _End, high: _End, noise: float) -> float:
    """Return the minimum of the cubic through both ends, kept away from them; the middle if there is none."""
    width = high.step - low.step
    middle = low.step + 0.5 * width
    if not (math.isfinite(high.point.value) and math.isfinite(high.slope)):
        return middle
    # of values that are too close to tell the slopes say more
    fall = low.point.value - high.point.value
    mean = 0.5 * (low.slope + high.slope) if abs(fall) <= noise else fall / (low.step - high.step)
    d1 = low.slope + high.slope - 3 * mean
    square = d1 * d1 - low.slope * high.slope
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    denominator = high.slope - low.slope + 2 * d2
    if denominator == 0:
        return middle
    step = high.step - width * (high.slope + d2 - d1) / denominator
    inner = 0.1 * abs(width)
    nearest, farthest = sorted((low.step, high.step))
    return step if nearest + inner <= step <= farthest - inner else middle


def _fraction(name: str, value: float) -> float:
    number = validate.real(name, value)
    if not 0 < number < 1:
        validate.reject(name, "a number between 0 and 1", repr(value))
    return number
