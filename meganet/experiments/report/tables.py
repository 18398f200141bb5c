"""The tables of chapter 4 from stored histories, beside the thesis' numbers."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from meganet._version import __version__
from meganet.document import Block, Document, Grid, Note, Paragraph
from meganet.experiments.plan import COARSE, TABLES, classifier_stage, final_stage
from meganet.experiments.protocol import ARMS, PRESETS, Protocol
from meganet.experiments.remaining import duration
from meganet.optim import Divergence, History

Histories = Mapping[str, Sequence[History]]


class Column(NamedTuple):
    """A column of a table: which part of the retraining, after its first or its last epoch, and what is reported."""

    title: str
    part: str
    row: int
    quantity: str


SGD_COLUMNS = (
    Column("Initial training", "network", 1, "accuracy"),
    Column("Initial validation", "network", 1, "validation_accuracy"),
    Column("ReTrain training", "network", -1, "accuracy"),
    Column("ReTrain validation", "network", -1, "validation_accuracy"),
)
NEWTON_COLUMNS = (
    Column("Classifier: initial training", "classifier", 1, "accuracy"),
    Column("Classifier: initial val.", "classifier", 1, "validation_accuracy"),
    Column("Classifier: after val.", "classifier", -1, "validation_accuracy"),
    Column("Network: initial training", "network", 1, "accuracy"),
    Column("Network: initial val.", "network", 1, "validation_accuracy"),
    Column("Network: after val.", "network", -1, "validation_accuracy"),
)

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
    "4.3": {
        "new": (32.5, 34.1, 75.3, 91.1, 89.0, 92.2),
        "transfer": (94.4, 82.1, 92.9, 99.1, 94.0, 93.8),
        "multigrid": (85.2, 34.1, 38.3, 97.6, 60.3, 62.4),
    },
    "4.4": {
        "new": (51.8, 50.3, 76.6, 91.9, 77.1, 79.5),
        "transfer": (92.8, 81.5, 91.4, 99.7, 91.7, 92.4),
        "multigrid": (85.2, 32.6, 35.9, 97.2, 42.4, 50.8),
    },
}
"""The thesis' tables, in percent, in the order of their columns."""

SIZES = ("coarse_examples", "fine_examples", "validation_examples", "coarse_epochs", "fine_epochs")
SIZED = ("dataset", *SIZES)
"""Settings on which the numbers depend most."""
NAMED = ("network", "dtype", "seed", "trials", *SIZED)
"""Settings that every description of a run names; others only where they differ from the default."""

DETAILS = ("objective", "loss", "validation_loss")
"""Columns of the history that are reported beside the accuracies."""

SOLVER_TITLES = {"steihaug": "CG-Steihaug of the textbook", "meganet": "the original's variant of CG-Steihaug"}


class Cell(NamedTuple):
    """Mean and standard deviation over trials (None for a single one) and the thesis' value, in percent.

    Trials that have diverged by then do not count; `diverged` says how many these are. Without any other the mean is
    nan.
    """

    mean: float
    std: float | None
    thesis: float
    diverged: int = 0


class Diverged(NamedTuple):
    """A run that diverged: number of the trial from 1, and what `optim.Divergence` says."""

    trial: int
    run: str
    epoch: int
    where: str


@dataclasses.dataclass(frozen=True)
class TableResult:
    """A table of the thesis as it came out.

    Attributes
    ----------
    table : str
        "4.1" to "4.4".
    solver : str or None
        The Newton method it was made with; None where SGD alone trains.
    protocol : Protocol
        Its `trials` are those that are complete.
    cells : dict
        Arm to the cells of its row.
    details : dict
        Arm to objective, loss and validation loss at the end (means) and the median of the seconds of an epoch.
    seconds : float
        Of all training steps that the table is made of, coarse training included, evaluations not; nan if not all are
        known.
    diverged : tuple of Diverged
        Its runs that diverged.
    lacking : tuple of str
        Parts of a sentence, one for each trial that has begun and is not complete, with the runs that it lacks.
    """

    table: str
    solver: str | None
    protocol: Protocol
    cells: dict[str, list[Cell]]
    details: dict[str, dict[str, float]]
    seconds: float
    diverged: tuple[Diverged, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name for files: "table-4.3-steihaug"."""
        return f"table-{self.table}" + ("" if self.solver is None else f"-{self.solver}")

    @property
    def title(self) -> str:
        """Title with the solver in words."""
        return f"Table {self.table}" + ("" if self.solver is None else f", {SOLVER_TITLES[self.solver]}")

    @property
    def command(self) -> str:
        """The command that makes it."""
        preset, changes = self.protocol.nearest_preset()
        numbers = f"--trials {self.protocol.trials} --seed {self.protocol.seed}"
        words = [f"meganet reproduce {self.table} --preset {preset} {numbers}"]
        return " ".join([*words, *(f"--set {shlex.quote(f'{name}={value}')}" for name, value in changes.items())])


def columns(table: str) -> tuple[Column, ...]:
    """Return the columns of a table."""
    return NEWTON_COLUMNS if TABLES[table].solvers else SGD_COLUMNS


def results(
    table: str,
    protocol: Protocol,
    histories: Histories,
    seconds: Sequence[Mapping[str, Sequence[float]]],
    diverged: Sequence[Diverged] = (),
    lacking: Sequence[str] = (),
) -> list[TableResult]:
    """Return a table of the thesis from the stored histories, once for each of its Newton methods.

    Parameters
    ----------
    table : str
    protocol : Protocol
    histories : mapping
        Run to the histories of all trials, as `coarse_to_fine.histories` returns them.
    seconds : sequence of mapping
        For each of these trials the seconds of the epochs of each run, as `ResultsFolder.seconds` returns them.
    diverged : sequence of Diverged
        The runs of these trials that diverged.
    lacking : sequence of str
        See `TableResult`.
    """
    found = []
    for solver in TABLES[table].solvers or (None,):
        cells, details, runs = {}, {}, [COARSE]
        for arm in ARMS:
            names = {"network": final_stage(table, arm, solver)}
            if solver is not None:
                names["classifier"] = classifier_stage(arm, solver)
            runs += names.values()
            cells[arm] = [
                _cell([100 * history[column.row][column.quantity] for history in histories[names[column.part]]], value)
                for column, value in zip(columns(table), THESIS[table][arm], strict=True)
            ]
            ends = [history[-1] for history in histories[names["network"]]]
            spent = [s for trial in seconds for s in trial.get(names["network"], ()) if math.isfinite(s)]
            details[arm] = {name: _mean([end[name] for end in ends]) for name in DETAILS}
            details[arm]["seconds"] = float(np.median(spent)) if spent else float("nan")
        complete = dataclasses.replace(protocol, trials=len(histories[final_stage(table, ARMS[0], solver)]))
        total = float(sum(sum(trial.get(run, ())) for trial in seconds for run in runs))
        own = tuple(item for item in diverged if item.run in runs)
        found.append(TableResult(table, solver, complete, cells, details, total, own, tuple(lacking)))
    return found


def _cell(values: Sequence[float], thesis: float) -> Cell:
    known = [value for value in values if math.isfinite(value)]
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Cell(_mean(values), std, thesis, len(values) - len(known))


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are finite; nan if there are none."""
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


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
    took = duration(result.seconds) if known else "a time that is not known"
    return [
        *map(Note, [*other_sizes(result.protocol), *incomplete(result)]),
        Grid(grid, caption=f"{result.title}: accuracy in percent, {trials_of(result)}, the thesis' value in brackets."),
        *map(Paragraph, divergences(result.diverged, result.protocol.trials)),
        Grid(more, caption="At the end of retraining (means; seconds: median of all epochs):"),
        Paragraph(f"Training steps took {took} in all trials together, coarse training included, evaluations not."),
    ]


def to_text(result: TableResult, width: int | None = None) -> str:
    """Return what `to_document` does for a screen, as `Document.to_text` does, without how it was made."""
    return Document(_numbers(result)).to_text(width)


def divergences(diverged: Sequence[Diverged], trials: int) -> list[str]:
    """Return a sentence for each run that diverged, about the first of its trials."""
    counts = Counter(item.run for item in diverged)
    firsts = {item.run: item for item in reversed(diverged)}
    return [
        f"Diverged: {run} in {count} of {trials}, first in trial {firsts[run].trial}, "
        f"{Divergence(firsts[run].epoch, firsts[run].where)}."
        for run, count in counts.items()
    ]


def to_csv(result: TableResult) -> str:
    """Return the cells as CSV; every number reads back exactly."""
    rows = [
        f"{arm},{column.part},{'initial' if column.row == 1 else 'end'},{column.quantity},"
        f"{cell.mean!r},{'' if cell.std is None else repr(cell.std)},{cell.thesis!r}"
        for arm, row in result.cells.items()
        for column, cell in zip(columns(result.table), row, strict=True)
    ]
    return "\n".join(["arm,part,moment,quantity,mean,std,thesis", *rows, ""])


def to_json(result: TableResult) -> dict[str, Any]:
    """Return everything about the table as plain data."""
    return {
        "table": result.table,
        "solver": result.solver,
        "meganet": __version__,
        "command": result.command,
        "protocol": dataclasses.asdict(result.protocol),
        "columns": [column._asdict() for column in columns(result.table)],
        "percent": {arm: [cell._asdict() for cell in row] for arm, row in result.cells.items()},
        "end": result.details,
        "seconds": result.seconds,
        "diverged": [item._asdict() for item in result.diverged],
        "lacking": list(result.lacking),
    }


def description(result: TableResult) -> str:
    """Return a run in words: its sizes, and every other setting that is not the default."""
    protocol, default = result.protocol, Protocol()
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


def sizes_label(protocol: Protocol) -> str:
    """Return "small preset" or "own sizes"; an empty text if data and sizes are those of the thesis."""

    def sizes(settings: Protocol) -> list[Any]:
        return [getattr(settings, name) for name in SIZED]

    mine = sizes(protocol)
    preset = next((name for name, changes in PRESETS.items() if sizes(Protocol(**changes)) == mine), "")
    return {"thesis": "", "": "own sizes"}.get(preset, f"{preset} preset")


def other_sizes(protocol: Protocol) -> list[str]:
    """Return a sentence about data and sizes that are not those of the thesis, if there are any."""
    thesis = Protocol()
    parts = [
        f"{getattr(protocol, name)} instead of {getattr(thesis, name)} {'' if name == 'dataset' else name}"
        for name in SIZED
        if getattr(protocol, name) != getattr(thesis, name)
    ]
    words = ", ".join(part.replace("_", " ").strip() for part in parts)
    return [f"{sizes_label(protocol).capitalize()}, not the sizes of the thesis: {words}."] if parts else []


def incomplete(result: TableResult) -> list[str]:
    """Return a sentence about the trials that are not complete, if there are any."""
    done, lacking = result.protocol.trials, result.lacking
    return [f"{done} of {done + len(lacking)} trials are complete: {'; '.join(lacking)}."] if lacking else []


def trials_of(result: TableResult) -> str:
    """Return how many trials the numbers stand for."""
    trials = result.protocol.trials
    return f"mean ± standard deviation of {trials} trials" if trials > 1 else "one trial"


def grids(result: TableResult) -> tuple[list[list[str]], list[list[str]]]:
    """Return the cells of the table, and of the one beside it, as text; their first rows name the columns."""
    grid = [["Training Type", *(column.title for column in columns(result.table))]]
    more = [["Training Type", "Objective", "Loss", "Validation loss", "s/epoch"]]
    for arm, row in result.cells.items():
        grid.append([arm.capitalize(), *(_text(cell) for cell in row)])
        more.append([arm.capitalize(), *(_detail(name, value) for name, value in result.details[arm].items())])
    return grid, more


def _detail(name: str, value: float) -> str:
    # seconds are nan where the timings were deleted
    return f"{value:.3g}" if math.isfinite(value) or name == "seconds" else "diverged"


def _text(cell: Cell) -> str:
    if math.isnan(cell.mean):
        return f"diverged ({cell.thesis:.1f})"
    spread = "" if cell.std is None else f" ± {cell.std:.1f}"
    count = f", {cell.diverged} diverged" if cell.diverged else ""
    return f"{cell.mean:.1f}{spread}{count} ({cell.thesis:.1f})"
