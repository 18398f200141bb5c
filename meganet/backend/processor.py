"""NumPy on the cores of the processor."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse
import scipy.sparse.linalg

from meganet.backend import threads
from meganet.backend.base import Array, Backend
from meganet.backend.compiled import CompiledProducts

SMALLEST_SHARE = 4
"""Examples of a batch for which another thread is worth its own copy of the gradient."""
PIXELS_AT_ONCE = 128
"""How many pixels of an image change their memory order at once: as many cache lines as the first cache holds."""
# names and numbers of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


class NumpyBackend(CompiledProducts, Backend):
    """NumPy and compiled loops, with the parts of a batch on threads of their own.

    Examples
    --------
    >>> import meganet as mn
    >>> backend = mn.get_backend("numpy")
    >>> type(backend).__name__
    'NumpyBackend'
    >>> backend.shares(2), sum(part.stop - part.start for part in backend.shares(64))
    ([slice(0, 2, None)], 64)
    >>> backend.run([lambda: 1, lambda: 2])
    [1, 2]
    """

    takes_stacks = False

    def shares(self, examples: int) -> list[slice]:
        """Return as many parts of a batch as there are threads, of `SMALLEST_SHARE` examples or more."""
        count = max(1, min(threads.thread_count(), examples // SMALLEST_SHARE))
        return [slice(k * examples // count, (k + 1) * examples // count) for k in range(count)]

    def run(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """Return the results of independent tasks, which run on threads."""
        return threads.run(tasks)

    def write_images(self, target: Array, images: Array) -> None:
        """Write images into an array whose memory may have another order, some rows at a time.

        The whole at once would read every cache line of the images many times.
        """
        step = max(1, PIXELS_AT_ONCE // target.shape[-1])
        for start in range(0, target.shape[-2], step):
            target[..., start : start + step, :] = images[..., start : start + step, :]


def numpy_backend() -> Backend:
    """Return the backend of NumPy.

    Examples
    --------
    >>> from meganet.backend.processor import numpy_backend
    >>> numpy_backend().xp.__name__
    'numpy'
    """
    _keep_freed_memory()
    return NumpyBackend("numpy", np, scipy.sparse, scipy.sparse.linalg, scipy.fft, np.ndarray, tile_bytes=5 * 2**19)


def _keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next arrays instead of returning it to the system.

    A training step makes the same arrays of some megabytes again and again. By default glibc returns memory of
    that size at each ``free`` and has it faulted in again, page by page, which takes up to half of the step. Other C
    libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
    mallopt(M_TRIM_THRESHOLD, 256 * 2**20)
