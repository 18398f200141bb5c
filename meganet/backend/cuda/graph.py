"""A step of an iteration, recorded once as a CUDA graph and then launched as one.

A training step of a small network is some fifty kernels of a few microseconds each; to launch them one by one from
Python takes longer than to run them.
"""

from __future__ import annotations

import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

State = tuple[Any, ...]
Step = Callable[[State, Any], State]


class _Workspace:
    """A stream to record on and a pool for the memory of what is recorded, used by one iteration at a time.

    They are kept: CuPy (since 14.1) never returns the free memory of a pool that is dropped.
    """

    def __init__(self, xp: Any) -> None:
        self.xp, self.stream, self.pool = xp, xp.cuda.Stream(non_blocking=True), xp.cuda.MemoryPool()


_idle: dict[tuple[int, int], list[_Workspace]] = {}
"""The workspaces that no iteration uses, by library and device."""
_lock = threading.Lock()
_unrecordable: weakref.WeakSet[Step] = weakref.WeakSet()
"""Steps that a graph cannot hold, which are not recorded again."""
_usual: ContextVar[Any] = ContextVar("meganet_usual_allocator", default=None)
"""The allocator outside of all iterations that run in this context."""


def iterate(xp: Any, step: Step, state: State, inputs: Any, advance: Callable[[], Any]) -> State:
    """Return the state after ``state = step(state, inputs[k])`` for every k, on CuPy or what stands in for it.

    The first step runs kernel by kernel: it compiles what is new and fills a pool of memory that belongs to this
    iteration alone. The second is recorded. A graph has fixed addresses, so each step reads its input from one buffer
    and leaves its state in the others, and whatever lies between keeps its place in the pool. Afterwards the pool's
    memory goes back to the device.

    `step` must not read from the device, and may depend on nothing but its arguments. What it keeps for the next time,
    such as a table of constants, must not come from this pool: `Backend.asarray` sees to that. A step that cannot be
    recorded runs kernel by kernel, with one warning for each object `step`. Any other error is raised as it is; to free
    the memory, the frames of its traceback below this one are cleared.
    """
    xp.cuda.get_current_stream().synchronize()
    token = _usual.set(_usual.get() or xp.cuda.get_allocator())
    try:
        with _workspace(xp) as workspace:
            try:
                return _iterated(workspace, step, state, inputs, advance)
            except BaseException as error:
                _release_frames(error)
                raise
    finally:
        _usual.reset(token)


@contextmanager
def usual_allocator(xp: Any) -> Iterator[None]:
    """Let what is allocated inside outlive the iteration that runs, if one does."""
    allocator = _usual.get()
    if allocator is None:
        yield
        return
    # refused while recording, as an upload must be: a graph would repeat it from memory that is reused by then
    xp.cuda.get_current_stream().synchronize()
    with xp.cuda.using_allocator(allocator):
        yield


def _iterated(workspace: _Workspace, step: Step, state: State, inputs: Any, advance: Callable[[], Any]) -> State:
    xp, stream = workspace.xp, workspace.stream
    with stream, xp.cuda.using_allocator(workspace.pool.malloc):
        buffers, one = tuple(array.copy() for array in state), inputs[0].copy()
        # no closure: the frames of a traceback would hold what it holds
        in_place = partial(_in_place, step, buffers, one)
        in_place()
        advance()
        graph = None
        if inputs.shape[0] > 1 and step not in _unrecordable:
            graph = _recorded(stream, in_place)
            if graph is None:
                _unrecordable.add(step)
        for number in range(1, inputs.shape[0]):
            one[...] = inputs[number]
            if graph is None:
                in_place()
            else:
                graph.launch(stream)
            advance()
        stream.synchronize()
    # copies from the usual pool, made before the memory of this one goes
    results = tuple(buffer.copy() for buffer in buffers)
    xp.cuda.get_current_stream().synchronize()
    return results


def _in_place(step: Step, buffers: State, one: Any) -> None:
    for buffer, array in zip(buffers, step(buffers, one), strict=True):
        buffer[...] = array


@contextmanager
def _workspace(xp: Any) -> Iterator[_Workspace]:
    """Lend a workspace of the current device, a new one if all are in use: by other threads, or further out in this."""
    key = (id(xp), int(xp.cuda.Device().id))
    with _lock:
        idle = _idle.setdefault(key, [])
        workspace = idle.pop() if idle else None
    workspace = _Workspace(xp) if workspace is None else workspace
    try:
        yield workspace
    except BaseException:
        # what failed may have left the stream in any state; what the device has to say to that comes second
        with suppress(RuntimeError):
            workspace.stream.synchronize()
        with suppress(RuntimeError):
            workspace.stream = xp.cuda.Stream(non_blocking=True)
        raise
    finally:
        workspace.pool.free_all_blocks()
        with _lock:
            idle.append(workspace)


def _recorded(stream: Any, function: Callable[[], None]) -> Any:
    """Return the graph of what `function` launches; None, with a warning, if something in it cannot be recorded."""
    try:
        stream.begin_capture()
        function()
    except BaseException as error:
        # the capture ends whatever happened, else the stream would refuse all work from now on
        with suppress(RuntimeError):
            stream.end_capture()
        if not _is_refusal(error):
            raise
        problem = str(error)
    else:
        try:
            return stream.end_capture()
        except RuntimeError as error:
            problem = str(error)
    warnings.warn(f"no CUDA graph of the training step ({problem}); it runs kernel by kernel", stacklevel=2)
    return None


def _is_refusal(error: BaseException) -> Any:
    """Whether CuPy refuses to record something.

    It has no class for that: it raises `NotImplementedError` for its libraries, `RuntimeError` for transfers and what
    CUDA itself refuses; all of them speak of the capture.
    """
    text = f"{type(error).__name__}: {error}".lower()
    return isinstance(error, (NotImplementedError, RuntimeError)) and "captur" in text


def _release_frames(error: BaseException | None) -> None:
    """Release the arrays, and their memory, that the frames of an error and of those before it hold."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
