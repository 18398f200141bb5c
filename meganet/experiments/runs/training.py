"""One training run, by SGD or by a Newton method, from a stored state to the next, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meganet.backend import Array
from meganet.experiments.runs.folder import ResultsFolder
from meganet.experiments.runs.problems import Level, Problems
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import MEGANET, SGD, STEIHAUG, Stage
from meganet.objective import StackedObjective, observer
from meganet.optim import (
    Control,
    Divergence,
    History,
    Momentum,
    Result,
    Run,
    SGDState,
    meganet_newton,
    sgd,
    sgd_stacked,
    trust_region,
)
from meganet.optim.divergence import described, row_is_finite

EXAMPLES_AT_ONCE = 128
"""In gradients and products over the whole data set."""
SOLVERS: dict[str, tuple[Callable[..., Result], str, Callable[[Setup], float]]] = {
    STEIHAUG: (trust_region, "radius", lambda setup: setup.newton.trust_radius),
    MEGANET: (meganet_newton, "mu", lambda setup: 1.0),
}
"""Newton methods with the argument that a continued run needs, radius of the trust region or first step of the search,
and its value at the start."""
COUNTS = ("evaluations", "products")
UNMOVED = dict.fromkeys(("step", "gradient_norm", *COUNTS), 0)
"""What the history keeps of a Newton method's own columns; zeros where it did not move."""


@dataclass(frozen=True)
class StageRun:
    """A stage of one trial, with the problems of the trial, where it is stored, and where it starts.

    `after` is the digest of the stored state that `x0` was made from; None for fresh weights. `visits` stages before
    were trained by SGD on the same grid.
    """

    problems: Problems
    stage: Stage
    folder: ResultsFolder
    x0: Array
    after: str | None = None
    visits: int = 0

    @property
    def level(self) -> Level:
        """What it minimises."""
        return self.problems.level_of(self.stage)

    @property
    def epochs(self) -> int:
        """How many it has."""
        return self.stage.length(self.problems.setup)

    def save(self, state: SGDState) -> None:
        """Store a state."""
        self.folder.save(self.problems.number, self.stage.name, state, self.after)

    def resume(self) -> SGDState | None:
        """Return the stored state, if there is one."""
        return self.folder.resume(self.problems.number, self.stage.name, self.after)


def train(runs: list[StageRun]) -> list[SGDState]:
    """Make some runs of one stage, those of SGD together if there are several; return their ends.

    What the folder already holds of a run is not done again; each epoch is stored there. A run that diverges, or that
    starts from weights that are not finite, stops there: the rows of the epochs that are left hold nan.
    """
    states = _by_sgd(runs) if runs[0].stage.method == SGD else [_by_newton(run) for run in runs]
    for run, state in zip(runs, states, strict=True):
        if state.divergence is not None and state.epoch < run.epochs:
            for epoch in range(state.epoch + 1, run.epochs + 1):
                state.history.append({**dict.fromkeys(state.history.columns, math.nan), "epoch": epoch})
            state.epoch = run.epochs
            run.save(state)
    return states


def _by_sgd(runs: list[StageRun]) -> list[SGDState]:
    examples, settings = runs[0].level.training.examples, sgd_settings(runs[0].problems.setup)
    settings |= {"epochs": runs[0].epochs, "on_divergence": "stop"}
    trainings = [
        Run(
            run.level.training,
            run.x0,
            order=partial(run.problems.order, run.stage, run.visits),
            observe=observer(*run.level),
            callback=run.save,
            state=run.resume(),
        )
        for run in runs
    ]
    if len(trainings) == 1:
        return [sgd(**vars(trainings[0]), examples=examples, **settings)]
    return sgd_stacked(trainings, examples, stack=StackedObjective, **settings)


def sgd_settings(setup: Setup) -> dict[str, Any]:
    """Return how `sgd` makes its steps."""
    descent = setup.descent
    rule = Momentum(descent.momentum, nesterov=descent.momentum > 0)
    return {"learning_rate": descent.rate, "batch_size": descent.batch_size, "rule": rule}


def _by_newton(run: StageRun) -> SGDState:
    """Make the steps of a Newton method, some in each epoch; one that can go no further stays where it is."""
    stage, epochs, state = run.stage, run.epochs, run.resume()
    if state is not None and (state.epoch == epochs or state.divergence is not None):
        return state
    whole, x = run.level, run.x0 if state is None else state.x
    backend, level, kept = whole.training.backend, whole, x[:0]
    # the classifier alone keeps no more than its features, which are there anyway
    batch_size = None if stage.classifier_only else EXAMPLES_AT_ONCE
    if stage.classifier_only and (reduced := whole.of_classifier(run.x0)) is not None:
        level, (kept, x) = reduced, whole.training.split(x)
    observe = observer(*level)
    if state is None:
        row = observe(x)
        state = SGDState(run.x0, history=History([{"epoch": 0, **UNMOVED, **row}]))
        if not row_is_finite(row) or (stage.classifier_only and level is whole):
            state.divergence = Divergence(0, described(whole.training, run.x0))
            return state
    method, memory_name, first = SOLVERS[stage.method]
    clock, steps, rows = time.perf_counter(), run.problems.setup.newton.newton_steps, 1

    def advance(result: Result) -> None:
        nonlocal clock, rows
        own, rows = _spent(result.history, rows), len(result.history)
        state.seconds.append(time.perf_counter() - clock)
        state.x, state.epoch = backend.xp.concatenate([kept, result.x]), state.epoch + 1
        state.memory = (backend.asarray(np.array([result.state[memory_name]])),)
        state.history.append({"epoch": state.epoch, **own, **observe(result.x)})
        run.save(state)
        clock = time.perf_counter()

    def each(result: Result) -> None:
        if len(result.history) == rows + steps:
            advance(result)

    memory = float(backend.to_host(state.memory[0])[0]) if state.memory else first(run.problems.setup)
    result = method(
        partial(level.training, batch_size=batch_size),
        x,
        partial(level.training.hessian, batch_size=batch_size),
        max_products=run.problems.setup.newton.newton_products,
        control=Control((epochs - state.epoch) * steps, rtol=0.0, callback=each),
        **{memory_name: memory},
    )
    while state.epoch < epochs:
        advance(result)
    return state


def _spent(history: History, rows: int) -> dict[str, float]:
    """Return what is kept of an optimiser's own columns, with the evaluations and products since it had some rows."""
    if len(history) == rows:
        return dict(UNMOVED)
    before, row = history[rows - 1], history[-1]
    return {name: row[name] - (before[name] if name in COUNTS else 0) for name in UNMOVED}
