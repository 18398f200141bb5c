"""How loops are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}

#: A function that other loops call: it is compiled into each of them.
part = njit(**OPTIONS)
#: A function that Python calls.
loop = njit(**OPTIONS, cache=True)
