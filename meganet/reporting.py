"""The report of a study: tables, figures, settings, versions, machine, as Markdown and as one page of HTML."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from meganet.document import Document, Grid, Heading, Paragraph, Picture
from meganet.experiments import TABLES, report
from meganet.experiments.disk import json_text, write_file, writing
from meganet.experiments.report import TableResult
from meganet.experiments.study import Study
from meganet.plotting import FIGURES, to_png

FIGURES_OF = {"4.1": ("3.1", "4.1", "4.2", "4.3", "4.4"), "4.2": ("2.1", "4.5", "4.6")}
"""Figures that are drawn from the runs of a table."""


def write_report(
    study: Study,
    tables: Iterable[str],
    command: str,
    progress: Callable[[str], None] = lambda line: None,
    *,
    landscapes: bool = False,
) -> Path:
    """Write tables and figures of a study, and the report that holds them; return the page's path.

    ::

        report.html, report.md
        tables/table-4.1.md, .csv, .json, ...
        figures/figure-4.1.png, ...

    Parameters
    ----------
    study : Study
        With at least one complete trial of each table.
    tables : iterable of str
        The report has the figures that are drawn from their runs.
    command : str
        The command line that made it, for the record.
    progress : callable
        Gets a line of text for each figure.
    landscapes : bool
        Draw also the figures that take minutes, as the objective is evaluated again and again.
    """
    tables = tuple(tables)
    # looked at first: nothing is written of results that do not belong together
    results = study.results(tables)
    with writing(study.path, "tables", "figures"):
        return _write(study, tables, results, command, progress, landscapes)


def _write(
    study: Study,
    tables: tuple[str, ...],
    results: list[TableResult],
    command: str,
    progress: Callable[[str], None],
    landscapes: bool,
) -> Path:
    page = Document([Heading("Multiresolution Methods for Convolutional Neural Networks: chapter 4 rerun", 1)])
    page.add(Paragraph("Made by:"), Paragraph(command, code=True))
    page.add(Heading("Tables"))
    for result in results:
        for line in report.incomplete(result):
            progress(f"{result.title}: {line}")
        blocks = report.to_document(result)
        page.add(Heading(result.title, 3), *blocks)
        base = f"tables/{result.name}"
        write_file(study.path / f"{base}.md", Document(blocks).to_markdown())
        write_file(study.path / f"{base}.csv", report.to_csv(result))
        write_file(study.path / f"{base}.json", json_text(report.to_json(result)))
    page.add(Heading("Figures"))
    for number in sorted(number for table in tables for number in FIGURES_OF.get(table, ())):
        figure = FIGURES[number]
        if not (figure.quick or landscapes):
            continue
        trial = study.first_trial(figure.networks, trained=figure.trained)
        if trial is None:
            page.add(Heading(figure.title, 3), Paragraph("Not drawn: in every trial a run that it shows diverged."))
            continue
        progress(f"{figure.title} ...")
        canvas, lines = figure.make(study, trial)
        content = to_png(canvas)
        write_file(study.path / f"figures/figure-{number}.png", content)
        page.add(Heading(figure.title, 3), Picture(f"figures/figure-{number}.png", content, figure.title))
        page.add(*map(Paragraph, lines))
    page.add(Heading("Settings"))
    for network in sorted({TABLES[table].network for table in tables}):
        settings = dataclasses.asdict(study.folders[network].protocol)
        page.add(Heading(f"Net {network}", 3))
        page.add(Grid([("setting", "value"), *((name, str(value)) for name, value in settings.items())]))
        page.add(Paragraph("Where its first run was made:"))
        where = {"data": study.data.name, "backend": study.folders[network].backend.name}
        page.add(Grid([("what", "value"), *where.items(), *study.folders[network].environment.items()]))
    write_file(study.path / "report.md", page.to_markdown())
    return write_file(study.path / "report.html", page.to_html())
