"""Results in all their forms: as text, as part of a page, as CSV and JSON; what is said about them in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from meganet._version import __version__
from meganet.document import Block, Document, Grid, Note, Paragraph, csv_text
from meganet.experiments.report.recorded import recorded
from meganet.experiments.report.results import Cell, TableResult, compared, distance_of
from meganet.experiments.report.values import in_words, plain
from meganet.experiments.runs.diverged import divergences
from meganet.experiments.setup.fields import as_text, different
from meganet.experiments.setup.settings import NAMED, PRESETS, READINGS, SIZES, Setup
from meganet.workers.remaining import duration


def to_document(result: TableResult) -> list[Block]:
    """Return the table, ours and then the thesis' value in brackets, and what is known beside it."""
    return [
        *_numbers(result),
        *map(Paragraph, _made_on(result)),
        Paragraph(f"Written by meganet {__version__}: {description(result)}. Made by:"),
        Paragraph(result.command, code=True),
    ]


def _numbers(result: TableResult) -> list[Block]:
    grid, more = grids(result)
    known = math.isfinite(result.seconds)
    thesis = ", the thesis' value in brackets" if result.table.thesis else ""
    trials = f"mean ± standard deviation of {result.trials} trials" if result.trials > 1 else "one trial"
    took = duration(result.seconds) if known else "a time that is not known"
    sizes = sizes_label(result.setup)
    title = result.table.title + (f" ({sizes})" if sizes else "")
    return [
        *map(Note, [*other_sizes(result.setup), *incomplete(result)]),
        Grid(grid, caption=f"{title}: accuracy in percent, {trials}{thesis}."),
        *_distance(result.cells, "" if not sizes else "; no measure of agreement at other sizes", result.noise),
        *map(Paragraph, divergences(result.diverged, result.trials)),
        *_differences(result),
        *_beside(result),
        Grid(more, caption="At the end of retraining (means; seconds: median of all epochs):"),
        Paragraph(f"Training steps took {took} over all trials, including coarse training but not evaluations."),
    ]


def _made_on(result: TableResult) -> list[str]:
    """Return a sentence about each machine, with its versions, on which trials were begun."""
    alike: dict[str, list[int]] = {}
    for one in result.values:
        # nobody reads a digest
        where = ", ".join(f"{name} {value}" for name, value in one.environment.items() if name != "data")
        alike.setdefault(where, []).append(one.trial)
    several = len(alike) > 1
    return [
        f"{in_words(trials).capitalize() if several else 'All trials'}: the first run was made with {where}."
        for where, trials in alike.items()
        if where
    ]


def _distance(cells: Mapping[str, Sequence[Cell]], more: str = "", noise: float | None = None) -> list[Block]:
    found = distance_of(cells)
    if found is None:
        return []
    count = len(compared(cells))
    shown = f"{found:.1f} points" if math.isfinite(found) else "not defined, as runs diverged"
    text = f"Distance from the thesis: {shown} (root mean square over the {count} numbers{more})."
    if noise is not None and not more:
        text += f" The scatter of the trials alone would make {noise:.1f}, if the thesis' twenty scatter alike."
    return [Paragraph(text)]


def _differences(result: TableResult) -> list[Block]:
    """Return the differences between rows, with what tells whether a page may claim them."""
    found = {
        (one.row, one.other, one.column): str(one) + (f", {one.trials} trials" if one.trials < result.trials else "")
        for one in result.differences
    }
    columns = list(dict.fromkeys(column for *_, column in found))
    pairs = dict.fromkeys((row, other) for row, other, _ in found)
    lines = [
        [f"{row.capitalize()} - {other.capitalize()}", *(found.get((row, other, column), "") for column in columns)]
        for row, other in pairs
    ]
    caption = (
        "Differences between rows, paired over the trials: mean ± 95 % confidence interval, in points; p of a paired "
        "t-test, not corrected for several tests"
    ) + ("; no p where they do not scatter:" if any("no p" in text for text in found.values()) else ":")
    return [Grid([["Rows", *columns], *lines], caption=caption)] if found else []


def _beside(result: TableResult) -> list[Block]:
    """Return what the other reading of the thesis gave, beside a result that has a reading and the thesis' sizes."""
    own, blocks = result.setup.reading(), list[Block]()
    if not own or other_sizes(result.setup):
        return blocks
    for preset in READINGS:
        if preset != own and (other := recorded(preset, result.table.name)) is not None:
            grid = [_head(result), *([row.capitalize(), *map(_text, cells)] for row, cells in other.cells.items())]
            caption = f"Beside it the preset {preset}, recorded with meganet {other.version} ({other.command}):"
            blocks += [Grid(grid, caption=caption), *_distance(other.cells)]
    return blocks


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
        "protocol": result.protocol,
        "table": result.table.name,
        "meganet": __version__,
        "command": result.command,
        "settings": {**result.setup.values(), "trials": result.trials},
        "columns": [column._asdict() for column in result.table.columns],
        "percent": {row: [cell._asdict() for cell in cells] for row, cells in result.cells.items()},
        "distance": result.distance,
        "noise": result.noise,
        "differences": [item._asdict() for item in result.differences],
        "end": result.details,
        "seconds": result.seconds,
        "diverged": [item._asdict() for item in result.diverged],
        "lacking": list(result.lacking),
        "values": [plain(one) for one in result.values],
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
    return {name: values[name] for name in SIZES}


def sizes_label(setup: Setup) -> str:
    """Return "sizes of the small preset" or "own sizes"; an empty text if data and sizes are those of the thesis."""
    preset = next((n for n, changes in PRESETS.items() if _sizes(Setup.of(**changes)) == _sizes(setup)), "own")
    return {**dict.fromkeys(READINGS, ""), "own": "own sizes"}.get(preset, f"sizes of the {preset} preset")


def other_sizes(setup: Setup) -> list[str]:
    """Return a sentence about data and sizes that are not those of the thesis, if there are any."""
    thesis = _sizes(Setup())
    parts = [
        f"{value} instead of {thesis[name]} {'' if name == 'dataset' else name}"
        for name, value in different(_sizes(setup), thesis).items()
    ]
    words = ", ".join(part.replace("_", " ").strip() for part in parts)
    return [f"{sizes_label(setup).capitalize()}, not those of the thesis: {words}."] if parts else []


def incomplete(result: TableResult) -> list[str]:
    """Return a sentence about the trials that are not complete, if there are any."""
    wanted, lacking = result.setup.run.trials, result.lacking
    return [f"{result.trials} of {wanted} trials are complete: {'; '.join(lacking)}."] if lacking else []


def grids(result: TableResult) -> tuple[list[list[str]], list[list[str]]]:
    """Return the cells of the table, and of the one beside it, as text; their first rows name the columns."""
    grid = [_head(result)]
    more = [["Training Type", "Objective", "Loss", "Validation loss", "s/epoch"]]
    for arm, row in result.cells.items():
        grid.append([arm.capitalize(), *(_text(cell) for cell in row)])
        more.append([arm.capitalize(), *(_detail(name, value) for name, value in result.details[arm].items())])
    return grid, more


def _head(result: TableResult) -> list[str]:
    return ["Training Type", *(column.title for column in result.table.columns)]


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
