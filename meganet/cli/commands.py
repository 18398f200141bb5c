"""All commands together: from the words of a command line to what is done and what is said of errors."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from meganet._validate import InputError, UserError, reject
from meganet._version import __version__
from meganet.cli import experiment, figure, info, report, reproduce

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What is wrong with a disk that takes no more."""


def execute(arguments: Sequence[str] | None) -> int:
    """Run a command line and return the exit status: 0, 2 for what cannot be used; see `main`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that knows no "±", a path that is not UTF-8
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        try:
            job = options.prepare(options)
        except InputError as error:
            return _complain(error)
        try:
            job()
            sys.stdout.flush()
        except OSError as error:
            # results that cannot be written are told by name, so this is about the lines on the way
            if error.filename is not None or error.errno not in FULL:
                raise
            _mute()
            reject("standard output", "a file that can be written", f"one that cannot ({error.strerror})", UserError)
    except UserError as error:
        return _complain(error)
    except BrokenPipeError:
        # the reader, such as head, has seen enough
        _mute()
        return 1
    return 0


def _mute() -> None:
    """Write nothing more to standard output, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: InputError) -> int:
    print(f"meganet: error: {error}", file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """One readable line for a command that cannot be understood."""

    def error(self, message: str) -> NoReturn:
        line = message.replace("\n", "\\n")
        self.exit(2, f"meganet: error: {line} ({self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meganet", description="Multiresolution convolutional networks: rerun the thesis' experiments."
    )
    parser.add_argument("--version", action="version", version=f"meganet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (reproduce, report, figure, experiment, info):
        module.add(commands)
    return parser
