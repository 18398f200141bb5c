"""Which transfer of stencils to a finer grid is the best: at once, and for a training there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array
from meganet.experiments.questions.base import Answer, Context, Cost, OwnTrainings
from meganet.experiments.questions.carrying import (
    PASSES,
    RATES,
    Carrying,
    candidates,
    cost_of,
    grids_of,
    hierarchy_of,
    phase,
    sizes_of,
)
from meganet.experiments.runs.arms import Arm, Outcome
from meganet.experiments.runs.paired import Mean, accuracies, mean_of
from meganet.experiments.runs.problems import Shape
from meganet.experiments.setup.settings import Setup
from meganet.multigrid import (
    Copied,
    DampedGalerkin,
    Dilated,
    Enlarged,
    Galerkin,
    Rediscretised,
    TruncatedGalerkin,
    prolongation_penalty,
)
from meganet.multilevel import Grids, Level, Schedule, Transfer
from meganet.objective import Objective
from meganet.plotting.moved import Moved, moved_figure
from meganet.regularizers import Tikhonov

TITLES = {"transfers": "Which transfer of stencils to a finer grid?"}
ORDER = 46

NETS = ("A", "B")
FINE_PASSES = 0.25
FINE_RATES = (0.001, 0.005)
SEEN = 512
"""Training images of the gradients."""
CURVED, PRODUCTS = 64, 4
"""Training images of the Gauss-Newton matrix, and steps of the power iteration."""


@dataclass(frozen=True)
class Penalised:
    """The penalty on what the stencils of a level become by Galerkin's transfer with linear interpolation.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.experiments.questions.transfers import Penalised
    >>> from meganet.multilevel import in_space
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(14, 28))
    >>> Penalised(1e-3)(hierarchy[0]).alpha
    0.001
    """

    alpha: float

    def __call__(self, level: Level) -> Tikhonov:
        return prolongation_penalty(level.network, self.alpha)


PLAIN = "plain"
COARSE: Mapping[str, tuple[float, ...]] = {
    PLAIN: (0.0,),
    "penalty 1e-5": (1e-5,),
    "penalty 1e-4": (1e-4,),
    "penalty 1e-3": (1e-3,),
    "penalty 1e-3 to 1e-5": (1e-3, 1e-4, 1e-5),
}
"""Ways of coarse training: the weights of the penalty, in parts of equal length."""


class Way(NamedTuple):
    """How a network goes to the finer grid.

    Attributes
    ----------
    name, kind : str
        Of the transfer, and of the transfers like it, which are drawn alike.
    transfer : Transfer
    coarse : str
        How the network was trained before.

    Examples
    --------
    >>> from meganet.experiments.questions.transfers import WAYS
    >>> len(WAYS), WAYS[0].name, WAYS[0].transfer.interpolation
    (21, 'copied', 'constant')
    """

    name: str
    kind: str
    transfer: Transfer
    coarse: str = PLAIN


def _way(name: str, kind: str, up: Any, interpolation: str = "constant", coarse: str = PLAIN) -> Way:
    return Way(name, kind, Transfer(up=up, interpolation=interpolation), coarse)


FIRST = _way("copied", "copied", Copied())
GALERKIN = _way("Galerkin, linear P", "Galerkin", Galerkin("linear"), "linear")
WAYS = (
    FIRST,
    _way("copied, linear P for W", "copied", Copied(), "linear"),
    GALERKIN,
    _way("Galerkin, constant P", "Galerkin", Galerkin("constant")),
    _way("damped 0.01, linear P", "damped", DampedGalerkin("linear", 0.01), "linear"),
    _way("damped 0.1, linear P", "damped", DampedGalerkin("linear", 0.1), "linear"),
    _way("truncated 0.2, linear P", "truncated", TruncatedGalerkin("linear", 0.2), "linear"),
    _way("truncated 0.5, linear P", "truncated", TruncatedGalerkin("linear", 0.5), "linear"),
    _way("rediscretised", "rediscretised", Rediscretised()),
    _way("enlarged, constant P for W", "enlarged, dilated", Enlarged()),
    _way("enlarged, linear P for W", "enlarged, dilated", Enlarged(), "linear"),
    _way("dilated, constant P for W", "enlarged, dilated", Dilated()),
    _way("dilated, linear P for W", "enlarged, dilated", Dilated(), "linear"),
    *(
        way._replace(kind=f"{way.kind} after a penalty", coarse=coarse)
        for coarse in COARSE
        if coarse != PLAIN
        for way in (FIRST, GALERKIN)
    ),
)
NOTE = (
    f"Networks are trained on {{images}} images on the coarse grid for {PASSES} passes, by momentum 0.9 at a rate that "
    "falls linearly from the best of {rates} to a tenth, and carried to images of twice the width; then trained for a "
    f"quarter of a pass, from the best of {', '.join(map(str, FINE_RATES))} for each transfer. Rates are chosen in one "
    "run on other images. Penalty: alpha/2 ||A^-1 theta||^2 in coarse training, linear P. Accuracies in validation, in "
    "percent; after each number half the width of its 95 % interval over the trials, differences are paired. Growth: "
    f"of the norm of theta. Angle: between the gradient of {SEEN} training images on the fine grid, pulled back to the "
    "coarse weights, and that on the coarse grid, in degrees; the second one of theta alone. Stable rate: 2 over the "
    f"largest eigenvalue of the Gauss-Newton matrix of {CURVED} training images, in those of copied. Work: of a step "
    "on the fine grid, in those of copied."
)
MEASURED = ("growth", "angle", "angle of theta", "stable rate")


class Transfers(OwnTrainings):
    """Carry nets from a coarse grid to the next finer one by every transfer, and measure."""

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what it costs."""
        tried: list[Arm] = []
        made: list[Arm] = []
        for net in NETS:
            home, hierarchies = _hierarchies(net, image_shape, classes)
            plain = _plain(base, net, home)
            coarse = _coarse(base, plain[0], net)
            fine = _fine(base, hierarchies, coarse)
            tried += [*plain, *coarse.values(), *(arm for arms in fine for arm in arms)]
            made += [*coarse.values(), *(arms[0] for arms in fine)]
        return cost_of(base, tried, made)

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each net, coarse training and transfer."""
        here = Carrying(context)
        images = sizes_of(here.base).training
        found = [one for net in NETS for one in _of_net(here, net)]
        firsts = {one.net: one for one in found if one.way == FIRST}
        rows = [_row(one, firsts[one.net]) for one in found]
        rates = "; ".join(f"{', '.join(map(str, RATES[net]))} ({net})" for net in NETS)
        drawn = [
            Moved(f"net {one.net}", one.way.kind, one.numbers["growth"], one.before, accuracies(one.after))
            for one in found
        ]
        return Answer(rows, [NOTE.format(rates=rates, images=images), *_verdicts(found, firsts)], moved_figure(drawn))


class _Found(NamedTuple):
    """What a way is like, of each trial."""

    net: str
    way: Way
    rate: str
    work: float
    coarse: list[Outcome]
    before: np.ndarray[Any, Any]
    after: list[Outcome]
    numbers: Mapping[str, np.ndarray[Any, Any]]


def _hierarchies(
    net: str, image_shape: Shape, classes: int, backend: Any = None
) -> tuple[Grids, dict[Transfer, Grids]]:
    """Return the hierarchy of coarse training, and that of each transfer."""
    grids = grids_of(net, image_shape, most=2)
    transfers = dict.fromkeys(way.transfer for way in WAYS)
    made = {transfer: hierarchy_of(net, image_shape, classes, grids, transfer, backend) for transfer in transfers}
    return made[FIRST.transfer], made


def _plain(base: Setup, net: str, home: Grids) -> list[Arm]:
    return candidates(base, f"net-{net}", home, 0, RATES[net], PASSES)


def _coarse(base: Setup, plain: Arm, net: str) -> dict[str, Arm]:
    """Return the arms of coarse training, at the rate of the plain one."""
    falling: Any = plain.schedule[0].learning_rate
    arms = {PLAIN: plain}
    for name, alphas in COARSE.items():
        if name != PLAIN:
            part = PASSES / len(alphas)
            phases = [phase(base, 0, falling(k * part), part, theta_alpha=Penalised(a)) for k, a in enumerate(alphas)]
            arms[name] = Arm(f"net-{net}-penalised", plain.hierarchy, Schedule(tuple(phases)))
    return arms


def _fine(base: Setup, hierarchies: Mapping[Transfer, Grids], coarse: Mapping[str, Arm]) -> list[list[Arm]]:
    """Return the candidates of each way."""
    return [
        candidates(base, "carried", hierarchies[way.transfer], 1, FINE_RATES, FINE_PASSES, after=coarse[way.coarse])
        for way in WAYS
    ]


def _of_net(here: Carrying, net: str) -> list[_Found]:
    """Return what each way is like for a net."""
    data = here.context.data
    home, hierarchies = _hierarchies(net, data.images.shape[1:], data.classes, here.context.backend)
    coarse = _coarse(here.base, here.tuned({"plain": _plain(here.base, net, home)})["plain"], net)
    choices = _fine(here.base, hierarchies, coarse)
    chosen = [*here.tuned({str(number): arms for number, arms in enumerate(choices)}).values()]
    every = here.run([*coarse.values(), *chosen])
    of_coarse = dict(zip(coarse, every, strict=False))
    measured: list[list[tuple[float, ...]]] = [[] for _ in WAYS]
    for trial in range(here.base.run.trials):
        for way, numbers in zip(WAYS, measured, strict=True):
            x = here.context.backend.asarray(of_coarse[way.coarse][trial].x)
            numbers.append(_measured(here, hierarchies[way.transfer], trial, x))
    found = []
    for way, arm, after, numbers in zip(WAYS, chosen, every[len(coarse) :], measured, strict=True):
        columns = np.array(numbers).T
        work = hierarchies[way.transfer][1].flop / home[1].flop
        rate = f"{arm.schedule[0].rate(0):g}"
        named = dict(zip(MEASURED, columns[1:], strict=True))
        found.append(_Found(net, way, rate, work, of_coarse[way.coarse], columns[0], after, named))
    return found


def _measured(here: Carrying, hierarchy: Grids, trial: int, x: Array) -> tuple[float, ...]:
    """Return the accuracy before training on the fine grid, and what is `MEASURED`, of the stable rate itself."""
    carried = hierarchy.carry(x, 0, 1)
    below, above = (here.objective(hierarchy, level, trial, most=SEEN) for level in (0, 1))
    growth = _norm(above.split(carried)[0]) / _norm(below.split(x)[0])
    pulled = hierarchy.prolongation(0).T @ above(carried)[1]
    own = below(x)[1]
    angles = _angle(pulled, own), _angle(below.split(pulled)[0], below.split(own)[0])
    sharp = here.objective(hierarchy, 1, trial, most=CURVED)
    return here.accuracy(hierarchy, 1, trial, carried), growth, *angles, 2 / largest_curvature(sharp, carried)


def largest_curvature(fun: Objective, x: Array) -> float:
    """Return about the largest eigenvalue of the Gauss-Newton matrix, by a power iteration from the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> from meganet.experiments.questions.transfers import largest_curvature
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.eye(4, 2), [0, 1, 0, 1])
    >>> x = np.random.default_rng(0).standard_normal(fun.parameters.size)
    >>> exact = np.linalg.eigvalsh(fun.hessian(x).tosparse().toarray()).max()
    >>> bool(0.99 < largest_curvature(fun, x) / exact < 1.0001)
    True
    """
    hessian, v, value = fun.hessian(x), fun(x)[1], 0.0
    for _ in range(PRODUCTS):
        v = v / _norm(v)
        product = hessian @ v
        value, v = _inner(v, product), product
    return value


def _inner(a: Array, b: Array) -> float:
    return float(a.astype("float64") @ b.astype("float64"))


def _norm(a: Array) -> float:
    return float(np.sqrt(_inner(a, a)))


def _angle(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(_inner(a, b) / (_norm(a) * _norm(b)), -1, 1))))


def _gain(one: _Found, first: _Found) -> Mean:
    """Return how much better than copied after the training."""
    return mean_of(accuracies(one.after) - accuracies(first.after))


def _row(one: _Found, first: _Found) -> dict[str, Any]:
    before, after, gain = mean_of(one.before), mean_of(accuracies(one.after)), _gain(one, first)
    rates = one.numbers["stable rate"] / first.numbers["stable rate"]
    return {
        "net": one.net,
        "coarse training": one.way.coarse,
        "transfer": one.way.name,
        "rate": one.rate,
        "trials": len(one.after),
        "coarse": float(accuracies(one.coarse).mean()),
        "before": before.value,
        "± before": before.half_width,
        "after": after.value,
        "± after": after.half_width,
        "above copied": gain.value,
        "± above copied": gain.half_width,
        **{name: float(one.numbers[name].mean()) for name in MEASURED[:-1]},
        "stable rate": float(np.exp(np.log(rates).mean())),
        "work": one.work,
    }


def _verdicts(found: Sequence[_Found], firsts: Mapping[str, _Found]) -> list[str]:
    """Say of each net which way is the best, and whether that is sure."""
    said = []
    for net, first in firsts.items():
        of_net = [one for one in found if one.net == net]
        at_once = max(of_net, key=lambda one: _known(one.before))
        later = max(of_net, key=lambda one: _known(accuracies(one.after)))
        gain = _gain(later, first)
        sure = "its interval is above 0" if gain.above(0) else "its interval does not exclude 0"
        said.append(
            f"Net {net}: {mean_of(accuracies(first.coarse))} % on the coarse grid. Before training {_called(at_once)} "
            f"keeps most, {mean_of(at_once.before)} % against {mean_of(first.before)} % of copied; after a quarter of "
            f"a pass {_called(later)} is the best, {mean_of(accuracies(later.after))} % against "
            f"{mean_of(accuracies(first.after))} %. The difference from copied is {gain} points; {sure}."
        )
    return said


def _known(values: np.ndarray[Any, Any]) -> float:
    """Return the mean, that of runs that diverged below all others."""
    return float(np.nan_to_num(values.mean(), nan=-1.0))


def _called(one: _Found) -> str:
    return one.way.name if one.way.coarse == PLAIN else f"{one.way.name} after {one.way.coarse}"


QUESTIONS = {"transfers": Transfers()}
