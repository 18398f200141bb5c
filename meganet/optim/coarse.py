"""A coarser problem: how it hangs together with the next finer one, and its correction to first order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from meganet.backend import Array, backend_of
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.problem import Function, Hessian, Point, Problem


@dataclass(frozen=True)
class Coarse:
    """A coarser problem, and how it hangs together with the next finer one.

    Attributes
    ----------
    fun : callable
        ``x -> value, gradient``, of n unknowns.
    restriction : matrix or operator, (n, n_finer)
        R, which takes points to this level: ``R @ x``.
    prolongation : matrix or operator, (n_finer, n)
        P, which takes steps to the finer one: ``P @ e``. Gradients come here by its adjoint, ``P.T @ g``.
    hessian : callable, optional
        ``x -> H``, for smoothers that take one.
    work : float, optional
        Of a gradient here, in units of one on the finest level; if not given the ratio of the unknowns.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import prolongation, restriction
    >>> from meganet.optim import Coarse
    >>> coarse = Coarse(lambda x: (x @ x, 2 * x), restriction((1, 8)), prolongation((1, 8)))
    >>> coarse.restriction.shape, coarse.prolongation.shape
    ((4, 8), (8, 4))
    """

    fun: Function
    restriction: Any
    prolongation: Any
    hessian: Hessian | None = None
    work: float | None = None

    def __post_init__(self) -> None:
        functions.required("fun", self.fun)
        functions.optional("hessian", self.hessian)
        for name in ("restriction", "prolongation"):
            operator = getattr(self, name)
            shape = getattr(operator, "shape", ())
            if len(shape) != 2 or not all(hasattr(operator, part) for part in ("__matmul__", "T")):
                expected = "a matrix or operator A of two axes with products A @ x and A.T @ y"
                validate.reject(name, expected, functions.described(operator))
        across = self.restriction.shape[::-1]
        if tuple(self.prolongation.shape) != across:
            expected = f"shape {across}, that of the restriction turned round"
            validate.reject("prolongation", expected, f"shape {tuple(self.prolongation.shape)}")
        if self.work is not None:
            validate.store(self, work=validate.real("work", self.work, above=0))


class Corrected:
    """``f(x) - <v, x - x0>`` with the v that gives it another gradient at `x0`; its value there stays.

    Further arguments, such as the numbers of the examples of a mini-batch, go on to f.

    Parameters
    ----------
    fun : callable
    start : Point
        x0 with value and gradient of f.
    gradient : array
        That of the corrected function at x0.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Corrected, Problem
    >>> fun = lambda x: (x @ x, 2 * x)
    >>> start = Problem(fun, np.array([1.0, 2.0])).at(np.array([1.0, 2.0]))
    >>> corrected = Corrected(fun, start, np.array([0.0, -1.0]))
    >>> value, gradient = corrected(start.x)
    >>> float(value), gradient, corrected.start.norm
    (5.0, array([ 0., -1.]), 1.0)
    """

    def __init__(self, fun: Function, start: Point, gradient: Array) -> None:
        self.fun, self.origin, self.tilt = fun, start.x, start.gradient - gradient
        self.start = start._replace(gradient=gradient, norm=norm(gradient))

    def __call__(self, x: Array, *more: Any, **options: Any) -> tuple[Any, Array]:
        """Return value and gradient."""
        # before f, which may change its argument
        fall = (self.tilt * (x - self.origin)).sum()
        value, gradient = functions.pair(backend_of(self.origin), self.fun(x, *more, **options), self.origin)
        return value - fall, gradient - self.tilt


class Level:
    """A coarser problem with its counters; arrays are checked and copied as a `Problem` does.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Coarse, Problem
    >>> from meganet.optim.coarse import Level
    >>> fun, halves = lambda x: (x @ x, 2 * x), np.array([[0.5, 0.5]])
    >>> fine = Problem(fun, np.array([1.0, 3.0]))
    >>> level = Level(Coarse(fun, halves, 2 * halves.T), 0, fine.x0, fine.x0)
    >>> problem, start = level.below(fine.at(fine.x0))
    >>> start.x, start.gradient, level.work
    (array([2.]), array([8.]), 0.5)
    """

    def __init__(self, coarse: Coarse, number: int, finer: Array, finest: Array) -> None:
        n, needed = coarse.restriction.shape
        if needed != finer.shape[0]:
            expected = f"a restriction from {finer.shape[0]} unknowns, those of the next finer problem"
            validate.reject(f"coarse[{number}]", expected, f"one from {needed}")
        self.coarse, self.number, self.evaluations, self.products = coarse, number, 0, 0
        self.adjoint = coarse.prolongation.T
        self.work = n / finest.shape[0] if coarse.work is None else coarse.work

    def restricted(self, x: Array) -> Array:
        """Return the point that stands here for one of the finer level."""
        return self._mapped("restriction @ x", self.coarse.restriction, x)

    def below(self, point: Point) -> tuple[Problem, Point]:
        """Return the problem that starts from a point of the finer level, with its gradient, and this start."""
        fun, hessian = self.coarse.fun, self.coarse.hessian
        plain = Problem(fun, self.restricted(point.x), hessian)
        gradient = self._mapped("prolongation.T @ g", self.adjoint, point.gradient)
        corrected = Corrected(fun, plain.at(plain.x0), gradient)
        self.evaluations += 1
        return Problem(corrected, plain.x0, hessian), corrected.start

    def prolonged(self, step: Array) -> Array:
        """Return the step of the finer level."""
        return self._mapped("prolongation @ e", self.coarse.prolongation, step)

    def _mapped(self, name: str, operator: Any, x: Array) -> Array:
        like = backend_of(x).xp.empty(operator.shape[0], dtype=x.dtype)
        name = f"coarse[{self.number}], {name}"
        return functions.vector(name, backend_of(x), operator @ x.copy(), like).copy()


def norm(x: Array) -> float:
    """Return ``||x||`` as a number on the host.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.coarse import norm
    >>> norm(np.array([3.0, 4.0]))
    5.0
    """
    return math.sqrt(max(functions.inner(backend_of(x))(x, x), 0.0))
