"""The report of a study: tables, figures, settings, versions, machine, as Markdown and as one page of HTML."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from meganet._disk import json_text, write_file, writing
from meganet.document import Block, Document, Grid, Heading, Paragraph, Picture
from meganet.experiments import TABLES, report
from meganet.experiments.report import TableResult
from meganet.experiments.study import Study
from meganet.plotting import FIGURES, Figure, to_png, to_svg

FIGURES_OF = {"4.1": ("3.1", "4.1", "4.2", "4.3", "4.4"), "4.2": ("2.1", "4.5", "4.6")}
"""Figures that are drawn from the runs of a table."""
LINES = ("4.1",)
"""Figures of lines, which the page shows as SVG; the others are images and surfaces."""
SEEN = {
    "2.1": "Mosaic of gray images: a digit two, and channels of every layer of the retrained network that it passes.",
    "3.1": "Mosaics of blocks of the classifier: random weights, and the same ones when they are smoothed.",
    "4.1": "Curves of the objective and of the validation accuracy over the epochs: coarse training, then New, "
    "Transfer and Multigrid.",
    "4.2": "Mosaic of blocks of the classifier, each an image of the weights of one class and one channel.",
    "4.3": "Contours and surfaces of the objective around the coarse minimum and around both starts of retraining.",
    "4.4": "Mosaic of gray images: an eight and a three in the layers of the networks New, Transfer and Multigrid.",
}
SEEN |= {"4.5": SEEN["4.3"], "4.6": SEEN["4.4"]}
"""What is seen in each figure, for those who do not see it."""


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
        figures/figure-4.1.png, .svg, ...

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
        if figure.quick or landscapes:
            page.add(Heading(figure.title, 3), *_figure(study, number, figure, progress))
    page.add(Heading("Settings"))
    for network in sorted({TABLES[table].network for table in tables}):
        settings = dataclasses.asdict(study.folders[network].protocol)
        where = {"data": study.data.name, "backend": study.folders[network].backend.name}
        where |= study.folders[network].environment
        page.add(Heading(f"Net {network}", 3))
        rows = [(name, str(value)) for name, value in settings.items()]
        page.add(Grid([("setting", "value"), *rows], caption="Settings of its runs:"))
        page.add(Grid([("what", "value"), *where.items()], caption="Where its first run was made:"))
    write_file(study.path / "report.md", page.to_markdown())
    return write_file(study.path / "report.html", page.to_html())


def _figure(study: Study, number: str, figure: Figure, progress: Callable[[str], None]) -> list[Block]:
    """Write a figure's files and return what the report says of it."""
    trial = study.first_trial(figure.networks, trained=figure.trained)
    if trial is None:
        return [Paragraph("Not drawn: in every trial a run that it shows diverged.")]
    progress(f"{figure.title} ...")
    canvas, lines = figure.make(study, trial)
    base = f"figures/figure-{number}"
    content = to_png(canvas)
    write_file(study.path / f"{base}.png", content)
    if number in LINES:
        content = to_svg(canvas)
        write_file(study.path / f"{base}.svg", content)
    sizes = report.sizes_label(study.folders[figure.networks[0]].protocol)
    caption = figure.title + (f" ({sizes})" if sizes else "")
    picture = Picture(f"{base}.png", content, caption, SEEN[number], canvas.get_figwidth())
    return [picture, *map(Paragraph, lines)]
