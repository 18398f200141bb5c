"""Is multigrid worth it? Accuracy over work and seconds, of training on many grids and of all that it is up against.

Every arm is trained with several budgets, each a training of its own whose rate falls to nearly nothing at its end, so
that a point of a curve is the best that its budget gives, not an unfinished longer training. A budget is counted in
passes over the finest grid: 1 is the arithmetic of one pass through the images there.

PyTorch's training on the single grid is on the same axes where `benchmarks/worth_peer.py` has been run with the same
settings and folder: this package does not need PyTorch, see `peer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.experiments.questions import peer
from meganet.experiments.questions.base import Answer, Context, Cost, Variant
from meganet.experiments.questions.budgets import Curve, reached, sentence
from meganet.experiments.questions.carrying import cost_of, grids_of
from meganet.experiments.questions.paired import mean_of
from meganet.experiments.runs.arms import Arm, Arms, Outcome, Sizes, tuned
from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.setup.settings import Setup
from meganet.ground import validate
from meganet.multigrid import Dilated, StencilTransfer
from meganet.multilevel import Grids, Phase, Schedule, Transfer, in_space
from meganet.optim import LinearDecay, Momentum
from meganet.plotting.axes import LEGEND, PAGE
from meganet.plotting.budgets import Line, plot_budgets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"worth": "Is multigrid worth it?"}
ORDER = 60

SINGLE = "single grid"
RATES = (0.0025, 0.005, 0.01, 0.02)
"""On images of `WIDTH` pixels and fewer; on wider ones in inverse proportion to the width, in all arms."""
WIDTH = 28
LAST = 0.02
"""Part of a rate that is left at the end."""
FINER = 0.5
"""Factor on the rate from a grid to the next finer one, behind an exact transfer."""
MOMENTUM = 0.9
ROUNDS = 8
"""Of a phase: the rate falls in so many steps."""
SHARES = (0.25, 0.5)
"""Of the budget, for the finest grid."""
FEATURES = 0.35
"""Passes that tuning the classifier costs about: the features of all images once, and a pass of its own steps."""
TUNING = 1.0
"""The budget for which candidates are compared."""
NEAR = 0.1
"""Points below the single grid's plateau that count as having reached it."""
MOST_GRIDS = 4
SMALL, MIDDLE = (0.25, 0.5, 1, 2, 4), (0.5, 1, 2, 4)
BUDGETS: dict[str, tuple[float, ...]] = {
    SINGLE: (0.5, 1, 2, 4, 8),
    "nested, copied": SMALL,
    "nested, exact": SMALL,
    "nested, classifier": MIDDLE,
    "coarse, classifier": MIDDLE,
    "progressive": MIDDLE,
    "random grids": MIDDLE,
}
Scheme = Callable[[float], Arm]


class Worth:
    """Compare training on many grids with the finest one alone and with what else saves work."""

    any_network = True

    def variants(self, base: Setup) -> list[Variant]:
        """Return none: nothing is trained by stages."""
        return []

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what tuning and trials cost."""
        arms = schemes(base, image_shape, classes)
        tuning = [scheme(TUNING) for of_name in arms.values() for scheme in of_name]
        return cost_of(base, tuning, [of_name[0](budget) for name, of_name in arms.items() for budget in BUDGETS[name]])

    def ask(self, context: Context) -> Answer:
        """Tune all arms, run the trials; a row for each arm and budget, and a picture over work and seconds."""
        base, data = context.base, context.data
        # before anything is trained
        pairs = peer.read(context.path)
        sizes = Sizes(base.data.coarse_examples, base.data.validation_examples)
        given = context.path, data, sizes, base, context.backend
        how: dict[str, Any] = {"workers": context.workers, "progress": context.progress, "log": context.log}
        arms = schemes(base, data.images.shape[1:], data.classes)
        candidates = {name: [scheme(TUNING) for scheme in of_name] for name, of_name in arms.items()}
        numbers, _ = tuned(Arms(*given, tuning=True), candidates, **how)
        best = {name: arms[name][number] for name, number in numbers.items()}
        every = {(name, budget): best[name](budget) for name in best for budget in BUDGETS[name]}
        trials = Arms(*given)
        found = dict(zip(every, trials.run(list(every.values()), base.run.trials, **how), strict=True))
        single = {
            budget: {trials.run_name(arm, k): one for k, one in enumerate(found[name, budget])}
            for (name, budget), arm in every.items()
            if name == SINGLE
        }
        found |= {(peer.NAME, b): twins for b, twins in peer.outcomes(context.path, pairs, single).items()}
        names = dict.fromkeys(name for name, _ in found)
        curves = {name: Curve.of({b: one for (of, b), one in found.items() if of == name}) for name in names}
        rows = [_row(name, budget, outcomes, found) for (name, budget), outcomes in found.items()]
        plateau = max(curves[SINGLE].accuracy)
        chosen = ", ".join(
            f"{name}: {number + 1} ({best[name](TUNING).schedule[0].cells[2]}) of {len(arms[name])}"
            for name, number in numbers.items()
        )
        notes = [
            f"{data.name}, {sizes.training} training images, net {base.model.network}. A budget of 1 is the arithmetic "
            "of one pass on the finest grid; each is a training of its own, whose rate falls to nearly nothing. "
            "Accuracies on the finest grid in percent, means over the trials with 95 % intervals; differences from the "
            "single grid at the same budget, of the same trials.",
            f"Tuned alike, by one run of each candidate with a budget of {TUNING:g} on other random numbers; taken "
            f"was candidate {chosen}.",
            f"The single grid's plateau is {plateau:.2f} %.",
            *(sentence(name, curves[name], reached(curves[SINGLE], plateau - NEAR), plateau - NEAR) for name in curves),
            *peer.note(pairs),
        ]
        return Answer(rows, notes, _figure(curves, data.name))


def schemes(base: Setup, image_shape: Shape, classes: int) -> dict[str, list[Scheme]]:
    """Return the candidates of each arm, as functions of the budget; as many for each."""
    network = build_network(base.model.network, image_shape)
    widths = base.levels.grids or grids_of(base.model.network, image_shape, MOST_GRIDS)
    if len(widths) < 2:
        validate.reject("grids", "two widths or more", ",".join(map(str, widths)))

    def on(grids: Sequence[int], stencils: str | StencilTransfer = "copy") -> Grids:
        return in_space(network, classes, grids, Transfer(up=stencils, interpolation="constant"))

    phase = Phases(base.data.coarse_examples // base.descent.batch_size, base.descent.batch_size)
    copied, coarse, exact = on(widths), on(widths[:-1]), on(widths[-2:], Dilated())
    single, two = on(widths[-1:]), on(widths[-2:])
    halves = [(rate, share) for rate in RATES[1:3] for share in SHARES]
    tunings = [(rate, tune) for rate in RATES[1:3] for tune in RATES[:2]]
    return {
        SINGLE: [_single(phase, single, rate) for rate in RATES],
        "nested, copied": [
            _growing(phase, "nested-copied", copied, _shares(copied, share), rate) for rate, share in halves
        ],
        "nested, exact": [_nested(phase, coarse, exact, rate, share) for rate, share in halves],
        "nested, classifier": [_classifier(phase, coarse, exact, rate, tune) for rate, tune in tunings],
        "coarse, classifier": [_classifier(phase, on(widths[-2:-1]), exact, rate, tune) for rate, tune in tunings],
        "progressive": [_growing(phase, "progressive", two, _progressive(two), rate) for rate in RATES],
        "random grids": [_random(phase, copied, rate) for rate in RATES],
    }


@dataclass(frozen=True)
class Phases:
    """Makes phases whose rate falls, with mini-batches of which a pass has so many."""

    batches: int
    batch_size: int

    def __call__(
        self, hierarchy: Grids, level: int | tuple[int, ...], passes: float, rate: float, last: float, **settings: Any
    ) -> Phase:
        """Return a phase of so many passes, whose rate falls linearly, in rounds of a mini-batch at least."""
        finest = hierarchy[max(level) if isinstance(level, tuple) else level]
        slower = min(1.0, WIDTH / finest.network.domain_shape[-1])
        passes = max(passes, 1 / self.batches)
        every = passes / min(ROUNDS, max(int(passes * self.batches), 1))
        given = {"every": every, "batch_size": self.batch_size, "rule": Momentum(MOMENTUM), **settings}
        return Phase(level, passes, LinearDecay(slower * rate, slower * last, passes), **given)


def _passes(hierarchy: Grids, budget: float, shares: Sequence[float]) -> list[float]:
    """Return the passes on each grid that have these shares of a budget's work."""
    return [budget * part * hierarchy[-1].flop / level.flop for part, level in zip(shares, hierarchy, strict=True)]


def _shares(hierarchy: Grids, finest: float) -> list[float]:
    """Return the share of each grid: the same number of passes on all but the finest."""
    parts = np.array([level.flop for level in hierarchy])[:-1]
    return [*((1 - finest) * parts / parts.sum()).tolist(), finest]


def _progressive(hierarchy: Grids) -> list[float]:
    """Return the shares of progressive resizing with two sizes: a fifth of the passes on the finest grid."""
    coarse = 0.8 * hierarchy[-2].flop / hierarchy[-1].flop
    return [coarse / (coarse + 0.2), 0.2 / (coarse + 0.2)]


def _single(phase: Phases, hierarchy: Grids, rate: float) -> Scheme:
    return lambda budget: Arm("single", hierarchy, Schedule((phase(hierarchy, 0, budget, rate, LAST * rate),)))


def _growing(phase: Phases, name: str, hierarchy: Grids, shares: Sequence[float], rate: float) -> Scheme:
    """Return a training whose images grow, while the rate falls from its beginning to its end."""

    def arm(budget: float) -> Arm:
        passes = _passes(hierarchy, budget, shares)
        falling = LinearDecay(rate, LAST * rate, sum(passes))
        ends = [falling(sum(passes[:k])) for k in range(len(passes) + 1)]
        phases = [phase(hierarchy, k, made, *ends[k : k + 2]) for k, made in enumerate(passes)]
        return Arm(name, hierarchy, Schedule(tuple(phases)))

    return arm


def _coarse(phase: Phases, hierarchy: Grids, budget: float, finest: float, rate: float) -> Arm:
    """Return training on all grids but the finest, with the same passes on each, for a part of a budget there."""
    passes = budget * finest / sum(level.flop for level in hierarchy)
    falling = LinearDecay(rate, LAST * rate, len(hierarchy))
    phases = [phase(hierarchy, k, passes, falling(k), falling(k + 1)) for k in range(len(hierarchy))]
    return Arm("coarse", hierarchy, Schedule(tuple(phases)))


def _nested(phase: Phases, coarse: Grids, exact: Grids, rate: float, share: float) -> Scheme:
    """Return training on the coarser grids to its end, and from there, carried exactly, on the finest one."""

    def arm(budget: float) -> Arm:
        before = _coarse(phase, coarse, budget * (1 - share), exact[-1].flop, rate)
        last = phase(exact, -1, budget * share, FINER * rate, LAST * FINER * rate)
        return Arm("nested-exact", exact, Schedule((last,)), before)

    return arm


def _classifier(phase: Phases, coarse: Grids, exact: Grids, rate: float, tune: float) -> Scheme:
    """Return training on the coarser grids, and from there, carried exactly, a pass of the classifier alone."""

    def arm(budget: float) -> Arm:
        before = _coarse(phase, coarse, max(budget - FEATURES, 0.05), exact[-1].flop, rate)
        last = phase(exact, -1, 1.0, tune, LAST * tune, classifier_only=True)
        return Arm("classifier", exact, Schedule((last,)), before)

    return arm


def _random(phase: Phases, hierarchy: Grids, rate: float) -> Scheme:
    """Return joint training, each mini-batch on a grid of its own."""
    mean = float(np.mean([level.flop for level in hierarchy])) / hierarchy[-1].flop
    levels = tuple(range(len(hierarchy)))
    return lambda budget: Arm(
        "random", hierarchy, Schedule((phase(hierarchy, levels, budget / mean, rate, LAST * rate),))
    )


def _figure(curves: Mapping[str, Curve], title: str) -> Figure:
    """Return the curves over work, and beside them over seconds."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(PAGE, 4.2), layout="constrained")
    axes = canvas.subplots(1, 2, sharey=True)
    for ax, against in zip(axes, ("work", "seconds"), strict=True):
        lines = [
            Line(name, *map(np.array, (getattr(curve, against), curve.accuracy, curve.half_width)))
            for name, curve in curves.items()
        ]
        plot_budgets(lines, ax, against=against, legend=False).label_outer()
    canvas.suptitle(title)
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, **LEGEND)
    return canvas


def _row(
    name: str, budget: float, outcomes: Sequence[Outcome], found: dict[tuple[str, float], list[Outcome]]
) -> dict[str, Any]:
    accuracy = np.array([outcome.accuracy for outcome in outcomes])
    mean = mean_of(accuracy)
    single = found.get((SINGLE, budget))
    difference = mean_of(accuracy - [one.accuracy for one in single]) if single and name != SINGLE else None
    return {
        "arm": name,
        "budget": budget,
        "TFLOP": float(np.mean([outcome.work for outcome in outcomes])),
        "seconds": float(np.median([outcome.seconds for outcome in outcomes])),
        "accuracy": mean.value,
        "±": mean.half_width,
        "difference": difference.value if difference else float("nan"),
        "± of it": difference.half_width if difference else float("nan"),
    }


QUESTIONS = {"worth": Worth()}
