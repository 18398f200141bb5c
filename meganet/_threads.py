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
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import lru_cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")


@lru_cache(maxsize=1)
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="meganet")


if hasattr(os, "register_at_fork"):
    # threads do not survive a fork: a child process makes its own
    os.register_at_fork(after_in_child=_pool.cache_clear)


def thread_count() -> int:
    """Return how many threads may work now; 1 where NumPy's BLAS cannot be told to keep to one."""
    return max((library.num_threads for library in _blas().lib_controllers), default=1)


def run(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return the tasks' results in order. An exception in one of them is raised when all have stopped.

    A single task keeps the threads of BLAS; of several, each runs on one thread, the calling one among them.
    """
    count = min(thread_count(), len(tasks))
    if count < 2:
        return [task() for task in tasks]
    waiting = deque(enumerate(tasks))
    results: dict[int, Result] = {}

    def work() -> None:
        while True:
            try:
                number, task = waiting.popleft()
            except IndexError:
                return
            results[number] = task()

    with _blas().limit(limits=1):
        helpers = [_pool().submit(copy_context().run, work) for _ in range(count - 1)]
        try:
            work()
        finally:
            waiting.clear()
            wait(helpers)
    for helper in helpers:
        helper.result()
    return [results[number] for number in range(len(tasks))]
