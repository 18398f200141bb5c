"""Files are written beside their place and moved there: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from meganet import _validate

TEMPORARY = ".tmp"
"""Ending of the hidden files that are being written; one that is left over belongs to a process that was killed."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to `path`, replacing what is there in one step."""
    data = content.encode() if isinstance(content, str) else content
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


def user_path(argument: str, path: str | os.PathLike[str]) -> Path:
    """Return a path that a user has named, with ``~`` and ``~user`` replaced by the home folder.

    Raises
    ------
    InputError
        If no file can have that name, or there is no such home folder.
    """
    try:
        found = _validate.path(argument, path).expanduser()
    except RuntimeError:
        _validate.reject(argument, "a path below a home folder that exists", repr(str(path)))
    try:
        # it is also printed, and written into reports
        str(found).encode()
    except UnicodeEncodeError:
        _validate.reject(argument, "a path in UTF-8", repr(str(path)))
    return found


def cache_folder() -> Path:
    """Return the user's cache folder for data sets; it may not exist yet."""
    return user_cache_path("meganet")
