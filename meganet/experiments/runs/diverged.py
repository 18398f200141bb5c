"""Runs that diverged, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from meganet.optim import Divergence


class Diverged(NamedTuple):
    """A run that diverged: number of the trial from 1, and what `optim.Divergence` says."""

    trial: int
    run: str
    epoch: int
    where: str


def divergences(diverged: Sequence[Diverged], trials: int) -> list[str]:
    """Return a sentence for each run that diverged, about the first of its trials.

    Examples
    --------
    >>> from meganet.experiments.runs.diverged import Diverged, divergences
    >>> divergences([Diverged(2, "multigrid", 1, "layer W"), Diverged(3, "multigrid", 4, "")], trials=5)
    ['Diverged: multigrid in 2 of 5, first in trial 2, epoch 1: layer W.']
    """
    counts = Counter(item.run for item in diverged)
    firsts = {item.run: item for item in reversed(diverged)}
    return [
        f"Diverged: {run} in {count} of {trials}, first in trial {firsts[run].trial}, "
        f"{Divergence(firsts[run].epoch, firsts[run].where)}."
        for run, count in counts.items()
    ]
