"""Tables from stored runs: means over the trials that are complete, beside the thesis' numbers."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np

from meganet.experiments.report.differences import Difference, differences
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.diverged import Diverged
from meganet.experiments.runs.paired import finite_mean
from meganet.experiments.runs.study import Study
from meganet.experiments.setup.fields import as_text
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import chain
from meganet.experiments.setup.tables import Table, distance, protocols, tables_of
from meganet.store.disk import refuse

DETAILS = ("objective", "loss", "validation_loss")
"""Columns of the history that are reported beside the accuracies."""


class Cell(NamedTuple):
    """Mean and standard deviation over trials (None for a single one) and the thesis' value, if any, in percent.

    Trials that have diverged by then do not count; `diverged` says how many these are. Without any other the mean is
    nan.

    Examples
    --------
    >>> from meganet.experiments.report.results import Cell
    >>> Cell(98.4, 0.3, 99.1)
    Cell(mean=98.4, std=0.3, thesis=99.1, diverged=0)
    """

    mean: float
    std: float | None
    thesis: float | None
    diverged: int = 0


def compared(cells: Mapping[str, Sequence[Cell]]) -> list[tuple[float, float]]:
    """Return the means that the thesis has a number for, each with that number."""
    return [(cell.mean, cell.thesis) for row in cells.values() for cell in row if cell.thesis is not None]


def distance_of(cells: Mapping[str, Sequence[Cell]]) -> float | None:
    """Return the root mean square of all differences from the thesis, in points; None if it has no such table."""
    pairs = compared(cells)
    return distance(*zip(*pairs, strict=True)) if pairs else None


@dataclass(frozen=True)
class TableResult:
    """A table as it came out.

    Attributes
    ----------
    protocol : str
        What it was asked for by: "4.1".
    table : Table
    setup : Setup
    trials : int
        Those that are complete.
    cells : dict
        Row to its cells.
    details : dict
        Row to objective, loss and validation loss at the end (means) and the median of the seconds of an epoch.
    seconds : float
        Of all training steps that the table is made of, evaluations not; nan if not all are known.
    diverged : tuple of Diverged
        Its runs that diverged.
    lacking : tuple of str
        Parts of a sentence, one for each trial that is not complete, with the runs that it lacks.
    differences : tuple of Difference
        Between its rows.

    Examples
    --------
    >>> from meganet.experiments import Setup, tables_of
    >>> from meganet.experiments.report.results import Cell, TableResult
    >>> (table,) = tables_of("4.1")
    >>> cells = {"transfer": [Cell(97.0, 0.5, 96.0), Cell(91.0, 0.4, None)]}
    >>> result = TableResult("4.1", table, Setup.of(trials=3), 3, cells, {}, 1.5)
    >>> result.name, result.distance
    ('table-4.1', 1.0)
    >>> result.command
    'meganet reproduce 4.1 --preset printed --trials 3 --seed 0'
    """

    protocol: str
    table: Table
    setup: Setup
    trials: int
    cells: dict[str, list[Cell]]
    details: dict[str, dict[str, float]]
    seconds: float
    diverged: tuple[Diverged, ...] = ()
    lacking: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def distance(self) -> float | None:
        """Root mean square of all differences from the thesis, in points; None if it has no such table."""
        return distance_of(self.cells)

    @property
    def name(self) -> str:
        """Name for files: "table-4.3-steihaug"."""
        return f"table-{self.table.name}"

    @property
    def command(self) -> str:
        """The command that makes it."""
        preset, changes = self.setup.nearest_preset()
        if self.table.network is None and self.setup.model.network != "A":
            changes = {"network": self.setup.model.network, **changes}
        words = [f"meganet reproduce {self.protocol} --preset {preset} --trials {self.trials}"]
        words += [f"--seed {self.setup.run.seed}"]
        return " ".join([*words, *(f"--set {shlex.quote(f'{name}={as_text(v)}')}" for name, v in changes.items())])


def case_of(study: Study, *tables: Table) -> Case:
    """Return the case of the tables of a protocol in a study of ``meganet reproduce``, with their stages alone.

    Of several networks that the protocol may have, it is the first with a complete trial.

    Raises
    ------
    ResultsError
        If the study holds nothing of its network.
    """
    network = tables[0].network
    names = [name for name in study.cases if network is None or name == f"net-{network}"]
    if not names:
        refuse(f"a folder with results of net {network}", repr(str(study.path)))
    names = [name for name in names if _is_for(study.cases[name], tables)] or names
    cases = [study.part(name, [stage for table in tables for stage in table.stages()]) for name in names]
    return next((case for case in cases[1:] if _has_trial(case) and not _has_trial(cases[0])), cases[0])


def complete(study: Study) -> tuple[str, ...]:
    """Return the names of the protocols of which every table has a trial that is complete."""
    return tuple(name for name in protocols() if all(_is_complete(study, table) for table in tables_of(name)))


def _is_complete(study: Study, table: Table) -> bool:
    of_network = [case for case in study.cases.values() if table.network in (None, case.setup.model.network)]
    return any(_is_for(case, [table]) for case in of_network) and _has_trial(case_of(study, table))


def _is_for(case: Case, tables: Sequence[Table]) -> bool:
    return all(table.is_for(case.grids) for table in tables)


def _has_trial(case: Case) -> bool:
    known = all(stage.name in case.folders for stage in case.stages)
    return known and next(case.complete(), None) is not None


def results(study: Study, names: Iterable[str]) -> list[TableResult]:
    """Return the tables of protocols, by their names, from what a study of ``meganet reproduce`` has stored.

    They are over the trials that are complete, and name those that are not.

    Raises
    ------
    ResultsError
        If there is no trial that is complete.

    Examples
    --------
    >>> import tempfile
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_shapes
    >>> from meganet.experiments import Setup, Study, Workers, tables_of
    >>> from meganet.experiments.report.results import results
    >>> sizes = {"coarse_examples": 16, "fine_examples": 16, "validation_examples": 16, "batch_size": 8}
    >>> setup = Setup.of(**sizes, coarse_epochs=1, fine_epochs=1, trials=1)
    >>> (table,) = tables_of("4.1")
    >>> plans, data = {"net-A": (setup, table.stages())}, load_shapes(size=8, examples=48)
    >>> with Study(tempfile.mkdtemp(), plans, get_backend("numpy"), data) as study:
    ...     study.run(Workers(), progress=False, log=lambda line: None)
    ...     (result,) = results(study, ["4.1"])
    >>> result.trials, list(result.cells)
    (1, ['new', 'transfer', 'multigrid'])
    """
    return [result_of(case_of(study, table), table, name) for name in names for table in tables_of(name)]


def result_of(case: Case, table: Table, protocol: str) -> TableResult:
    """Return one table from its case."""
    done = dict(case.complete())
    if not done:
        refuse_incomplete(case, protocol)
    lacking = tuple(_lack(trial, case.missing(trial)) for trial in range(case.setup.run.trials) if trial not in done)
    diverged = tuple(
        Diverged(trial + 1, run, *state.divergence)
        for trial, of_trial in done.items()
        for run, state in of_trial.items()
        if state.divergence is not None
    )
    ends = {stage.name: [of_trial[stage.name] for of_trial in done.values()] for stage in case.stages}
    cells, details, values = {}, {}, {}
    for row, stages in table.rows.items():
        thesis = table.thesis.get(row, (None,) * len(table.columns))
        values[row] = [
            [column.percent(end.history) for end in ends[stages[column.stage].name]] for column in table.columns
        ]
        cells[row] = [_cell(of_trials, value) for of_trials, value in zip(values[row], thesis, strict=True)]
        last = ends[stages[-1].name]
        spent = [seconds for end in last for seconds in end.seconds if math.isfinite(seconds)]
        details[row] = {name: finite_mean([end.history[-1][name] for end in last]) for name in DETAILS}
        details[row]["seconds"] = float(np.median(spent)) if spent else float("nan")
    total = float(sum(sum(end.seconds) for of_run in ends.values() for end in of_run))
    tested = differences(table.columns, values)
    return TableResult(protocol, table, case.setup, len(done), cells, details, total, diverged, lacking, tested)


def refuse_incomplete(case: Case, protocol: str) -> NoReturn:
    """Raise `ResultsError` about a table without a complete trial."""
    refuse(
        f"a folder with a complete trial of table {protocol}", f"{str(case.own.path.parent)!r}, where {lacking(case)}"
    )


def lacking(case: Case) -> str:
    """Return in words which runs the trials of a case lack."""
    missing = ((trial, case.missing(trial)) for trial in range(case.setup.run.trials))
    return "; ".join(_lack(trial, runs) for trial, runs in missing if runs)


def lacking_in(study: Study) -> str:
    """Return in words which runs the trials of a study lack, for the first table that each network can have."""
    texts = []
    for name, case in study.cases.items():
        known = (tables_of(protocol)[0] for protocol in protocols())
        fits = (t for t in known if t.network in (None, case.setup.model.network) and t.is_for(case.grids))
        if (table := next(fits, None)) is not None:
            texts.append(f"for table {table.name} {lacking(study.part(name, table.stages()))}")
    return "; ".join(sorted(texts))


def _lack(trial: int, runs: Sequence[str]) -> str:
    return f"trial {trial + 1} lacks {', '.join(runs)}"


def first_trial(case: Case, runs: Sequence[str], *, trained: bool = True) -> int | None:
    """Return the first trial in which some runs are complete.

    With `trained`, for what shows their weights, one in which none of them diverged; None if all did.

    Raises
    ------
    ResultsError
        If there is no complete one.
    """
    found = False
    for trial in range(case.setup.run.trials):
        if all(run in case.ends(trial, chain(case.stages, run)) for run in runs):
            found = True
            if not (trained and has_diverged(case, runs, trial)):
                return trial
    if not found:
        refuse("a folder with a trial that is complete", repr(str(case.own.path.parent)))
    return None


def has_diverged(case: Case, runs: Sequence[str], trial: int) -> bool:
    """Whether some run of a trial diverged."""
    states = [case.folders[run].load(trial, run, weights=False) for run in runs]
    return any(state is not None and state.divergence is not None for state in states)


def _cell(values: Sequence[float], thesis: float | None) -> Cell:
    known = [value for value in values if math.isfinite(value)]
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Cell(finite_mean(values), std, thesis, len(values) - len(known))
