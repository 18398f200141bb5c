"""One training run, by SGD or by a Newton method, from a stored state to the next, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meganet.backend import Array, random_stream
from meganet.experiments.plan import COARSE, SGD, Stage
from meganet.experiments.problems import COARSE_ORDER, FINE_ORDER, Level
from meganet.experiments.protocol import Protocol
from meganet.experiments.store import ResultsFolder
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
    sgd_together,
    trust_region,
)
from meganet.optim.divergence import described, row_is_finite

EXAMPLES_AT_ONCE = 128
"""In gradients and products over the whole data set."""
SOLVERS: dict[str, tuple[Callable[..., Result], str, Callable[[Protocol], float]]] = {
    "steihaug": (trust_region, "radius", lambda protocol: protocol.trust_radius),
    "meganet": (meganet_newton, "mu", lambda protocol: 1.0),
}
"""Newton methods with the argument that a continued run needs, radius of the trust region or first step of the search,
and its value at the start."""


@dataclass(frozen=True)
class Job:
    """A stage of one trial, with the problem that it solves, and where it starts.

    `after` is the digest of the stored state that `x0` was made from; None for fresh weights.
    """

    trial: int
    stage: Stage
    level: Level
    x0: Array
    after: str | None = None


def train(protocol: Protocol, folder: ResultsFolder, jobs: list[Job]) -> list[SGDState]:
    """Make the runs of some jobs of one stage, those of SGD together if there are several; return their ends.

    What the folder already holds of a run is not done again; each epoch is stored there. A run that diverges, or that
    starts from weights that are not finite, stops there: the rows of the epochs that are left hold nan.
    """
    if jobs[0].stage.method == SGD:
        states = _train_sgd(protocol, folder, jobs)
    else:
        states = [_train_newton(protocol, folder, job) for job in jobs]
    for job, state in zip(jobs, states, strict=True):
        if state.divergence is not None and state.epoch < job.stage.epochs:
            _close(folder, job, state)
    return states


def _close(folder: ResultsFolder, job: Job, state: SGDState) -> None:
    """Store a run that has diverged as one that has ended."""
    while state.epoch < job.stage.epochs:
        state.epoch += 1
        state.history.append({**dict.fromkeys(state.history.columns, math.nan), "epoch": state.epoch})
    folder.following(job.after).save(job.trial, job.stage.name, state)


def _train_sgd(protocol: Protocol, folder: ResultsFolder, jobs: list[Job]) -> list[SGDState]:
    stage, examples = jobs[0].stage, jobs[0].level.training.examples
    stream = COARSE_ORDER if stage.arm == COARSE else FINE_ORDER

    def order(trial: int, epoch: int) -> np.ndarray[Any, Any]:
        return random_stream(protocol.seed, trial, stream, epoch).permutation(examples)

    runs = [
        Run(
            job.level.training,
            job.x0,
            order=partial(order, job.trial),
            observe=observer(*job.level),
            callback=partial(folder.following(job.after).save, job.trial, job.stage.name),
            state=folder.following(job.after).resume(job.trial, job.stage.name),
        )
        for job in jobs
    ]
    settings = {"epochs": stage.epochs, "on_divergence": "stop", **sgd_settings(protocol)}
    if len(runs) == 1:
        return [sgd(**vars(runs[0]), examples=examples, **settings)]
    return sgd_together(runs, examples, stack=StackedObjective, **settings)


def sgd_settings(protocol: Protocol) -> dict[str, Any]:
    """Return how `sgd` makes its steps."""
    return {
        "learning_rate": protocol.rate,
        "batch_size": protocol.batch_size,
        "rule": Momentum(protocol.momentum, nesterov=protocol.momentum > 0),
    }


def _train_newton(protocol: Protocol, folder: ResultsFolder, job: Job) -> SGDState:
    """Make the steps of a Newton method, each an epoch; one that can go no further stays where it is."""
    stage, folder = job.stage, folder.following(job.after)
    state = folder.resume(job.trial, stage.name)
    if state is not None and state.epoch == stage.epochs:
        return state
    method, memory_name, first = SOLVERS[stage.method]
    theta, w = job.level.training.split(job.x0 if state is None else state.x)
    if state is not None and state.divergence is not None:
        return state
    reduced, x = (job.level.of_classifier(job.x0), w) if stage.classifier_only else (job.level, job.x0)
    if reduced is None:
        return _not_finite(job, observer(*job.level)(job.x0))
    level = reduced
    xp, observe = level.training.backend.xp, observer(*level)
    if state is None:
        row = observe(x)
        if not row_is_finite(row):
            return _not_finite(job, row)
        state = SGDState(job.x0, history=History([{"epoch": 0, **_columns({}), **row}]))
    elif not stage.classifier_only:
        x = state.x
    clock = time.perf_counter()

    def advance(x: Array, row: Mapping[str, float], memory: float) -> None:
        nonlocal clock
        state.seconds.append(time.perf_counter() - clock)
        state.x, state.epoch = xp.concatenate([theta, x]) if stage.classifier_only else x, state.epoch + 1
        state.memory = (level.training.backend.asarray(np.array([memory])),)
        state.history.append({"epoch": state.epoch, **_columns(row), **observe(x)})
        folder.save(job.trial, stage.name, state)
        clock = time.perf_counter()

    memory = float(level.training.backend.to_host(state.memory[0])[0]) if state.memory else first(protocol)
    # the classifier alone keeps no more than its features, which are there anyway
    batch_size = None if stage.classifier_only else EXAMPLES_AT_ONCE
    result = method(
        partial(level.training, batch_size=batch_size),
        x,
        partial(level.training.hessian, batch_size=batch_size),
        max_products=protocol.newton_products,
        control=Control(
            stage.epochs - state.epoch,
            rtol=0.0,
            callback=lambda result: advance(result.x, _own(result.history), result.state[memory_name]),
        ),
        **{memory_name: memory},
    )
    while state.epoch < stage.epochs:
        advance(result.x, {}, result.state[memory_name])
    return state


def _not_finite(job: Job, row: Mapping[str, float]) -> SGDState:
    """Return the state of a run that cannot start, with what was observed there."""
    divergence = Divergence(0, described(job.level.training, job.x0))
    return SGDState(job.x0, history=History([{"epoch": 0, **_columns({}), **row}]), divergence=divergence)


def _own(history: History) -> dict[str, float]:
    """Return the last row, with the evaluations and products of this step alone."""
    before, row = history[-2], history[-1]
    return {**row, **{name: row[name] - before[name] for name in ("evaluations", "products")}}


def _columns(row: Mapping[str, float]) -> dict[str, float]:
    """Return what the history keeps of an optimiser's own columns; zeros where it did not move."""
    return {name: row.get(name, 0) for name in ("step", "gradient_norm", "evaluations", "products")}
