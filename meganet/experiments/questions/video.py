"""Does multigrid training of video models pay? Wu et al.'s cycles and nested iteration against a single grid.

All arms train one network of convolutions in space and in time on videos of moving digits, with equal budgets and as
many candidates of their settings. What the finest grid alone reaches with some work, the others are given a third of it
for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.datasets import load_moving_digits
from meganet.experiments.questions.base import Answer, Context, Cost, OwnTrainings
from meganet.experiments.questions.budgets import (
    LAST,
    SINGLE,
    Comparison,
    Scheme,
    compared,
    cost_of,
    falling,
    figure_of,
    reached,
    sentence,
    shares,
)
from meganet.experiments.runs.arms import Arm, Sizes
from meganet.experiments.runs.paired import mean_of
from meganet.experiments.runs.problems import Shape
from meganet.experiments.setup.settings import Setup
from meganet.layers import ConvolutionLayer, GlobalPoolingLayer, PoolingLayer
from meganet.multilevel import Grids, Schedule, in_video, long_cycle
from meganet.networks import Chain
from meganet.optim import Adam

TITLES = {"video": "Do cycles over frames and sizes save work on videos?"}
ORDER = 61

CLASSES = 8
CHANNELS = 8, 16
RATES = (0.005, 0.01, 0.02, 0.04)
SHARES = (0.25, 0.5)
"""Of the budget, for the finest grid."""
POWERS = (1.0, 0.5)
"""Of the factor on a mini-batch, by which the rate is scaled: in proportion, as Wu et al. do, and less."""
SETS = 2
"""Times the videos that a trial needs, of which it draws its own."""
TURNS = 2
"""Of a long cycle."""
FACTOR = 3
"""How many times less work is asked for."""
SMALL = (1, FACTOR)
BUDGETS: dict[str, tuple[float, ...]] = {
    SINGLE: (*SMALL, FACTOR * FACTOR),
    "nested iteration": SMALL,
    "long cycle": SMALL,
    "long cycle, larger batches": SMALL,
    "short cycle": SMALL,
    "long and short": SMALL,
}
TUNING = {name: budgets[-1] / FACTOR for name, budgets in BUDGETS.items()}
"""The budget for which candidates are compared: the single grid's rate is one for long training."""
Levels = int | tuple[int, ...]


@dataclass(frozen=True)
class Video(OwnTrainings):
    """Compare cycles over frames and sizes with the finest grid alone.

    Parameters
    ----------
    frames, size : int
        Of videos on the finest grid; the others have halves and quarters of them.
    """

    frames: int = 16
    size: int = 16

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what tuning and trials cost; the videos are the question's own."""
        return cost_of(schemes(base, self.frames, self.size), BUDGETS, TUNING, base.data.fine_examples, base.run.trials)

    def ask(self, context: Context) -> Answer:
        """Tune all arms, run the trials; a row for each arm and budget, and a picture over work and seconds."""
        base = context.base
        sizes = Sizes(base.data.fine_examples, base.data.validation_examples)
        data = load_moving_digits(self.frames, self.size, SETS * sizes.needed, seed=base.run.seed)
        found = compared(context, data, sizes, schemes(base, self.frames, self.size), BUDGETS, TUNING)
        curves = found.curves
        plateau, half_width = curves[SINGLE].accuracy[-1], curves[SINGLE].half_width[-1]
        enough = plateau - float(np.nan_to_num(half_width))
        notes = [
            f"{data.name}, {sizes.training} training videos of {self.frames}x{self.size}x{self.size}. A budget of 1 is "
            "the arithmetic of one pass on the finest grid; each is a training of its own, whose rate falls with the "
            "work to nearly nothing. Accuracies on the finest grid in percent, means over the trials with 95 % "
            f"intervals; differences from the single grid at the same budget, and at {FACTOR} times as much, of the "
            "same trials.",
            found.tuning,
            *(_verdict(found, name) for name in curves if name != SINGLE),
            f"With its largest budget the single grid comes to {plateau:.2f} ± {half_width:.2f} %.",
            *(sentence(name, curve, reached(curves[SINGLE], enough), enough) for name, curve in curves.items()),
        ]
        return Answer(_rows(found), notes, figure_of(curves, data.name))


def network_of(frames: int, size: int) -> Chain:
    """Return the network for videos of one channel: two convolutions in space, each with one in time behind it.

    Examples
    --------
    >>> from meganet.experiments.questions.video import network_of
    >>> network_of(16, 16).parameters.size
    2232
    """
    few, many = CHANNELS
    return Chain(
        [
            ConvolutionLayer((1, frames, size, size), few, (1, 3, 3), bias=True),
            PoolingLayer(..., (1, 2, 2)),
            ConvolutionLayer(..., few, (3, 1, 1), bias=True),
            ConvolutionLayer(..., many, (1, 3, 3), bias=True),
            ConvolutionLayer(..., many, (3, 1, 1), bias=True),
            GlobalPoolingLayer(...),
        ]
    )


def schemes(base: Setup, frames: int, size: int) -> dict[str, list[Scheme]]:
    """Return the candidates of each arm, as functions of the budget; as many for each."""
    network = network_of(frames, size)

    def on(*shapes: tuple[int, int]) -> Grids:
        return in_video(network, CLASSES, [(length, width, width) for length, width in shapes])

    half = size // 2
    grids = on((frames // 4, half), (frames // 2, half), (frames // 2, size), (frames, size))
    sizes, alone = on((frames, half), (frames, size)), on((frames, size))
    cycles = Cycles(base.data.fine_examples, base.descent.batch_size)
    levels = range(len(grids))
    # the short cycle of a step of the long one has its level and the next coarser one
    pairs: list[Levels] = [0, *zip(levels[:-1], levels[1:], strict=True)]
    halves = [(rate, share) for rate in RATES[1:3] for share in SHARES]
    scaled = [(rate, power) for rate in RATES[:2] for power in POWERS]
    return {
        SINGLE: [cycles.scheme("single", alone, [0], rate) for rate in RATES],
        "nested iteration": [cycles.scheme("nested", grids, levels, rate, share=share) for rate, share in halves],
        "long cycle": [cycles.scheme("long", grids, levels, rate, share=share, turns=TURNS) for rate, share in halves],
        "long cycle, larger batches": [
            cycles.scheme("long-batches", grids, levels, rate, turns=TURNS, power=power) for rate, power in scaled
        ],
        "short cycle": [cycles.scheme("short", sizes, [(0, 1)], rate) for rate in RATES],
        "long and short": [
            cycles.scheme("long-short", grids, pairs, rate, share=share, turns=TURNS) for rate, share in halves
        ],
    }


@dataclass(frozen=True)
class Cycles:
    """Makes schedules that go over levels, with a rate that falls in proportion to the work done.

    Parameters
    ----------
    examples : int
        For training.
    batch_size : int
        On the finest level.
    """

    examples: int
    batch_size: int

    def scheme(
        self,
        name: str,
        grids: Grids,
        path: Sequence[Levels],
        rate: float,
        *,
        share: float = 1.0,
        turns: int = 1,
        power: float | None = None,
    ) -> Scheme:
        """Return a training that takes a path so many times.

        The last of the path has a share of the budget, the others as many passes as each other. With a power each of
        the path has as much work, in larger mini-batches on coarser levels, and the rate is multiplied by that power of
        the factor on the mini-batch.
        """
        flop = [float(np.mean([grids[k].flop for k in _levels(entry)])) for entry in path]
        parts = shares(flop, share) if power is None else [1 / len(path)] * len(path)
        larger = [phase.batch_size for phase in long_cycle(grids, batch_size=self.batch_size)]

        def arm(budget: float) -> Arm:
            phases, done = [], 0.0
            for entry, part, one in [*zip(path, parts, flop, strict=True)] * turns:
                batch = self.batch_size if power is None else min(larger[max(_levels(entry))], self.examples)
                factor = rate * (batch / self.batch_size) ** (power or 0.0)
                first, last = (factor * (1 - (1 - LAST) * time) for time in (done, done + part / turns))
                passes = budget * part / turns * grids[-1].flop / one
                done += part / turns
                given: dict[str, Any] = {"batch_size": batch, "rule": Adam()}
                if isinstance(entry, tuple):
                    given["assignment"] = "cyclic"
                phases.append(falling(entry, passes, first, last, batches=self.examples // batch, **given))
            return Arm(name, grids, Schedule(tuple(phases)))

        return arm


def _levels(entry: Levels) -> tuple[int, ...]:
    return entry if isinstance(entry, tuple) else (entry,)


def _rows(found: Comparison) -> list[dict[str, Any]]:
    """Return the rows with paired differences at the same budget and at `FACTOR` times as much."""
    further = f"difference at {FACTOR} times the work"
    return [
        row | {further: other["difference"], "± of this": other["± of it"]}
        for row, other in zip(found.rows(), found.rows(FACTOR), strict=True)
    ]


def _verdict(found: Comparison, name: str) -> str:
    """Return in words whether an arm comes to what the single grid reaches with its largest budget."""
    largest = max(budget for arm, budget in found.outcomes if arm == SINGLE)
    budget = largest / FACTOR
    pairs = zip(found.outcomes[name, budget], found.outcomes[SINGLE, largest], strict=True)
    mean = mean_of([one.accuracy - single.accuracy for one, single in pairs])
    what = f"{name} with a budget of {budget:g} against the single grid with {largest:g}: {mean} points"
    if mean.value + mean.half_width < 0:
        return f"{what}, so a third of the work costs accuracy."
    if mean.value - mean.half_width >= 0:
        return f"{what}, so a third of the work is enough."
    return f"{what}, which these trials cannot tell from nothing."


QUESTIONS = {"video": Video()}
