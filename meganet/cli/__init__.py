"""The `meganet` command."""
# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

INTERRUPTED = "\nmeganet: interrupted; the same command continues"
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C, being asked to end, and the end of the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 2 for what cannot be used, 128 + n after the signal n.

    What a user may get wrong is one line on standard error: any `InputError` while a command is prepared, which is when
    all arguments are checked, and a `UserError` at any time. Whatever else comes up is a bug and shows its traceback.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Unwind the program, which closes files and ends workers."""
        received.append(number)
        signal.default_int_handler(number, frame)

    _open_streams()
    try:
        with _on_signals(_leave):
            from meganet.cli.arguments import parse

            given = parse(arguments)
            # the numerical libraries, which take most of a second
            command = import_module(f"meganet.cli.{given.command}")
            from meganet.cli.commands import execute
        with _on_signals(interrupt):
            return execute(command.prepare, given)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 128 + (received or [signal.SIGINT])[0]
    finally:
        if arguments is None and threading.current_thread() is threading.main_thread():
            # of the program that is ending there is nothing to be shown any more
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _open_streams() -> None:
    """Let a program that was started without standard output or error write into nothing, and print any path.

    Else the first files that it opens take their numbers, and get whatever a library prints.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that knows no "±", a path that is not UTF-8
            stream.reconfigure(errors="backslashreplace")
    closed = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    if not closed:
        return
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in closed:
        setattr(sys, name, os.fdopen(("stdout", "stderr").index(name) + 1, "w", encoding="utf-8"))


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process at once: nothing has begun, and a module that is being imported may not be left half-way."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(128 + number)


@contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Do `handler` at a signal to stop, inside the block; one that is ignored, as below ``nohup``, stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.getsignal(number) for number in STOPS}
    changed = {number: old for number, old in usual.items() if old in (signal.SIG_DFL, signal.default_int_handler)}
    for number in changed:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in changed.items():
            signal.signal(number, old)
