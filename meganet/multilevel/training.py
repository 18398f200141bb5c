"""Training over a schedule of phases, with a state that can be stored and continued."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from meganet.backend import Array, is_finite, random_stream
from meganet.ground import validate
from meganet.losses import Loss
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.phases import Phase
from meganet.multilevel.problems import EVALUATED, Problem, Problems
from meganet.multilevel.rounds import Rounds
from meganet.multilevel.schedules import Schedule, schedule_of
from meganet.multilevel.state import COLUMNS, TrainingState
from meganet.optim import epochs, functions
from meganet.optim.runs import Run, SGDState

START = EVALUATED + 1
"""Number of the random stream of the first weights."""
Callback = Callable[[TrainingState], bool | None]


def train(
    hierarchy: Hierarchy,
    images: Array,
    labels: Any,
    schedule: Schedule | Sequence[Phase],
    *,
    x0: Array | None = None,
    validation: tuple[Any, Any] | None = None,
    loss: Loss | None = None,
    evaluated: int | None = 1024,
    state: TrainingState | None = None,
    callback: Callback | None = None,
    on_divergence: str = "warn",
    progress: str | None = None,
    seed: int = 0,
) -> TrainingState:
    """Train a network over the levels of a hierarchy, phase by phase.

    Parameters
    ----------
    hierarchy : Hierarchy
    images : array, (N, C, H, W)
        On the finest level; other levels see what `Hierarchy.images` makes of them.
    labels : sequence
        As in `Objective`; for results that are images, images (N, C, H, W) on the finest level.
    schedule : Schedule
    x0 : array, optional
        Weights ``[theta; W]`` on the level of the first phase; drawn from the seed if not given.
    validation : (images, labels), optional
        On the finest level; evaluated on the phase's level after each round.
    loss : Loss, optional
        As in `Objective`; for results that are images `MeanSquares` if not given.
    evaluated : int, optional
        The columns objective, loss and accuracy are over so many of the images, drawn once; over all for None.
    state : TrainingState, optional
        A stored state to continue from, made with the same other arguments; it is left as it is. Then `x0` is not used.
    callback : callable, optional
        Called with the state after each round, for storing it: a copy, which stays as it is. If it returns True, the
        training stops.
    on_divergence : {"warn", "continue", "stop"}
        See `sgd`; "stop" ends the whole training. It ends anyway with a phase that leaves weights which are not finite.
    progress : str, optional
        Show a progress bar for each phase, with this label in front of the phase's level.
    seed : int
        Of everything random: first weights, order of the images, levels of mini-batches.

    Returns
    -------
    TrainingState
        With the weights on the level of the last phase. After an interrupt the state that `callback` got last is that
        of the last complete round.

    Raises
    ------
    InputError
        For arguments that do not fit, before anything is trained.

    Notes
    -----
    Between phases weights go from level to level by `Hierarchy.carry`, and the rule starts again. When several levels
    are trained together, a step on a coarser one takes the finest one's weights through `Hierarchy.sharing`, and its
    gradient comes back through the adjoint.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import in_space, nested, train
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(64) % 2
    >>> images = rng.standard_normal((64, 1, 16, 16)) + labels[:, None, None, None]
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 4), classes=2, grids=(8, 16))
    >>> state = train(hierarchy, images, labels, nested(hierarchy, epochs=(4, 1), learning_rate=0.1))
    >>> state.x.shape == (hierarchy[1].unknowns,), state.epochs, state.history[-1]["accuracy"] > 0.9
    (True, 5.0, True)
    >>> [(row["phase"], row["epoch"], round(row["work"] / 1e6, 1)) for row in state.history]
    [(0, 0.0, 0.0), (0, 1.0, 0.8), (0, 2.0, 1.6), (0, 3.0, 2.4), (0, 4.0, 3.1), (1, 4.0, 3.1), (1, 5.0, 6.3)]
    """
    validate.instance("hierarchy", hierarchy, Hierarchy, "a Hierarchy, such as in_space makes")
    schedule = schedule_of(schedule)
    functions.optional("callback", callback)
    seed = validate.integer("seed", seed, minimum=0)
    problems = Problems(hierarchy, images, labels, validation, loss, evaluated, seed)
    plan = []
    for number, phase in enumerate(schedule):
        with validate.within(f"schedule[{number}]"):
            plan.append(Rounds(hierarchy, phase, number, problems.examples, seed, on_divergence))
            problems.check(plan[-1])
            if phase.patience is not None and validation is None:
                validate.reject("patience", "None where there is no validation", str(phase.patience))
    current = _started(plan, x0, seed, images) if state is None else _continued(plan, state)
    for rounds in plan[current.phase :]:
        if current.divergence is not None and on_divergence == "stop":
            break
        if rounds.number > current.phase:
            if not is_finite(current.x):
                break
            x = hierarchy.carry(current.x, current.level, rounds.level)
            current = replace(current, x=x, level=rounds.level, phase=rounds.number, rounds=0, memory=())
        if _has_ended(rounds, current):
            continue
        recorder = _Recorder(rounds, problems.of(rounds, current.x), current, callback)
        label = None if progress is None else f"{progress} {hierarchy[rounds.level].name}"
        epochs.train(rounds, [recorder.run()], label)
        current = recorder.state
        if recorder.stopped:
            break
    return current


def _started(plan: Sequence[Rounds], x0: Array | None, seed: int, images: Array) -> TrainingState:
    level = plan[0].hierarchy[plan[0].level]
    if x0 is None:
        return TrainingState(level.initial(random_stream(seed, START), images.dtype), plan[0].level)
    level.network.backend.require("x0", x0)
    validate.array_shape("x0", x0, (level.unknowns,))
    validate.same_dtype("x0", x0, images.dtype, "the images")
    return TrainingState(x0.copy(), plan[0].level)


def _continued(plan: Sequence[Rounds], state: TrainingState) -> TrainingState:
    """Return a copy of a stored state, which must fit the schedule."""
    validate.instance("state", state, TrainingState, "a TrainingState or None")
    for name in ("level", "phase", "rounds"):
        validate.integer(f"state.{name}", getattr(state, name), minimum=0)
    if state.phase >= len(plan) or state.level != plan[state.phase].level:
        what = f"one of phases 0 to {len(plan) - 1} on its level, as the schedule has them"
        validate.reject("state", what, f"phase {state.phase} on level {state.level}")
    validate.array_shape("state.x", state.x, (plan[0].hierarchy[state.level].unknowns,))
    if len(state.history) and state.history.columns != COLUMNS:
        validate.reject("state.history", f"the columns {', '.join(COLUMNS)}", ", ".join(state.history.columns))
    return state.copy()


def _has_ended(rounds: Rounds, state: TrainingState) -> bool:
    """Whether a phase has made its rounds, or has not become better for long enough."""
    patience = rounds.phase.patience
    return state.rounds >= rounds.epochs or (patience is not None and state.rounds_without_gain() >= patience)


class _Recorder:
    """Makes states of a training out of those of the engine, in one phase."""

    def __init__(self, rounds: Rounds, problem: Problem, state: TrainingState, callback: Callback | None) -> None:
        self.rounds, self.problem, self.state, self.callback = rounds, problem, state, callback
        self.stopped = False
        earlier = [row for row in state.history if row["phase"] < rounds.number]
        self.before = (earlier[-1]["epoch"], earlier[-1]["work"]) if earlier else (0.0, 0.0)
        self.seen = 0

    def run(self) -> Run:
        """Return the run for the engine; of one that goes on the history is here."""
        problem, state, begun = self.problem, self.state, None
        if state.rounds:
            begun = SGDState(problem.x, state.memory, state.rounds, divergence=state.divergence)
        return Run(problem.fun, problem.x, self.rounds.order, problem.observe, self.take, begun)

    def take(self, found: SGDState) -> bool:
        """Take over a state after a round; return whether the phase ends."""
        rows = list(found.history)[self.seen :]
        self.seen += len(rows)
        history, seconds = self.state.history.copy(), list(self.state.seconds)
        for row in rows:
            history.append(self._row(row))
            seconds.append(found.seconds[-1] if row["epoch"] else 0.0)
        self.state = replace(
            self.state,
            x=self.problem.whole(found.x),
            memory=found.memory,
            rounds=found.epoch,
            history=history,
            seconds=seconds,
            divergence=self.state.divergence or found.divergence,
        )
        self.stopped = self.callback is not None and functions.stops(self.callback(self.state.copy()))
        return self.stopped or _has_ended(self.rounds, self.state)

    def _row(self, row: dict[str, float]) -> dict[str, float]:
        number, rounds = int(row["epoch"]), self.rounds
        epoch, work = self.before
        own = {
            "phase": rounds.number,
            "level": rounds.level,
            "epoch": epoch + rounds.passes(number),
            "work": work + (rounds.work(rounds.cuts[number]) if number else 0.0),
        }
        return {name: own.get(name, row.get(name, math.nan)) for name in COLUMNS}
