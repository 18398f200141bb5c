"""The memory order behind image arrays.

An array of images always has the shape (N, C, H, W). What varies is only the order of its memory: the fast products
write (H, W, N, C) and hand out the transposed view. `Backend.elementwise`, which elementwise functions of images go
through, keeps that order, as do `Backend.copied` and `Backend.concatenate`. So inside a network no product has to
convert, and an array that comes from outside is converted by the first product it meets. Where an explicit matrix acts
on flattened images (`linop.Matrix`, `linop.Sparse`, the engine "sparse") the order is C order by definition.

In this order a shift of the images is a shift of memory, a row of pixels of a whole batch is one vector, and the
channels of all examples at one pixel are a matrix: all that the products need. Axes before these four, a stack of
trials, stay in front.

Videos (N, C, T, H, W) have (H, W, T, N, C) behind them. The same memory is that of their frames, T N images of H W
pixels, and that of N images with T pixels in each of H W rows: convolutions in space and those in time are products of
images, and nothing is copied between them.
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


def videos_to_memory(backend: Products, videos: Array) -> Array:
    """Return (..., N, C, T, H, W) videos as contiguous (..., H, W, T, N, C) memory; a copy only if it is not that.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend.layout import videos_to_memory
    >>> videos_to_memory(mn.get_backend("numpy"), np.zeros((5, 3, 4, 8, 6))).shape
    (8, 6, 4, 5, 3)
    """
    return backend.xp.ascontiguousarray(_reversed_pairs(videos))


def videos_from_memory(memory: Array) -> Array:
    """Return the (..., N, C, T, H, W) view of (..., H, W, T, N, C) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend.layout import videos_from_memory
    >>> videos_from_memory(np.zeros((8, 6, 4, 5, 3))).shape
    (5, 3, 4, 8, 6)
    """
    return _reversed_pairs(memory)


def folded(backend: Products, videos: Array, in_time: bool) -> Array:
    """Return videos (..., N, C, T, H, W) as images: their frames (..., T N, C, H, W), or (..., N, C, H W, T) in time.

    A view, if the memory is in its order.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend.layout import folded
    >>> backend, videos = mn.get_backend("numpy"), np.zeros((5, 3, 4, 8, 6))
    >>> folded(backend, videos, in_time=False).shape, folded(backend, videos, in_time=True).shape
    ((20, 3, 8, 6), (5, 3, 48, 4))
    """
    memory = videos_to_memory(backend, videos)
    *lead, height, width, frames, n, channels = memory.shape
    shape = (height * width, frames, n, channels) if in_time else (height, width, frames * n, channels)
    return from_memory(memory.reshape(*lead, *shape))


def unfolded(backend: Products, images: Array, video_shape: tuple[int, ...], in_time: bool) -> Array:
    """Return the videos of (T, H, W) that `folded` makes these images of.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend.layout import unfolded
    >>> unfolded(mn.get_backend("numpy"), np.zeros((20, 3, 8, 6)), (4, 8, 6), in_time=False).shape
    (5, 3, 4, 8, 6)
    """
    frames, height, width = video_shape
    memory = to_memory(backend, images)
    *lead, _, _, count, channels = memory.shape
    n = count if in_time else count // frames
    return videos_from_memory(memory.reshape(*lead, height, width, frames, n, channels))


def _reversed_pairs(array: Array) -> Array:
    """Exchange (N, C), T and (H, W), or (H, W), T and (N, C), in the last five axes."""
    k = array.ndim - 5
    return array.transpose(*range(k), k + 3, k + 4, k + 2, k, k + 1)
