"""A step of an iteration, recorded once as a CUDA graph and then launched as one.

A training step of a small network is some fifty kernels of a few microseconds each; to launch them one by one from
Python takes longer than to run them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

State = tuple[Any, ...]
Step = Callable[[State, Any], State]


def iterate(xp: Any, step: Step, state: State, inputs: Any, advance: Callable[[], Any]) -> State:
    """Return the state after ``state = step(state, inputs[k])`` for every k, on CuPy or what stands in for it.

    The first step runs kernel by kernel: it compiles what is new and fills a pool of memory that belongs to this
    iteration alone. The second is recorded. A graph has fixed addresses, so each step reads its input from one buffer
    and leaves its state in the others, and whatever lies between keeps its place in the pool.

    `step` must not read from the device, and may depend on nothing but its arguments.
    """
    xp.cuda.get_current_stream().synchronize()
    stream, pool = xp.cuda.Stream(non_blocking=True), xp.cuda.MemoryPool()
    with stream, xp.cuda.using_allocator(pool.malloc):
        buffers, one = tuple(array.copy() for array in state), inputs[0].copy()

        def in_place() -> None:
            for buffer, array in zip(buffers, step(buffers, one), strict=True):
                buffer[...] = array

        in_place()
        advance()
        graph = _recorded(stream, in_place) if inputs.shape[0] > 1 else None
        for number in range(1, inputs.shape[0]):
            one[...] = inputs[number]
            if graph is None:
                in_place()
            else:
                graph.launch(stream)
            advance()
        stream.synchronize()
    # copies from the usual pool: the other one goes with the graph
    return tuple(buffer.copy() for buffer in buffers)


def _recorded(stream: Any, function: Callable[[], None]) -> Any:
    """Return the graph of what `function` launches; None, with a warning, if something in it cannot be recorded."""
    problem: Exception | None = None
    stream.begin_capture()
    try:
        function()
    except (NotImplementedError, RuntimeError) as error:
        # the first is what CuPy raises for its matrix products, the second for transfers
        problem = error
    try:
        graph = stream.end_capture()
    except RuntimeError as error:
        problem = problem or error
    if problem is None:
        return graph
    warnings.warn(f"no CUDA graph of the training step ({problem}); it runs kernel by kernel", stacklevel=2)
    return None
