"""Results in all their forms: as text, as part of a page, as CSV and JSON; what is said about them in words."""

from __future__ import annotations

import math
from typing import Any

from meganet._version import __version__
from meganet.document import Block, Document, Grid, Note, Paragraph, csv_text
from meganet.experiments.report.results import Cell, TableResult
from meganet.experiments.runs.diverged import divergences
from meganet.experiments.setup.fields import as_text, different
from meganet.experiments.setup.settings import PRESETS, Setup
from meganet.workers.remaining import duration

SIZES = ("coarse_examples", "fine_examples", "validation_examples", "coarse_epochs", "fine_epochs")
SIZED = ("dataset", *SIZES)
"""Settings on which the numbers depend most."""
NAMED = ("network", "dtype", "seed", "trials", *SIZED)
"""Settings that every description of a run names; others only where they differ from the default."""


def to_document(result: TableResult) -> list[Block]:
    """Return the table, ours and then the thesis' value in brackets, and what is known beside it."""
    return [
        *_numbers(result),
        Paragraph(f"Written by meganet {__version__}: {description(result)}. Made by:"),
        Paragraph(result.command, code=True),
    ]


def _numbers(result: TableResult) -> list[Block]:
    grid, more = grids(result)
    known = math.isfinite(result.seconds)
    thesis = ", the thesis' value in brackets" if result.table.thesis else ""
    trials = f"mean ± standard deviation of {result.trials} trials" if result.trials > 1 else "one trial"
    took = duration(result.seconds) if known else "a time that is not known"
    return [
        *map(Note, [*other_sizes(result.setup), *incomplete(result)]),
        Grid(grid, caption=f"{result.table.title}: accuracy in percent, {trials}{thesis}."),
        *map(Paragraph, divergences(result.diverged, result.trials)),
        Grid(more, caption="At the end of retraining (means; seconds: median of all epochs):"),
        Paragraph(f"Training steps took {took} in all trials together, coarse training included, evaluations not."),
    ]


def to_text(result: TableResult, width: int | None = None) -> str:
    """Return what `to_document` does for a screen, as `Document.to_text` does, without how it was made."""
    return Document(_numbers(result)).to_text(width)


def to_csv(result: TableResult) -> str:
    """Return the cells as CSV; every number reads back exactly."""
    lines: list[tuple[Any, ...]] = [("arm", "part", "moment", "quantity", "mean", "std", "thesis")]
    for row, cells in result.cells.items():
        for column, cell in zip(result.table.columns, cells, strict=True):
            part = "network" if column.stage == -1 else "classifier"
            moment = {0: "start", 1: "initial"}.get(column.epoch, "end")
            lines.append((row, part, moment, column.quantity, cell.mean, cell.std, cell.thesis))
    return csv_text(lines)


def to_json(result: TableResult) -> dict[str, Any]:
    """Return everything about the table as plain data."""
    return {
        "table": result.table.name,
        "meganet": __version__,
        "command": result.command,
        "settings": {**result.setup.values(), "trials": result.trials},
        "columns": [column._asdict() for column in result.table.columns],
        "percent": {row: [cell._asdict() for cell in cells] for row, cells in result.cells.items()},
        "end": result.details,
        "seconds": result.seconds,
        "diverged": [item._asdict() for item in result.diverged],
        "lacking": list(result.lacking),
    }


def description(result: TableResult) -> str:
    """Return a run in words: its sizes, and every other setting that is not the default."""
    values = result.setup.values()
    other = {name: value for name, value in result.setup.changes().items() if name not in NAMED}
    return (
        f"net {values['network']}, {values['dataset']}, {values['coarse_examples']} coarse, "
        f"{values['fine_examples']} fine and {values['validation_examples']} validation examples, "
        f"{values['coarse_epochs']} + {values['fine_epochs']} epochs, {values['dtype']}, seed {values['seed']}"
        + "".join(f", {name} = {as_text(value)}" for name, value in other.items())
    )


def _sizes(setup: Setup) -> dict[str, Any]:
    values = setup.values()
    return {name: values[name] for name in SIZED}


def sizes_label(setup: Setup) -> str:
    """Return "small preset" or "own sizes"; an empty text if data and sizes are those of the thesis."""
    preset = next((n for n, changes in PRESETS.items() if _sizes(Setup.of(**changes)) == _sizes(setup)), "")
    return {"thesis": "", "": "own sizes"}.get(preset, f"{preset} preset")


def other_sizes(setup: Setup) -> list[str]:
    """Return a sentence about data and sizes that are not those of the thesis, if there are any."""
    thesis = _sizes(Setup())
    parts = [
        f"{value} instead of {thesis[name]} {'' if name == 'dataset' else name}"
        for name, value in different(_sizes(setup), thesis).items()
    ]
    words = ", ".join(part.replace("_", " ").strip() for part in parts)
    return [f"{sizes_label(setup).capitalize()}, not the sizes of the thesis: {words}."] if parts else []


def incomplete(result: TableResult) -> list[str]:
    """Return a sentence about the trials that are not complete, if there are any."""
    done, lacking = result.trials, result.lacking
    return [f"{done} of {done + len(lacking)} trials are complete: {'; '.join(lacking)}."] if lacking else []


def grids(result: TableResult) -> tuple[list[list[str]], list[list[str]]]:
    """Return the cells of the table, and of the one beside it, as text; their first rows name the columns."""
    grid = [["Training Type", *(column.title for column in result.table.columns)]]
    more = [["Training Type", "Objective", "Loss", "Validation loss", "s/epoch"]]
    for arm, row in result.cells.items():
        grid.append([arm.capitalize(), *(_text(cell) for cell in row)])
        more.append([arm.capitalize(), *(_detail(name, value) for name, value in result.details[arm].items())])
    return grid, more


def _detail(name: str, value: float) -> str:
    # seconds are nan where the timings were deleted
    return f"{value:.3g}" if math.isfinite(value) or name == "seconds" else "diverged"


def _text(cell: Cell) -> str:
    thesis = "" if cell.thesis is None else f" ({cell.thesis:.1f})"
    if math.isnan(cell.mean):
        return f"diverged{thesis}"
    spread = "" if cell.std is None else f" ± {cell.std:.1f}"
    count = f", {cell.diverged} diverged" if cell.diverged else ""
    return f"{cell.mean:.1f}{spread}{count}{thesis}"
