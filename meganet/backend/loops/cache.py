"""What loops were compiled to, kept on the disk for the next process, and the line that says that they are compiled.

Each form of a loop, for some types of its arguments, is a file, in a folder whose name is a digest of all sources of
loops and of the versions of Python and numba: machine code that was made of something else is not found. The name of
the file is a digest of all else that it depends on, such as the processor. It begins with its own digest, and is
unpickled only if that is right: what is damaged is compiled again. The folder belongs to the user, and nobody else may
write into it; one of which that is not true is not used. Folders of other versions are left alone.

The folder is in the user's cache, or in the one that numba is told to use (``NUMBA_CACHE_DIR``). Where it cannot
be, every process compiles for itself.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import stat
import sys
import warnings
from contextlib import nullcontext, suppress
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from tqdm import tqdm

from meganet.backend import loops
from meganet.ground.files import cache_folder, write_atomic

SEAL = hashlib.sha256().digest_size
"""Bytes of the digest at the start of a file."""
KNOBS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")
"""Of numba's configuration, what changes the machine code and is not in its description of the processor."""

_said: set[str] = set()


class Kept(NullCache):
    """What a function was compiled to, as numba asks for it."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def load_overload(self, arguments: Any, context: Any) -> Any:
        """Return what is kept for these types of arguments; None if there is nothing, and numba is about to compile."""
        context.refresh()
        loops.note_form()
        folder, unusable = place()
        if unusable is None:
            # nothing was kept, or what was is damaged, in whatever way: it is compiled again
            with suppress(Exception):
                path = self._path(folder, arguments, context.codegen())
                content = path.read_bytes()
                if content[:SEAL] == _seal(path, content[SEAL:]):
                    return CompileResult._rebuild(context, *pickle.loads(content[SEAL:]))
            if not os.access(folder, os.W_OK):
                unusable = f"{str(folder)!r} cannot be written"
        _announce(unusable)
        return None

    def save_overload(self, arguments: Any, result: Any) -> None:
        """Keep what the function was compiled to for these types of arguments."""
        if result.lifted or result.library.has_dynamic_globals:
            name = self._function.__qualname__
            warnings.warn(f"the loop {name} holds addresses of this process and cannot be kept", RuntimeWarning, 2)
            return
        folder, unusable = place()
        if unusable is not None:
            return
        path = self._path(folder, arguments, result.codegen)
        try:
            content = dumps(result._reduce())
        except RuntimeError:
            # an interrupt came when LLVM handed out the machine code, which is in use and not at hand
            return
        try:
            write_atomic(path, _seal(path, content) + content)
        except OSError as error:
            _say("kept", f"what was compiled cannot be kept ({_why(error)}): every process compiles for itself")

    def _path(self, folder: Path, arguments: Any, codegen: Any) -> Path:
        knobs = [str(getattr(numba.config, name, None)) for name in KNOBS]
        described = repr((_identity(self._function), arguments, codegen.magic_tuple(), knobs))
        return folder / f"{self._function.__name__}-{hashlib.sha256(described.encode()).hexdigest()}"


def _identity(value: Any) -> Any:
    """Return what tells apart functions, and those that are made by one function with different values around them."""
    function = getattr(value, "py_func", value)
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(value)
    around = [_identity(cell.cell_contents) for cell in function.__closure__ or ()]
    digest = hashlib.sha256(code.co_code).hexdigest()
    return function.__module__, function.__qualname__, code.co_firstlineno, digest, around


def _seal(path: Path, content: bytes) -> bytes:
    """Return a digest of what is in a file and of its name, so that it is not taken for another."""
    return hashlib.sha256(path.name.encode() + content).digest()


@lru_cache(maxsize=1)
def version() -> str:
    """Return a digest of what all loops are made of, and by what."""
    made_by = (sys.version, sys.implementation.cache_tag, numba.__version__, llvmlite.__version__)
    digest = hashlib.sha256(repr(made_by).encode())
    for source in sorted(files(loops.__name__).iterdir(), key=lambda source: source.name):
        if source.name.endswith(".py"):
            digest.update(source.name.encode() + b"\0" + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def place() -> tuple[Path, str | None]:
    """Return the folder, and None if it is there, else why it cannot be, or cannot be trusted."""
    named = numba.config.CACHE_DIR
    above = Path(os.path.abspath(named)) if named else cache_folder()
    folder = above / f"meganet-loops-{version()}" if named else above / f"loops-{version()}"
    if not folder.is_absolute():
        return folder, f"{str(above)!r} is no absolute path"
    try:
        if not folder.is_dir():
            above.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        return folder, _why(error)
    if not stat.S_ISDIR(found.st_mode):
        return folder, f"{str(folder)!r} is no folder"
    if hasattr(os, "getuid") and (found.st_uid not in (0, os.getuid()) or found.st_mode & 0o022):
        return folder, f"into {str(folder)!r} others may write"
    return folder, None


def _announce(unusable: str | None) -> None:
    """Say, the first time, that compiling begins, and why nothing can be kept, if so."""
    if unusable is None:
        _say("compiling", "compiling its loops for this processor, once; it takes up to half a minute")
    else:
        every = "up to half a minute in every process"
        _say("compiling", f"compiling its loops, {every}, as they cannot be kept ({unusable})")
        _said.add("kept")


def _why(error: OSError) -> str:
    return f"{error.filename!r}: {error.strerror}" if error.strerror else str(error)


def _say(what: str, line: str) -> None:
    """Write a line to standard error, once in a process, beside the bars of tqdm.

    Processes that work for another say nothing.
    """
    if what in _said or loops.is_quiet() or multiprocessing.parent_process() is not None or sys.stderr is None:
        return
    _said.add(what)
    # asked only where there is a bar: it takes locks, which a fork copies
    beside = tqdm.external_write_mode(file=sys.stderr) if getattr(tqdm, "_instances", None) else nullcontext()
    # whose reader may have gone
    with suppress(OSError, ValueError), beside:
        print(f"meganet: {line}", file=sys.stderr, flush=True)
