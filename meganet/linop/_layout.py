"""The memory order behind image arrays.

An array of images always has the shape (N, C, H, W). What varies is only the order of its memory: the fast products
write (H, N, W, C) and hand out the transposed view. Elementwise functions keep that order, so inside a network no
product has to convert, and an array that comes from outside is converted by the first product it meets.
"""

from __future__ import annotations

from meganet.backend import Array, Backend


def to_memory(backend: Backend, images: Array) -> Array:
    """Return (N, C, H, W) images as contiguous (H, N, W, C) memory; a copy only if it is not that already."""
    return backend.xp.ascontiguousarray(images.transpose(2, 0, 3, 1))


def from_memory(memory: Array) -> Array:
    """Return the (N, C, H, W) view of (H, N, W, C) memory."""
    return memory.transpose(1, 3, 0, 2)
