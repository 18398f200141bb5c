"""Is multigrid worth it? Accuracy over work and seconds, of training on many grids and of all that it is up against.

Every arm is trained with several budgets, each a training of its own whose rate falls to nearly nothing at its end, so
that a point of a curve is the best that its budget gives, not an unfinished longer training. A budget is counted in
passes over the finest grid: 1 is the arithmetic of one pass through the images there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from meganet.experiments.questions.base import Answer, Context, Cost, Variant
from meganet.experiments.questions.budgets import Curve, reached, sentence
from meganet.experiments.questions.paired import mean_of
from meganet.experiments.runs.arms import Arm, Arms, Outcome, Sizes, tuned
from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.setup.settings import Setup
from meganet.ground import validate
from meganet.multigrid import Dilated, StencilTransfer
from meganet.multilevel import Grids, Phase, Schedule, Transfer, in_space
from meganet.optim import LinearDecay, Momentum
from meganet.plotting.budgets import Line, budgets_figure

TITLES = {"worth": "Is multigrid worth it?"}
ORDER = 60

SINGLE = "single grid"
RATES = (0.005, 0.01, 0.02, 0.04)
LAST = 0.02
"""Part of the first rate that is left at the end of the last phase; of another phase `COARSE_LAST`."""
COARSE_LAST = 0.2
MOMENTUM = 0.9
ROUNDS = 8
"""Of a phase: the rate falls in so many steps."""
SHARES = (0.25, 0.5)
"""Of the budget, for the finest grid."""
TUNING = 1.0
"""The budget for which candidates are compared."""
NEAR = 0.1
"""Points below the single grid's plateau that count as having reached it."""
MOST_GRIDS = 4
BUDGETS: dict[str, tuple[float, ...]] = {
    SINGLE: (0.5, 1, 2, 4, 8),
    "nested, copied": (0.25, 0.5, 1, 2, 4),
    "nested, dilated": (0.25, 0.5, 1, 2, 4),
    "random grids": (0.5, 1, 2),
    "progressive": (0.5, 1, 2),
    "coarse, classifier": (0.5, 1, 2),
}
"""Of each arm; those of the coarse network with a tuned classifier must pay for the features of all images once."""
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
        images, trials = base.data.coarse_examples, base.run.trials
        tuning = [scheme(TUNING) for of_name in arms.values() for scheme in of_name]
        made = [of_name[0](budget) for name, of_name in arms.items() for budget in BUDGETS[name]]
        work = sum(arm.work(images) for arm in tuning) + trials * sum(arm.work(images) for arm in made)
        return Cost(len(tuning) + trials * len(made), work / 1e12)

    def ask(self, context: Context) -> Answer:
        """Tune all arms, run the trials; a row for each arm and budget, and a picture over work and seconds."""
        base, data = context.base, context.data
        sizes = Sizes(base.data.coarse_examples, base.data.validation_examples)
        given = context.path, data, sizes, base, context.backend
        how = {"workers": context.workers, "progress": context.progress, "log": context.log}
        arms = schemes(base, data.images.shape[1:], data.classes)
        candidates = {name: [scheme(TUNING) for scheme in of_name] for name, of_name in arms.items()}
        _, tuning = tuned(Arms(*given, tuning=True), candidates, **how)
        best = {name: _best(of_name, tuning, name) for name, of_name in arms.items()}
        every = {(name, budget): best[name](budget) for name in best for budget in BUDGETS[name]}
        found = dict(zip(every, Arms(*given).run(list(every.values()), base.run.trials, **how), strict=True))
        curves = {name: Curve.of({b: found[name, b] for b in BUDGETS[name]}) for name in best}
        rows = [_row(name, budget, outcomes, found) for (name, budget), outcomes in found.items()]
        lines = [Line(name, curve.work, curve.accuracy, curve.half_width, curve.seconds) for name, curve in curves.items()]
        plateau = max(curves[SINGLE].accuracy)
        chosen = ", ".join(f"{name}: {_chosen(best[name], name, arms)} of {len(arms[name])}" for name in best)
        notes = [
            f"{data.name}, {sizes.training} training images, net {base.model.network}. A budget of 1 is the arithmetic "
            "of one pass on the finest grid; each is a training of its own, whose rate falls to nearly nothing. "
            "Accuracies on the finest grid in percent, means over the trials with 95 % intervals; differences from the "
            "single grid at the same budget, of the same trials.",
            f"Tuned alike, by one run of each candidate with a budget of {TUNING:g} on other random numbers; taken "
            f"was candidate {chosen}.",
            f"The single grid's plateau is {plateau:.2f} %.",
            *(sentence(name, curves[name], reached(curves[SINGLE], plateau - NEAR), plateau - NEAR) for name in curves),
        ]
        return Answer(rows, notes, budgets_figure(lines, data.name))


def schemes(base: Setup, image_shape: Shape, classes: int) -> dict[str, list[Scheme]]:
    """Return the candidates of each arm, as functions of the budget; as many for each."""
    network = build_network(base.model.network, image_shape)
    widths = base.levels.grids or _halved(base.model.network, image_shape)
    if len(widths) < 2:
        validate.reject("grids", "two widths or more", ",".join(map(str, widths)))

    def on(grids: Sequence[int], stencils: str | StencilTransfer = "copy") -> Grids:
        return in_space(network, classes, grids, Transfer(up=stencils, interpolation="constant"))

    half = [(rate, share) for rate in RATES[1:3] for share in SHARES]
    copied, dilated, single = on(widths), on(widths, Dilated()), on(widths[-1:])
    return {
        SINGLE: [_single(single, rate) for rate in RATES],
        "nested, copied": [_nested(copied, "copied", rate, share) for rate, share in half],
        "nested, dilated": [_nested(dilated, "dilated", rate, share) for rate, share in half],
        "random grids": [_random(copied, rate) for rate in RATES],
        "progressive": [_progressive(copied, rate) for rate in RATES],
        "coarse, classifier": [_classifier(on(widths[-2:], Dilated()), rate, tune) for rate, tune in _pairs()],
    }


def _pairs() -> list[tuple[float, float]]:
    return [(rate, tune) for rate in RATES[1:3] for tune in RATES[:2]]


def _halved(network: str, image_shape: Shape) -> tuple[int, ...]:
    """Return the widths of the grids that images can be halved to, as far as the network goes, four at most."""
    widths, (channels, height, width) = [image_shape[2]], image_shape
    while len(widths) < MOST_GRIDS and not (width % 2 or height % 2 and height > 1):
        height, width = max(height // 2, 1), width // 2
        try:
            build_network(network, (channels, height, width))
        except validate.InputError:
            break
        widths.insert(0, width)
    return tuple(widths)


def _phase(level: int | tuple[int, ...], passes: float, rate: float, last: float, **settings: Any) -> Phase:
    decay = LinearDecay(rate, last * rate, passes)
    return Phase(level, passes, decay, every=passes / ROUNDS, rule=Momentum(MOMENTUM), **settings)


def _single(hierarchy: Grids, rate: float) -> Scheme:
    return lambda budget: Arm("single", hierarchy, Schedule((_phase(0, budget, rate, LAST),)))


def _nested(hierarchy: Grids, how: str, rate: float, share: float) -> Scheme:
    """Return nested iteration: coarser grids get half as much work as the next finer one of them."""
    count = len(hierarchy)
    parts = 0.5 ** np.arange(count - 1, 0, -1)
    shares = [*((1 - share) * parts / parts.sum()), share]

    def arm(budget: float) -> Arm:
        phases = [
            _phase(level, budget * part * hierarchy[-1].flop / hierarchy[level].flop, rate, last)
            for level, (part, last) in enumerate(zip(shares, [COARSE_LAST] * (count - 1) + [LAST], strict=True))
        ]
        return Arm(f"nested-{how}", hierarchy, Schedule(tuple(phases)))

    return arm


def _random(hierarchy: Grids, rate: float) -> Scheme:
    """Return joint training, each mini-batch on a grid of its own."""
    mean = float(np.mean([level.flop for level in hierarchy])) / hierarchy[-1].flop
    levels = tuple(range(len(hierarchy)))
    return lambda budget: Arm("random", hierarchy, Schedule((_phase(levels, budget / mean, rate, LAST),)))


def _progressive(hierarchy: Grids, rate: float) -> Scheme:
    """Return progressive resizing on the grids there are: from half the size on, the last fifth on the finest.

    The rate falls over all phases, as in a training whose images grow.
    """
    share = hierarchy[-2].flop / hierarchy[-1].flop

    def arm(budget: float) -> Arm:
        passes = budget / (0.8 * share + 0.2)
        middle = rate * (1 - 0.8 * (1 - LAST))
        phases = (
            _phase(-2, 0.8 * passes, rate, middle / rate),
            _phase(-1, 0.2 * passes, middle, LAST * rate / middle),
        )
        return Arm("progressive", hierarchy, Schedule(phases))

    return arm


def _classifier(hierarchy: Grids, rate: float, tune: float) -> Scheme:
    """Return training on the next coarser grid alone, and one pass of the classifier on the finest."""
    share = hierarchy[0].flop / hierarchy[1].flop

    def arm(budget: float) -> Arm:
        # the features of all images cost a third of a pass
        passes = max(budget - 0.35, 0.05) / share
        phases = (_phase(0, passes, rate, LAST), _phase(1, 1.0, tune, LAST, classifier_only=True))
        return Arm("classifier", hierarchy, Schedule(phases))

    return arm


def _best(of_name: Sequence[Scheme], tuning: Sequence[dict[str, Any]], name: str) -> Scheme:
    accuracies = [row["accuracy"] for row in tuning if row["arm"] == name]
    return of_name[int(np.nanargmax([-1.0, *accuracies])) - 1 if np.isfinite(accuracies).any() else 0]


def _chosen(scheme: Scheme, name: str, arms: dict[str, list[Scheme]]) -> str:
    return f"{arms[name].index(scheme) + 1} ({scheme(TUNING).schedule[0].cells[2]})"


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
