"""All commands together: from the words of a command line to what is done and what is said of errors."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from meganet._validate import InputError, UserError
from meganet._version import __version__
from meganet.cli import experiment, figure, info, report, reproduce


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
        job()
        sys.stdout.flush()
    except UserError as error:
        return _complain(error)
    except BrokenPipeError:
        # the reader, such as head, has seen enough; nothing may be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


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
