"""Averages of a continuous function over the cells of any grid, the same function on all of them.

The function is evaluated in the middles of the cells of a fine grid, and neighbouring values are averaged pair by pair
until the grid has the size that is wanted. Sizes that come from one another by doubling share the fine grid, as long as
they are at most its size: the averages on one of them, averaged in blocks of 2x2, are those on the next coarser one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FINEST = 224
"""The fine grid has at least so many cells along an axis."""


def halvings(size: int, finest: int = FINEST) -> int:
    """Return how often the fine grid of a size is halved: none for sizes of at least `finest`.

    Examples
    --------
    >>> from meganet.datasets.drawn.cells import halvings
    >>> [(size, size << halvings(size)) for size in (14, 28, 30, 112, 224, 300)]
    [(14, 224), (28, 224), (30, 240), (112, 224), (224, 224), (300, 300)]
    """
    count = 0
    while size << count < finest:
        count += 1
    return count


def middles(size: int, finest: int = FINEST) -> np.ndarray[Any, Any]:
    """Return the middles of the cells of the fine grid of a size, in [0, 1].

    Examples
    --------
    >>> from meganet.datasets.drawn.cells import middles
    >>> middles(2, finest=4)
    array([0.125, 0.375, 0.625, 0.875])
    """
    count = size << halvings(size, finest)
    return (np.arange(count) + 0.5) / count


def averaged(values: np.ndarray[Any, Any], size: int, axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return the averages over cells: values on the fine grid, halved along some axes until they have a size.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.cells import averaged
    >>> averaged(np.arange(16.0).reshape(4, 4), 2, axes=(0, 1))
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    share = values.dtype.type(0.5 ** len(axes))
    while values.shape[axes[0]] > size:
        for axis in axes:
            even, odd = ((slice(None),) * (axis % values.ndim) + (slice(first, None, 2),) for first in (0, 1))
            values = values[even] + values[odd]
        values *= share
    return values
