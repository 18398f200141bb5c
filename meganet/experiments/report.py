"""Tables of results beside the thesis' numbers."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from meganet._version import __version__
from meganet.experiments.protocol import ARMS, Protocol
from meganet.experiments.store import ResultsFolder
from meganet.optim import History

COLUMNS = (
    ("initial", "accuracy", "Initial training"),
    ("initial", "validation_accuracy", "Initial validation"),
    ("retrain", "accuracy", "ReTrain training"),
    ("retrain", "validation_accuracy", "ReTrain validation"),
)
"""After the first and after the last epoch of retraining, over training and validation data."""

THESIS: dict[str, dict[str, tuple[float, ...]]] = {
    "4.1": {
        "new": (88.4, 85.0, 96.4, 91.9),
        "transfer": (97.9, 93.5, 99.4, 94.6),
        "multigrid": (97.5, 62.9, 99.9, 63.6),
    },
    "4.2": {
        "new": (91.1, 89.0, 97.0, 93.2),
        "transfer": (96.7, 91.5, 98.3, 92.8),
        "multigrid": (96.8, 84.1, 99.8, 88.0),
    },
}
"""The thesis' tables 4.1 and 4.2, in percent, in the order of `COLUMNS`."""


SIZES = ("coarse_examples", "fine_examples", "validation_examples", "coarse_epochs", "fine_epochs")
NAMED = ("network", "dataset", "dtype", "seed", "trials", *SIZES)
"""Settings that every description of a run names; others only where they differ from the default."""


class Cell(NamedTuple):
    """Mean and standard deviation over trials (None for a single one) and the thesis' value, in percent."""

    mean: float
    std: float | None
    thesis: float


def summarize(table: str, histories: dict[str, list[History]]) -> dict[str, list[Cell]]:
    """Return the cells of a table by arm."""
    rows = {"initial": 1, "retrain": -1}
    result = {}
    for arm in ARMS:
        cells = []
        for (moment, column, _), thesis in zip(COLUMNS, THESIS[table][arm], strict=True):
            values = [100 * history[rows[moment]][column] for history in histories[arm]]
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            cells.append(Cell(float(np.mean(values)), std, thesis))
        result[arm] = cells
    return result


def to_markdown(table: str, cells: dict[str, list[Cell]], protocol: Protocol) -> str:
    """Return the table as Markdown: ours, then the thesis' value in brackets."""
    lines = [f"**Table {table}**: accuracy in percent, {trials_of(protocol)}, the thesis' value in brackets.", ""]
    lines.append("| Training Type | " + " | ".join(title for *_, title in COLUMNS) + " |")
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for arm, row in cells.items():
        lines.append(f"| {arm.capitalize()} | " + " | ".join(_text(c) for c in row) + " |")
    return "\n".join([*lines, "", f"Written by meganet {__version__}: {description(protocol)}.", ""])


def to_text(
    table: str, cells: dict[str, list[Cell]], protocol: Protocol, seconds: dict[tuple[int, str], list[float]]
) -> str:
    """Return the table for a terminal, with the median seconds of an epoch of each run."""
    spent = {arm: [s for (_, name), values in seconds.items() if name == arm for s in values] for arm in ARMS}
    grid = [["Training Type", *(title for *_, title in COLUMNS), "s/epoch"]]
    for arm, row in cells.items():
        time = f"{np.median(spent[arm]):.2f}" if spent[arm] else "-"
        grid.append([arm.capitalize(), *(_text(c) for c in row), time])
    widths = [max(len(line[k]) for line in grid) for k in range(len(grid[0]))]
    body = ["  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in grid]
    title = f"Table {table}: accuracy in percent, {trials_of(protocol)} (thesis)"
    return "\n".join([title, "", body[0], "-" * max(map(len, body)), *body[1:]])


def description(protocol: Protocol) -> str:
    """Return a run in words: its sizes, and every other setting that is not the default."""
    default = Protocol()
    other = {
        field.name: getattr(protocol, field.name)
        for field in dataclasses.fields(protocol)
        if field.name not in NAMED and getattr(protocol, field.name) != getattr(default, field.name)
    }
    return (
        f"net {protocol.network}, {protocol.dataset}, {protocol.coarse_examples} coarse, {protocol.fine_examples} fine "
        f"and {protocol.validation_examples} validation examples, {protocol.coarse_epochs} + {protocol.fine_epochs} "
        f"epochs, {protocol.dtype}, seed {protocol.seed}"
        + "".join(f", {name} = {value}" for name, value in other.items())
    )


def trials_of(protocol: Protocol) -> str:
    """Return how many trials the numbers stand for."""
    return f"mean ± standard deviation of {protocol.trials} trials" if protocol.trials > 1 else "one trial"


def _text(cell: Cell) -> str:
    spread = "" if cell.std is None else f" ± {cell.std:.1f}"
    return f"{cell.mean:.1f}{spread} ({cell.thesis:.1f})"


def write(table: str, protocol: Protocol, folder: ResultsFolder, histories: dict[str, list[History]]) -> dict[str, Any]:
    """Write table.md, table.csv and summary.json into the folder and return the cells."""
    cells = summarize(table, histories)
    folder.write("table.md", to_markdown(table, cells, protocol))
    header = "arm,moment,quantity,mean,std,thesis"
    rows = [
        f"{arm},{moment},{column},{cell.mean!r},{'' if cell.std is None else repr(cell.std)},{cell.thesis!r}"
        for arm, row in cells.items()
        for (moment, column, _), cell in zip(COLUMNS, row, strict=True)
    ]
    folder.write("table.csv", "\n".join([header, *rows, ""]))
    names = [f"{moment}_{column}" for moment, column, _ in COLUMNS]
    summary = {arm: dict(zip(names, (c._asdict() for c in row), strict=True)) for arm, row in cells.items()}
    folder.write_json("summary.json", {"table": table, "trials": protocol.trials, "percent": summary})
    return cells
