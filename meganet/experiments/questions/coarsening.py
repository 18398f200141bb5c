"""Whether networks that were trained on a fine grid classify on coarser ones, at once or with another classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from meganet.experiments.questions.base import Answer, Context, Cost, OwnTrainings
from meganet.experiments.questions.carrying import (
    PASSES,
    RATES,
    Carrying,
    candidates,
    cost_of,
    grids_of,
    hierarchy_of,
    sizes_of,
)
from meganet.experiments.runs.arms import Arm, Outcome
from meganet.experiments.runs.paired import Mean, accuracies, mean_of
from meganet.experiments.runs.problems import Shape
from meganet.experiments.setup.settings import Setup
from meganet.multigrid import Copied, Galerkin, Rediscretised, StencilTransfer
from meganet.multilevel import Grids, Transfer
from meganet.plotting.carried import Carried, carried_figure

TITLES = {"coarsening": "Do networks of a fine grid classify on coarser ones?"}
ORDER = 47

WAYS: Mapping[str, StencilTransfer] = {
    "copied": Copied(),
    "Galerkin, linear P": Galerkin("linear"),
    "Galerkin, constant P": Galerkin("constant"),
    "rediscretised": Rediscretised(),
}
FIRST, BEST = "copied", "Galerkin, constant P"
"""The ways of which the bars speak."""
BEFORE = "none"
CLASSIFIER_RATES = (0.001, 0.01, 0.1)
CLASSIFIER_PASSES = 5
SHARES: Mapping[str, float] = {"classifier, 30 % of the images": 0.3, "classifier, all images": 1.0}
"""Of the training images, with which the classifier alone is trained."""
GAIN, LOSS, WORK = 3.0, 0.5, 5.0
"""Bars: points above copying, points below training there, percent of its work."""
NOTE = (
    "Accuracy on the coarser grid in validation, in percent. All networks of a net are trained on {images} images from "
    f"random weights for {PASSES} passes, by momentum 0.9 at a rate that falls linearly from the best of {{rates}} to "
    f"a tenth; the classifier alone for {CLASSIFIER_PASSES} passes, from the best of "
    f"{', '.join(map(str, CLASSIFIER_RATES))}. Rates are chosen in one run on other images. Work: of training the "
    "classifier, features included, in percent of that of the network that is trained on the coarser grid. After each "
    "number half the width of its 95 % interval over the trials; differences are paired."
)


class _Plan(NamedTuple):
    """The arms of a net: on the finest grid, on each coarser level, and what follows the first by level and way."""

    hierarchies: Mapping[str, Grids]
    fine: list[Arm]
    trained: Mapping[int, list[Arm]]

    def classifiers(self, base: Setup, fine: Arm) -> dict[tuple[int, str], list[Arm]]:
        """Return the arms that train the classifier alone with the first share, from a network of the finest grid."""
        share = next(iter(SHARES.values()))
        settings: dict[str, Any] = {"after": fine, "share": share, "classifier_only": True}
        return {
            (level, way): candidates(
                base, "classifier", hierarchy, level, CLASSIFIER_RATES, CLASSIFIER_PASSES, **settings
            )
            for level in self.trained
            for way, hierarchy in self.hierarchies.items()
        }


class _Found(NamedTuple):
    """What a net does on a coarser grid, of each trial."""

    net: str
    grid: str
    fine: list[Outcome]
    trained: list[Outcome]
    before: Mapping[str, np.ndarray[Any, Any]]
    after: Mapping[tuple[str, str], list[Outcome]]

    def values(self, way: str, training: str) -> np.ndarray[Any, Any]:
        """Return accuracies."""
        return self.before[way] if training == BEFORE else accuracies(self.after[way, training])

    def gain(self, way: str, training: str) -> Mean:
        """Return how much better than copied, with the same training."""
        return mean_of(self.values(way, training) - self.values(FIRST, training))

    def lead(self, way: str, training: str) -> Mean:
        """Return how much better than the network that is trained there."""
        return mean_of(self.values(way, training) - accuracies(self.trained))

    def work(self, way: str, training: str) -> float:
        """Return the work in percent of that of training there."""
        if training == BEFORE:
            return 0.0
        pairs = zip(self.after[way, training], self.fine, self.trained, strict=True)
        return float(np.mean([100 * (one.work - fine.work) / trained.work for one, fine, trained in pairs]))


class Coarsening(OwnTrainings):
    """Carry nets from the finest grid to coarser ones, and train the classifier there."""

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what it costs."""
        tried: list[Arm] = []
        made: list[Arm] = []
        for net in RATES:
            plan = _plan(base, net, image_shape, classes)
            tried += plan.fine
            made.append(plan.fine[0])
            for arms in plan.trained.values():
                tried += arms
                made.append(arms[0])
            for arms in plan.classifiers(base, plan.fine[0]).values():
                tried += arms
                made += _shared(arms[0])
        return cost_of(base, tried, made)

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each net, coarser grid, transfer and training there."""
        here = Carrying(context)
        images = sizes_of(here.base).training
        found = [one for net in RATES for one in _of_net(here, net)]
        rows = [
            {
                "net": one.net,
                "grid": one.grid,
                "stencils": way,
                "training there": training,
                "trials": len(one.fine),
                **_columns("accuracy", mean_of(one.values(way, training))),
                **_columns("above copied", one.gain(way, training)),
                **_columns("above trained there", one.lead(way, training)),
                "work, %": one.work(way, training),
            }
            for one in found
            for way in WAYS
            for training in (BEFORE, *SHARES)
        ]
        rates = "; ".join(f"{', '.join(map(str, rates))} ({net})" for net, rates in RATES.items())
        notes = [NOTE.format(rates=rates, images=images), *map(_reference, found), *_verdicts(found)]
        return Answer(rows, notes, _figure(found))


def _plan(base: Setup, net: str, image_shape: Shape, classes: int, backend: Any = None) -> _Plan:
    grids = grids_of(net, image_shape)
    hierarchies = {
        way: hierarchy_of(net, image_shape, classes, grids, Transfer(down=down), backend) for way, down in WAYS.items()
    }
    home, *_ = hierarchies.values()
    made = [candidates(base, f"net-{net}", home, level, RATES[net], PASSES) for level in range(len(grids))]
    # the next coarser grid first
    return _Plan(hierarchies, made[-1], {level: made[level] for level in reversed(range(len(grids) - 1))})


def _shared(arm: Arm) -> list[Arm]:
    """Return an arm of a classifier with all shares of the images."""
    return [replace(arm, share=share) for share in SHARES.values()]


def _of_net(here: Carrying, net: str) -> list[_Found]:
    """Return what a net does, grid by grid."""
    data = here.context.data
    plan = _plan(here.base, net, data.images.shape[1:], data.classes, here.context.backend)
    best = here.tuned({"fine": plan.fine, **{str(level): arms for level, arms in plan.trained.items()}})
    fine, trained = best["fine"], {level: best[str(level)] for level in plan.trained}
    choices = plan.classifiers(here.base, fine)
    chosen = here.tuned({f"{level} {way}": arms for (level, way), arms in choices.items()})
    keys = [(level, way, training) for level, way in choices for training in SHARES]
    arms = [arm for level, way in choices for arm in _shared(chosen[f"{level} {way}"])]
    of_fine, *others = here.run([fine, *trained.values(), *arms])
    of_trained = dict(zip(trained, others, strict=False))
    after = dict(zip(keys, others[len(trained) :], strict=True))
    before: dict[tuple[int, str], list[float]] = {key: [] for key in choices}
    for trial, outcome in enumerate(of_fine):
        x = here.context.backend.asarray(outcome.x)
        for level, way in choices:
            hierarchy = plan.hierarchies[way]
            before[level, way].append(here.accuracy(hierarchy, level, trial, hierarchy.carry(x, -1, level)))
    return [
        _Found(
            net,
            plan.hierarchies[FIRST][level].name,
            of_fine,
            of_trained[level],
            {way: np.array(before[level, way]) for way in WAYS},
            {(way, training): after[level, way, training] for way in WAYS for training in SHARES},
        )
        for level in trained
    ]


def _columns(name: str, mean: Mean) -> dict[str, float]:
    return {name: mean.value, f"± {name}": mean.half_width}


def _reference(one: _Found) -> str:
    fine, trained = mean_of(accuracies(one.fine)), mean_of(accuracies(one.trained))
    return f"Net {one.net}: trained on the finest grid {fine} % there, trained on {one.grid} {trained} % there."


def _verdicts(found: Sequence[_Found]) -> list[str]:
    """Say of each bar where it holds."""
    share = next(iter(SHARES))
    gains = [one.gain(BEST, BEFORE) for one in found]
    first = [gain.value >= GAIN and gain.above(0) for gain in gains]
    leads = [(one.lead(BEST, share), one.work(BEST, share)) for one in found]
    second = [lead.value >= -LOSS and work <= WORK for lead, work in leads]
    said_first = [f"{gain} points" for gain in gains]
    said_second = [f"{lead} points at {work:.1f} %" for lead, work in leads]
    return [
        f"Without training {BEST} is at least {GAIN:g} points above copied, with the interval above 0, "
        f"{_where(found, first, said_first)}",
        f"With {share}, {BEST} is at most {LOSS:g} points below the network that is trained there, at no more than "
        f"{WORK:g} % of its work, {_where(found, second, said_second)}",
    ]


def _where(found: Sequence[_Found], holds: Sequence[bool], said: Sequence[str]) -> str:
    each = [
        f"net {one.net} on {one.grid} {'yes' if yes else 'no'} ({text})"
        for one, yes, text in zip(found, holds, said, strict=True)
    ]
    return f"in {sum(holds)} of {len(found)} cases: {', '.join(each)}."


def _figure(found: Sequence[_Found]) -> Any:
    places = {id(one): f"net {one.net}, {one.grid}" for one in found}
    carried = [
        Carried(places[id(one)], way, "no training" if training == BEFORE else training, one.values(way, training))
        for one in found
        for training in (BEFORE, *SHARES)
        for way in WAYS
    ]
    return carried_figure(carried, {places[id(one)]: float(accuracies(one.trained).mean()) for one in found})


QUESTIONS = {"coarsening": Coarsening()}
