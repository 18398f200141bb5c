"""What all deterministic optimisers share: the function with its counters, stopping, history, the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.history import History

ROUND_OFF = 10.0
"""Units of round-off of a value by which it, or what is said of it, may be wrong."""
Function = Callable[[Array], tuple[Any, Array]]
"""``fun(x) -> value, gradient``."""
Hessian = Callable[[Array], Any]
"""``hessian(x) -> H``, anything with products ``H @ v``: `Objective.hessian`, a matrix, an operator."""


@dataclass(frozen=True)
class Control:
    """When an optimiser stops and what it reports.

    Attributes
    ----------
    max_iterations : int
    rtol, atol : float
        It has converged when ``||g|| <= max(rtol ||g at the start||, atol)``.
    observe : callable, optional
        ``x -> {name: number}`` at the start and after each iteration: further columns of the history, whose names must
        not be the optimiser's own.
    callback : callable, optional
        Called with the `Result` so far after each iteration, which stays as it is; if it returns True, the run stops.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Control, bfgs
    >>> control = Control(max_iterations=3, observe=lambda x: {"largest": abs(x).max()})
    >>> result = bfgs(lambda x: ((x**4).sum(), 4 * x**3), np.ones(2), control=control)
    >>> result.reason, len(result.history.column("largest"))
    ('max_iterations', 4)
    """

    max_iterations: int = 100
    rtol: float = 1e-6
    atol: float = 0.0
    observe: Callable[[Array], Mapping[str, float]] | None = None
    callback: Callable[[Result], bool | None] | None = None

    def __post_init__(self) -> None:
        numbers = {name: validate.real(name, getattr(self, name), minimum=0) for name in ("rtol", "atol")}
        whole = validate.integer("max_iterations", self.max_iterations, minimum=0)
        validate.store(self, **numbers, max_iterations=whole)
        functions.optional("observe", self.observe)
        functions.optional("callback", self.callback)


class Point(NamedTuple):
    """A point with the function's value and gradient there, and the gradient's norm.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([3.0, 4.0]))
    >>> point = problem.at(problem.x0)
    >>> point.value, point.gradient, point.norm, point.finite
    (25.0, array([6., 8.]), 10.0, True)
    """

    x: Array
    value: float
    gradient: Array
    norm: float

    @property
    def finite(self) -> bool:
        """Whether value and gradient are numbers; a trial that is not is never accepted."""
        return math.isfinite(self.value) and math.isfinite(self.norm)

    def copy(self) -> Point:
        """Return the point with arrays of its own, for functions of the caller."""
        return self._replace(x=self.x.copy(), gradient=self.gradient.copy())


@dataclass
class Result:
    """Where an optimiser ended, or stands.

    Attributes
    ----------
    x, gradient : array
    value : float
    converged : bool
        The gradient is as small as was asked for.
    reason : str
        Why it stopped: "gradient", "max_iterations", "callback", "line search", "radius", "not finite".
    iterations, evaluations, products : int
        Steps, evaluations of the function with its gradient, and products with the Hessian.
    history : History
        A row for the start and for each iteration: iteration, value, gradient_norm, step, evaluations, products, the
        optimiser's own columns and what `observe` reported.
    state : dict
        What the method goes on with, by the name of its argument: "radius" of a trust region, "mu" of Meganet's line
        search. A run from `x` with it continues this one.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import trust_region
    >>> result = trust_region(lambda x: (x @ x, 2 * x), np.array([3.0, 4.0]), lambda x: 2 * np.eye(2))
    >>> result.x, result.iterations, result.products, result.state
    (array([0., 0.]), 3, 3, {'radius': 4.0})
    """

    x: Array
    value: float
    gradient: Array
    converged: bool = False
    reason: str = ""
    iterations: int = 0
    evaluations: int = 0
    products: int = 0
    history: History = field(default_factory=History)
    state: dict[str, float] = field(default_factory=dict)

    def copy(self) -> Result:
        """Return the result with arrays, history and state of its own."""
        history, state = self.history.copy(), dict(self.state)
        return replace(self, x=self.x.copy(), gradient=self.gradient.copy(), history=history, state=state)


class Problem:
    """A function that is being minimised, with counters; scalars come to the host here and nowhere else.

    The caller's functions get copies, and what they return is checked and copied: they may change their arguments in
    place and return the same arrays each time.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([3.0, 4.0]), lambda x: 2 * np.eye(2))
    >>> problem.at(np.ones(2)).value, problem.hessian(problem.x0)(np.ones(2))
    (2.0, array([2., 2.]))
    >>> problem.evaluations, problem.products, problem.dot(problem.x0, problem.x0)
    (1, 1, 25.0)
    """

    def __init__(self, fun: Function, x0: Array, hessian: Hessian | None = None) -> None:
        functions.required("fun", fun)
        if hessian is not None:
            functions.required("hessian", hessian, "a function of the point")
        self.fun, self.make_hessian, self.backend = fun, hessian, functions.flat("x0", x0)
        self.x0, self.evaluations, self.products = x0.copy(), 0, 0

    def at(self, x: Array) -> Point:
        """Return the point `x`, which is copied, with value and gradient."""
        x = functions.vector("x", self.backend, x, self.x0).copy()
        self.evaluations += 1
        value, gradient = functions.pair(self.backend, self.fun(x.copy()), self.x0)
        gradient = gradient.copy()
        return Point(x, self.number(value), gradient, math.sqrt(max(self.dot(gradient, gradient), 0.0)))

    def hessian(self, x: Array) -> Callable[[Array], Array]:
        """Return the products with the Hessian at `x`, which are counted."""
        if self.make_hessian is None:
            validate.reject("hessian", "a function of the point", "None")
        matrix, n = self.make_hessian(x.copy()), self.x0.shape[0]
        if not hasattr(matrix, "__matmul__") or tuple(getattr(matrix, "shape", (n, n))) != (n, n):
            got = functions.described(matrix)
            validate.reject("hessian", f"a matrix or operator H of shape ({n}, {n}) with products H @ v from it", got)
        if self.backend.owns(matrix) or scipy.sparse.issparse(matrix):
            matrix = matrix.copy()

        def product(v: Array) -> Array:
            self.products += 1
            return matrix @ v

        return functions.owned("H @ v", product)

    def dot(self, a: Array, b: Array) -> float:
        """Return ``<a, b>`` as a number on the host."""
        return self.number(self.backend.dot(a, b))

    def distance(self, a: Array, b: Array) -> float:
        """Return ``||a - b||`` as a number on the host."""
        apart = a - b
        return math.sqrt(self.dot(apart, apart))

    def noise(self, point: Point) -> float:
        """Return the difference from the value at `point` that may be round-off alone."""
        return ROUND_OFF * float(np.finfo(self.x0.dtype).eps) * abs(point.value)

    def number(self, value: Any) -> float:
        """Return a scalar, of the backend or not, on the host."""
        return validate.as_float(self.backend.to_host(value) if self.backend.owns(value) else value)
