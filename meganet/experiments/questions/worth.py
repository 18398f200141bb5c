"""Is multigrid worth it? Accuracy over work and seconds, of training on many grids and of all that it is up against.

Every arm is trained with several budgets, each a training of its own whose rate falls to nearly nothing at its end, so
that a point of a curve is the best that its budget gives, not an unfinished longer training. A budget is counted in
passes over the finest grid: 1 is the arithmetic of one pass through the images there.

PyTorch's training on the single grid is on the same axes where `benchmarks/worth_peer.py` has been run with the same
settings and folder: this package does not need PyTorch, see `peer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meganet.experiments.questions import peer
from meganet.experiments.questions.base import Answer, Context, Cost, OwnTrainings
from meganet.experiments.questions.budgets import (
    LAST,
    SINGLE,
    Scheme,
    compared,
    cost_of,
    falling,
    figure_of,
    reached,
    sentence,
    shares,
)
from meganet.experiments.questions.carrying import grids_of
from meganet.experiments.runs.arms import Arm, Sizes
from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.setup.settings import Setup
from meganet.ground import validate
from meganet.multigrid import Dilated, StencilTransfer
from meganet.multilevel import Grids, Phase, Schedule, Transfer, in_space
from meganet.optim import LinearDecay, Momentum

TITLES = {"worth": "Is multigrid worth it?"}
ORDER = 60

RATES = (0.0025, 0.005, 0.01, 0.02)
"""On images of `WIDTH` pixels and fewer; on wider ones in inverse proportion to the width, in all arms."""
WIDTH = 28
FINER = 0.5
"""Factor on the rate from a grid to the next finer one, behind an exact transfer."""
MOMENTUM = 0.9
SHARES = (0.25, 0.5)
"""Of the budget, for the finest grid."""
FEATURES = 0.35
"""Passes that tuning the classifier costs about: the features of all images once, and a pass of its own steps."""
NEAR = 0.1
"""Points below the single grid's plateau that count as having reached it."""
MOST_GRIDS = 4
SMALL, MIDDLE = (0.25, 0.5, 1, 2, 4), (0.5, 1, 2, 4)
BUDGETS: dict[str, tuple[float, ...]] = {
    SINGLE: (0.5, 1, 2, 4, 8),
    "single grid, dilated": (0.5, 1, 2, 4, 8),
    "nested, copied": SMALL,
    "nested, exact": SMALL,
    "nested, classifier": MIDDLE,
    "coarse, classifier": MIDDLE,
    "progressive": MIDDLE,
    "random grids": MIDDLE,
}
TUNING = dict.fromkeys(BUDGETS, 1.0)
"""The budget for which candidates are compared."""


class Worth(OwnTrainings):
    """Compare training on many grids with the finest one alone and with what else saves work."""

    any_network = True

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what tuning and trials cost."""
        arms = schemes(base, image_shape, classes)
        return cost_of(arms, BUDGETS, TUNING, base.data.coarse_examples, base.run.trials)

    def ask(self, context: Context) -> Answer:
        """Tune all arms, run the trials; a row for each arm and budget, and a picture over work and seconds."""
        base, data = context.base, context.data
        # before anything is trained
        pairs = peer.read(context.path)
        sizes = Sizes(base.data.coarse_examples, base.data.validation_examples)
        arms = schemes(base, data.images.shape[1:], data.classes)
        found = compared(context, data, sizes, arms, BUDGETS, TUNING)
        plateau = found.curves[SINGLE].best
        single = {
            budget: dict(zip(found.names[name, budget], outcomes, strict=True))
            for (name, budget), outcomes in found.outcomes.items()
            if name == SINGLE
        }
        twins = {(peer.NAME, b): of_b for b, of_b in peer.outcomes(context.path, pairs, single).items()}
        found = replace(found, outcomes={**found.outcomes, **twins})
        curves = found.curves
        notes = [
            f"{data.name}, {sizes.training} training images, net {base.model.network}. A budget of 1 is the arithmetic "
            "of one pass on the finest grid; each is a training of its own, whose rate falls to nearly nothing. "
            "Accuracies on the finest grid in percent, means over the trials with 95 % intervals; differences from the "
            "single grid at the same budget, of the same trials.",
            found.tuning,
            f"The single grid comes to {plateau:.2f} % at most; what it takes to come within {NEAR:g} points of that:",
            *(sentence(name, curves[name], reached(curves[SINGLE], plateau - NEAR), plateau - NEAR) for name in curves),
            *peer.note(pairs),
        ]
        return Answer(found.rows(), notes, figure_of(curves, data.name))


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
    # the network that exact transfers end with, without them
    dilated = in_space(exact[-1].network, classes, widths[-1:])
    halves = [(rate, share) for rate in RATES[1:3] for share in SHARES]
    tunings = [(rate, tune) for rate in RATES[1:3] for tune in RATES[:2]]
    return {
        SINGLE: [_single(phase, single, rate) for rate in RATES],
        "single grid, dilated": [_single(phase, dilated, rate) for rate in RATES],
        "nested, copied": [
            _growing(phase, "nested-copied", copied, shares([level.flop for level in copied], share), rate)
            for rate, share in halves
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
        given = {"batch_size": self.batch_size, "rule": Momentum(MOMENTUM), **settings}
        return falling(level, passes, slower * rate, slower * last, batches=self.batches, **given)


def _passes(hierarchy: Grids, budget: float, parts: Sequence[float]) -> list[float]:
    """Return the passes on each grid that have these shares of a budget's work."""
    return [budget * part * hierarchy[-1].flop / level.flop for part, level in zip(parts, hierarchy, strict=True)]


def _progressive(hierarchy: Grids) -> list[float]:
    """Return the shares of progressive resizing with two sizes: a fifth of the passes on the finest grid."""
    coarse = 0.8 * hierarchy[-2].flop / hierarchy[-1].flop
    return [coarse / (coarse + 0.2), 0.2 / (coarse + 0.2)]


def _single(phase: Phases, hierarchy: Grids, rate: float) -> Scheme:
    return lambda budget: Arm("single", hierarchy, Schedule((phase(hierarchy, 0, budget, rate, LAST * rate),)))


def _growing(phase: Phases, name: str, hierarchy: Grids, parts: Sequence[float], rate: float) -> Scheme:
    """Return a training whose images grow, while the rate falls from its beginning to its end."""

    def arm(budget: float) -> Arm:
        passes = _passes(hierarchy, budget, parts)
        rates = LinearDecay(rate, LAST * rate, sum(passes))
        ends = [rates(sum(passes[:k])) for k in range(len(passes) + 1)]
        phases = [phase(hierarchy, k, made, *ends[k : k + 2]) for k, made in enumerate(passes)]
        return Arm(name, hierarchy, Schedule(tuple(phases)))

    return arm


def _coarse(phase: Phases, hierarchy: Grids, budget: float, finest: float, rate: float) -> Arm:
    """Return training on all grids but the finest, with the same passes on each, for a part of a budget there."""
    passes = budget * finest / sum(level.flop for level in hierarchy)
    rates = LinearDecay(rate, LAST * rate, len(hierarchy))
    phases = [phase(hierarchy, k, passes, rates(k), rates(k + 1)) for k in range(len(hierarchy))]
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


QUESTIONS = {"worth": Worth()}
