"""What a run of `sgd` is: its function, order and observer, and the state in which it can be stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from meganet.backend import Array
from meganet.optim.divergence import Divergence
from meganet.optim.history import History

Function = Callable[[Array, Array], tuple[Any, Array]]
"""``fun(x, indices) -> value, gradient`` over the numbered examples.

An attribute ``recordable = True`` says that its work depends on the arguments alone, that it leaves them as they are
and returns new arrays, and that it reads nothing back from a device: on a GPU a step is then recorded once in an epoch
and launched as a whole. Others get copies of the point. A method ``first_non_finite(x, indices)`` says in words where a
run that diverges meets the first number that is not finite, or returns None; see `Objective.first_non_finite`.
"""
Order = int | Callable[[int], np.ndarray[Any, Any]]
Observer = Callable[[Array], Mapping[str, float]]
"""``observe(x) -> {name: number}``.

If it has an attribute ``stacked``, runs that are made side by side call ``stacked(observers, points)`` once for all
their observers, if these are of one class, and get as many results.
"""
OWN = ("epoch", "learning_rate", "step")
"""Columns of the history beside those of `observe`."""


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
    divergence : Divergence, optional
        The epoch in which the run diverged, and where the first number arose that is not finite; None if it has not.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import sgd
    >>> state = sgd(lambda x, k: (0.5 * x @ x, x), np.ones(2), 4, epochs=3, learning_rate=0.1, batch_size=2)
    >>> state.epoch, len(state.history), state.x.shape, state.memory
    (3, 4, (2,), ())
    """

    x: Array
    memory: tuple[Array, ...] = ()
    epoch: int = 0
    history: History = field(default_factory=History)
    seconds: list[float] = field(default_factory=list)
    divergence: Divergence | None = None

    def copy(self) -> SGDState:
        """Return the state with arrays, history and seconds of its own."""
        memory = tuple(part.copy() for part in self.memory)
        return replace(self, x=self.x.copy(), memory=memory, history=self.history.copy(), seconds=list(self.seconds))


@dataclass
class Run:
    """One of several trainings that `sgd_stacked` makes; the arguments of `sgd` in which they may differ.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import Run
    >>> Run(lambda x, k: (0.5 * x @ x, x), np.ones(2)).order
    0
    """

    fun: Function
    x0: Array
    order: Order = 0
    observe: Observer | None = None
    callback: Callable[[SGDState], bool | None] | None = None
    state: SGDState | None = None
