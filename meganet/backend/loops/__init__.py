"""Loops compiled by numba, for what array expressions do slowly on a processor. Used where numba is installed.

NumPy's expressions remain the definition, and the test of every loop. The modules here hold the same sums written
number by number, with the numbers in the processor's vector registers (`vectors`) and matrix products made of tiles
that fill these registers (`products`). Loops take flat arrays, work in blocks that stay in the cache, and do not hold
the interpreter's lock, so that threads run side by side. They import numba, and are imported when one is first wanted;
nothing is compiled before a loop is first called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec

_wanted: ContextVar[bool] = ContextVar("meganet_loops", default=True)


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def in_use() -> bool:
    """Whether products on NumPy arrays are computed by compiled loops."""
    return _wanted.get() and available()


@contextmanager
def use_loops(wanted: bool) -> Iterator[None]:
    """Compute by compiled loops or by NumPy's expressions inside a ``with`` block.

    Examples
    --------
    >>> from meganet.backend import loops
    >>> with loops.use_loops(False):
    ...     loops.in_use()
    False
    """
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)
