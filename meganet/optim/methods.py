"""Optimisers along a ray: each is a direction, which stands above it, and a line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.descent import Ray, Step, descend
from meganet.optim.line_search import Along, Armijo, LineSearch, StrongWolfe
from meganet.optim.problem import Control, Function, Hessian, Point, Problem, Result
from meganet.optim.steihaug import Preconditioner, Subproblem, steihaug

CURVATURE = 1e-10
"""Pairs with ``<y, s> <= CURVATURE ||y|| ||s||`` hold no curvature, but round-off, and are left out."""
Model = Callable[[float], Subproblem]
"""``radius -> Subproblem``: the quadratic model at a point, minimised in a ball."""
Pairs = tuple[tuple[Array, Array, float], ...]
"""Steps s with the differences y of the gradients at their ends and ``<s, y>``."""


def steepest(problem: Problem, point: Point, last: Step[Ray[None]] | None) -> Ray[None]:
    """Return ``-g``; the first trial is twice the last step, at the beginning ``min(1, 1 / ||g||)``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> from meganet.optim.methods import steepest
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> steepest(problem, problem.at(problem.x0), None).direction
    array([-2., -4.])
    """
    return Ray(-point.gradient, None if last is None else 2 * last.size)


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
    problem = Problem(fun, x0)
    if project is not None:
        if not isinstance(search, Armijo):
            validate.reject("line_search", "Armijo, or None, with a projection", repr(line_search))
        search, project = replace(search, project=project), functions.owned("project", project)
        problem.x0 = project(problem.x0)
    return descend(problem, steepest, Along(search, project), {"length": 0.0}, control)


def conjugate(problem: Problem, point: Point, last: Step[Ray[None]] | None) -> Ray[None]:
    """Return the direction of `nonlinear_cg`; the first trial is expected to change f by as much as the last step.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> from meganet.optim.methods import conjugate
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> ray = conjugate(problem, problem.at(problem.x0), None)
    >>> ray.direction, ray.columns
    (array([-2., -4.]), {'beta': 0.0})
    """
    g = point.gradient
    if last is not None:
        old, p = last.start.gradient, last.way.direction
        beta = max(problem.dot(g, g - old) / problem.dot(old, old), 0.0)
        direction = -g + beta * p
        slope = problem.dot(g, direction)
        if slope < 0:
            return Ray(direction, last.size * min(problem.dot(old, p) / slope, 10.0), {"beta": beta})
    return Ray(-g, columns={"beta": 0.0})


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

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import nonlinear_cg
    >>> q = np.array([1.0, 10.0, 100.0])
    >>> result = nonlinear_cg(lambda x: (0.5 * x @ (q * x), q * x), np.ones(3))
    >>> result.reason, result.x.shape, bool(abs(result.x).max() < 1e-3)
    ('gradient', (3,), True)
    >>> result.history.columns[-2:]
    ('length', 'beta')
    """
    search = Along(StrongWolfe(curvature=0.1) if line_search is None else line_search)
    return descend(Problem(fun, x0), conjugate, search, {"length": 0.0, "beta": 0.0}, control)


@dataclass(frozen=True)
class Newton:
    """Newton directions by `steihaug` to the relative accuracy ``min(0.5, sqrt(||g||))``, and the models in a ball.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Problem
    >>> from meganet.optim.methods import Newton
    >>> H = np.diag([2.0, 4.0])
    >>> problem = Problem(lambda x: (0.5 * x @ H @ x, H @ x), np.array([1.0, 0.0]), lambda x: H)
    >>> point, newton = problem.at(problem.x0), Newton(max_products=None, preconditioner=None)
    >>> newton(problem, point, None).direction, newton.model(problem, point, None)(0.5).step
    (array([-1.,  0.]), array([-0.5,  0. ]))
    """

    max_products: int | None
    preconditioner: Preconditioner | None

    def __call__(self, problem: Problem, point: Point, last: Step[Ray[None]] | None) -> Ray[None] | str:
        """Return the direction, with the first trial 1."""
        solved = self.model(problem, point, None)(math.inf)
        return Ray(solved.step, 1.0, {"cg_steps": solved.products}) if solved.finite else "not finite"

    def model(self, problem: Problem, point: Point, last: Step[Model] | None) -> Model:
        """Return the model, for a trust region."""
        solve = partial(steihaug, max_iterations=self.max_products, preconditioner=self.preconditioner)
        return partial(solve, problem.hessian(point.x), point.gradient, rtol=min(0.5, point.norm**0.5))


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

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import newton_cg
    >>> q = np.array([1.0, 10.0])
    >>> fun = lambda x: ((q * x * x).sum() / 2 + (x**4).sum(), q * x + 4 * x**3)
    >>> result = newton_cg(fun, np.ones(2), lambda x: np.diag(q + 12 * x * x))
    >>> result.reason, bool(abs(result.x).max() < 1e-5), result.history.columns[-2:]
    ('gradient', True, ('length', 'cg_steps'))
    """
    search = Along(Armijo() if line_search is None else line_search)
    direction = Newton(max_products, preconditioner)
    return descend(Problem(fun, x0, hessian), direction, search, {"length": 0.0, "cg_steps": 0}, control)


def full_bfgs(problem: Problem, point: Point, last: Step[Ray[Array]] | None) -> Ray[Array]:
    """Return ``-H g``; it remembers the inverse Hessian H, (n, n), which there is from the first pair on.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Armijo, Problem
    >>> from meganet.optim.line_search import Along
    >>> from meganet.optim.methods import full_bfgs
    >>> problem = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0]))
    >>> point = problem.at(problem.x0)
    >>> step = Along(Armijo())(problem, point, full_bfgs(problem, point, None), 0.0)
    >>> full_bfgs(problem, step.end, step).memory.round(12)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    if last is None:
        return Ray(-point.gradient)
    inverse = last.way.memory
    for s, y, curvature in _learnt(problem, point, last):
        if inverse is None:
            xp = problem.backend.xp
            inverse = xp.eye(s.shape[0], dtype=s.dtype) * (curvature / problem.dot(y, y))
        rho, hy = 1 / curvature, inverse @ y
        # (I - rho s y') H (I - rho y s') + rho s s', multiplied out
        factor = rho * (1 + rho * problem.dot(y, hy))
        cross = s[:, None] * hy[None, :]
        inverse = inverse + factor * (s[:, None] * s[None, :]) - rho * (cross + cross.T)
    return Ray(-point.gradient if inverse is None else -(inverse @ point.gradient), 1.0, memory=inverse)


def bfgs(fun: Function, x0: Array, *, line_search: LineSearch | None = None, control: Control | None = None) -> Result:
    """Minimise a function by BFGS with the inverse Hessian as a full matrix (n^2 numbers).

    Parameters
    ----------
    fun, x0, control
        As in `steepest_descent`.
    line_search : LineSearch, optional
        `StrongWolfe` if not given; the first trial is 1, at the beginning ``min(1, 1 / ||g||)``.

    Returns
    -------
    Result
        Own column: length, the step length that was accepted.

    Notes
    -----
    Nocedal and Wright, algorithm 6.1 with the first scaling (6.20).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import bfgs
    >>> q = np.array([1.0, 10.0, 100.0])
    >>> result = bfgs(lambda x: (0.5 * x @ (q * x), q * x), np.ones(3))
    >>> result.reason, result.x.shape, bool(abs(result.x).max() < 1e-3)
    ('gradient', (3,), True)
    """
    search = Along(StrongWolfe() if line_search is None else line_search)
    return descend(Problem(fun, x0), full_bfgs, search, {"length": 0.0}, control)


@dataclass(frozen=True)
class LimitedBFGS:
    """``-H g`` with the H of the last few pairs, which are all that it remembers.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Armijo, Problem
    >>> from meganet.optim.line_search import Along
    >>> from meganet.optim.methods import LimitedBFGS
    >>> problem, direction = Problem(lambda x: (x @ x, 2 * x), np.array([1.0, 2.0])), LimitedBFGS(pairs=5)
    >>> point = problem.at(problem.x0)
    >>> step = Along(Armijo())(problem, point, direction(problem, point, None), 0.0)
    >>> ray = direction(problem, step.end, step)
    >>> len(ray.memory), bool(np.allclose(ray.direction, -step.end.x))
    (1, True)
    """

    pairs: int

    def __call__(self, problem: Problem, point: Point, last: Step[Ray[Pairs]] | None) -> Ray[Pairs]:
        """Return the direction by two loops over the pairs."""
        if last is None:
            return Ray(-point.gradient)
        pairs = (*(last.way.memory or ()), *_learnt(problem, point, last))[-self.pairs :]
        q, coefficients = point.gradient.copy(), []
        for s, y, curvature in reversed(pairs):
            coefficients.append(problem.dot(s, q) / curvature)
            q -= coefficients[-1] * y
        if pairs:
            _, y, curvature = pairs[-1]
            q *= curvature / problem.dot(y, y)
        for (s, y, curvature), a in zip(pairs, reversed(coefficients), strict=True):
            q += (a - problem.dot(y, q) / curvature) * s
        return Ray(-q, 1.0, memory=pairs)


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

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Control, lbfgs
    >>> q = np.linspace(1, 100, 50, dtype="float32")
    >>> result = lbfgs(lambda x: (0.5 * x @ (q * x), q * x), np.ones_like(q), memory=5, control=Control(rtol=1e-4))
    >>> result.reason, result.x.shape, result.x.dtype
    ('gradient', (50,), dtype('float32'))
    """
    direction = LimitedBFGS(validate.integer("memory", memory))
    search = Along(StrongWolfe() if line_search is None else line_search)
    return descend(Problem(fun, x0), direction, search, {"length": 0.0}, control)


def _learnt(problem: Problem, point: Point, last: Step[Any]) -> Pairs:
    """Return the pair of the step that led to a point, if it holds curvature."""
    s, y = point.x - last.start.x, point.gradient - last.start.gradient
    change, curvature = math.sqrt(problem.dot(y, y)), problem.dot(s, y)
    # of differences whose squares underflow nothing is learnt
    return ((s, y, curvature),) if curvature > CURVATURE * last.length * change > 0 else ()
