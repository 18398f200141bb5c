"""How long the rest of some training runs takes: each kind of stage by its own pace."""

from __future__ import annotations

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
        for chain, made in new.items():
            if chain in self._moved:
                shares = [self._guess(part) * count for part, count in made]
                for (part, count), share in zip(made, shares, strict=True):
                    self._spent[part.kind] += (now - self._moved[chain]) * share / sum(shares)
                    self._seen[part.kind] += count
            self._moved[chain] = now

    def unmeasured(self) -> set[Hashable]:
        """Return the kinds of which there are epochs, but no pace."""
        begun = {part.kind for part, done in zip(self.parts, self.done, strict=True) if done}
        return begun - {kind for kind, count in self._seen.items() if count} - set(self.known)

    def pace(self, part: Part) -> float | None:
        """Return the seconds of an epoch of a part; None as long as nothing at all is known."""
        if self._seen[part.kind]:
            return self._spent[part.kind] / self._seen[part.kind]
        if part.kind in self.known:
            return self.known[part.kind]
        # by the estimates, in the unit that the known kinds show
        works = {other.kind: other.work for other in self.parts}
        spent = {kind: (seconds, 1) for kind, seconds in self.known.items()}
        spent |= {kind: (self._spent[kind], n) for kind, n in self._seen.items() if n}
        if not spent:
            return None
        unit = sum(seconds for seconds, _ in spent.values()) / sum(works[kind] * n for kind, (_, n) in spent.items())
        return part.work * unit

    def _guess(self, part: Part) -> float:
        pace = self.pace(part)
        # measured as nothing at all, or not measured: the estimate
        return pace if pace else part.work

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
        for chain, missing in self._left().items():
            paces = [self.pace(part) for part, _ in missing]
            total = sum(pace * count for pace, (_, count) in zip(paces, missing, strict=True) if pace is not None)
            if None in paces:
                return None
            if chain in self._moved:
                # without what has been done of the epoch that is being made
                moving.append(total - min(self._now - self._moved[chain], paces[0] or 0.0))
            else:
                waiting.append(total)
        # whoever is free takes the next chain
        ends = [0.0] * max(self.side_by_side or len(moving), 1)
        for total in (*moving, *waiting):
            heapq.heappush(ends, heapq.heappop(ends) + total)
        return max(ends)

    def share(self) -> float:
        """Return which part of the whole time is behind us, from 0 to 1."""
        spent = sum(self._guess(part) * done for part, done in zip(self.parts, self.done, strict=True))
        total = sum(self._guess(part) * part.epochs for part in self.parts)
        return spent / total if total else 1.0
