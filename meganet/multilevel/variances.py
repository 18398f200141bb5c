"""What gradients on several levels vary by and cost, and what follows for how many examples each should have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meganet.ground import validate
from meganet.optim import History

FEWEST = 2
"""Examples of each term of an estimate that has several, so that what they vary by can be seen from them."""


@dataclass(frozen=True)
class LevelVariances:
    """Variances of gradients and of their differences between levels, of one example; the optimal numbers of examples.

    With ``h_l`` the gradient of one example on level l, as a gradient in the finest weights, the finest one is
    ``h_s + (h_{s+1} - h_s) + ... + (h_L - h_{L-1})`` for any level s to start with. Estimated from ``N_l`` examples
    each, at the work ``C_l`` of one, the sum varies least for given work if ``N_l ~ sqrt(V_l / C_l)``. To vary as
    little as a mini-batch of the finest level alone it then takes ``(sum sqrt(V_l C_l))^2 / (V[h_L] C)`` of the work of
    that, with C the work of an example there.

    Parameters
    ----------
    own : tuple of float
        ``V[h_l]``, the trace of the covariance, from the coarsest level to the finest.
    differences : tuple of float
        ``V[h_l - h_{l-1}]``, from the second level on.
    work : tuple of float
        Work of a gradient of one example on each level; a difference costs that of both levels.

    Notes
    -----
    Giles, Multilevel Monte Carlo path simulation, Operations Research 56 (2008).

    Examples
    --------
    >>> from meganet.multilevel import LevelVariances
    >>> found = LevelVariances(own=(1.0, 1.0), differences=(0.04,), work=(1.0, 4.0))
    >>> print(found.table(batch_size=16))
    level  V[h]  V[difference]  work  examples  gain
        0     1              1  0.25        44  1.91
        1     1           0.04     1         4     1
    >>> found.start, found.counts(batch_size=16, examples=100)
    (0, (44, 4))
    """

    own: tuple[float, ...]
    differences: tuple[float, ...]
    work: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.own) == len(self.work) == len(self.differences) + 1:
            got = f"{len(self.own)}, {len(self.differences)} and {len(self.work)}"
            validate.reject("own, differences, work", "L + 1, L and L + 1 numbers", got)

    @property
    def gains(self) -> tuple[float, ...]:
        """How much less work than the finest level alone the same variance takes, by the level that is started with."""
        finest = self.own[-1] * self.work[-1]
        found = []
        for start in range(len(self.own) - 1):
            total = sum(math.sqrt(v * c) for v, c in self._terms(start)) ** 2
            found.append(finest / total if total > 0 else math.inf if finest > 0 else 1.0)
        return (*found, 1.0)

    @property
    def start(self) -> int:
        """The level to start with: that of the largest gain, the finest, without differences, where none pays."""
        gains = self.gains
        return max(range(len(gains)), key=lambda level: (gains[level] if gains[level] > 1 else 0.0, level))

    @property
    def gain(self) -> float:
        """The largest of the gains, at least 1."""
        return self.gains[self.start]

    def counts(self, batch_size: int, examples: int) -> tuple[int, ...]:
        """Return the numbers of examples of `start` and of each difference above it, for given work.

        Parameters
        ----------
        batch_size : int
            The work, in gradients of one example on the finest level.
        examples : int
            How many there are, at most, in all.
        """
        work = validate.integer("batch_size", batch_size) * self.work[-1]
        finest, start = len(self.own) - 1, self.start
        most = validate.integer("examples", examples)
        while start < finest and (
            FEWEST * (finest + 1 - start) > most or FEWEST * sum(cost for _, cost in self._terms(start)) > work
        ):
            start += 1
        return _counts(self._terms(start), work, most)

    def _terms(self, start: int) -> list[tuple[float, float]]:
        """Return variance and work of the level that is started with, and of each difference above it."""
        return list(zip((self.own[start], *self.differences[start:]), costs(self.work, start), strict=True))

    def averaged(self, new: LevelVariances, weight: float) -> LevelVariances:
        """Return the means with newer ones, which have this weight.

        Examples
        --------
        >>> from meganet.multilevel import LevelVariances
        >>> LevelVariances((4.0,), (), (1.0,)).averaged(LevelVariances((2.0,), (), (1.0,)), 0.5)
        LevelVariances(own=(3.0,), differences=(), work=(1.0,))
        """

        def mean(old: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
            return tuple(a + weight * (b - a) for a, b in zip(old, other, strict=True))

        return LevelVariances(mean(self.own, new.own), mean(self.differences, new.differences), self.work)

    def row(self) -> dict[str, float]:
        """Return the variances and the gain as columns of a history."""
        own = {f"V[h{k}]": v for k, v in enumerate(self.own)}
        return own | {f"V[h{k}-h{k - 1}]": v for k, v in enumerate(self.differences, start=1)} | {"gain": self.gain}

    @classmethod
    def from_row(cls, row: Mapping[str, float], work: Sequence[float]) -> LevelVariances:
        """Return what `row` has written.

        Examples
        --------
        >>> from meganet.multilevel import LevelVariances
        >>> found = LevelVariances((1.0, 1.0), (0.04,), (1.0, 4.0))
        >>> LevelVariances.from_row(found.row(), found.work) == found
        True
        """
        names = [f"V[h{k}]" for k in range(len(work))], [f"V[h{k}-h{k - 1}]" for k in range(1, len(work))]
        missing = [name for part in names for name in part if name not in row]
        if missing:
            validate.reject("row", f"a column {missing[0]}", ", ".join(row) or "none")
        own, differences = (tuple(float(row[name]) for name in part) for part in names)
        return cls(own, differences, tuple(work))

    def table(self, batch_size: int = 32) -> History:
        """Return a row for each level: variances and work in those of the finest, examples, gain.

        The examples are those that started with the coarsest level cost as much as `batch_size` of the finest; they
        and the gain are those of an estimate that starts with this level, whether it pays or not.
        """
        all_terms, finest = self._terms(0), self.own[-1]
        counts = _counts(all_terms, batch_size * self.work[-1], None)
        return History(
            {
                "level": level,
                "V[h]": self.own[level] / finest if finest else math.nan,
                "V[difference]": all_terms[level][0] / finest if finest else math.nan,
                "work": self.work[level] / self.work[-1],
                "examples": counts[level],
                "gain": self.gains[level],
            }
            for level in range(len(self.own))
        )

    def __str__(self) -> str:
        """Return `table` as text."""
        return str(self.table())


def costs(work: Sequence[float], start: int) -> list[float]:
    """Return the work of an example of the level that is started with, and of each difference above it.

    Examples
    --------
    >>> from meganet.multilevel.variances import costs
    >>> costs([1.0, 4.0, 16.0], start=1)
    [4.0, 20.0]
    """
    return [own + below for own, below in zip(work[start:], (0.0, *work[start:-1]), strict=True)]


def _counts(terms: Sequence[tuple[float, float]], work: float, examples: int | None) -> tuple[int, ...]:
    """Return numbers in proportion to sqrt(V / C), a few at least, whose work is that given, and at most `examples`."""
    found: list[int] = []
    fewest = FEWEST if len(terms) > 1 else 1
    for level in range(len(terms) - 1, -1, -1):
        # from the finest on, so that what is rounded there goes to levels where an example costs little
        variance, cost = terms[level]
        total = sum(math.sqrt(v * c) for v, c in terms[: level + 1])
        # of what does not vary, or is not finite, the first level alone
        share = math.sqrt(variance * cost) / total if 0 < total < math.inf else float(level == 0)
        ideal = max(work, 0.0) * share / cost
        found.insert(0, max(fewest, math.floor(ideal + 1e-9) if level == 0 else round(ideal)))
        work -= found[0] * cost
    if examples is not None and sum(found) > examples:
        scale = examples / sum(found)
        found = [max(fewest, math.floor(scale * n)) for n in found]
        most = found.index(max(found))
        found[most] -= max(sum(found) - examples, 0)
    return tuple(found)
