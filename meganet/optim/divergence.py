"""When a run has diverged, and how it is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from meganet.backend import Array, is_finite

VALUES = ("objective", "loss", "value")
"""Observed columns that are finite unless a run diverges; others, such as an accuracy, may have no value."""


class DivergenceWarning(RuntimeWarning):
    """A run has diverged: its point, or the observed value there, is not finite.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from meganet.optim import DivergenceWarning, sgd
    >>> with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
    ...     warnings.simplefilter("always")
    ...     state = sgd(lambda x, k: (x @ x, x**3), np.full(2, 9.0), 8, epochs=2, learning_rate=1.0, batch_size=1)
    >>> caught[0].category is DivergenceWarning, state.divergence.epoch
    (True, 1)
    """


class Divergence(NamedTuple):
    """When and where a run met the first number that is not finite.

    Attributes
    ----------
    epoch : int
        The epoch, which counts from 1; 0 for the start.
    where : str
        What it was, for an `Objective` the layer. Empty if that is not known.

    Examples
    --------
    >>> from meganet.optim import Divergence
    >>> print(Divergence(3, "x is not finite"))
    epoch 3: x is not finite
    """

    epoch: int
    where: str = ""

    def __str__(self) -> str:
        when = f"epoch {self.epoch}" if self.epoch else "start"
        return f"{when}: {self.where or 'not finite'}"


def row_is_finite(row: Mapping[str, float]) -> bool:
    """Whether the observed values of a row of the history are finite, as far as they are there.

    Examples
    --------
    >>> from meganet.optim.divergence import row_is_finite
    >>> row_is_finite({"loss": 0.5, "accuracy": float("nan")}), row_is_finite({"loss": float("inf")})
    (True, False)
    """
    return all(math.isfinite(row[name]) for name in VALUES if name in row)


def described(fun: Any, x: Array, *indices: Any) -> str:
    """Say what is not finite at a point; in detail for a function that knows its parts.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim.divergence import described
    >>> described(None, np.array([1.0, np.nan])), described(None, np.ones(2))
    ('x is not finite', 'the value is not finite')
    """
    locate: Callable[..., str | None] | None = getattr(fun, "first_non_finite", None)
    found = locate(x, *indices) if locate is not None else None
    return found or ("the value is not finite" if is_finite(x) else "x is not finite")
