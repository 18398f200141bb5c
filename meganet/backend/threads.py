"""Independent tasks side by side on the processor's cores.

A training step is a few hundred small products, too small for the threads inside BLAS: they would wait for each other
after every one, and everything between the products would run on one core. So the batch is split, each part goes
through the whole network on a thread of its own, and BLAS keeps to one thread meanwhile. NumPy releases the
interpreter's lock in all that takes time.

The number of threads is the one that BLAS has: ``OPENBLAS_NUM_THREADS`` and `threadpoolctl.threadpool_limits` rule
both.

Whoever calls `run` hands the tasks over and waits, nothing more. Python runs the handlers of signals, and so raises
``KeyboardInterrupt``, between any two instructions of the main thread; what the helpers alone change is never left half
changed. A forked process has one thread and memory in whatever state the others left it: it starts afresh.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from _thread import get_ident, start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import lru_cache
from importlib import import_module
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_limits

Result = TypeVar("Result")

RESPONSE = 0.05
"""Seconds after which a thread that waits looks whether there is a signal."""
PATIENCE = 5.0
"""Seconds for which an interrupt waits for the tasks at work, however many more follow."""


def limit_for_good(count: int) -> None:
    """Give all of BLAS so many threads in a process that does nothing else."""
    _libraries()
    threadpool_limits(count)


@lru_cache(maxsize=1)
def _libraries() -> tuple[Any, ...]:
    # SciPy has a BLAS of its own, of which nothing is known before it is loaded
    import_module("scipy.linalg")
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def blas() -> str:
    """Return NumPy's BLAS and the kernel that it chose, such as "openblas Haswell", whatever else is loaded.

    Examples
    --------
    >>> from meganet.backend.threads import blas
    >>> isinstance(blas(), str)
    True
    """
    # in a wheel it lies in or beside NumPy's own folder; elsewhere it may be any of those that are loaded
    home = os.path.realpath(os.path.dirname(np.__file__))
    own = [library for library in _libraries() if os.path.realpath(library.filepath).startswith(home)]
    names = {f"{one.internal_api} {getattr(one, 'architecture', None) or ''}".strip() for one in own or _libraries()}
    return " + ".join(sorted(names))


def _blas_threads() -> int:
    return max((library.num_threads for library in _libraries()), default=1)


def _limit(library: Any, count: int) -> None:
    # threadpoolctl 3.8 lets only the thread that was first to set a limit set another; other calls do nothing
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


class _Call:
    """What one call of `run` asks for, and what has come of it."""

    def __init__(self, tasks: Sequence[Callable[[], Any]], helpers: int) -> None:
        self.futures: list[Future[Any]] = [Future() for _ in tasks]
        self.waiting = deque(zip(self.futures, tasks, strict=True))
        self.context = copy_context()
        self.helpers = self.missing = helpers
        self.working = 0
        self.over = threading.Lock()
        self.over.acquire()

    def work(self) -> None:
        """Take tasks until none is left; several threads do so at once."""
        process = _crew
        while True:
            try:
                future, task = self.waiting.popleft()
            except IndexError:
                return
            try:
                future.set_result(task())
            except BaseException as error:
                future.set_exception(error)
            if process is not _crew:
                _leave(future.exception())

    def settle(self) -> None:
        """Wait for the tasks at work."""
        while self.working:
            time.sleep(0.001)


def _leave(error: BaseException | None) -> None:
    """End a process that was forked in a task and came back from it: whom it would return to is not there."""
    code = 0 if error is None else error.code if isinstance(error, SystemExit) else error
    if code is None or isinstance(code, int):
        os._exit(code or 0)
    traceback.print_exception(error)
    os._exit(1)


class _Helper(threading.Thread):
    """A thread that waits for work until the program ends."""

    def __init__(self, crew: _Crew) -> None:
        super().__init__(name="meganet", daemon=True)
        self.crew = crew

    def run(self) -> None:
        """Do what comes in."""
        _here.works = True
        for library in _libraries():
            if getattr(library, "threading_layer", None) == "openmp":
                _limit(library, 1)  # the others' limit is the process', this one's is the thread's
        while True:
            self.crew.serve(self.crew.inbox.get())


class _Crew:
    """The helpers of a process. All but `inbox` and `calls` is changed by their threads only, under the lock."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[_Call] = SimpleQueue()
        #: The call that each calling thread made last.
        self.calls: dict[int, _Call] = {}
        self.members = self.working = 0
        #: How many threads the libraries have when no helper works, while one does.
        self.held: list[tuple[Any, int]] = []

    def wanted(self) -> int:
        """Return how many helpers all calls together want."""
        return sum(call.helpers for call in list(self.calls.values()))

    def recruit(self, wanted: int) -> None:
        """Make the helpers that are lacking."""
        alone = False
        with _lock:
            try:
                while self.members < wanted:
                    _Helper(self).start()
                    self.members += 1
            except RuntimeError:
                # the system gives no more threads; where there is no other helper, this thread is one
                alone, self.members = not self.members, max(1, self.members)
        if alone:
            _Helper(self).run()

    def serve(self, call: _Call) -> None:
        """Work for a call, on a helper's thread."""
        with _lock:
            wanted = bool(call.waiting)
            if wanted:
                if not self.working:
                    self.hold()
                self.working += 1
                call.working += 1
        if wanted:
            call.context.copy().run(call.work)
        with _lock:
            if wanted:
                self.working -= 1
                if not self.working:
                    self.restore()
                call.working -= 1
            call.missing -= 1
            if not call.missing:
                call.over.release()

    def stop(self, call: _Call, end: float) -> None:
        """Begin no more tasks of an interrupted call and wait for those at work; until `end` so do further interrupts.

        The last of them is raised.
        """
        try:
            with _lock:
                call.waiting.clear()
            call.settle()
            self.calls.pop(get_ident(), None)
        except BaseException:
            if time.monotonic() < end:
                self.stop(call, end)
            raise

    def hold(self) -> None:
        """Hold BLAS to one thread."""
        self.held = [(library, library.num_threads) for library in _libraries()]
        for library, _ in self.held:
            _limit(library, 1)

    def restore(self) -> None:
        """Give BLAS its threads back, unless somebody else did."""
        for library, count in self.held:
            if library.num_threads == 1:
                _limit(library, count)
        self.held = []


_lock = threading.RLock()
_crew = _Crew()
_here = threading.local()


def _start_afresh() -> None:
    """Forget the helpers and locks of the process that this one was forked from."""
    global _crew, _here
    parent, _crew, _here = _crew, _Crew(), threading.local()
    parent.restore()


if hasattr(os, "register_at_fork"):
    # no thread is changing the limit of BLAS then, which takes a lock inside BLAS; as in `concurrent.futures`
    os.register_at_fork(
        before=_lock.acquire,
        after_in_child=_lock._at_fork_reinit,  # type: ignore[attr-defined]
        after_in_parent=_lock.release,
    )
    os.register_at_fork(after_in_child=_start_afresh)


def thread_count() -> int:
    """Return how many threads may work now: 1 inside a task, and where NumPy's BLAS cannot be told to keep to one."""
    if getattr(_here, "works", False):
        return 1
    crew = _crew
    with _lock:
        return max([_blas_threads(), *(count for _, count in crew.held)])


def run(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the tasks' results in order. If one raises an exception, so does this, after all have ended.

    A single task keeps the threads of BLAS and runs where it was called; of several, each runs on one thread, a helper.
    An exception raised meanwhile by the handler of a signal, such as ``KeyboardInterrupt``, comes out when the tasks
    at work have ended; the others are not started.
    """
    count = min(thread_count(), len(tasks))
    if count < 2:
        return [task() for task in tasks]
    crew, caller = _crew, get_ident()
    last = crew.calls.get(caller)
    if last is not None:
        last.settle()  # it was interrupted, and so was the wait for the tasks at work
    call = crew.calls[caller] = _Call(tasks, count)
    try:
        for _ in range(count):
            crew.inbox.put(call)
        if crew.members < (wanted := crew.wanted()):
            start_new_thread(crew.recruit, (wanted,))
        # a signal that another thread receives, or one on Windows, does not end the wait by itself
        while crew is _crew and not call.over.acquire(timeout=RESPONSE):
            pass
    except BaseException:
        if crew is _crew:
            crew.stop(call, time.monotonic() + PATIENCE)
        raise
    crew.calls.pop(caller, None)
    if crew is not _crew:
        return run(tasks)  # the handler of a signal forked this process: its helpers are not there
    return [future.result() for future in call.futures]
