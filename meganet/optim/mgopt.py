"""MG/OPT: coarser problems, corrected to first order, give an optimiser long steps for little work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from meganet.backend import Array, backend_of
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.coarse import Coarse, Level, norm
from meganet.optim.descent import Ray, Search, Step, descend
from meganet.optim.line_search import Along, Armijo, LineSearch
from meganet.optim.methods import lbfgs
from meganet.optim.problem import Control, Function, Hessian, Point, Problem, Result
from meganet.optim.trust_region import LARGEST_RADIUS, SMALLEST_RADIUS, agreement, next_radius, promised_share

Smoother = Callable[..., Result]
"""``(fun, x0, control=...) -> Result``; one that has arguments `hessian` or `radius` gets these too."""
CYCLES = {"V": 1, "W": 2}
"""How often each level goes to the next coarser one."""


class _From:
    """A function whose value at the start of a smoother, where all of them begin, is known already."""

    def __init__(self, fun: Function, point: Point) -> None:
        self.fun, self.point, self.first, self.known = fun, point, True, 0

    def __call__(self, x: Array, *more: Any, **options: Any) -> tuple[Any, Array]:
        first, self.first = self.first, False
        if first and not more and not options and _same(x, self.point.x):
            self.known = 1
            return self.point.value, self.point.gradient.copy()
        return self.fun(x, *more, **options)


@dataclass
class _Visit:
    """Where a level stands: its problem, point and radius, and what became of its coarse steps."""

    problem: Problem
    point: Point
    radius: float
    length: float = 0.0
    refused: int = 0


Accept = Callable[[_Visit, _Visit, Point, Array], bool]
"""``(visit, below, start, direction)``: take the step of a coarser level, which began at `start`, or say that not."""


def _searched(along: Along, visit: _Visit, below: _Visit, start: Point, direction: Array) -> bool:
    """Search along a coarse direction, if it is one of descent."""
    if not visit.problem.dot(visit.point.gradient, direction) < 0:
        return False
    found = along(visit.problem, visit.point, Ray(direction, 1.0), 0.0)
    if isinstance(found, str):
        return False
    visit.point, visit.length = found.end, found.length
    return True


def _trusted(share: float, visit: _Visit, below: _Visit, start: Point, direction: Array) -> bool:
    """Take a coarse step within the radius, if the function falls by enough of what the coarse one promises."""
    problem, end, length = visit.problem, below.point, norm(direction)
    boundary = length >= visit.radius
    if boundary:
        scale, length = visit.radius / length, visit.radius
        direction, end = scale * direction, below.problem.at(start.x + scale * (end.x - start.x))
    promised = start.value - end.value
    if not (promised > 0 and length > 0):
        return False
    new = problem.at(visit.point.x + direction)
    ratio = agreement(problem, visit.point, new, promised)
    visit.radius = next_radius(visit.radius, length, ratio, boundary, LARGEST_RADIUS)
    if ratio <= share:
        return False
    visit.point, visit.length = new, length
    return True


@dataclass(frozen=True)
class _Cycles(Search[None]):
    """Cycles through the levels, coarse to fine without the finest; the size is the radius of trust."""

    levels: Sequence[Level]
    smoother: Smoother
    pre: int
    post: int
    coarsest: int
    visits: int
    accept: Accept
    arguments: frozenset[str] = field(init=False)
    argument: ClassVar[str] = "radius"

    def __post_init__(self) -> None:
        functions.required("smoother", self.smoother, "a minimiser such as lbfgs")
        known = functions.arguments(self.smoother)
        if "control" not in known:
            validate.reject(
                "smoother", "a minimiser that takes a control, such as lbfgs", validate.shown(self.smoother)
            )
        validate.store(self, arguments=frozenset(known))

    def __call__(self, problem: Problem, point: Point, way: None, size: float) -> Step[None] | str:
        if size < SMALLEST_RADIUS * self.size:
            return "radius"
        visit = _Visit(problem, point, size)
        self._cycle(visit, len(self.levels))
        if visit.point is point and visit.radius == size:
            return "line search"
        return Step(
            point,
            None,
            visit.point,
            problem.distance(visit.point.x, point.x),
            visit.radius,
            {"coarse_length": visit.length, "refused": visit.refused, **self.spent(problem)},
        )

    def spent(self, problem: Problem) -> dict[str, float]:
        """Return what has been evaluated on all levels so far."""
        row: dict[str, float] = {}
        work = float(problem.evaluations + problem.products)
        for number, level in enumerate(self.levels):
            row |= {f"evaluations_{number}": level.evaluations, f"products_{number}": level.products}
            work += level.work * (level.evaluations + level.products)
        return {**row, "work": work}

    def _cycle(self, visit: _Visit, coarser: int) -> None:
        """Improve the point of a level below which there are so many coarser ones."""
        self._smooth(visit, self.pre if coarser else self.coarsest)
        if coarser and visit.point.finite:
            self._coarse_step(visit, coarser)
            self._smooth(visit, self.post)

    def _coarse_step(self, visit: _Visit, coarser: int) -> None:
        level = self.levels[coarser - 1]
        problem, start = level.below(visit.point)
        below = _Visit(problem, start, visit.radius)
        # on the coarsest level a second visit would only go on smoothing
        for _ in range(self.visits if coarser > 1 else 1):
            self._cycle(below, coarser - 1)
        taken = self.accept(visit, below, start, level.prolonged(below.point.x - start.x))
        visit.refused += below.refused + (not taken)
        level.evaluations += below.problem.evaluations
        level.products += below.problem.products

    def _smooth(self, visit: _Visit, iterations: int) -> None:
        if not iterations:
            return
        problem, point = visit.problem, visit.point
        fun = _From(problem.fun, point)
        more: dict[str, Any] = {"hessian": problem.make_hessian, "radius": visit.radius}
        more = {name: value for name, value in more.items() if name in self.arguments}
        result = self.smoother(fun, point.x.copy(), control=Control(iterations, rtol=0), **more)
        validate.instance("smoother", result, Result, "a Result from it")
        x, gradient = (
            functions.vector(f"{name} of smoother", problem.backend, getattr(result, name), point.x).copy()
            for name in ("x", "gradient")
        )
        problem.evaluations += result.evaluations - fun.known
        problem.products += result.products
        visit.radius = result.state.get("radius", visit.radius)
        if not _same(x, point.x):
            visit.point = Point(x, problem.number(result.value), gradient, norm(gradient))


def mg_opt(
    fun: Function,
    x0: Array,
    hessian: Hessian | None = None,
    *,
    coarse: Sequence[Coarse],
    smoother: Smoother = lbfgs,
    pre: int = 2,
    post: int = 2,
    coarsest: int = 10,
    cycle: str = "V",
    acceptance: str = "line search",
    line_search: LineSearch | None = None,
    radius: float = 1.0,
    accept: float = 1e-4,
    control: Control | None = None,
) -> Result:
    """Minimise a function with the help of coarser ones, whose steps are long and cost little.

    From a point x with gradient g, some iterations of a smoother on, the next coarser problem is
    ``f_c(y) - <v, y - R x>`` with ``v = grad f_c(R x) - P'g``: at its start ``R x`` it has the gradient of the finer
    one. An approximate minimiser y of it, found in the same way with the problems that are coarser still, gives the
    direction ``e = P (y - R x)``, and more iterations of the smoother follow.

    Parameters
    ----------
    fun, x0, control
        As in `steepest_descent`, of the finest problem. An iteration is a cycle.
    hessian : callable, optional
        As in `newton_cg`, if the smoother takes one.
    coarse : sequence of Coarse
        The coarser problems, from the coarsest on, one at least.
    smoother : callable
        A minimiser of the package, with other options by `functools.partial`, or any function
        ``(fun, x0, control=...)``, with `hessian` and `radius` if it has such arguments, that gives a `Result`. It
        makes as many iterations as the control says, and counts its evaluations in units of a full gradient.
        ``fun(x, indices)`` passes on the examples of a mini-batch.
    pre, post, coarsest : int
        Iterations before and after the coarse step, and on the coarsest level.
    cycle : {"V", "W"}
        How often a level that has coarser ones goes there in one visit: once, or twice on all but the finest.
    acceptance : {"line search", "trust region"}
        By a line search along e, if it is a direction of descent. Or e is cut to the radius and taken if the function
        falls by more than `accept` times what the coarser one promises; the radius changes as in `trust_region`.
    line_search : LineSearch, optional
        `Armijo` if not given; the first trial is 1. With the acceptance "line search" only.
    radius : float
        The first one, of a smoother that has one, such as `trust_region`, and of coarse steps. Each coarser level
        starts with that of the finer one.
    accept : float
        In [0, 1/4).

    Returns
    -------
    Result
        Evaluations and products are those of the finest level. Own columns: coarse_length, of the step along e, 0 if
        there was none; refused, coarse steps of this cycle, on all levels, that were not taken; evaluations_0,
        products_0, evaluations_1, ... of the coarser levels, from the coarsest on; work, of all levels, in units of a
        gradient of the finest, with a product as much as a gradient. ``state["radius"]`` is the radius of the next
        cycle. A `reason` "line search" says that a whole cycle found nothing lower.

    Notes
    -----
    Nash, *A multigrid approach to discretized optimization problems* (2000); with a trust region Gratton, Sartenaer and
    Toint, *Recursive trust-region methods for multiscale nonlinear optimization* (2008), as Kopaničáková and Krause,
    *Globally convergent multilevel training of deep residual networks* (2022).

    Examples
    --------
    Poisson's equation on 64 cells with two coarser grids:

    >>> import numpy as np
    >>> from meganet.multigrid import prolongation, restriction
    >>> from meganet.optim import Coarse, mg_opt, steepest_descent
    >>> def poisson(n):
    ...     a = n * (2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1))
    ...     return lambda x: (x @ (a @ x) / 2 - x.sum() / n, a @ x - 1 / n)
    >>> coarse = [Coarse(poisson(n), restriction((1, 2 * n)), prolongation((1, 2 * n))) for n in (16, 32)]
    >>> result = mg_opt(poisson(64), np.zeros(64), coarse=coarse, coarsest=30)
    >>> result.reason, result.iterations < 15, result.history[0]["work"]
    ('gradient', True, 1.0)
    """
    if isinstance(coarse, (str, Coarse)) or not isinstance(coarse, Sequence) or not coarse:
        validate.reject("coarse", "a sequence of one or more Coarse", functions.described(coarse))
    for number, one in enumerate(coarse):
        validate.instance(f"coarse[{number}]", one, Coarse, "a Coarse")
    counts = {name: validate.integer(name, n, minimum=0) for name, n in (("pre", pre), ("post", post))}
    validate.choice("acceptance", acceptance, ["line search", "trust region"])
    if acceptance == "trust region" and line_search is not None:
        validate.reject("line_search", "None with the acceptance 'trust region'", validate.shown(line_search))
    along, share = Along(Armijo() if line_search is None else line_search), promised_share(accept)
    problem = Problem(fun, x0, hessian)
    levels: list[Level] = []
    finer = problem.x0
    for number in reversed(range(len(coarse))):
        levels.insert(0, Level(coarse[number], number, finer, problem.x0))
        finer = levels[0].restricted(finer)
    search = _Cycles(
        levels,
        smoother,
        **counts,
        coarsest=validate.integer("coarsest", coarsest),
        visits=CYCLES[validate.choice("cycle", cycle, CYCLES)],
        accept=partial(_searched, along) if acceptance == "line search" else partial(_trusted, share),
        size=validate.real("radius", radius, above=0),
    )
    # with the gradient at the start, which is evaluated first
    start = {"coarse_length": 0.0, "refused": 0, **search.spent(problem), "work": 1.0}
    return descend(problem, lambda *_: None, search, start, control)


def _same(x: Array, y: Array) -> bool:
    return bool(backend_of(x).to_host((x == y).all()))
