"""A command that was understood: what is done, and what is said of errors."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable

from meganet.backend.loops import quietly
from meganet.cli.options import as_typed
from meganet.ground.validate import InputError, UserError, reject

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What is wrong with a disk that takes no more."""


def execute(prepare: Callable[[argparse.Namespace], Callable[[], None]], given: argparse.Namespace) -> int:
    """Check what is given, do what it asks for, and return the exit status: 0, 2 for what cannot be used; see `main`.

    Errors name each argument as it is typed.
    """
    try:
        try:
            job = prepare(given)
        except InputError as error:
            return _complain(error, given)
        try:
            with quietly(getattr(given, "quiet", False)):
                job()
            sys.stdout.flush()
        except OSError as error:
            # results that cannot be written are told by name, so this is about the lines on the way
            if error.filename is not None or error.errno not in FULL:
                raise
            _mute()
            reject("standard output", "a file that can be written", f"one that cannot ({error.strerror})", UserError)
    except UserError as error:
        return _complain(error, given)
    except BrokenPipeError:
        # the reader, such as head, has seen enough
        _mute()
        return 1
    return 0


def _mute() -> None:
    """Write nothing more to standard output, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: InputError, given: argparse.Namespace) -> int:
    argument, expected, rest = str(error).partition(": expected ")
    print(f"meganet: error: {as_typed(argument, given)}{expected}{rest}", file=sys.stderr)
    return 2
