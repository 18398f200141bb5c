"""The report of a study: tables, figures, settings, versions, machine, as Markdown and as one page of HTML.

::

    report.html, report.md
    tables/table-4.1.md, .csv, .json, ...
    figures/figure-4.1.png, .svg, ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from meganet.document import Block, Document, Grid, Heading, Paragraph, Picture
from meganet.experiments.report import tables
from meganet.experiments.report.figure import Figure, figure_of, figures
from meganet.experiments.report.figures import convergence
from meganet.experiments.report.results import TableResult, case_of, first_complete, results
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.study import Study
from meganet.experiments.setup.fields import as_text
from meganet.experiments.setup.tables import tables_of
from meganet.plotting.axes import to_png, to_svg
from meganet.store.disk import json_text, write_file, writing

TITLE = "Multiresolution Methods for Convolutional Neural Networks: chapter 4 rerun"
OWN_TITLE = "Multiresolution convolutional networks"
"""Of a report without a table of the thesis."""
Progress = Callable[[str], None]


def write_report(
    study: Study,
    names: Iterable[str],
    command: str,
    progress: Progress = lambda line: None,
    *,
    landscapes: bool = False,
) -> Path:
    """Write tables and figures of a study, and the report that holds them; return the page's path.

    Parameters
    ----------
    study : Study
        Of ``meganet reproduce``, with at least one complete trial of each table.
    names : iterable of str
        Of the protocols; the report has the figures that are drawn from their runs.
    command : str
        The command line that made it, for the record.
    progress : callable
        Gets a line of text for each figure.
    landscapes : bool
        Draw also the figures that take minutes, as the objective is evaluated again and again.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> import tempfile
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_shapes
    >>> from meganet.experiments import Setup, Study, Workers, tables_of
    >>> from meganet.experiments.report.page import write_report
    >>> sizes = {"coarse_examples": 16, "fine_examples": 16, "validation_examples": 16, "batch_size": 8}
    >>> setup = Setup.of(**sizes, coarse_epochs=1, fine_epochs=1, trials=1)
    >>> (table,) = tables_of("4.1")
    >>> plans, data = {"net-A": (setup, table.stages())}, load_shapes(size=8, examples=48)
    >>> with Study(tempfile.mkdtemp(), plans, get_backend("numpy"), data) as study:
    ...     study.run(Workers(), progress=False, log=lambda line: None)
    ...     page = write_report(study, ["4.1"], "meganet reproduce 4.1")
    >>> page.name, (page.parent / "tables" / "table-4.1.md").exists()
    ('report.html', True)
    """
    names = tuple(names)
    # looked at first: nothing is written of results that do not belong together
    found = results(study, names)
    title = TITLE if any(result.table.thesis for result in found) else f"{OWN_TITLE}: {', '.join(names)}"
    with writing(study.path, "tables", "figures"):
        page = Document([Heading(title, 1), Paragraph("Made by:"), Paragraph(command, code=True), Heading("Tables")])
        for result in found:
            for line in tables.incomplete(result):
                progress(f"{result.table.title}: {line}")
            page.add(Heading(result.table.title, 3), *write_table(study.path / "tables", result))
        page.add(Heading("Figures"))
        for number, title in figures().items():
            figure = figure_of(number)
            if figure.protocol in names and (figure.quick or landscapes):
                case = case_of(study, *tables_of(figure.protocol))
                page.add(Heading(title, 3), *_figure(study.path, case, f"figure-{number}", title, figure, progress))
        drawn = {figure_of(number).protocol for number in figures()}
        for result in found:
            # those of net B that are trained by Newton are not drawn in the thesis either
            if result.protocol not in drawn and not result.table.thesis:
                title, case = f"Convergence: {result.table.title}", case_of(study, result.table)
                name = f"convergence-{result.table.name}"
                page.add(Heading(title, 3), *_figure(study.path, case, name, title, convergence.FIGURE, progress))
        page.add(Heading("Settings"))
        for network in sorted({case_of(study, result.table).setup.model.network for result in found}):
            page.add(Heading(f"Net {network}", 3), *_settings(study.cases[f"net-{network}"]))
        write_file(study.path / "report.md", page.to_markdown())
        return write_file(study.path / "report.html", page.to_html())


def write_table(path: Path, result: TableResult) -> list[Block]:
    """Write a table's files into a folder and return what the report says of it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.experiments import Setup, tables_of
    >>> from meganet.experiments.report.page import write_table
    >>> from meganet.experiments.report.results import TableResult
    >>> from meganet.experiments.report.values import TrialValues
    >>> (table,) = tables_of("4.1")
    >>> end = {row: dict.fromkeys(("objective", "loss", "validation_loss"), 0.5) for row in table.rows}
    >>> values = TrialValues(1, table.thesis, end, {row: [2.0] for row in table.rows}, 9.0, {})
    >>> folder = Path(tempfile.mkdtemp())
    >>> blocks = write_table(folder, TableResult("4.1", table, Setup.of(trials=1), (values,)))
    >>> sorted(path.name for path in folder.iterdir())
    ['table-4.1.csv', 'table-4.1.json', 'table-4.1.md']
    """
    blocks = tables.to_document(result)
    write_file(path / f"{result.name}.md", Document(blocks).to_markdown())
    write_file(path / f"{result.name}.csv", tables.to_csv(result))
    write_file(path / f"{result.name}.json", json_text(tables.to_json(result)))
    return blocks


def _figure(path: Path, case: Case, name: str, title: str, figure: Figure, progress: Progress) -> list[Block]:
    """Write a figure's files and return what the report says of it."""
    trial = first_complete(case, figure.runs, trained=figure.trained)
    if trial is None:
        return [Paragraph("Not drawn: in every trial a run that it shows diverged.")]
    progress(f"{title} ...")
    canvas, lines = figure.make(case, trial)
    base = f"figures/{name}"
    content = to_png(canvas)
    write_file(path / f"{base}.png", content)
    if figure.lines:
        content = to_svg(canvas)
        write_file(path / f"{base}.svg", content)
    sizes = tables.sizes_label(case.setup)
    caption = title + (f" ({sizes})" if sizes else "")
    return [
        Picture(f"{base}.png", content, caption, figure.seen, canvas.get_figwidth()),
        *map(Paragraph, lines),
    ]


def _settings(case: Case) -> list[Block]:
    """Return what the runs of a case were made with, and where."""
    rows = [(name, as_text(value)) for name, value in case.setup.values().items()]
    where = {"data": case.data.name, "backend": case.own.backend.name, **case.own.environment}
    return [
        Grid([("setting", "value"), *rows], caption="Settings of its runs:"),
        Grid([("what", "value"), *where.items()], caption="Where its first run was made:"),
    ]
