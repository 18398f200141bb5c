"""The memory order behind image arrays.

An array of images always has the shape (N, C, H, W). What varies is only the order of its memory: the fast products
write (H, W, N, C) and hand out the transposed view. `Backend.elementwise`, which elementwise functions of images go
through, keeps that order, as do `Backend.copied` and `Backend.concatenate`. So inside a network no product has to
convert, and an array that comes from outside is converted by the first product it meets. Where an explicit matrix acts
on flattened images (`linop.Matrix`, `linop.Sparse`, the engine "sparse") the order is C order by definition.

In this order a shift of the images is a shift of memory, a row of pixels of a whole batch is one vector, and the
channels of all examples at one pixel are a matrix: all that the products need. Axes before these four, a stack of
trials, stay in front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meganet.backend.products import Products

Array = Any
"""An array of some backend: ``numpy.ndarray`` or ``cupy.ndarray``."""


def to_memory(backend: Products, images: Array) -> Array:
    """Return (..., N, C, H, W) images as contiguous (..., H, W, N, C) memory; a copy only if it is not that already.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend.layout import to_memory
    >>> memory = to_memory(mn.get_backend("numpy"), np.zeros((5, 3, 8, 6)))
    >>> memory.shape, memory.flags.c_contiguous
    ((8, 6, 5, 3), True)
    """
    return backend.xp.ascontiguousarray(_exchanged(images))


def from_memory(memory: Array) -> Array:
    """Return the (..., N, C, H, W) view of (..., H, W, N, C) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend.layout import from_memory
    >>> images = from_memory(np.zeros((8, 6, 5, 3)))
    >>> images.shape, images.flags.c_contiguous
    ((5, 3, 8, 6), False)
    """
    return _exchanged(memory)


def _exchanged(array: Array) -> Array:
    k = array.ndim - 4
    return array.transpose(*range(k), k + 2, k + 3, k, k + 1)
