"""Independent tasks side by side on the processor's cores.

A training step is a few hundred small products, too small for the threads inside BLAS: they would wait for each other
after every one, and everything between the products would run on one core. So the batch is split, each part goes
through the whole network on a thread of its own, and BLAS keeps to one thread meanwhile. NumPy releases the
interpreter's lock in all that takes time.

The number of threads is the one that BLAS has: ``OPENBLAS_NUM_THREADS`` and `threadpoolctl.threadpool_limits` rule
both.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import lru_cache, partial
from queue import SimpleQueue
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")
Item = TypeVar("Item")


@lru_cache(maxsize=1)
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")


class Helper(threading.Thread):
    """A thread that waits for work until the program ends."""

    def __init__(self) -> None:
        super().__init__(name="meganet", daemon=True)
        self.inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Do what comes in."""
        while True:
            self.inbox.get()()


_idle: deque[Helper] = deque()
if hasattr(os, "register_at_fork"):
    # threads do not survive a fork: a child process makes its own
    os.register_at_fork(after_in_child=_idle.clear)


def _helper() -> Helper:
    try:
        return _idle.pop()
    except IndexError:
        return Helper()


class _SingleThreadedBLAS:
    """Holds BLAS to one thread while at least one call of `run` works, from whatever thread it was made."""

    def __init__(self) -> None:
        self.lock, self.holders, self.count = threading.Lock(), 0, 1
        self.limit: Any = None

    def __enter__(self) -> None:
        with self.lock:
            if not self.holders:
                self.count = _blas_threads()
                self.limit = _blas().limit(limits=1)
            self.holders += 1

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.holders -= 1
            if not self.holders:
                self.limit.restore_original_limits()


_held = _SingleThreadedBLAS()
_here = threading.local()


def _blas_threads() -> int:
    return max((library.num_threads for library in _blas().lib_controllers), default=1)


def thread_count() -> int:
    """Return how many threads may work now: 1 inside a task, and where NumPy's BLAS cannot be told to keep to one."""
    if getattr(_here, "works", False):
        return 1
    with _held.lock:
        return _held.count if _held.holders else _blas_threads()


def run(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the tasks' results in order. If one raises an exception, so does this, after all have ended.

    A single task keeps the threads of BLAS; of several, each runs on one thread, the calling one among them.
    """
    count = min(thread_count(), len(tasks))
    if count < 2:
        return [task() for task in tasks]
    futures: list[Future[Result]] = [Future() for _ in tasks]
    waiting = deque(zip(futures, tasks, strict=True))
    finished: SimpleQueue[None] = SimpleQueue()

    def work() -> None:
        _here.works = True
        try:
            for future, task in _taken(waiting):
                try:
                    future.set_result(task())
                except BaseException as error:
                    future.set_exception(error)
        finally:
            _here.works = False

    def help_out() -> None:
        work()
        finished.put(None)

    with _held:
        helpers = [_helper() for _ in range(count - 1)]
        for helper in helpers:
            helper.inbox.put(partial(copy_context().run, help_out))
        try:
            work()
        finally:
            # also after an interrupt: helpers come back only when they are done
            for _ in helpers:
                finished.get()
            _idle.extend(helpers)
    return [future.result() for future in futures]


def _taken(waiting: deque[Item]) -> Iterator[Item]:
    """Take items until none is left; several threads may do so at once."""
    while True:
        try:
            item = waiting.popleft()
        except IndexError:
            return
        yield item
