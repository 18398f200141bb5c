"""How loops are compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from meganet.backend.loops.cache import Kept

OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}

#: A function that other loops call: it is compiled into each of them.
part = njit(**OPTIONS)


def loop(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, when it is called; what it is compiled to is kept on the disk.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend.loops.compiler import loop
    >>> @loop
    ... def first(x):
    ...     return x[0]
    >>> first.signatures  # nothing is compiled yet
    []
    """
    compiled = njit(**OPTIONS)(function)
    # in the place of numba's own, which knows of changes in the file of the function only
    compiled._cache = Kept(function)
    return compiled


# what numba otherwise does before it first compiles: interrupted in the middle, it could not be done again
cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()

if hasattr(os, "register_at_fork"):
    # else a process that is forked while another thread compiles could never compile anything
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_child=global_compiler_lock.release,
        after_in_parent=global_compiler_lock.release,
    )
