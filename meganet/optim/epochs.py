"""The engine of `sgd`: epochs of mini-batch steps of one run, or of several side by side."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from meganet.backend import Array, Backend, backend_of, is_finite, random_stream, to_host
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.bar import Bar, bar_of
from meganet.optim.divergence import Divergence, DivergenceWarning, described, row_is_finite
from meganet.optim.rules import Rule, checked
from meganet.optim.runs import OWN, Function, Order, Run, SGDState

State = tuple[Array, ...]
"""The point and what the rule remembers."""


class Shared:
    """What is common to the runs, and the epoch that they make together.

    Examples
    --------
    >>> from meganet.optim.epochs import Shared
    >>> shared = Shared(10, 2, 0.1, 4, None, None, None, "warn")
    >>> shared.batches, shared.rate(1), shared.indices(0, epoch=1).shape
    (2, 0.1, (2, 4))
    """

    def __init__(
        self,
        examples: int,
        epochs: int,
        learning_rate: float | Callable[[int], float],
        batch_size: int,
        rule: Rule | None,
        project: Callable[[Array], Array] | None,
        stack: Callable[[Any], Function] | None,
        on_divergence: str,
    ) -> None:
        self.learning_rate = learning_rate if callable(learning_rate) else self._rate(learning_rate)
        self.project, self.stack = project, stack
        self.examples = validate.integer("examples", examples)
        self.epochs = validate.integer("epochs", epochs)
        self.batch_size = validate.integer("batch_size", batch_size)
        if self.batch_size > self.examples:
            validate.reject("batch_size", f"at most the number of examples, {self.examples}", str(batch_size))
        self.batches = self.examples // self.batch_size
        self.rule = checked("rule", rule)
        self._recorded: _Recorded | None = None
        functions.optional("project", project)
        functions.optional("stack", stack)
        self.on_divergence = validate.choice("on_divergence", on_divergence, ["warn", "continue", "stop"])

    def start(self, run: Run) -> SGDState:
        """Return the state at the start, which has no history yet, or a copy of a given one."""
        functions.required("fun", run.fun)
        functions.optional("observe", run.observe)
        functions.optional("callback", run.callback)
        if not callable(run.order):
            validate.integer("order", run.order, minimum=0)
        backend, x0, state = functions.flat("x0", run.x0), run.x0, run.state
        if state is None:
            x = self.projected_alone(x0.copy())
            return SGDState(x, self.rule.start(backend, x))
        self._check_state(state, backend, x0)
        return replace(state.copy(), epoch=validate.integer("state.epoch", state.epoch, minimum=0))

    def _check_state(self, state: SGDState, backend: Backend, x0: Array) -> None:
        validate.instance("state", state, SGDState, "an SGDState or None")
        backend.require("state.x", state.x)
        validate.array_shape("state.x", state.x, tuple(x0.shape))
        validate.same_dtype("state.x", state.x, x0.dtype, "x0")
        expected = self.rule.start(backend, x0)
        if len(state.memory) != len(expected):
            validate.reject("state.memory", f"{len(expected)} arrays, as the rule remembers", str(len(state.memory)))
        for k, (have, like) in enumerate(zip(state.memory, expected, strict=True)):
            functions.vector(f"state.memory[{k}]", backend, have, like)
        if state.history.columns and state.history.columns[: len(OWN)] != OWN:
            validate.reject("state.history", f"the columns {', '.join(OWN)} first", repr(state.history.columns))

    def find_divergence(self, state: SGDState, fun: Function) -> None:
        """Find out whether a state at which a run starts has diverged already, from its history if it does not say."""
        sound = is_finite(state.x)
        if state.divergence is None and not (sound and all(map(row_is_finite, state.history))):
            epochs = [
                int(row["epoch"])
                for row in state.history
                if not row_is_finite(row) or (not sound and not math.isfinite(row["step"]))
            ]
            state.divergence = Divergence(min(epochs, default=state.epoch), described(fun, state.x))

    def report(self, divergence: Divergence, stacklevel: int) -> None:
        """Say that a run has diverged, if that is wanted, at the caller's line."""
        if self.on_divergence == "warn":
            warnings.warn(f"the run has diverged; {divergence}", DivergenceWarning, stacklevel=stacklevel)

    def ended(self, state: SGDState) -> bool:
        """Whether a run has made its epochs, or stops because it has diverged."""
        return state.epoch >= self.epochs or (self.on_divergence == "stop" and state.divergence is not None)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch; asked for once an epoch, for a schedule may have a state."""
        return self._rate(self.learning_rate(epoch) if callable(self.learning_rate) else self.learning_rate)

    @staticmethod
    def _rate(rate: Any) -> float:
        return validate.real("learning_rate", rate, above=0)

    def indices(self, order: Order, epoch: int) -> np.ndarray[Any, Any]:
        """Return the numbers of the examples in the mini-batches of an epoch, (batches, batch_size)."""
        n = self.examples
        given = order(epoch) if callable(order) else random_stream(order, epoch).permutation(n)
        expected = f"a permutation of 0 to {n - 1} for epoch {epoch}"
        indices = validate.read("order", to_host(given), expected).copy()
        whole = indices.shape == (n,) and indices.dtype.kind in "iu" and np.array_equal(np.sort(indices), np.arange(n))
        if not whole:
            validate.reject("order", expected, repr(given))
        return indices[: self.batches * self.batch_size].reshape(self.batches, self.batch_size)

    def projected(self, x: Array) -> Array:
        """Return the projection of a point or a stack."""
        return x if self.project is None else functions.owned("project", self.project)(x)

    def projected_alone(self, x: Array) -> Array:
        """Return the projection of one point; a function for stacks gets it as a stack of one."""
        return self.projected(x[None])[0].copy() if self.stack is not None else self.projected(x)

    def step(
        self, fun: Function, project: Callable[[Array], Array], rate: float, steps: int, epoch: int
    ) -> Callable[[State, Array], State]:
        """Return the step from one state to the next, which may be stacks, over the examples of a mini-batch."""
        trusted = getattr(fun, "recordable", False)

        def step(state: State, indices: Array) -> State:
            x, *memory = state
            backend = backend_of(x)
            point = self.rule.look(x, tuple(memory))
            result = fun(point if trusted else point.copy(), indices)
            gradient = functions.pair(backend, result, x)[1]
            gradient = gradient if trusted else gradient.copy()
            new, remembered = self.rule.step(backend, x, gradient, tuple(memory), rate, steps, epoch)
            return project(functions.vector("rule", backend, new, x)), *remembered

        return step

    def before(self, epoch: int) -> int:
        """Return how many steps come before an epoch."""
        return (epoch - 1) * self.batches

    def at(self, fun: Function, rate: float, steps: int) -> tuple[Function, float]:
        """Return function and rate of a step, of those of its epoch; `steps` counts from 1, over all epochs."""
        return fun, rate

    def train_epoch(
        self, fun: Function, state: State, batches: Array, rate: float, epoch: int, advance: Callable[[], Any]
    ) -> State:
        """Return the point and the memory after an epoch; both may be stacks."""
        backend, steps = backend_of(state[0]), self.before(epoch)
        if self.rule.counts_steps or self.project is not None or not getattr(fun, "recordable", False):
            for number in range(batches.shape[0]):
                steps += 1
                one, own = self.at(fun, rate, steps)
                state = self.step(one, self.projected, own, steps, epoch)(state, batches[number])
                advance()
        else:
            if self._recorded is None or self._recorded.fun is not fun:
                self._recorded = _Recorded(fun)
            self._recorded.step = self.step(fun, self.projected, rate, steps, epoch)
            state = backend.iterate(self._recorded, state, batches, advance)
            # it belongs to this object: the cycle would keep the function's arrays on the device for a while
            del self._recorded.step
        backend.synchronize()
        return state

    def where_diverged(self, fun: Function, state: State, batches: Array, rate: float, epoch: int, end: Array) -> str:
        """Say where the epoch from `state` to `end` met the first number that is not finite.

        Where the function can tell, the epoch is made once more, step by step: at its end all weights may be NaN.
        """
        steps = self.before(epoch)
        if not hasattr(fun, "first_non_finite") or is_finite(end):
            return described(fun, end)
        for number in range(batches.shape[0]):
            steps += 1
            one: Any
            one, own = self.at(fun, rate, steps)
            new = self.step(one, self.projected_alone, own, steps, epoch)(state, batches[number])
            if not is_finite(new[0]):
                found = one.first_non_finite(self.rule.look(state[0], state[1:]), batches[number])
                what = found or f"a step too long, from finite weights along a finite gradient (learning_rate={own:g})"
                return f"step {number + 1}: {what}"
            state = new
        return described(fun, end)


class _Recorded:
    """The steps of a function as one object in all epochs: if they cannot be recorded, that is found out once."""

    step: Callable[[State, Array], State]

    def __init__(self, fun: Function) -> None:
        self.fun = fun

    def __call__(self, state: State, indices: Array) -> State:
        return self.step(state, indices)


def train(shared: Shared, runs: Sequence[Run], progress: str | None) -> list[SGDState]:
    """Make the runs; without a stack it is one.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.epochs import Run, Shared, train
    >>> runs = [Run(lambda x, k: (0.5 * x @ x, x), np.ones(2))]
    >>> train(Shared(4, 1, 0.5, 2, None, None, None, "warn"), runs, None)[0].x
    array([0.25, 0.25])
    """
    validate.instance("runs", runs, Iterable, "a sequence of Run")
    runs = tuple(runs)
    for number, run in enumerate(runs):
        validate.instance(f"runs[{number}]", run, Run, "a Run")
    states = [shared.start(run) for run in runs]
    for number, state in enumerate(states[1:], start=1):
        what = f"runs[{number}].x0"
        functions.vector(what, backend_of(states[0].x), state.x, states[0].x, "the first run's")
    new = [(run, state) for run, state in zip(runs, states, strict=True) if run.state is None]
    for (_, state), observed in zip(new, _observed([(run, state.x) for run, state in new]), strict=True):
        state.history.append(_row(0, 0.0, 0.0, observed))
    for run, state in zip(runs, states, strict=True):
        shared.find_divergence(state, run.fun)
        if state.divergence is not None:
            shared.report(state.divergence, stacklevel=4)
    done = sum(shared.before(state.epoch + 1) for state in states)
    total = len(runs) * shared.before(shared.epochs + 1)
    numbers: list[int] = []
    stopped: set[int] = set()
    with bar_of(progress, total, done) as bar:
        while going := [k for k, state in enumerate(states) if k not in stopped and not shared.ended(state)]:
            last = min(states[number].epoch for number in going)
            behind = [number for number in going if states[number].epoch == last]
            if behind != numbers:
                numbers = behind
                funs = [runs[number].fun for number in numbers]
                fun = funs[0] if shared.stack is None else shared.stack(funs)
                functions.required("stack", fun, "a function of stacks from it")
            group = [(runs[number], states[number]) for number in numbers]
            ended = _advance(shared, fun, group, last + 1, bar)
            stopped.update(number for number, end in zip(numbers, ended, strict=True) if end)
    return states


def _advance(shared: Shared, fun: Function, group: list[tuple[Run, SGDState]], epoch: int, bar: Bar) -> list[bool]:
    """Make an epoch of some runs, which stand at the same one; return which of them their callbacks stop."""
    states = [state for _, state in group]
    backend, rate = backend_of(states[0].x), shared.rate(epoch)
    batches = [shared.indices(run.order, epoch) for run, _ in group]
    advance = partial(bar.update, len(group))
    clock = time.perf_counter()
    if shared.stack is not None:
        parts = tuple(backend.xp.stack(list(part)) for part in zip(*map(_arrays, states), strict=True))
        indices = backend.asarray(np.stack(batches, axis=1))
        parts = shared.train_epoch(fun, parts, indices, rate, epoch, advance)
        results = [tuple(part[t].copy() for part in parts) for t in range(len(group))]
    else:
        indices = backend.asarray(batches[0])
        results = [shared.train_epoch(fun, _arrays(states[0]), indices, rate, epoch, advance)]
    seconds = (time.perf_counter() - clock) / len(group)
    rows = _observed([(run, x) for (run, _), (x, *_) in zip(group, results, strict=True)])
    bar.note(rows[0])
    stopped = []
    for (run, state), (x, *memory), own, observed in zip(group, results, batches, rows, strict=True):
        step = _distance(backend, x, state.x)
        row = _row(epoch, rate, step, observed)
        known = state.history.columns
        if known and row.keys() != set(known):
            got = ", ".join(observed) or "none"
            validate.reject("observe", f"the columns {', '.join(known[len(OWN) :]) or 'none'} of state.history", got)
        diverged = state.divergence is None and not (row_is_finite(row) and (math.isfinite(step) or is_finite(x)))
        if diverged:
            with np.errstate(over="ignore", invalid="ignore"):
                where = shared.where_diverged(run.fun, _arrays(state), backend.asarray(own), rate, epoch, x)
            state.divergence = Divergence(epoch, where)
        state.x, state.memory, state.epoch = x, tuple(memory), epoch
        state.seconds.append(seconds)
        state.history.append(row)
        stopped.append(run.callback is not None and functions.stops(run.callback(state.copy())))
        if diverged and state.divergence is not None:
            shared.report(state.divergence, stacklevel=5)
    return stopped


def _distance(backend: Backend, x: Array, before: Array) -> float:
    # of a run that has diverged it is not finite, which its divergence says
    with np.errstate(over="ignore", invalid="ignore"):
        moved = x - before
        return math.sqrt(float(backend.to_host((moved * moved).sum())))


def _arrays(state: SGDState) -> State:
    return (state.x, *state.memory)


def _observed(points: Sequence[tuple[Run, Array]]) -> list[dict[str, float]]:
    """Return what each run's observer reports at its point; an observer may know how to do so for all at once."""
    observers = [run.observe for run, _ in points]
    stacked = functions.stacked(observers[0]) if observers else None
    if stacked is not None and all(type(observe) is type(observers[0]) for observe in observers):
        found = stacked(observers, [x.copy() for _, x in points])
    else:
        found = [{} if run.observe is None else run.observe(x.copy()) for run, x in points]
    pairs = zip(points, found, strict=True)
    return [functions.columns("observe", backend_of(x), row, OWN) for (_, x), row in pairs]


def _row(epoch: int, rate: float, step: float, observed: Mapping[str, float]) -> dict[str, float]:
    return {"epoch": epoch, "learning_rate": rate, "step": step, **observed}
