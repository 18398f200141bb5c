"""What is known of loops where numba is not imported: how to reach them, work memory, arrays in the form they take.

A training step has the same shapes thousands of times. Its loops find the memory for what they compute in between where
they left it, one piece for each name and thread.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

ALIGNMENT = 64
KEPT_BYTES = 32 * 2**20
"""Work memory that a thread keeps at most."""
PLAIN, RELU, SLOPE = 0, 1, 2
"""What a loop does with a result z: nothing, ``max(z, 0)``, or the product with given slopes."""
POINTS = 36
"""Points of one of Winograd's tiles, of any size, along both axes: there is room for those of the largest."""
TILE_REGISTERS = POINTS + 6
"""Registers of work memory that the transform of a tile takes: half transformed, and one line."""


@cache
def loops_of(topic: str) -> Any:
    """Return one of the modules of loops beside this one; for all but this one numba is imported."""
    return import_module(f"meganet.backend.loops.{topic}")


@cache
def lane_count(dtype: np.dtype[Any]) -> int:
    """Return how many numbers a vector register holds; numba is imported for the answer."""
    return int(loops_of("vectors").REGISTER_BYTES // dtype.itemsize)


class _Pieces(threading.local):
    """The work memory of one thread by name, what was used last at the end."""

    def __init__(self) -> None:
        self.pieces: dict[str, Any] = {}


_pieces = _Pieces()


def work(name: str, size: int, dtype: Any) -> Any:
    """Return a flat array of `size` numbers of any value, for use until this thread asks for that name again.

    What a thread keeps is bounded: pieces not used for longest go first, one that is larger than the bound is not kept.

    Examples
    --------
    >>> from meganet.backend.loops.plans import work
    >>> first, second = work("sums", 30, "float32"), work("sums", 20, "float32")
    >>> first.shape, second.dtype, first.ctypes.data == second.ctypes.data
    ((30,), dtype('float32'), True)
    """
    pieces = _pieces.pieces
    count = size * np.dtype(dtype).itemsize
    piece = pieces.pop(name, None)
    if piece is None or piece.size < count:
        piece = np.empty(count + ALIGNMENT, np.uint8)
        start = -piece.ctypes.data % ALIGNMENT
        piece = piece[start : start + count]
        while pieces and count + sum(other.size for other in list(pieces.values())) > KEPT_BYTES >= count:
            del pieces[next(iter(pieces))]
    if piece.size <= KEPT_BYTES:
        pieces[name] = piece
    return piece[:count].view(dtype)


def readable(array: Any) -> Any:
    """Return the numbers of an array in C order as a flat array that cannot be written; a copy only if it must be.

    Loops take what they only read in this form, whatever the caller has: a loop is compiled for each form of its
    arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend.loops.plans import readable
    >>> readable(np.ones((2, 3)).T).flags.writeable
    False
    """
    flat = np.ascontiguousarray(array if array.flags.aligned else array.copy()).reshape(-1)
    flat.setflags(write=False)
    return flat


def optional(array: Any | None, dtype: np.dtype[Any]) -> Any:
    """Return what is only read as `readable` does, without numbers if there is no array."""
    return _nothing(dtype) if array is None else readable(array)


@cache
def _nothing(dtype: np.dtype[Any]) -> Any:
    return readable(np.empty(0, dtype))


def slopes_of(slope: Any | None) -> Any:
    """Return slopes in C order as a flat array in the form in which loops write some and read others.

    Without slopes it has no numbers; those that cannot be written are copied.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend.loops.plans import slopes_of
    >>> slopes_of(np.array([[True, False]])), slopes_of(None).size
    (array([ True, False]), 0)
    """
    if slope is None:
        return np.empty(0, bool)
    return (slope if slope.flags.writeable else slope.copy()).reshape(-1)
