"""Loops compiled by numba, for what array expressions do slowly on a processor. Used where numba is installed.

NumPy's expressions remain the definition, and the test of every loop. The modules here hold the same sums written
number by number, with the numbers in the processor's vector registers (`vectors`) and matrix products made of tiles
that fill these registers (`products`). Loops take flat arrays, work in blocks that stay in the cache, and do not hold
the interpreter's lock, so that threads run side by side. They import numba, and are imported when one is first wanted
(`plans.loops_of`); nothing is compiled before a loop is first called. What it was compiled to is kept on the disk
(`cache`).

This module, the switch, does not import numba until somebody asks whether it can be used, nor does `plans`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib import import_module

from meganet.ground import validate

ENVIRONMENT_VARIABLE = "MEGANET_LOOPS"
QUIET = "MEGANET_QUIET"
"""Environment variable that, set to anything, keeps silent about compiling."""
MINIMUM_NUMBA = (0, 61)

_wanted: ContextVar[bool | None] = ContextVar("meganet_loops", default=None)
_quiet: ContextVar[bool] = ContextVar("meganet_loops_quiet", default=False)
_forms = 0


@lru_cache(maxsize=1)
def problem() -> str | None:
    """Return why loops cannot be used here, None if they can; the first time numba is imported for the answer.

    Examples
    --------
    >>> from meganet.backend import loops
    >>> loops.problem() is None or "numba" in loops.problem().lower()
    True
    """
    # a package that an interrupt leaves half imported is of no use until the program ends: so the import goes on
    answer = Future[str | None]()
    try:
        threading.Thread(target=lambda: answer.set_result(_import_problem())).start()
    except RuntimeError:
        # the system gives no more threads
        return _import_problem()
    return answer.result()


def _import_problem() -> str | None:
    try:
        numba = import_module("numba")
        if numba.version_info.short < MINIMUM_NUMBA:
            return f"numba {'.'.join(map(str, MINIMUM_NUMBA))} or newer is needed, {numba.__version__} is installed"
        if numba.config.DISABLE_JIT:
            return "numba is told by NUMBA_DISABLE_JIT to compile nothing"
        import_module("meganet.backend.loops.products")
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "numba":
            return "numba is not installed; pip install 'meganet[fast]'"
        # a foreign package fails in its own ways: often it knows nothing of a NumPy that is newer
        return f"numba is installed but cannot be used ({validate.worded(error)})"
    return None


def in_use() -> bool:
    """Whether products on NumPy arrays are computed by compiled loops.

    The innermost `use_loops` decides, else the environment variable ``MEGANET_LOOPS``, "numba" or "numpy", which
    processes inherit; without it loops are used where they can be.

    Raises
    ------
    UserError
        If the variable is neither, or asks for loops that cannot be used.
    """
    wanted = _wanted.get()
    if wanted is not None:
        return wanted
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if not named:
        return problem() is None
    with validate.raised_as(validate.UserError):
        if validate.choice(ENVIRONMENT_VARIABLE, named, ("numba", "numpy")) == "numba":
            _require(ENVIRONMENT_VARIABLE, "numba")
    return named == "numba"


@contextmanager
def use_loops(wanted: bool) -> Iterator[None]:
    """Compute by compiled loops or by NumPy's expressions inside a ``with`` block, on all threads that work for it.

    Raises
    ------
    InputError
        If loops are wanted and cannot be used; the message says why.

    Examples
    --------
    >>> from meganet.backend import loops
    >>> with loops.use_loops(False):
    ...     loops.in_use()
    False
    """
    validate.instance("wanted", wanted, bool, "True or False")
    if wanted:
        _require("wanted", True)
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def _require(argument: str, value: object) -> None:
    reason = problem()
    if reason is not None:
        validate.reject(argument, "compiled loops that can be used here", f"{value!r}: {reason}")


def description() -> str:
    """Return in words what computes products on NumPy arrays: "numba" with its version, or "numpy".

    Which of them does changes results by round-off.

    Examples
    --------
    >>> from meganet.backend import loops
    >>> with loops.use_loops(False):
    ...     loops.description()
    'numpy'
    """
    return f"numba {import_module('numba').__version__}" if in_use() else "numpy"


@contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Do not say on standard error inside a ``with`` block that loops are compiled.

    Examples
    --------
    >>> from meganet.backend import loops
    >>> with loops.quietly():
    ...     loops.is_quiet()
    True
    """
    token = _quiet.set(quiet or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(token)


def is_quiet() -> bool:
    """Whether nothing is said of compiling: inside `quietly`, or where ``MEGANET_QUIET`` is set."""
    return _quiet.get() or bool(os.environ.get(QUIET))


def forms() -> int:
    """Return how many forms of loops this process has compiled or loaded: a time in which there are more shows nothing.

    Examples
    --------
    >>> from meganet.backend import loops
    >>> loops.forms() >= 0
    True
    """
    return _forms


def note_form() -> None:
    """Count a form of a loop that is about to be compiled or loaded."""
    global _forms
    _forms += 1
