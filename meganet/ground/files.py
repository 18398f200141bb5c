"""Files are written beside their place and moved there: a reader sees the old one or the new one, never a part.

What a file says of its own size is not believed: readers take memory block by block, or after a check.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from platformdirs import user_cache_path

from meganet.ground import validate

TEMPORARY = ".tmp"
"""Ending of the hidden files that are being written; one that is left over belongs to a process that was killed."""

BLOCK = 2**16
"""Bytes that readers take at a time."""
DEFLATE_RATIO = 1032
"""Deflate makes no more bytes than this of one."""


@contextmanager
def opened(path: str | os.PathLike[str], expected: str, *errors: type[Exception]) -> Iterator[IO[bytes]]:
    """Open a file for reading; whatever is wrong with it while it is read is an `InputError`, with its path.

    Parameters
    ----------
    path : path
    expected : str
        What the file should be, in words.
    *errors : exception classes
        What the reader in the block raises for a damaged file, beside those of the system and of zlib.
    """
    # asked first: opening a pipe would wait for somebody who writes to it
    if os.path.exists(path) and not os.path.isfile(path):
        validate.reject_file(path, "a file", "a folder or a device")
    faults: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, *errors)
    try:
        with open(path, "rb") as file:
            yield file
    except faults as error:
        validate.reject_file(path, expected, f"{type(error).__name__}: {error}")


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to `path`, replacing the file that is there in one step.

    A pipe or a device is not replaced, which whoever may write to ``/dev`` would come to regret: `UserError`.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not (path.is_file() or path.is_dir()):
        validate.reject_file(path, "a file", "a pipe or a device")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        # the folder may have been deleted, or the disk become read-only: what failed first is reported
        with suppress(OSError):
            os.unlink(name)
        raise


def write_named(path: Path, content: bytes) -> None:
    """Write a file that the argument `path` of a function names; `InputError` if it cannot be written."""
    if not os.path.isdir(path.parent):
        validate.reject("path", "a file in an existing folder", str(path))
    try:
        write_atomic(path, content)
    except OSError as error:
        validate.reject("path", "a file that can be written", f"{path} ({error.strerror})")


def user_path(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return a path that a user has named, with ``~`` and ``~user`` replaced by the home folder.

    Raises
    ------
    InputError
        If no file can have that name, or there is no such home folder.
    """
    try:
        found = validate.path(argument, path).expanduser()
    except RuntimeError:
        validate.reject(argument, "a path below a home folder that exists", repr(str(path)))
    try:
        # it is also printed, and written into reports
        str(found).encode()
    except UnicodeEncodeError:
        validate.reject(argument, "a path in UTF-8", repr(str(path)))
    return found


def cache_folder() -> Path:
    """Return the user's cache folder for data sets; it may not exist yet."""
    return user_cache_path("meganet")
