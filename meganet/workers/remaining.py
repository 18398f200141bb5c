"""How long the rest of some work takes: each kind of part by its own pace."""

from __future__ import annotations

import datetime
import heapq
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """Some epochs of work.

    Attributes
    ----------
    chain : hashable
        Parts of one chain are made one after another, those of different chains may be made side by side.
    kind : hashable
        Epochs of parts of one kind take equally long.
    epochs : int
    """

    chain: Hashable
    kind: Hashable
    epochs: int


class Remaining:
    """The time left, from paces that are known beforehand and, kind by kind, from what was seen of the progress.

    Parameters
    ----------
    parts : sequence of Part
    done : sequence of int
        Epochs of each part that are there at the start.
    paces : mapping
        Kind to the seconds of one of its epochs, for every kind of which something is left.
    side_by_side : int or None
        How many chains go on at a time; as many as are seen to move if not given.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        done: Sequence[int],
        paces: Mapping[Hashable, float],
        side_by_side: int | None = None,
    ) -> None:
        self.parts, self.done, self.side_by_side, self._known = parts, list(done), side_by_side, dict(paces)
        self._spent: dict[Hashable, float] = defaultdict(float)
        self._seen: dict[Hashable, int] = defaultdict(int)
        # when each chain was last seen to move
        self._moved: dict[Hashable, float] = {}
        self._now = 0.0

    def see(self, done: Sequence[int], now: float) -> None:
        """Take note of how many epochs of each part are there; a chain's time goes to what was made of it.

        The first time that a chain moves measures nothing: a process had to be started, data to be loaded.
        """
        new: dict[Hashable, list[tuple[Hashable, int]]] = defaultdict(list)
        for part, before, after in zip(self.parts, self.done, done, strict=True):
            if after > before:
                new[part.chain].append((part.kind, after - before))
        self.done, self._now = list(done), now
        for chain, made in new.items():
            if chain in self._moved:
                shares = [self.pace(kind) * count for kind, count in made]
                for (kind, count), share in zip(made, shares, strict=True):
                    self._spent[kind] += (now - self._moved[chain]) * share / sum(shares)
                    self._seen[kind] += count
            self._moved[chain] = now

    def pace(self, kind: Hashable) -> float:
        """Return the seconds of an epoch of a kind: as they were seen, or else as they were known, never nothing."""
        found = self._spent[kind] / self._seen[kind] if kind in self._seen else self._known.get(kind, 0.0)
        return max(found, 1e-9)

    def seconds(self) -> float:
        """Return how long the rest takes."""
        left: dict[Hashable, list[tuple[float, int]]] = defaultdict(list)
        for part, done in zip(self.parts, self.done, strict=True):
            if done < part.epochs:
                left[part.chain].append((self.pace(part.kind), part.epochs - done))
        moving, waiting = [], []
        for chain, missing in left.items():
            total = sum(pace * count for pace, count in missing)
            if chain in self._moved:
                # without what has been done of the epoch that is being made
                moving.append(total - min(self._now - self._moved[chain], missing[0][0]))
            else:
                waiting.append(total)
        # whoever is free takes the next chain
        ends = [0.0] * max(self.side_by_side or len(moving), 1)
        for total in (*moving, *waiting):
            heapq.heappush(ends, heapq.heappop(ends) + total)
        return max(ends)

    def share(self) -> float:
        """Return which part of the whole time is behind us, from 0 to 1."""
        paces = [self.pace(part.kind) for part in self.parts]
        spent = sum(pace * done for pace, done in zip(paces, self.done, strict=True))
        total = sum(pace * part.epochs for pace, part in zip(paces, self.parts, strict=True))
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
