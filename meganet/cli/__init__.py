"""The `meganet` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from meganet._validate import InputError
from meganet._version import __version__
from meganet.cli import experiment, figure, info, report, reproduce
from meganet.experiments import ResultsError
from meganet.experiments.variants import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 2 for bad input, 130 when interrupted.

    A bug is not caught: it shows its traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        try:
            job = options.prepare(options)
        except InputError as error:
            return _complain(error)
        job()
        sys.stdout.flush()
    except (ResultsError, SettingsError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("\nmeganet: interrupted; the same command continues", file=sys.stderr)
        return 130
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
        self.exit(2, f"meganet: error: {message} ({self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meganet", description="Multiresolution convolutional networks: rerun the thesis' experiments."
    )
    parser.add_argument("--version", action="version", version=f"meganet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (reproduce, report, figure, experiment, info):
        module.add(commands)
    return parser
