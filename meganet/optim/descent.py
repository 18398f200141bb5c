"""What all deterministic optimisers repeat: a direction from each point, and a search along it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.problem import Control, Point, Problem, Result

W = TypeVar("W")
M = TypeVar("M")


class Ray(NamedTuple, Generic[M]):
    """The way along one direction, (n,), with the step length to try first and the direction's columns of the history.

    Without such a length it is ``min(1, 1 / ||g||)``. The memory is what the next direction is made from.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.descent import Ray
    >>> ray = Ray(np.array([-1.0, 2.0]), columns={"beta": 0.5})
    >>> ray.direction.shape, ray.trial, ray.memory
    ((2,), None, None)
    """

    direction: Array
    trial: float | None = None
    columns: Mapping[str, float] = {}
    memory: M | None = None


class Step(NamedTuple, Generic[W]):
    """One iteration, which is all that the next one knows: from where, along what way, to where.

    Start and end are the same `Point` if it was rejected; the length is that of the history. The search goes on with
    the size: a step length, a radius, a penalty.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> from meganet.optim.descent import Ray, Step
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> start, end = problem.at(problem.x0), problem.at(0 * problem.x0)
    >>> step = Step(start, Ray(-start.gradient), end, problem.distance(end.x, start.x), 0.5, {"length": 0.5})
    >>> step.end is step.start, round(step.length, 4)
    (False, 2.2361)
    """

    start: Point
    way: W
    end: Point
    length: float
    size: float
    columns: Mapping[str, float]


Direction = Callable[[Problem, Point, Step[W] | None], W | str]
"""``(problem, point, last step) -> way``: a `Ray`, or what else the search takes; in words why there is none."""


@dataclass(frozen=True)
class Search(ABC, Generic[W]):
    """How far to go along a way; at first from `size` on, which is the optimiser's `argument` of this name, if any.

    Examples
    --------
    >>> from meganet.optim import Armijo
    >>> from meganet.optim.line_search import Along
    >>> search = Along(Armijo())
    >>> search.size, search.argument
    (0.0, '')
    """

    size: float = field(default=0.0, kw_only=True)
    argument: ClassVar[str] = ""

    def measure(self, problem: Problem, point: Point, size: float) -> float:
        """Return what is small at a solution: the gradient's norm, or what takes its place."""
        return point.norm

    @abstractmethod
    def __call__(self, problem: Problem, point: Point, way: W, size: float) -> Step[W] | str:
        """Return the step from a point, tried from `size` on; in words why there is none."""


def descend(
    problem: Problem,
    direction: Direction[W],
    search: Search[W],
    columns: Mapping[str, float],
    control: Control | None = None,
) -> Result:
    """Repeat direction and search until the gradient is small, one of them finds nothing, or the time is up.

    There is no last step at the start, and the way of a rejected one is taken again. The columns of the history are
    those of direction and search as they are at the start.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Armijo, Problem
    >>> from meganet.optim.descent import Ray, descend
    >>> from meganet.optim.line_search import Along
    >>> def by_sign(problem, point, last):
    ...     return Ray(-np.sign(point.gradient), 1.0 if last is None else 2 * last.size)
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> result = descend(problem, by_sign, Along(Armijo()), {"length": 0.0})
    >>> result.history.column("value")
    [5.0, 1.0, 0.0]
    """
    control = Control() if control is None else control
    validate.instance("control", control, Control, "a Control or None")
    point = problem.at(problem.x0)
    step: Step[Any] = Step(point, None, point, 0.0, search.size, columns)
    target = max(control.rtol * search.measure(problem, point, step.size), control.atol)
    result = Result(point.x, point.value, point.gradient)
    while True:
        point = step.end
        _report(result, problem, control, step, search.argument)
        called = control.callback if result.iterations else None
        stopped = called is not None and functions.stops(called(result.copy()))
        result.converged = point.finite and search.measure(problem, point, step.size) <= target
        ended = {"gradient": result.converged, "not finite": not point.finite}
        ended |= {"max_iterations": result.iterations >= control.max_iterations, "callback": stopped}
        result.reason = next((reason for reason, holds in ended.items() if holds), "")
        if result.reason:
            return result
        last = step if result.iterations else None
        # what is not taken again goes first: there may be much memory in it
        way = last.way if last is not None and last.end is last.start else None
        if way is None:
            way = direction(problem, point, last)
        found = way if isinstance(way, str) else search(problem, point, way, step.size)
        if isinstance(found, str):
            result.reason, result.evaluations, result.products = found, problem.evaluations, problem.products
            return result
        step, result.iterations = found, result.iterations + 1


def _report(result: Result, problem: Problem, control: Control, step: Step[Any], argument: str) -> None:
    point = step.end
    result.x, result.value, result.gradient = point.x, point.value, point.gradient
    result.evaluations, result.products = problem.evaluations, problem.products
    result.state = {argument: step.size} if argument else {}
    row = {"iteration": result.iterations, "value": point.value, "gradient_norm": point.norm, "step": step.length}
    row |= {"evaluations": problem.evaluations, "products": problem.products}
    row |= functions.columns("columns", problem.backend, step.columns, row)
    if control.observe is not None:
        row |= functions.columns("observe", problem.backend, control.observe(point.x.copy()), row)
    result.history.append(row)
