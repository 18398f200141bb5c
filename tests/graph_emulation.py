"""What the engine uses of ``cupy.cuda``, on the host: graphs, streams, and pools that count their memory.

A CUDA graph: what ran while a stream was capturing is noted and done again at every launch. As on a device the noted
work is bound to the arrays that it met, and nothing counts as done by the capture itself: what it changed is put back.
Work on a value that came from the host, or that was forgotten between, shows as a wrong result.

A pool counts what the arrays take that were made while it was the allocator. As in CuPy, what they give back stays with
the pool until `free_all_blocks`, and with a pool that is dropped it is lost for good (`MemoryPool.lost`).
"""

from __future__ import annotations

import operator
import threading
import weakref
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np


class CaptureError(RuntimeError):
    """A transfer or a wait while a graph is recorded, for which CuPy raises a `RuntimeError`."""


class Graph:
    """The steps noted during a capture."""

    active: Graph | None = None
    launches = 0

    def __init__(self):
        self.steps, self.before = [], []

    def launch(self, stream):
        Graph.launches += 1
        for step in self.steps:
            step()

    def keep(self, array):
        """Remember an array that is about to be changed."""
        self.before.append((array, array.copy()))

    def put_back(self):
        for array, values in reversed(self.before):
            array[...] = values


class Stream:
    """A stream; `left_capturing` counts those that went while they were capturing."""

    left_capturing = 0

    def __init__(self, non_blocking=False):
        self.graph = None

    def __enter__(self):
        _streams().append(self)
        return self

    def __exit__(self, *exception):
        assert _streams().pop() is self

    def __del__(self):
        Stream.left_capturing += self.graph is not None

    def begin_capture(self):
        no_capture("a second capture")
        self.graph = Graph.active = Graph()

    def end_capture(self):
        if self.graph is None:
            raise RuntimeError("cudaErrorIllegalState: the stream is not capturing")
        graph, self.graph, Graph.active = self.graph, None, None
        graph.put_back()
        return graph

    def is_capturing(self):
        return self.graph is not None

    def synchronize(self):
        no_capture("a wait for the device")


_local = threading.local()


def _streams():
    if not hasattr(_local, "streams"):
        _local.streams = [Stream()]
    return _local.streams


class MemoryPool:
    """Memory by the bytes that arrays take.

    Attributes
    ----------
    held : int
        What it has taken from the device: in use, or given back by arrays.
    used : int
        What living arrays take.
    """

    lost = 0
    made = 0

    def __init__(self):
        MemoryPool.made += 1
        self.count = SimpleNamespace(held=0, used=0, room=None)

    used = property(lambda self: self.count.used)
    held = property(lambda self: self.count.held)

    def malloc(self, size):
        count = self.count
        if count.room is not None and count.used + size > count.room:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
        count.used += size
        count.held = max(count.held, count.used)
        return count

    def free_all_blocks(self):
        self.count.held = self.count.used

    def used_bytes(self):
        return self.count.used

    def free_bytes(self):
        return self.count.held - self.count.used

    def total_bytes(self):
        return self.count.held

    def get_limit(self):
        return 0

    def __del__(self):
        MemoryPool.lost += self.count.held - self.count.used


class OutOfMemoryError(MemoryError):
    """CuPy's error of that name."""


USUAL = MemoryPool()
"""The pool that arrays come from outside of iterations."""


def allocated(array):
    """Take the memory of a new array from the current pool, until nothing holds it any more."""
    count = get_allocator()(array.nbytes)

    def free(size=array.nbytes):
        count.used -= size

    weakref.finalize(array, free).atexit = False
    return array


def get_allocator():
    return getattr(_local, "malloc", None) or USUAL.malloc


@contextmanager
def using_allocator(malloc):
    before = getattr(_local, "malloc", None)
    _local.malloc = malloc
    try:
        yield
    finally:
        _local.malloc = before


VENDOR = {np.matmul, np.vdot, np.linalg.solve, operator.matmul}
"""What CuPy gives to cuBLAS or cuSOLVER, which it refuses to call while a graph is recorded."""
UPLOADING = {np.concatenate, np.stack}
"""What uploads the addresses of more than eight arrays, which no graph may hold."""


def no_capture(what):
    """Refuse what a device refuses while a stream captures."""
    if Graph.active is not None:
        raise CaptureError(f"{what} while a graph is recorded")


def call(function, arguments, keywords=None, c_order=False):
    """Run a function of arrays that makes a new array, or a view, and note it.

    With `c_order` the new array is in C order whatever the function's own result.
    """
    keywords, graph = keywords or {}, Graph.active
    if graph is not None and function in VENDOR:
        raise NotImplementedError(f"calling the library of {function.__name__} during stream capture")
    if function in UPLOADING and len(arguments[0]) > 8:
        no_capture("an upload of many addresses")
    out = keywords.get("out")
    if graph is not None and out is not None:
        graph.keep(out)
    result = function(*arguments, **keywords)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    sources = [a for a in _flat((arguments, tuple(keywords.values()))) if isinstance(a, np.ndarray)]
    if out is None:
        result = np.asarray(result)
        if any(np.shares_memory(result, source) for source in sources):
            return result
        # an array of its own: the memory of a view belongs to another
        result = allocated(np.array(result, order="C" if c_order else "K", copy=True))
    if graph is not None:
        if out is not None:
            graph.steps.append(lambda: function(*arguments, **keywords))
        else:
            graph.steps.append(lambda: result.__setitem__(..., function(*arguments, **keywords)))
    return result


def change(array, function, *arguments):
    """Run a function that changes an array in place, and note it."""
    if Graph.active is not None:
        Graph.active.keep(array)
        Graph.active.steps.append(lambda: function(array, *arguments))
    function(array, *arguments)


def launched(function, arrays):
    """Run a kernel that may change any of the arrays, and note it."""
    if Graph.active is not None:
        for array in arrays:
            Graph.active.keep(array)
        Graph.active.steps.append(function)
    function()


def _flat(values):
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _flat(value)
        else:
            yield value


class Device:
    """The one device; `FREE` are the bytes that it has left."""

    id = 0
    FREE = 2**30

    @property
    def mem_info(self):
        return Device.FREE, 2**31


CUDA = SimpleNamespace(
    Device=Device,
    Stream=Stream,
    MemoryPool=MemoryPool,
    get_allocator=get_allocator,
    using_allocator=using_allocator,
    get_current_stream=lambda: _streams()[-1],
)
"""What the engine uses of ``cupy.cuda``."""
