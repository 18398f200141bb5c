"""Stochastic gradient descent and its relatives, epoch by epoch, with a state that can be stored and continued."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from meganet import _validate
from meganet.backend import Array, backend_of, random_stream
from meganet.optim.history import History
from meganet.optim.rules import Momentum, Rule

Function = Callable[[Array, Array], tuple[Any, Array]]
"""``fun(x, indices) -> value, gradient`` over the numbered examples.

An attribute ``recordable = True`` says that its work depends on the arguments alone and that it reads nothing back
from a device: on a GPU a step is then recorded once in an epoch and launched as a whole.
"""
Order = int | Callable[[int], np.ndarray[Any, Any]]
Observer = Callable[[Array], Mapping[str, float]]


@dataclass
class SGDState:
    """Where a run stands after an epoch: enough to continue it to the bit.

    Attributes
    ----------
    x : array
        The point.
    memory : tuple of array
        What the rule remembers.
    epoch : int
        Epochs done.
    history : History
        A row for the start (epoch 0) and for each epoch: epoch, learning_rate, step (distance moved in the epoch), and
        what `observe` reported.
    seconds : list of float
        Time of each epoch, without `observe`; apart from the history, which the same seed repeats to the bit.
    """

    x: Array
    memory: tuple[Array, ...] = ()
    epoch: int = 0
    history: History = field(default_factory=History)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Run:
    """One of several trainings that `sgd_together` makes; the arguments of `sgd` in which they may differ."""

    fun: Function
    x0: Array
    order: Order = 0
    observe: Observer | None = None
    callback: Callable[[SGDState], None] | None = None
    state: SGDState | None = None


def sgd(
    fun: Function,
    x0: Array,
    examples: int,
    *,
    epochs: int,
    learning_rate: float | Callable[[int], float],
    batch_size: int = 32,
    rule: Rule | None = None,
    order: Order = 0,
    project: Callable[[Array], Array] | None = None,
    observe: Observer | None = None,
    callback: Callable[[SGDState], None] | None = None,
    state: SGDState | None = None,
    progress: str | None = None,
) -> SGDState:
    """Minimise an average over examples by mini-batch steps.

    Parameters
    ----------
    fun : callable
        ``fun(x, indices) -> value, gradient``.
    x0 : array, (n,)
        Where to start, float32 or float64; its dtype is kept.
    examples : int
        Number of examples.
    epochs : int
        Passes through the examples in all; a given `state` may have done some of them.
    learning_rate : float or callable
        A number, or a function of the epoch, which counts from 1.
    batch_size : int
        Mini-batches are drawn without replacement; an incomplete last one is dropped, as in Meganet.
    rule : Momentum or Adam
        `Momentum()`, plain steps, if not given.
    order : int or callable
        Seed of the order of the examples, or a function from the epoch to a permutation.
    project : callable, optional
        Projection onto a feasible set, applied to the start and after each step.
    observe : callable, optional
        ``x -> {name: number}`` at the start and after each epoch: further columns of the history.
    callback : callable, optional
        Called with the state after each epoch, for storing it.
    state : SGDState, optional
        A stored state to continue from, made with the same batch size and rule; it is left as it is.
    progress : str, optional
        Show a progress bar with this label on standard error.

    Returns
    -------
    SGDState

    Raises
    ------
    InputError
        For a batch larger than the data set, no epochs, a learning rate that is not positive, an order that is no
        permutation, a gradient that does not fit `x0`, or a state that does not fit `x0` and the rule.

    Notes
    -----
    Source: equations (2.4) and (2.5) of the thesis.
    """
    run = Run(fun, x0, order, observe, callback, state)
    return _train(_Shared(examples, epochs, learning_rate, batch_size, rule, project, None), [run], progress)[0]


def sgd_together(
    runs: Sequence[Run],
    examples: int,
    *,
    stack: Callable[[Any], Function],
    epochs: int,
    learning_rate: float | Callable[[int], float],
    batch_size: int = 32,
    rule: Rule | None = None,
    project: Callable[[Array], Array] | None = None,
    progress: str | None = None,
) -> list[SGDState]:
    """Make several trainings of one kind side by side, each with its own start, order of examples and history.

    On a GPU one small network leaves most of the device idle; many at once take hardly longer. Each run gives what
    it would give alone: to the bit on the CPU, up to round-off on a device, whose sums depend on the size of the stack.

    Parameters
    ----------
    runs : sequence of Run
    stack : callable
        Makes one function of several: ``stack(funs)(x, indices) -> values, gradients`` with points (T, n), indices
        (T, batch_size), values (T,) and gradients (T, n), such as `StackedObjective`.
    examples, epochs, learning_rate, batch_size, rule, project, progress
        As in `sgd`; `project` gets the stack. States that are given may have done different numbers of epochs: those
        furthest behind go on first, without the others.

    Returns
    -------
    list of SGDState
        In the order of the runs. The seconds of an epoch are its share, the time of all divided by their number.
    """
    return _train(_Shared(examples, epochs, learning_rate, batch_size, rule, project, stack), runs, progress)


class _Shared:
    """What is common to the runs, and the epoch that they make together."""

    def __init__(
        self,
        examples: int,
        epochs: int,
        learning_rate: float | Callable[[int], float],
        batch_size: int,
        rule: Rule | None,
        project: Callable[[Array], Array] | None,
        stack: Callable[[Any], Function] | None,
    ) -> None:
        self.learning_rate, self.project, self.stack = learning_rate, project, stack
        self.examples = _validate.integer("examples", examples)
        self.epochs = _validate.integer("epochs", epochs)
        self.batch_size = _validate.integer("batch_size", batch_size)
        if self.batch_size > self.examples:
            _validate.reject("batch_size", f"at most the number of examples, {self.examples}", str(batch_size))
        self.batches = self.examples // self.batch_size
        self.rule = rule if rule is not None else Momentum()

    def start(self, run: Run) -> SGDState:
        """Return the state at the start, or a copy of a given one."""
        backend, x0, state = backend_of(run.x0), run.x0, run.state
        _validate.float_dtype("dtype of x0", x0.dtype)
        if state is None:
            x = x0
            if self.project is not None:
                x = self.project(x0) if self.stack is None else self.project(x0[None])[0]
            state = SGDState(x, self.rule.start(backend, x))
            state.history.append(_row(0, 0.0, 0.0, x, run.observe))
            return state
        _validate.array_shape("state.x", state.x, tuple(x0.shape))
        _validate.same_dtype("state.x", state.x, x0.dtype, "x0")
        remembered = len(self.rule.start(backend, x0))
        if len(state.memory) != remembered:
            _validate.reject("state.memory", f"{remembered} arrays, as the rule remembers", str(len(state.memory)))
        return SGDState(state.x, state.memory, state.epoch, History(state.history), list(state.seconds))

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch."""
        rate = self.learning_rate(epoch) if callable(self.learning_rate) else self.learning_rate
        return _validate.real("learning_rate", rate, above=0)

    def indices(self, order: Order, epoch: int) -> np.ndarray[Any, Any]:
        """Return the numbers of the examples in the mini-batches of an epoch, (batches, batch_size)."""
        n = self.examples
        indices = order(epoch) if callable(order) else random_stream(order, epoch).permutation(n)
        if not np.array_equal(np.sort(indices), np.arange(n)):
            _validate.reject("order", f"a permutation of 0 to {n - 1} for epoch {epoch}", repr(indices))
        return np.asarray(indices)[: self.batches * self.batch_size].reshape(self.batches, self.batch_size)

    def train_epoch(
        self, fun: Function, x: Array, memory: tuple[Array, ...], batches: Array, epoch: int, advance: Callable[[], Any]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the point and the memory after an epoch; both may be stacks."""
        backend, rate = backend_of(x), self.rate(epoch)
        steps = (epoch - 1) * self.batches

        def step(state: tuple[Array, ...], indices: Array) -> tuple[Array, ...]:
            x, *memory = state
            gradient = fun(self.rule.look(x, tuple(memory)), indices)[1]
            _validate.array_shape("gradient", gradient, tuple(x.shape))
            _validate.same_dtype("gradient", gradient, x.dtype, "x0")
            x, remembered = self.rule.step(backend, x, gradient, tuple(memory), rate, steps, epoch)
            return (x if self.project is None else self.project(x)), *remembered

        state = (x, *memory)
        if self.rule.counts_steps or self.project is not None or not getattr(fun, "recordable", False):
            for number in range(self.batches):
                steps += 1
                state = step(state, batches[number])
                advance()
        else:
            state = backend.iterate(step, state, batches, advance)
        backend.synchronize()
        return state[0], state[1:]


def _train(shared: _Shared, runs: Sequence[Run], progress: str | None) -> list[SGDState]:
    """Make the runs; without a stack it is one."""
    states = [shared.start(run) for run in runs]
    done = sum(state.epoch for state in states) * shared.batches
    total = len(runs) * shared.epochs * shared.batches
    numbers: list[int] = []
    with tqdm(total=total, initial=done, desc=progress, disable=progress is None, leave=False) as bar:
        while (last := min((s.epoch for s in states), default=shared.epochs)) < shared.epochs:
            behind = [number for number, state in enumerate(states) if state.epoch == last]
            if behind != numbers:
                numbers = behind
                funs = [runs[number].fun for number in numbers]
                fun = funs[0] if shared.stack is None else shared.stack(funs)
            group = [(runs[number], states[number]) for number in numbers]
            _advance(shared, fun, group, last + 1, partial(bar.update, len(group)))
    return states


def _advance(
    shared: _Shared,
    fun: Function,
    group: list[tuple[Run, SGDState]],
    epoch: int,
    advance: Callable[[], Any],
) -> None:
    """Make an epoch of some runs, which stand at the same one."""
    states = [state for _, state in group]
    backend = backend_of(states[0].x)
    batches = [shared.indices(run.order, epoch) for run, _ in group]
    clock = time.perf_counter()
    if shared.stack is not None:
        x = backend.xp.stack([state.x for state in states])
        memory = tuple(backend.xp.stack(parts) for parts in zip(*(state.memory for state in states), strict=True))
        indices = backend.asarray(np.stack(batches, axis=1))
        x, memory = shared.train_epoch(fun, x, memory, indices, epoch, advance)
        results = [(x[t].copy(), tuple(m[t].copy() for m in memory)) for t in range(len(group))]
    else:
        indices = backend.asarray(batches[0])
        results = [shared.train_epoch(fun, states[0].x, states[0].memory, indices, epoch, advance)]
    seconds = (time.perf_counter() - clock) / len(group)
    for (run, state), (x, memory) in zip(group, results, strict=True):
        moved = x - state.x
        step = math.sqrt(float(backend.to_host((moved * moved).sum())))
        state.x, state.memory, state.epoch = x, memory, epoch
        state.seconds.append(seconds)
        state.history.append(_row(epoch, shared.rate(epoch), step, x, run.observe))
        if run.callback is not None:
            run.callback(state)


def _row(epoch: int, rate: float, step: float, x: Array, observe: Observer | None) -> dict[str, float]:
    return {"epoch": epoch, "learning_rate": rate, "step": step, **(observe(x) if observe is not None else {})}
