"""Learning rates that change while a training goes on."""

from __future__ import annotations

from dataclasses import dataclass

from meganet.ground import validate


@dataclass(frozen=True)
class LinearDecay:
    """A learning rate that falls linearly, ``first + (last - first) min(t / end, 1)``.

    A value, so that what is stored can say which one it was; `Model.fit` asks it with the epoch, counted from 1, a
    `multilevel.Phase` with the passes that were made in it.

    Parameters
    ----------
    first, last : float
        Positive; usually `last` is a small part of `first`.
    end : float
        The time t at which the rate is `last`; it stays there.

    Examples
    --------
    >>> from meganet.optim import LinearDecay
    >>> rate = LinearDecay(0.5, 0.25, end=4)
    >>> rate(0), rate(2), rate(4), rate(10)
    (0.5, 0.375, 0.25, 0.25)
    """

    first: float
    last: float
    end: float

    def __post_init__(self) -> None:
        for name in ("first", "last", "end"):
            validate.store(self, **{name: validate.real(name, getattr(self, name), above=0)})

    def __call__(self, time: float) -> float:
        """Return the rate at a time."""
        done = min(max(time / self.end, 0.0), 1.0)
        return (1 - done) * self.first + done * self.last

    def __str__(self) -> str:
        return f"{self.first:g} to {self.last:g}"
