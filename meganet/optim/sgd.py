"""Stochastic gradient descent and its relatives, epoch by epoch, with a state that can be stored and continued."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from meganet import _validate
from meganet.backend import Array, Backend, backend_of, random_stream
from meganet.optim.history import History

Function = Callable[[Array, Array], tuple[Any, Array]]
"""``fun(x, indices) -> value, gradient`` over the numbered examples."""


class Rule(Protocol):
    """How a gradient moves the point: the state it keeps, where it looks, where it goes."""

    def start(self, backend: Backend, x: Array) -> tuple[Array, ...]:
        """Return the arrays that the rule remembers."""

    def look(self, x: Array, memory: tuple[Array, ...]) -> Array:
        """Return the point at which the gradient is wanted."""

    def step(
        self,
        backend: Backend,
        x: Array,
        gradient: Array,
        memory: tuple[Array, ...],
        rate: float,
        steps: int,
        epoch: int,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the next point and memory; `steps` counts from 1 over all epochs, as `epoch` does."""


@dataclass(frozen=True)
class Momentum:
    """``d <- rate g + momentum d``, ``x <- x - d``; with `nesterov` the gradient is taken at ``x - momentum d``.

    With ``momentum = 0`` this is equation (2.4) of the thesis; Meganet's default is Nesterov with 0.9.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if not 0 <= _validate.real("momentum", self.momentum) < 1:
            _validate.reject("momentum", "a number in [0, 1)", repr(self.momentum))

    def start(self, backend: Backend, x: Array) -> tuple[Array, ...]:
        """Return the velocity zero, or nothing without momentum."""
        return (backend.xp.zeros_like(x),) if self.momentum else ()

    def look(self, x: Array, memory: tuple[Array, ...]) -> Array:
        """Return ``x - momentum d`` for Nesterov, else `x`."""
        return x - self.momentum * memory[0] if self.nesterov and memory else x

    def step(
        self,
        backend: Backend,
        x: Array,
        gradient: Array,
        memory: tuple[Array, ...],
        rate: float,
        steps: int,
        epoch: int,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return ``x - d`` and the new velocity ``d``."""
        move = rate * gradient
        if memory:
            move += self.momentum * memory[0]
        return x - move, (move,) if memory else ()


@dataclass(frozen=True)
class Adam:
    """``m <- b1 m + (1-b1) g``, ``v <- b2 v + (1-b2) g^2``, ``x <- x - rate m^ / (sqrt(v^) + eps)``.

    ``m^ = m / (1 - b1^t)``, ``v^ = v / (1 - b2^t)``. Source: Kingma and Ba, *Adam* (2015), algorithm 1, where t counts
    steps. ``variant="meganet"`` is what Meganet computes: t counts epochs, and eps stands inside the root.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    variant: str = "standard"

    def __post_init__(self) -> None:
        _validate.choice("variant", self.variant, ["standard", "meganet"])
        for name in ("beta1", "beta2"):
            if not 0 <= _validate.real(name, getattr(self, name)) < 1:
                _validate.reject(name, "a number in [0, 1)", repr(getattr(self, name)))
        _validate.real("eps", self.eps, above=0)

    def start(self, backend: Backend, x: Array) -> tuple[Array, ...]:
        """Return both moments, zero."""
        return backend.xp.zeros_like(x), backend.xp.zeros_like(x)

    def look(self, x: Array, memory: tuple[Array, ...]) -> Array:
        """Return `x`."""
        return x

    def step(
        self,
        backend: Backend,
        x: Array,
        gradient: Array,
        memory: tuple[Array, ...],
        rate: float,
        steps: int,
        epoch: int,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the next point and both moments."""
        m = self.beta1 * memory[0] + (1 - self.beta1) * gradient
        v = self.beta2 * memory[1] + (1 - self.beta2) * gradient * gradient
        t = epoch if self.variant == "meganet" else steps
        m_hat, v_hat = m * (1 / (1 - self.beta1**t)), v * (1 / (1 - self.beta2**t))
        if self.variant == "meganet":
            root = backend.xp.sqrt(v_hat + self.eps)
        else:
            root = backend.xp.sqrt(v_hat) + self.eps
        return x - rate * m_hat / root, (m, v)


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


def sgd(
    fun: Function,
    x0: Array,
    examples: int,
    *,
    epochs: int,
    learning_rate: float | Callable[[int], float],
    batch_size: int = 32,
    rule: Rule | None = None,
    order: int | Callable[[int], np.ndarray[Any, Any]] = 0,
    project: Callable[[Array], Array] | None = None,
    observe: Callable[[Array], Mapping[str, float]] | None = None,
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
    examples = _validate.integer("examples", examples)
    epochs = _validate.integer("epochs", epochs)
    batch_size = _validate.integer("batch_size", batch_size)
    if batch_size > examples:
        _validate.reject("batch_size", f"at most the number of examples, {examples}", str(batch_size))
    rule = rule if rule is not None else Momentum()
    backend = backend_of(x0)
    _validate.float_dtype("dtype of x0", x0.dtype)
    if state is None:
        x = x0 if project is None else project(x0)
        state = SGDState(x, rule.start(backend, x))
        state.history.append(_row(0, 0.0, 0.0, x, observe))
    else:
        state = _continued(state, x0, len(rule.start(backend, x0)))
    batches = examples // batch_size
    bar = tqdm(
        total=epochs * batches, initial=state.epoch * batches, desc=progress, disable=progress is None, leave=False
    )
    with bar:
        while state.epoch < epochs:
            epoch = state.epoch + 1
            rate = learning_rate(epoch) if callable(learning_rate) else learning_rate
            rate = _validate.real("learning_rate", rate, above=0)
            indices = order(epoch) if callable(order) else random_stream(order, epoch).permutation(examples)
            if not np.array_equal(np.sort(indices), np.arange(examples)):
                _validate.reject("order", f"a permutation of 0 to {examples - 1} for epoch {epoch}", repr(indices))
            batched = backend.asarray(indices[: batches * batch_size]).reshape(batches, batch_size)
            clock, x, memory = time.perf_counter(), state.x, state.memory
            for number in range(batches):
                gradient = fun(rule.look(x, memory), batched[number])[1]
                _validate.array_shape("gradient", gradient, tuple(x.shape))
                _validate.same_dtype("gradient", gradient, x.dtype, "x0")
                steps = state.epoch * batches + number + 1
                x, memory = rule.step(backend, x, gradient, memory, rate, steps, epoch)
                x = x if project is None else project(x)
                bar.update()
            backend.synchronize()
            state.seconds.append(time.perf_counter() - clock)
            moved = x - state.x
            step = math.sqrt(float(backend.to_host((moved * moved).sum())))
            state.x, state.memory, state.epoch = x, memory, epoch
            state.history.append(_row(epoch, rate, step, x, observe))
            if callback is not None:
                callback(state)
    return state


def _row(
    epoch: int, rate: float, step: float, x: Array, observe: Callable[[Array], Mapping[str, float]] | None
) -> dict[str, float]:
    return {"epoch": epoch, "learning_rate": rate, "step": step, **(observe(x) if observe is not None else {})}


def _continued(state: SGDState, x0: Array, remembered: int) -> SGDState:
    """Return a copy of a given state, so that the caller's stays as it is."""
    _validate.array_shape("state.x", state.x, tuple(x0.shape))
    _validate.same_dtype("state.x", state.x, x0.dtype, "x0")
    if len(state.memory) != remembered:
        _validate.reject("state.memory", f"{remembered} arrays, as the rule remembers", str(len(state.memory)))
    return SGDState(state.x, state.memory, state.epoch, History(state.history), list(state.seconds))
