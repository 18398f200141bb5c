"""`meganet reproduce`: tables of the thesis, or all of chapter 4 with its report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from meganet.cli import options
from meganet.cli.arguments import ALL, RESULTS
from meganet.experiments import TABLES, protocol_for, report
from meganet.experiments.study import Study, networks_of
from meganet.reporting import write_report


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check everything that a user may have got wrong; what runs afterwards is ours."""
    tables = tuple(sorted(TABLES)) if given.table == ALL else (given.table,)
    protocols = {
        network: options.changed(
            protocol_for(of_network[0], given.preset, **options.numbers(given)), given, fixed={"network": network}
        )
        for network, of_network in networks_of(tables).items()
    }
    backend, data, workers = options.tools(given, list(protocols.values()))
    name = "-".join([f"{given.preset}-seed-{given.seed}", *given.settings])
    path = Path(RESULTS, name) if given.out is None else options.place("out", given.out)
    study = Study(path, protocols, backend, data)

    def job() -> None:
        print(f"Data: {len(data)} images of {data.name} ({data.source})")
        with study:
            all_figures = given.table == ALL
            study.run(tables, workers=workers, progress=not given.quiet, line=print, landscapes=all_figures)
            for result in study.results(tables):
                print(f"\n{report.to_text(result)}", end="")
            written = write_report(study, tables, options.command(), progress=print, landscapes=all_figures)
        print(f"\nResults: {study.path}\nReport:  {written}")

    return job
