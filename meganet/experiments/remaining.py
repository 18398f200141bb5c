"""How long the rest of some training runs takes: each kind of stage by its own pace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
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
    start : float
        Time on the clock of `see`.
    side_by_side : int or None
        How many chains go on at a time; as many as are seen to move if not given.
    known : mapping
        Kind to seconds of one of its epochs, from earlier; it counts until the kind has been measured.
    """

    parts: Sequence[Part]
    done: Sequence[int]
    start: float
    side_by_side: int | None = None
    known: Mapping[Hashable, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spent: dict[Hashable, float] = defaultdict(float)
        self._seen: dict[Hashable, int] = defaultdict(int)
        self._moved: dict[Hashable, float] = {}
        """When a chain was last seen to move."""
        self._free: list[float] = []
        """When chains ended whose place no other has taken."""
        self.done, self._now = list(self.done), self.start

    def see(self, done: Sequence[int], now: float) -> None:
        """Take note of how many epochs of each part are there; a chain's time goes to what was made of it."""
        new: dict[Hashable, list[tuple[Part, int]]] = defaultdict(list)
        for part, before, after in zip(self.parts, self.done, done, strict=True):
            if after > before:
                new[part.chain].append((part, after - before))
        self.done, self._now = list(done), now
        for chain, made in new.items():
            begun = self._moved[chain] if chain in self._moved else self._free.pop() if self._free else self.start
            shares = [self._guess(part) * count for part, count in made]
            for (part, count), share in zip(made, shares, strict=True):
                self._spent[part.kind] += (now - begun) * share / sum(shares)
                self._seen[part.kind] += count
            self._moved[chain] = now
        unfinished = self._left()
        self._free += [now for chain in new if chain not in unfinished]

    def pace(self, part: Part) -> float | None:
        """Return the seconds of an epoch of a part; None as long as nothing at all is known."""
        if self._seen[part.kind]:
            return self._spent[part.kind] / self._seen[part.kind]
        if part.kind in self.known:
            return self.known[part.kind]
        # by the estimates, in the unit that the known kinds show
        works = {other.kind: other.work for other in self.parts}
        spent = {kind: (self._spent[kind], n) for kind, n in self._seen.items() if n}
        spent = spent or {kind: (seconds, 1) for kind, seconds in self.known.items()}
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
        times = []
        moving = 0
        for chain, missing in self._left().items():
            paces = [self.pace(part) for part, _ in missing]
            total = sum(pace * count for pace, (_, count) in zip(paces, missing, strict=True) if pace is not None)
            if None in paces:
                return None
            if chain in self._moved:
                moving += 1
                # what has been done of the epoch that is being made
                total -= min(self._now - self._moved[chain], paces[0] or 0.0)
            times.append(total)
        at_once = max(self.side_by_side or moving, 1)
        return max(sum(times) / at_once, max(times, default=0.0))

    def share(self) -> float:
        """Return which part of the whole time is behind us, from 0 to 1."""
        spent = sum(self._guess(part) * done for part, done in zip(self.parts, self.done, strict=True))
        total = sum(self._guess(part) * part.epochs for part in self.parts)
        return spent / total if total else 1.0


def mean_seconds(timings: Iterable[tuple[Hashable, Sequence[float]]]) -> dict[Hashable, float]:
    """Return the mean seconds of each kind's epochs, of those kinds that have any."""
    found: dict[Hashable, list[float]] = defaultdict(list)
    for kind, seconds in timings:
        found[kind] += seconds
    return {kind: sum(values) / len(values) for kind, values in found.items() if values}
