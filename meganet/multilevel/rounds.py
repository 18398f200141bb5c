"""The rounds of a phase: their mini-batches, the level of each, and the work."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.ground import validate
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.phases import Phase
from meganet.multilevel.together import Together
from meganet.networks.work import products
from meganet.optim.epochs import Shared
from meganet.optim.runs import Function, Order

ORDER, ASSIGNMENT = range(2)
"""Numbers of random streams; `training` has more."""


class Rounds(Shared):
    """A phase for the engine of `sgd`, to which its rounds are epochs: parts of a pass, or several passes.

    Parameters
    ----------
    hierarchy : Hierarchy
    phase : Phase
    number : int
        Of the phase in its schedule.
    examples : int
        Images of a pass.
    seed : int
        Of the order of the images, and of the levels that mini-batches go to.
    on_divergence : {"warn", "continue", "stop"}
        See `sgd`.

    Attributes
    ----------
    levels : tuple of int
        Those of the phase, counted from the coarsest.
    cuts : tuple of int
        Mini-batches before each round, and in all.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import Phase, in_space
    >>> from meganet.multilevel.rounds import Rounds
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 2), classes=3, grids=(8, 16))
    >>> rounds = Rounds(hierarchy, Phase(-1, 1.5, batch_size=10, every=0.75), 0, 80, 0, "warn")
    >>> rounds.levels, rounds.cuts, rounds.indices(rounds.order, 2).shape
    ((1,), (0, 6, 12), (6, 10))
    >>> rounds.work(12) == 12 * 10 * hierarchy[1].flop
    True
    """

    def __init__(
        self, hierarchy: Hierarchy, phase: Phase, number: int, examples: int, seed: int, on_divergence: str
    ) -> None:
        self.hierarchy, self.phase, self.number, self.seed = hierarchy, phase, number, seed
        self.levels = tuple(hierarchy.number(level) for level in phase.levels)
        # one may be counted from the coarsest and from the finest
        if len(set(self.levels)) != len(self.levels):
            validate.reject("level", "different levels", str(phase.level))
        self.cuts = phase.cuts(examples)
        rounds, size = len(self.cuts) - 1, phase.batch_size
        super().__init__(examples, rounds, self._rate_of, size, phase.rule, None, None, on_divergence)
        steps = self.cuts[-1]
        if phase.assignment == "cyclic":
            self._assigned = np.arange(steps) % len(self.levels)
        else:
            self._assigned = random_stream(seed, ASSIGNMENT, number).integers(len(self.levels), size=steps)

    def _rate_of(self, number: int) -> float:
        return self.phase.rate(self.passes(number - 1))

    @property
    def level(self) -> int:
        """The finest of its levels, whose weights are trained."""
        return max(self.levels)

    def passes(self, number: int) -> float:
        """Return the passes made after some rounds."""
        return self.cuts[number] / self.batches

    def order(self, number: int) -> np.ndarray[Any, Any]:
        """Return the order of the images in a pass, counted from 1."""
        return random_stream(self.seed, ORDER, self.number, number).permutation(self.examples)

    def before(self, epoch: int) -> int:
        """Return how many mini-batches come before a round."""
        return self.cuts[epoch - 1]

    def indices(self, order: Order, epoch: int) -> np.ndarray[Any, Any]:
        """Return the numbers of the images in the mini-batches of a round, (batches, batch_size)."""
        first, last = self.cuts[epoch - 1 : epoch + 1]
        parts = []
        for number in range(first // self.batches, -(-last // self.batches)):
            start = number * self.batches
            parts.append(super().indices(order, number + 1)[max(first - start, 0) : last - start])
        return np.concatenate(parts)

    def at(self, fun: Function, rate: float, steps: int) -> tuple[Function, float]:
        """Return function and rate of a step: those of one level, where several are trained together."""
        if not isinstance(fun, Together):
            return fun, rate
        level = self._assigned[steps - 1]
        factors = self.phase.rate_factors
        return fun.parts[level], rate if factors is None else factors[level] * rate

    def work(self, steps: int) -> float:
        """Return the arithmetic of so many steps, of products as they are written.

        Of the classifier alone it is that of its own steps and of the features, once.
        """
        if not self.phase.classifier_only:
            counts = np.bincount(self._assigned[:steps], minlength=len(self.levels))
            flop = [self.hierarchy[level].flop for level in self.levels]
            return float(self.batch_size * (counts @ flop))
        level = self.hierarchy[self.level]
        *network, classifier = products(level.network, level.classifier.range_shape[0])
        return self.examples * sum(network) + steps * self.batch_size * 2 * classifier
