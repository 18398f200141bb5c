"""Locks of folders that say who holds them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".holder"
PATIENCE = 1.0
"""Seconds to wait for a lock before it is said."""


def acquire(folder: Path, timeout: float) -> FileLock:
    """Return the lock of a folder, held; `filelock.Timeout` is raised if another process keeps it so long."""
    lock = FileLock(folder / LOCK)
    lock.acquire(timeout=timeout)
    # beside the lock itself, which who waits for it empties; a disk that is full is noticed where something matters
    with suppress(OSError):
        (folder / HOLDER).write_text(f"process {os.getpid()} on {platform.node()}")
    return lock


def release(folder: Path, lock: FileLock) -> None:
    """Let others have the lock of a folder."""
    with suppress(OSError):
        (folder / HOLDER).unlink(missing_ok=True)
    lock.release()


def holder(folder: Path) -> str:
    """Return in words who holds the lock of a folder."""
    try:
        return (folder / HOLDER).read_text() or "another process"
    except OSError:
        return "another process"


@contextmanager
def waited_for(folder: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock of a folder, saying on standard error for whom; hold it inside."""
    try:
        lock = acquire(folder, PATIENCE)
    except Timeout:
        print(f"meganet: waiting for {holder(folder)}, which writes in {folder}", file=sys.stderr, flush=True)
        lock = acquire(folder, -1)
    try:
        yield
    finally:
        release(folder, lock)
