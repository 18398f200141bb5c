"""Results on the disk, read and written: whatever is wrong with a disk or with a file is one clear error."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from filelock import Timeout

from meganet.ground import validate
from meganet.ground.files import TEMPORARY, write_atomic
from meganet.store import locks

LEFT_OVER = re.compile(rf"\..+\.[a-z0-9_]+{re.escape(TEMPORARY)}")
"""Names of the files that `write_atomic` moves to their place when they are complete."""


class ResultsError(validate.UserError):
    """A results folder cannot be used: it cannot be written, or holds something else than it should.

    Examples
    --------
    >>> from meganet.experiments import ResultsError
    >>> from meganet.experiments.runs.folder import read_setup
    >>> try:
    ...     read_setup("no-such-folder")
    ... except ResultsError as error:
    ...     print(error)
    out: expected a results folder, got 'no-such-folder', without settings.json
    """


def refuse(expected: str, got: str, argument: str = "out") -> NoReturn:
    """Raise `ResultsError` about a results folder."""
    validate.reject(argument, expected, got, ResultsError)


def make_folder(path: Path) -> None:
    """Make a folder, and those that lead to it, unless it is there."""
    try:
        # asked first, so that a file or a loop of links is named as what it is
        if not stat.S_ISDIR(os.stat(path).st_mode):
            refuse("a folder that can be written", f"{str(path)!r} (a file)")
    except FileNotFoundError:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refuse("a folder that can be written", f"{str(path)!r} ({error.strerror})")
    except OSError as error:
        refuse("a folder that can be written", f"{str(path)!r} ({error.strerror})")


def make_inside(path: Path) -> None:
    """Make a folder in one that is there, unless it is there itself."""
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        _deleted(path.parent)
    except OSError as error:
        refuse("a folder that can be written", f"{str(path)!r} ({error.strerror})")


def _deleted(folder: Path, argument: str = "out") -> NoReturn:
    refuse("a folder that stays while it is worked in", f"{str(folder)!r}, which was deleted", argument)


def entries(path: Path) -> list[str]:
    """Return the names in a folder, in order; none if it is not there."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        refuse("a folder that can be read", f"{str(path)!r} ({error.strerror})")


def read_file(path: Path, limit: int) -> bytes | None:
    """Return the content of a file of at most `limit` bytes, or None if there is none."""
    try:
        # looked at once it is open: between a look at the path and that, somebody may write another file there
        with open(path, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                refuse("a file", f"{str(path)!r}, a folder or a device")
            if found.st_size > limit:
                refuse(f"a file of at most {limit:,} bytes", f"{str(path)!r} of {found.st_size:,}")
            return file.read(found.st_size)
    except IsADirectoryError:
        refuse("a file", f"{str(path)!r}, a folder or a device")
    except FileNotFoundError:
        return None
    except OSError as error:
        refuse("a file that can be read", f"{str(path)!r} ({error.strerror})")


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def exists(path: Path) -> bool:
    """Whether there is something at a path."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        refuse("a file that can be read", f"{str(path)!r} ({error.strerror})")
    return True


def write_file(path: Path, content: str | bytes, argument: str = "out") -> Path:
    """Write a file in one step and return its path; its folder must be there."""
    try:
        write_atomic(path, content)
    except FileNotFoundError:
        _deleted(path.parent, argument)
    except OSError as error:
        refuse("a folder that can be written", f"{str(path)!r} ({error.strerror})", argument)
    return path


def json_text(content: Any) -> str:
    """Return plain data as the text of a JSON file; numbers that are not finite, which JSON does not know, as null."""
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def with_nan(content: Any) -> Any:
    """Return what `json_text` wrote of numbers, with nan where it wrote null for what is not finite.

    Examples
    --------
    >>> from meganet.store.disk import with_nan
    >>> with_nan({"loss": [0.5, None]})
    {'loss': [0.5, nan]}
    """
    if isinstance(content, dict):
        return {name: with_nan(value) for name, value in content.items()}
    if isinstance(content, list):
        return [with_nan(value) for value in content]
    return math.nan if content is None else content


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Keep other processes from working in a folder that is there, and clear what a killed one left.

    Parameters
    ----------
    folder : Path
    wait : bool
        Wait for another process that works there, instead of refusing.
    """
    with ExitStack() as held:
        try:
            if wait:
                held.enter_context(locks.waited_for(folder))
            else:
                held.callback(locks.release, folder, locks.acquire(folder, 0))
        except Timeout:
            refuse("a folder in which no other process works", f"{str(folder)!r} ({locks.holder(folder)})")
        except FileNotFoundError:
            _deleted(folder)
        except (OSError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            refuse("a folder that can be written", f"{str(folder / locks.LOCK)!r} ({reason})")
        clear(folder)
        yield


def clear(folder: Path) -> None:
    """Delete the files of a folder that were not written to their end; whoever calls it holds the folder's lock."""
    for name in filter(LEFT_OVER.fullmatch, entries(folder)):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            refuse("a folder that can be written", f"{str(folder / name)!r} ({error.strerror})")


@contextmanager
def writing(folder: Path, *parts: str) -> Iterator[None]:
    """Make a folder for a report, with folders in it; inside, no other process writes there."""
    places = [folder, *(folder / part for part in parts)]
    for place in places:
        make_folder(place)
    with locked(folder, wait=True):
        for place in places[1:]:
            clear(place)
        yield
