"""A CUDA graph on the host: what ran while a stream was capturing is noted and done again at every launch.

As on a device the noted work is bound to the arrays that it met, and nothing counts as done by the capture itself: what
it changed is put back. Work on a value that came from the host, or that was forgotten between, shows as a wrong result.
"""

from __future__ import annotations

import operator
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
    def __init__(self, non_blocking=False):
        self.graph = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    def begin_capture(self):
        Graph.active = Graph()

    def end_capture(self):
        graph, Graph.active = Graph.active, None
        graph.put_back()
        return graph

    def synchronize(self):
        no_capture("a wait for the device")


VENDOR = {np.matmul, np.vdot, np.linalg.solve, operator.matmul}
"""What CuPy gives to cuBLAS or cuSOLVER, which it refuses to call while a graph is recorded."""


def no_capture(what):
    """Refuse what a device refuses while a stream captures."""
    if Graph.active is not None:
        raise CaptureError(f"{what} while a graph is recorded")


def call(function, arguments, keywords=None):
    """Run a function of arrays that makes a new array, or a view, and note it."""
    keywords, graph = keywords or {}, Graph.active
    if graph is not None and function in VENDOR:
        raise NotImplementedError(f"calling the library of {function.__name__} during stream capture")
    out = keywords.get("out")
    if graph is not None and out is not None:
        graph.keep(out)
    result = function(*arguments, **keywords)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    result = result if out is not None else np.asarray(result)
    if graph is not None:
        sources = [a for a in _flat((arguments, tuple(keywords.values()))) if isinstance(a, np.ndarray)]
        if out is not None:
            graph.steps.append(lambda: function(*arguments, **keywords))
        elif not any(np.shares_memory(result, source) for source in sources):
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


@contextmanager
def _allocator(malloc):
    yield malloc


CUDA = SimpleNamespace(
    Stream=Stream,
    MemoryPool=lambda: SimpleNamespace(malloc=None),
    using_allocator=_allocator,
    get_current_stream=Stream,
)
"""What the engine uses of ``cupy.cuda``."""
