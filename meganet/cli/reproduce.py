"""`meganet reproduce`: a protocol's tables, or all of the thesis with its report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from meganet.cli import options
from meganet.cli.arguments import ALL, RESULTS
from meganet.experiments import Study, setup_for, tables_of
from meganet.experiments.report import tables
from meganet.experiments.report.figure import check_figures
from meganet.experiments.report.page import write_report
from meganet.experiments.report.results import results
from meganet.experiments.report.values import in_words
from meganet.experiments.runs.study import Plan
from meganet.experiments.setup.tables import protocols, stages_of


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check everything that a user may have got wrong; what runs afterwards is ours."""
    names = tuple(n for n in protocols() if tables_of(n)[0].thesis) if given.table == ALL else (given.table,)
    plans: dict[str, Plan] = {}
    titles: dict[str, list[str]] = {}
    for name in names:
        network = tables_of(name)[0].network
        fixed = {} if network is None else {"network": network}
        setup = options.changed(setup_for(name, given.preset, **options.numbers(given)), given, fixed=fixed)
        case = f"net-{setup.model.network}"
        # the report finds runs by the names of their stages
        stages_of(setup.model.network)
        stages = [stage for table in tables_of(name) for stage in table.stages()]
        plans[case] = (setup, [*plans.get(case, (setup, []))[1], *stages])
        titles[case] = [*titles.get(case, []), name]
    check_figures()
    backend, data, workers = options.tools(given, [setup for setup, _ in plans.values()])
    path = options.results_folder(given, Path(RESULTS))
    study = Study(path, plans, backend, data, first_trial=given.first_trial)

    def job() -> None:
        print(f"Data: {len(data)} images of {data.name} ({data.source})")
        for case, of_case in titles.items():
            several, trials = "s" if len(of_case) > 1 else "", study.cases[case].setup.run.trials
            size = f"{trials} trial{'s' if trials > 1 else ''}"
            if study.first_trial > 1:
                size = in_words(range(study.first_trial, trials + 1))
            print(f"Table{several} {', '.join(of_case)}: net {case.removeprefix('net-')}, {size}, {backend.name}")
        with study:
            all_figures = given.table == ALL
            study.run(workers, progress=not given.quiet, log=print, landscapes=all_figures)
            for result in results(study, names):
                print(f"\n{tables.to_text(result)}", end="")
            written = write_report(study, names, options.command(), progress=print, landscapes=all_figures)
        print(f"\nResults: {study.path}\nReport:  {written}")

    return job
