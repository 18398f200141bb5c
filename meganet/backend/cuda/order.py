"""Functions of every entry on a device, in the order of memory that their arguments have.

NumPy gives the result of an elementwise function the memory order of its arguments. CuPy always writes C order, and
its threads go through the entries in C order too: on the transposed views that images are, neighbours then read far
apart, and the next product has to convert. So these functions are called with the axes in the order of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def in_memory_order(function: Callable[..., Any], *arrays: Any) -> Any:
    """Return ``function(*arrays)``, one array or a tuple of arrays and None, in the memory order of the largest one.

    `function` acts on each entry alone and may broadcast or change its arguments in place.
    """
    axes = memory_axes(*arrays)
    if axes is None:
        return function(*arrays)
    moved = [
        a[(None,) * (len(axes) - a.ndim)].transpose(*axes) if a.ndim < len(axes) else a.transpose(*axes) for a in arrays
    ]
    return _put_back(function(*moved), sorted(range(len(axes)), key=axes.__getitem__))


def memory_axes(*arrays: Any) -> list[int] | None:
    """Return the axes of the largest array that is not in C order, longest steps first; None if all are in C order."""
    most, ndim = max(a.size for a in arrays), max(a.ndim for a in arrays)
    lead = next((a for a in arrays if (a.size, a.ndim) == (most, ndim) and not a.flags.c_contiguous), None)
    if lead is None:
        return None
    # an axis of length 1 may have any step: it goes with the one behind it
    steps = list(lead.strides)
    for axis in range(lead.ndim - 2, -1, -1):
        if lead.shape[axis] == 1:
            steps[axis] = steps[axis + 1]
    axes = sorted(range(lead.ndim), key=lambda axis: -steps[axis])
    return None if axes == list(range(lead.ndim)) else axes


def joined(xp: Any, parts: Sequence[Any], axes: list[int], axis: int) -> Any:
    """Return the parts joined along an axis, with the given order of axes in memory.

    CuPy's own functions write C order, and upload the addresses of many small parts, so that no graph can hold them.
    """
    shape = [*parts[0].shape[:axis], sum(part.shape[axis] for part in parts), *parts[0].shape[axis + 1 :]]
    result = xp.empty(tuple(shape[a] for a in axes), dtype=parts[0].dtype)
    lead, start = (slice(None),) * axes.index(axis), 0
    for part in parts:
        stop = start + part.shape[axis]
        result[(*lead, slice(start, stop))] = part.transpose(*axes)
        start = stop
    return _put_back(result, sorted(range(len(axes)), key=axes.__getitem__))


def _put_back(result: Any, axes: list[int]) -> Any:
    if isinstance(result, tuple):
        return tuple(_put_back(one, axes) for one in result)
    return None if result is None else result.transpose(*axes)
