"""Processes of this machine that work on independent items. A killed one is replaced; none outlives its parent."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from typing import TypeVar

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from meganet.backend.threads import limit_for_good
from meganet.ground import validate

Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS = 3
"""Times in a row that a process may be killed before any item ends."""
SECONDS = 1.0
"""Between two looks of a process at whether its parent lives."""


class WorkersError(validate.UserError):
    """Those who make the trials cannot be reached, or are killed again and again."""


def unordered(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    threads: int,
    note: Callable[[str], None],
) -> Iterator[Result]:
    """Yield the results of the items in the order in which they end; no more processes than items are started.

    The items of a process that is killed, for instance because the memory is used up, are tried again.

    Parameters
    ----------
    function, items
        What each process calls with one item after another.
    processes, threads : int
        How many processes at most, and the limit of threads in each.
    note : callable
        Gets a line of text when a process was killed.

    Raises
    ------
    WorkersError
        If processes are killed `ATTEMPTS` times without an item that ends in between.
    """
    waiting = dict(enumerate(items))
    failures = 0
    while waiting:
        killed = None
        pool = ProcessPoolExecutor(min(processes, len(waiting)), initializer=_begin, initargs=(threads, os.getpid()))
        try:
            numbers = {pool.submit(function, item): number for number, item in waiting.items()}
            for future in as_completed(numbers):
                error = future.exception()
                if isinstance(error, TerminatedWorkerError):
                    killed = error
                    continue
                result = future.result()
                del waiting[numbers[future]]
                failures = 0
                yield result
        finally:
            pool.shutdown(kill_workers=True)
        if killed is not None:
            failures += 1
            how = _how(killed)
            if failures == ATTEMPTS:
                validate.reject(
                    "jobs",
                    "workers that are not killed",
                    f"one that was ({how}) {ATTEMPTS} times without a trial that ended; nothing stored is lost, the "
                    "same command continues, with fewer --jobs if the memory is short",
                    WorkersError,
                )
            note(f"a worker was killed ({how}); nothing stored is lost, its trial is tried again")


def _how(error: TerminatedWorkerError) -> str:
    """Return by which signal a process was killed, as far as it is known."""
    signals = re.findall(r"SIG[A-Z]+\(-\d+\)", str(error))
    known = f"signal {signals[0]}" if signals else "signal unknown"
    return known + (", out of memory?" if not signals or signals[0].startswith("SIGKILL") else "")


def _begin(threads: int, parent: int) -> None:
    """Set up a process that does nothing else than to work on items."""
    limit_for_good(threads)
    # the terminal interrupts the whole group; the parent decides what becomes of the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # the usual one is a semaphore of the system, which would be left behind when this process is killed
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is no longer there, in the middle of whatever it does."""
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os._exit(1)
