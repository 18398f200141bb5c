"""What compiled loops need besides their arrays: work memory, and arrays in the form that they take.

A training step has the same shapes thousands of times. Its loops find the memory for what they compute in between where
they left it, one piece for each name and thread.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

ALIGNMENT = 64
KEPT_BYTES = 32 * 2**20
"""Work memory that a thread keeps at most."""


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
        while pieces and count + sum(other.size for other in list(pieces.values())) > KEPT_BYTES:
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
