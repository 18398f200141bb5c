"""`meganet report`: the report of whatever a folder holds."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from meganet.backend import get_backend, use_backend
from meganet.cli import options
from meganet.experiments.report.figure import check_figures
from meganet.experiments.report.page import write_report
from meganet.experiments.report.results import complete, lacking_in
from meganet.store.disk import refuse


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what writes the report."""
    backend = get_backend(given.backend)
    check_figures()
    study = options.study(given, backend)
    tables = complete(study)
    if not tables:
        refuse("a folder with a complete trial of a table", f"{given.results!r}, where {lacking_in(study)}")

    def job() -> None:
        with use_backend(backend):
            written = write_report(study, tables, options.command(), progress=print, landscapes=True)
        print(f"Report: {written}")

    return job
