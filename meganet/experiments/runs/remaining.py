"""How long the rest of some training runs takes: each kind of stage by its own pace."""

from __future__ import annotations

import datetime
import heapq
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Part(NamedTuple):
    """A training run as far as the time that it takes is concerned.

    Attributes
    ----------
    chain : hashable
        Runs of one chain are made one after another, those of different chains may be made side by side.
    kind : hashable
        Epochs of runs of one kind take equally long.
    epochs : int
    work : float
        Estimate of the work of an epoch, in a unit common to all kinds; it counts until the kind has been measured.
    """

    chain: Hashable
    kind: Hashable
    epochs: int
    work: float


@dataclass
class Remaining:
    """The time left, from what was seen of the progress.

    Parameters
    ----------
    parts : sequence of Part
    done : sequence of int
        Epochs of each part that are there at the start.
    side_by_side : int or None
        How many chains go on at a time; as many as are seen to move if not given.
    known : dict
        Kind to seconds of one of its epochs, from elsewhere; it counts until the kind has been measured.
    """

    parts: Sequence[Part]
    done: Sequence[int]
    side_by_side: int | None = None
    known: dict[Hashable, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spent: dict[Hashable, float] = defaultdict(float)
        self._seen: dict[Hashable, int] = defaultdict(int)
        self._moved: dict[Hashable, float] = {}
        """When a chain was last seen to move."""
        self.done, self._now = list(self.done), 0.0

    def see(self, done: Sequence[int], now: float) -> None:
        """Take note of how many epochs of each part are there; a chain's time goes to what was made of it.

        The first time that a chain moves measures nothing: a process had to be started, data to be loaded.
        """
        new: dict[Hashable, list[tuple[Part, int]]] = defaultdict(list)
        for part, before, after in zip(self.parts, self.done, done, strict=True):
            if after > before:
                new[part.chain].append((part, after - before))
        self.done, self._now = list(done), now
        guesses = self._guesses()
        for chain, made in new.items():
            if chain in self._moved:
                shares = [guesses[part.kind] * count for part, count in made]
                for (part, count), share in zip(made, shares, strict=True):
                    self._spent[part.kind] += (now - self._moved[chain]) * share / sum(shares)
                    self._seen[part.kind] += count
            self._moved[chain] = now

    def unmeasured(self) -> set[Hashable]:
        """Return the kinds of which there are epochs, but no pace."""
        begun = {part.kind for part, done in zip(self.parts, self.done, strict=True) if done}
        return begun - set(self._seen) - set(self.known)

    def paces(self) -> dict[Hashable, float]:
        """Return the seconds of an epoch of each kind; nothing as long as nothing at all is known.

        A kind that is not known goes by its estimate, in the unit that the heaviest known kind shows: what comes beside
        the work weighs least there.
        """
        works = {part.kind: part.work for part in self.parts}
        found = self.known | {kind: self._spent[kind] / count for kind, count in self._seen.items()}
        if not found:
            return {}
        heaviest = max(found, key=works.__getitem__)
        unit = found[heaviest] / works[heaviest]
        return {kind: unit * work for kind, work in works.items()} | found

    def _guesses(self) -> dict[Hashable, float]:
        """Return the same, and what can be compared where nothing is known or it took no time."""
        works = {part.kind: part.work for part in self.parts}
        return works | {kind: pace for kind, pace in self.paces().items() if pace}

    def _left(self) -> dict[Hashable, list[tuple[Part, int]]]:
        """Return what is missing of each chain."""
        left: dict[Hashable, list[tuple[Part, int]]] = defaultdict(list)
        for part, done in zip(self.parts, self.done, strict=True):
            if done < part.epochs:
                left[part.chain].append((part, part.epochs - done))
        return left

    def seconds(self) -> float | None:
        """Return how long the rest takes; None as long as nothing is known."""
        moving, waiting = [], []
        left, paces = self._left(), self.paces()
        if left and not paces:
            return None
        for chain, missing in left.items():
            total = sum(paces[part.kind] * count for part, count in missing)
            if chain in self._moved:
                # without what has been done of the epoch that is being made
                moving.append(total - min(self._now - self._moved[chain], paces[missing[0][0].kind]))
            else:
                waiting.append(total)
        # whoever is free takes the next chain
        ends = [0.0] * max(self.side_by_side or len(moving), 1)
        for total in (*moving, *waiting):
            heapq.heappush(ends, heapq.heappop(ends) + total)
        return max(ends)

    def share(self) -> float:
        """Return which part of the whole time is behind us, from 0 to 1."""
        guesses = self._guesses()
        spent = sum(guesses[part.kind] * done for part, done in zip(self.parts, self.done, strict=True))
        total = sum(guesses[part.kind] * part.epochs for part in self.parts)
        return spent / total if total else 1.0


def duration(seconds: float) -> str:
    """Return a time as h:mm:ss, with the days in front."""
    return str(datetime.timedelta(seconds=round(seconds)))


def roughly(seconds: float) -> str:
    """Return a time with as much as is known of an estimate: "40 s", "12 min", "3.5 h", "2.5 days"."""
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            amount = seconds / length
            return f"{amount:.1f} {unit}" if unit == "h" and amount < 10 else f"{max(round(amount), 1)} {unit}"
    return f"{seconds / 86400:.1f} days"
