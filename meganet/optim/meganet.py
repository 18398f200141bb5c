"""The original's conjugate gradients and its Newton method, with their departures from the textbook.

Tables 4.3 and 4.4 of the thesis were made with these, so a reader who wants to see why needs them. For anything else
take `trust_region` or `newton_cg`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.descent import Ray, Search, Step, descend
from meganet.optim.problem import Control, Function, Hessian, Point, Problem, Result
from meganet.optim.steihaug import Preconditioner, checked_radius

DECREASE = 1e-3
TRIALS = 10
GROWTH = 1.5


class MeganetSolution(NamedTuple):
    """What `meganet_cg` returns.

    Attributes
    ----------
    x : array
        The iterate with the smallest residual.
    flag : int
        0 converged, 1 too many iterations, 2 negative curvature, 3 radius reached.
    best : int
        Number of the iteration that gave x, at least 1.
    relres : float
        Smallest residual over ``||b||``.
    residuals : list of float
        ``||b||``, then the residual of every iterate, and of the step to the boundary.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import meganet_cg
    >>> solved = meganet_cg(lambda v: np.array([1.0, 4.0]) * v, np.array([1.0, 8.0]), tol=1e-8)
    >>> solved.x.round(12), solved.flag, solved.best, len(solved.residuals)
    (array([1., 2.]), 0, 2, 3)
    """

    x: Array
    flag: int
    best: int
    relres: float
    residuals: list[float]


def meganet_cg(
    product: Callable[[Array], Array],
    b: Array,
    *,
    radius: float = math.inf,
    tol: float = 0.1,
    max_iterations: int = 10,
    x0: Array | None = None,
    preconditioner: Preconditioner | None = None,
) -> MeganetSolution:
    """Solve ``A x = b`` by the conjugate gradients of Meganet's ``steihaugPCG``.

    It departs from the textbook, see `steihaug`, in that at the boundary it takes the root of ``||x + t p|| = radius``
    that steps backwards, that the boundary point enters the list of residuals but never the result, and that the
    result is the iterate with the smallest residual. So steps beyond the radius are cut back to the last iterate
    inside, at the first step to none at all.

    Parameters
    ----------
    product : callable
        ``v -> A v``.
    b : array, (n,)
    radius, tol, max_iterations, x0, preconditioner
        As the original names them ``Delta``, ``tol``, ``maxIter``, ``x0`` and ``PC``.

    Returns
    -------
    MeganetSolution
        For ``b = 0``, where the original fails, ``x0`` or zero.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import meganet_cg, steihaug
    >>> H, b = np.diag([1.0, 10.0]), np.ones(2)
    >>> cut = meganet_cg(lambda v: H @ v, b, radius=0.1)
    >>> cut.x, cut.flag, steihaug(lambda v: H @ v, -b, 0.1).step.round(4)
    (array([0., 0.]), 3, array([0.0707, 0.0707]))
    """
    backend, radius = functions.flat("b", b), checked_radius(radius)
    tol, max_iterations = validate.real("tol", tol, minimum=0), validate.integer("max_iterations", max_iterations)
    product = functions.owned("product", product, "b")
    if preconditioner is not None:
        preconditioner = functions.owned("preconditioner", preconditioner, "b")
    dot = functions.inner(backend)
    x = 0 * b if x0 is None else functions.vector("x0", backend, x0, b, "b").copy()
    r = b if x0 is None else b - product(x)
    size = math.sqrt(dot(b, b))
    if size == 0 or dot(r, r) == 0:
        return MeganetSolution(x, 0, 1, 0.0, [size])
    residuals, best, smallest, number, flag = [size], x, size, 1, 1
    z = r if preconditioner is None else preconditioner(r)
    p, rz = z, dot(r, z)
    for k in range(1, max_iterations + 1):
        q = product(p)
        curvature = dot(p, q)
        if curvature <= 0:
            flag = 2
            roots = _roots(dot(x, x), dot(x, p), dot(p, p), radius)
            ends = [r - t * q for t in roots]
            residuals.append(min((math.sqrt(dot(e, e)) for e in ends), default=math.inf))
            break
        a = rz / curvature
        new = x + a * p
        if math.sqrt(dot(new, new)) >= radius:
            flag = 3
            backwards = r - _roots(dot(x, x), dot(x, p), dot(p, p), radius)[0] * q
            residuals.append(math.sqrt(dot(backwards, backwards)))
            break
        x, r = new, r - a * q
        residuals.append(math.sqrt(dot(r, r)))
        if residuals[-1] < smallest:
            best, smallest, number = x, residuals[-1], k
        if residuals[-1] / size <= tol:
            flag = 0
            break
        z = r if preconditioner is None else preconditioner(r)
        rz, old = dot(r, z), rz
        p = z + (rz / old) * p
    return MeganetSolution(best, flag, number, smallest / size, residuals)


def _roots(xx: float, xp: float, pp: float, radius: float) -> list[float]:
    """Return both t with ``||x + t p|| = radius``, the negative one first; none without a radius."""
    if math.isinf(radius):
        return []
    root = math.sqrt(max(xp * xp + pp * (radius * radius - xx), 0.0))
    return [-(xp + root) / pp, (root - xp) / pp]


@dataclass(frozen=True)
class _Halving(Search[Ray[Any]]):
    """The line search of `meganet_descent`; the size is mu."""

    argument: ClassVar[str] = "mu"

    def __post_init__(self) -> None:
        validate.store(self, size=validate.real("mu", self.size, above=0))

    def __call__(self, problem: Problem, point: Point, way: Ray[Any], size: float) -> Step[Ray[Any]] | str:
        largest = problem.number(abs(way.direction).max())
        s = way.direction * (1 / largest) if largest > 1 else way.direction
        slope, mu = problem.dot(point.gradient, s), size
        for trial in range(1, TRIALS + 1):
            new = problem.at(point.x + mu * s)
            if new.value < point.value + DECREASE * slope:
                following = min(GROWTH * mu, 1.0) if trial == 1 else mu
                columns = {**way.columns, "mu": mu, "trials": trial}
                return Step(point, way, new, problem.distance(new.x, point.x), following, columns)
            mu *= 0.5
        return "line search"


def meganet_descent(
    fun: Function,
    x0: Array,
    direction: Callable[[Problem, Point], tuple[Array, Mapping[str, float]]],
    columns: Mapping[str, float],
    *,
    hessian: Hessian | None = None,
    mu: float = 1.0,
    control: Control | None = None,
) -> Result:
    """Minimise a function along directions with the line search of Meganet's ``newton``, ``sd`` and ``nlcg``.

    The direction s is scaled to largest modulus 1 if it is larger. A trial point ``x + mu s`` is accepted if
    ``f < f_old + 1e-3 <g, s>``, *without* the factor mu; else mu is halved, ten times at most. mu is kept between
    iterations, and multiplied by 1.5 (up to 1) if the first trial was accepted.

    Parameters
    ----------
    fun, x0, hessian, control
        As in `newton_cg`.
    direction : callable
        ``(problem, point) -> s, columns``.
    columns : mapping
        The direction's columns as they are at the start.
    mu : float
        First trial step.

    Returns
    -------
    Result
        Own columns: those of the direction, mu, trials. ``state["mu"]`` is the next trial step.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import meganet_descent
    >>> def steepest(problem, point):
    ...     return -point.gradient / point.norm, {"slope": point.norm}
    >>> result = meganet_descent(lambda x: (x @ x / 2, x), np.array([3.0, 4.0]), steepest, {"slope": 0.0})
    >>> result.history.columns[-3:], result.history.column("slope")[:3]
    (('slope', 'mu', 'trials'), [0.0, 5.0, 4.0])
    """
    problem, search = Problem(fun, x0, hessian), _Halving(size=mu)
    functions.required("direction", direction)
    columns = functions.columns("columns", problem.backend, columns, ("mu", "trials"))

    def given(problem: Problem, point: Point, last: Step[Ray[None]] | None) -> Ray[None]:
        found = direction(problem, point.copy())
        if not isinstance(found, tuple) or len(found) != 2:
            validate.reject("direction", "a vector and a dict of columns from it", functions.described(found))
        own = functions.columns("columns", problem.backend, found[1], ("mu", "trials"))
        return Ray(functions.vector("direction", problem.backend, found[0], point.x).copy(), columns=own)

    return descend(problem, given, search, {**columns, "mu": search.size, "trials": 0}, control)


def meganet_newton(
    fun: Function,
    x0: Array,
    hessian: Hessian,
    *,
    tol: float = 0.1,
    max_products: int = 10,
    preconditioner: Preconditioner | None = None,
    mu: float = 1.0,
    control: Control | None = None,
) -> Result:
    """Minimise a function by Meganet's ``newton``: directions by `meganet_cg`, steps by `meganet_descent`.

    Parameters
    ----------
    fun, x0, hessian, control
        As in `newton_cg`.
    tol, max_products, preconditioner
        Of `meganet_cg`.
    mu : float
        First trial step.

    Returns
    -------
    Result
        Own columns: cg_best and cg_relres of the direction, mu, trials.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import meganet_newton
    >>> q = np.array([1.0, 10.0])
    >>> result = meganet_newton(lambda x: (0.5 * x @ (q * x), q * x), np.ones(2), lambda x: np.diag(q))
    >>> result.reason, bool(abs(result.x).max() < 1e-4), result.history.columns[-4:]
    ('gradient', True, ('cg_best', 'cg_relres', 'mu', 'trials'))
    """

    def direction(problem: Problem, point: Point) -> tuple[Array, Mapping[str, float]]:
        product, b = problem.hessian(point.x), -point.gradient
        solved = meganet_cg(product, b, tol=tol, max_iterations=max_products, preconditioner=preconditioner)
        s = solved.x if problem.dot(solved.x, solved.x) > 0 else b * (1 / point.norm)
        return s, {"cg_best": solved.best, "cg_relres": solved.relres}

    start = {"cg_best": 0, "cg_relres": 0.0}
    return meganet_descent(fun, x0, direction, start, hessian=hessian, mu=mu, control=control)
