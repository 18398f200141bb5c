"""Projections onto feasible sets, proximal operators, and the method that uses them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from meganet.backend import Array, backend_of
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.descent import Ray, Search, Step, descend
from meganet.optim.methods import steepest
from meganet.optim.problem import Control, Function, Point, Problem, Result


def bounds(lower: float, upper: float) -> Callable[[Array], Array]:
    """Return the projection onto the box ``lower <= x <= upper``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import bounds
    >>> bounds(-1, 0.5)(np.array([-3.0, 0.0, 2.0]))
    array([-1. ,  0. ,  0.5])
    """
    low, high = validate.real("lower", lower), validate.real("upper", upper)
    if high < low:
        validate.reject("upper", f"a number of at least {low}, the lower bound", repr(upper))

    def project(x: Array) -> Array:
        backend = backend_of(x)
        edges = [backend.xp.zeros_like(x) + edge for edge in (low, high)]
        return backend.xp.minimum(backend.xp.maximum(x, edges[0]), edges[1])

    return project


def ball(radius: float) -> Callable[[Array], Array]:
    """Return the projection of arrays (..., n) onto vectors of length `radius` or less, along the last axis.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import ball
    >>> ball(1.0)(np.array([[3.0, 4.0], [0.3, 0.4]]))
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """
    radius = validate.real("radius", radius, above=0)

    def project(x: Array) -> Array:
        backend = backend_of(x)
        norms = backend.xp.sqrt((x * x).sum(axis=-1, keepdims=True))
        return x * (radius / backend.xp.maximum(norms, backend.xp.zeros_like(norms) + radius))

    return project


def prox_tikhonov(operator: Any, alpha: float, reference: Array | None = None) -> Callable[[Array, float], Array]:
    """Return the proximal operator of ``alpha/2 ||A (x - reference)||^2``.

    ``prox(p, tau) = argmin_x alpha/2 ||A (x - r)||^2 + tau/2 ||x - p||^2 = r + (alpha/tau A'A + I)^-1 (p - r)``.

    Parameters
    ----------
    operator : LinearOperator
        A, with a fast `solve_normal`, on flat vectors or on tensors of which `p` is the flattening.
    alpha : float
        Positive.
    reference : array, optional
        Like p; zero if not given. Copied.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Identity
    >>> from meganet.optim import prox_tikhonov
    >>> prox_tikhonov(Identity((2,)), alpha=1.0)(np.array([2.0, 4.0]), 1.0)
    array([1., 2.])
    """
    alpha = validate.real("alpha", alpha, above=0)
    reference = None if reference is None else reference.copy()

    def prox(p: Array, tau: float) -> Array:
        shifted = p if reference is None else p - reference
        tensor = shifted.reshape(operator.domain_shape)
        solved = operator.solve_normal(tensor, alpha / validate.real("tau", tau, above=0), 1.0).reshape(p.shape)
        return solved if reference is None else solved + reference

    return prox


def prox_l1(alpha: float) -> Callable[[Array, float], Array]:
    """Return the proximal operator of ``alpha ||x||_1``, soft thresholding at ``alpha / tau``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import prox_l1
    >>> prox_l1(0.5)(np.array([-2.0, 0.25, 1.0]), 1.0)
    array([-1.5,  0. ,  0.5])
    """
    alpha = validate.real("alpha", alpha, minimum=0)

    def prox(p: Array, tau: float) -> Array:
        threshold = alpha / validate.real("tau", tau, above=0)
        xp = backend_of(p).xp
        above = xp.maximum(p - threshold, xp.zeros_like(p))
        return above - xp.maximum(-p - threshold, xp.zeros_like(p))

    return prox


@dataclass(frozen=True)
class _ProximalStep(Search[Ray[Any]]):
    """Steps ``x <- prox(x + p / tau, tau)`` along a ray p; the size is tau."""

    prox: Callable[[Array, float], Array]
    penalty: Callable[[Array], Any]
    argument: ClassVar[str] = "tau"

    def __post_init__(self) -> None:
        functions.required("prox", self.prox)
        functions.required("penalty", self.penalty)
        validate.store(self, size=validate.real("tau", self.size, above=0))

    def penalised(self, problem: Problem, x: Array) -> float:
        return functions.number("penalty", problem.backend, self.penalty(x.copy()))

    def measure(self, problem: Problem, point: Point, size: float) -> float:
        return size * self._moved(problem, point, -point.gradient, size)[1]

    def __call__(self, problem: Problem, point: Point, way: Ray[Any], size: float) -> Step[Ray[Any]] | str:
        for _ in range(60):
            change, length = self._moved(problem, point, way.direction, size)
            new = problem.at(point.x + change)
            bound = point.value + problem.dot(point.gradient, change) + 0.5 * size * length * length
            if new.finite and (new.value <= bound + problem.noise(point) or length == 0):
                return Step(point, way, new, length, size, {"penalty": self.penalised(problem, new.x), "tau": size})
            size *= 2
        return "line search"

    def _moved(self, problem: Problem, point: Point, direction: Array, tau: float) -> tuple[Array, float]:
        prox = functions.owned("prox", lambda p: self.prox(p, tau))
        change = prox(point.x + direction * (1 / tau)) - point.x
        return change, math.sqrt(problem.dot(change, change))


def proximal_gradient(
    fun: Function,
    x0: Array,
    prox: Callable[[Array, float], Array],
    penalty: Callable[[Array], Any],
    *,
    tau: float = 1.0,
    control: Control | None = None,
) -> Result:
    """Minimise ``f(x) + R(x)`` with a smooth f and an R whose proximal operator is known.

    ``x <- prox(x - g / tau, tau)``, where tau doubles until
    ``f(x_new) <= f(x) + <g, x_new - x> + tau/2 ||x_new - x||^2``, up to round-off.

    Parameters
    ----------
    fun, x0
        As in `steepest_descent`.
    prox : callable
        ``(p, tau) -> argmin_x R(x) + tau/2 ||x - p||^2``, such as `prox_l1` or `prox_tikhonov`.
    penalty : callable
        ``x -> R(x)``, for the history.
    tau : float
        To start with, positive: about the Lipschitz constant of the gradient.
    control : Control, optional
        The gradient's norm is replaced by ``tau ||x - prox(x - g / tau, tau)||``.

    Returns
    -------
    Result
        Its value is f alone. Own columns: penalty, tau. ``state["tau"]`` is the tau of the next step.

    Notes
    -----
    Beck and Teboulle (2009), ISTA with backtracking.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import prox_l1, proximal_gradient
    >>> b = np.array([2.0, 0.3])
    >>> fun = lambda x: (0.5 * (x - b) @ (x - b), x - b)
    >>> result = proximal_gradient(fun, np.zeros(2), prox_l1(0.5), lambda x: 0.5 * abs(x).sum())
    >>> result.x, result.reason, result.state
    (array([1.5, 0. ]), 'gradient', {'tau': 1.0})
    """
    problem, search = Problem(fun, x0), _ProximalStep(prox, penalty, size=tau)
    start = {"penalty": search.penalised(problem, problem.x0), "tau": search.size}
    return descend(problem, steepest, search, start, control)
