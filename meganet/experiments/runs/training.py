"""One training run, by SGD or by a Newton method, from a stored state to the next, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
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

    def order(self, epoch: int) -> np.ndarray[Any, Any]:
        """Return the order of the examples in an epoch."""
        return self.problems.order(self.stage, self.visits, epoch)


def train(runs: list[StageRun]) -> list[SGDState]:
    """Make the runs of some runs of one stage, those of SGD together if there are several; return their ends.

    What the folder already holds of a run is not done again; each epoch is stored there. A run that diverges, or that
    starts from weights that are not finite, stops there: the rows of the epochs that are left hold nan.
    """
    if runs[0].stage.method == SGD:
        states = _train_sgd(runs)
    else:
        states = [_train_newton(run) for run in runs]
    for run, state in zip(runs, states, strict=True):
        if state.divergence is not None and state.epoch < run.epochs:
            _close(run, state)
    return states


def _close(run: StageRun, state: SGDState) -> None:
    """Store a run that has diverged as one that has ended."""
    while state.epoch < run.epochs:
        state.epoch += 1
        state.history.append({**dict.fromkeys(state.history.columns, math.nan), "epoch": state.epoch})
    run.save(state)


def _train_sgd(runs: list[StageRun]) -> list[SGDState]:
    examples, setup = runs[0].level.training.examples, runs[0].problems.setup
    trainings = [
        Run(
            run.level.training,
            run.x0,
            order=run.order,
            observe=observer(*run.level),
            callback=run.save,
            state=run.resume(),
        )
        for run in runs
    ]
    settings = {"epochs": runs[0].epochs, "on_divergence": "stop", **sgd_settings(setup)}
    if len(trainings) == 1:
        return [sgd(**vars(trainings[0]), examples=examples, **settings)]
    return sgd_stacked(trainings, examples, stack=StackedObjective, **settings)


def sgd_settings(setup: Setup) -> dict[str, Any]:
    """Return how `sgd` makes its steps."""
    descent = setup.descent
    return {
        "learning_rate": descent.rate,
        "batch_size": descent.batch_size,
        "rule": Momentum(descent.momentum, nesterov=descent.momentum > 0),
    }


def _train_newton(run: StageRun) -> SGDState:
    """Make the steps of a Newton method, each an epoch; one that can go no further stays where it is."""
    stage, setup, epochs = run.stage, run.problems.setup, run.epochs
    state = run.resume()
    if state is not None and state.epoch == epochs:
        return state
    method, memory_name, first = SOLVERS[stage.method]
    theta, w = run.level.training.split(run.x0 if state is None else state.x)
    if state is not None and state.divergence is not None:
        return state
    reduced, x = (run.level.of_classifier(run.x0), w) if stage.classifier_only else (run.level, run.x0)
    if reduced is None:
        return _not_finite(run, observer(*run.level)(run.x0))
    level = reduced
    xp, observe = level.training.backend.xp, observer(*level)
    if state is None:
        row = observe(x)
        if not row_is_finite(row):
            return _not_finite(run, row)
        state = SGDState(run.x0, history=History([{"epoch": 0, **_columns({}), **row}]))
    elif not stage.classifier_only:
        x = state.x
    clock = time.perf_counter()

    def advance(x: Array, row: Mapping[str, float], memory: float) -> None:
        nonlocal clock
        state.seconds.append(time.perf_counter() - clock)
        state.x, state.epoch = xp.concatenate([theta, x]) if stage.classifier_only else x, state.epoch + 1
        state.memory = (level.training.backend.asarray(np.array([memory])),)
        state.history.append({"epoch": state.epoch, **_columns(row), **observe(x)})
        run.save(state)
        clock = time.perf_counter()

    memory = float(level.training.backend.to_host(state.memory[0])[0]) if state.memory else first(setup)
    # the classifier alone keeps no more than its features, which are there anyway
    batch_size = None if stage.classifier_only else EXAMPLES_AT_ONCE
    result = method(
        partial(level.training, batch_size=batch_size),
        x,
        partial(level.training.hessian, batch_size=batch_size),
        max_products=setup.newton.newton_products,
        control=Control(
            epochs - state.epoch,
            rtol=0.0,
            callback=lambda result: advance(result.x, _own(result.history), result.state[memory_name]),
        ),
        **{memory_name: memory},
    )
    while state.epoch < epochs:
        advance(result.x, {}, result.state[memory_name])
    return state


def _not_finite(run: StageRun, row: Mapping[str, float]) -> SGDState:
    """Return the state of a run that cannot start, with what was observed there."""
    divergence = Divergence(0, described(run.level.training, run.x0))
    return SGDState(run.x0, history=History([{"epoch": 0, **_columns({}), **row}]), divergence=divergence)


def _own(history: History) -> dict[str, float]:
    """Return the last row, with the evaluations and products of this step alone."""
    before, row = history[-2], history[-1]
    return {**row, **{name: row[name] - before[name] for name in ("evaluations", "products")}}


def _columns(row: Mapping[str, float]) -> dict[str, float]:
    """Return what the history keeps of an optimiser's own columns; zeros where it did not move."""
    return {name: row.get(name, 0) for name in ("step", "gradient_norm", "evaluations", "products")}
