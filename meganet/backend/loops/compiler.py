"""How loops are compiled."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from llvmlite import binding
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

# of llvmlite, which every call of LLVM takes, also those outside of compiling: when code is thrown away or kept
_llvm_lock = getattr(binding.ffi.lib, "_lock", nullcontext())


def _hold() -> None:
    """Wait until no other thread is compiling or in LLVM."""
    global_compiler_lock.acquire()
    _llvm_lock.__enter__()


def _release() -> None:
    _llvm_lock.__exit__(None, None, None)
    global_compiler_lock.release()


if hasattr(os, "register_at_fork"):
    # else a process that is forked meanwhile could never compile anything: nobody there gives the locks back
    os.register_at_fork(before=_hold, after_in_child=_release, after_in_parent=_release)
