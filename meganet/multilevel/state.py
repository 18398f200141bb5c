"""Where a training on many levels stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from meganet.backend import Array
from meganet.optim.bar import NOTED
from meganet.optim.divergence import Divergence
from meganet.optim.history import History
from meganet.optim.runs import OWN

COLUMNS = ("phase", "level", "epoch", "work", *OWN[1:], *NOTED)


@dataclass
class TrainingState:
    """Where a training stands after a round: enough to continue it to the bit.

    Attributes
    ----------
    x : array
        The weights ``[theta; W]`` on the level.
    level : int
        Number of the level, from the coarsest; the finest of those that are trained together.
    phase : int
        Number of the phase in the schedule.
    rounds : int
        Made in this phase.
    memory : tuple of array
        What the phase's rule remembers.
    history : History
        A row for the start of each phase and for each round: phase, level, epoch (passes through the images in all),
        work (arithmetic of the training steps in all, of products as they are written, without evaluations),
        learning_rate, step (distance moved), objective, loss, accuracy, validation_loss, validation_accuracy; nan is
        what is not known. Images and weights are those of the level.
    seconds : list of float
        Time of each row's round, without evaluations, 0 for starts; apart from the history, which the same seed repeats
        to the bit.
    divergence : Divergence, optional
        The round of its phase in which the training diverged, and where; None if it has not.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multilevel import TrainingState
    >>> state = TrainingState(np.zeros(3), level=0)
    >>> state.epochs, state.work, state.phase
    (0.0, 0.0, 0)
    """

    x: Array
    level: int
    phase: int = 0
    rounds: int = 0
    memory: tuple[Array, ...] = ()
    history: History = field(default_factory=History)
    seconds: list[float] = field(default_factory=list)
    divergence: Divergence | None = None

    @property
    def epochs(self) -> float:
        """Passes through the images in all."""
        return self._last("epoch")

    @property
    def work(self) -> float:
        """Arithmetic of the training steps in all."""
        return self._last("work")

    def _last(self, column: str) -> float:
        return self.history[-1][column] if len(self.history) else 0.0

    def copy(self) -> TrainingState:
        """Return the state with arrays, history and seconds of its own."""
        memory = tuple(part.copy() for part in self.memory)
        return replace(self, x=self.x.copy(), memory=memory, history=self.history.copy(), seconds=list(self.seconds))

    def rounds_without_gain(self) -> int:
        """Return how many rounds of this phase were not better in validation than one before them."""
        rows = [row for row in self.history if row["phase"] == self.phase]
        known = all(math.isfinite(row["validation_accuracy"]) for row in rows)
        gains = [row["validation_accuracy"] if known else -row["validation_loss"] for row in rows]
        # what is not a number is not better than what was before it
        gains = [-math.inf if math.isnan(gain) else gain for gain in gains]
        return len(gains) - 1 - int(np.argmax(gains)) if gains else 0
