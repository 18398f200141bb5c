"""`meganet report`: the report of whatever a folder holds."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from meganet.backend import get_backend, use_backend
from meganet.cli import options
from meganet.experiments.store import refuse
from meganet.experiments.study import Study
from meganet.reporting import write_report


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="write the report of stored runs",
        description="Write the report of what 'meganet reproduce' has stored: every table that has a complete trial, "
        "over as many trials as are complete, and all figures. Nothing is trained.",
    )
    options.add_stored(parser)
    parser.set_defaults(prepare=_prepare)


def _prepare(given: argparse.Namespace) -> Callable[[], None]:
    backend = get_backend(given.backend)
    study = Study.open(options.place("results", given.results), options.folder_of_data(given), backend)
    tables = study.complete()
    if not tables:
        refuse("a folder with a complete trial of a table", f"{given.results!r}, where {study.lacking()}")

    def job() -> None:
        with use_backend(backend):
            written = write_report(study, tables, options.command(), progress=print, landscapes=True)
        print(f"Report: {written}")

    return job
