"""Tables from stored runs: means over the trials that are complete, beside the thesis' numbers."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, NoReturn

import numpy as np

from meganet.experiments.report.differences import Difference, differences
from meganet.experiments.report.values import DETAILS, TrialValues, in_words, trial_values
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.diverged import Diverged
from meganet.experiments.runs.paired import finite_mean
from meganet.experiments.runs.study import Study
from meganet.experiments.setup.fields import as_text
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import chain
from meganet.experiments.setup.tables import Table, distance, protocols, tables_of
from meganet.store.disk import refuse

THESIS_TRIALS = 20
"""Of each table, as section 4.1 says of the first two."""


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


def noise_of(cells: Mapping[str, Sequence[Cell]], trials: int) -> float | None:
    """Return what the distance from the thesis would be by the scatter of the trials alone; None if it is not known.

    The root mean square of the standard errors of the differences, where the trials of the thesis, twenty by its
    section 4.1, scatter as much as ours.

    Examples
    --------
    >>> from meganet.experiments.report.results import Cell, noise_of
    >>> noise_of({"new": [Cell(98.4, 4.0, 99.1), Cell(91.2, 4.0, 90.0)]}, trials=20)
    1.2649110640673518
    """
    known = [cell for row in cells.values() for cell in row if cell.thesis is not None]
    variances = [
        cell.std**2 * (1 / (trials - cell.diverged) + 1 / THESIS_TRIALS) for cell in known if cell.std is not None
    ]
    return math.sqrt(np.mean(variances)) if known and len(variances) == len(known) else None


@dataclass(frozen=True)
class TableResult:
    """A table as it came out: the numbers of its trials, and what follows from them.

    Attributes
    ----------
    protocol : str
        What it was asked for by: "4.1".
    table : Table
    setup : Setup
    values : tuple of TrialValues
        Of the trials that are complete, in their order.
    lacking : tuple of str
        Parts of a sentence about the trials that are not complete.

    Examples
    --------
    >>> from meganet.experiments import Setup, tables_of
    >>> from meganet.experiments.report.results import TableResult
    >>> from meganet.experiments.report.values import TrialValues
    >>> (table,) = tables_of("4.1")
    >>> end = {row: dict.fromkeys(("objective", "loss", "validation_loss"), 0.5) for row in table.rows}
    >>> percent = {row: [number + 1.0 for number in table.thesis[row]] for row in table.rows}
    >>> values = [TrialValues(k, percent, end, {row: [2.0] for row in table.rows}, 9.0, {}) for k in (1, 2, 3)]
    >>> result = TableResult("4.1", table, Setup.of(trials=3), tuple(values))
    >>> result.name, round(result.distance, 6), round(result.noise, 6), result.cells["multigrid"][-1].mean
    ('table-4.1', 1.0, 0.0, 64.6)
    >>> result.command
    'meganet reproduce 4.1 --preset printed --trials 3 --seed 0'
    """

    protocol: str
    table: Table
    setup: Setup
    values: tuple[TrialValues, ...]
    lacking: tuple[str, ...] = ()

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return len(self.values)

    @cached_property
    def cells(self) -> dict[str, list[Cell]]:
        """Row to its cells."""
        return {
            row: [
                _cell([one.percent[row][k] for one in self.values], value)
                for k, value in enumerate(self.table.thesis.get(row, (None,) * len(self.table.columns)))
            ]
            for row in self.table.rows
        }

    @cached_property
    def details(self) -> dict[str, dict[str, float]]:
        """Row to objective, loss and validation loss at the end (means) and the median of the seconds of an epoch."""
        found = {}
        for row in self.table.rows:
            spent = [seconds for one in self.values for seconds in one.epochs[row] if math.isfinite(seconds)]
            found[row] = {name: finite_mean([one.end[row][name] for one in self.values]) for name in DETAILS}
            found[row]["seconds"] = float(np.median(spent)) if spent else math.nan
        return found

    @property
    def seconds(self) -> float:
        """Of all training steps that the table is made of, evaluations not; nan if not all are known."""
        return math.fsum(one.seconds for one in self.values)

    @property
    def diverged(self) -> tuple[Diverged, ...]:
        """Its runs that diverged."""
        return tuple(item for one in self.values for item in one.diverged)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Between its rows."""
        columns = self.table.columns
        by_column = {
            row: [[one.percent[row][k] for one in self.values] for k in range(len(columns))] for row in self.table.rows
        }
        return differences(columns, by_column)

    @property
    def distance(self) -> float | None:
        """Root mean square of all differences from the thesis, in points; None if it has no such table."""
        return distance_of(self.cells)

    @property
    def noise(self) -> float | None:
        """What the distance would be by the scatter of the trials alone, see `noise_of`."""
        return noise_of(self.cells, self.trials)

    @property
    def name(self) -> str:
        """Name for files: "table-4.3-steihaug"."""
        return f"table-{self.table.name}"

    @property
    def command(self) -> str:
        """The command that makes it, and whatever trials it lacks between its first and its last."""
        preset, changes = self.setup.nearest_preset()
        if self.table.network is None and self.setup.model.network != "A":
            changes = {"network": self.setup.model.network, **changes}
        first, last = self.values[0].trial, self.values[-1].trial
        words = [f"meganet reproduce {self.protocol} --preset {preset} --trials {last}"]
        words += [f"--first-trial {first}"] if first > 1 else []
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
    where = case.own.made_with
    values = tuple(trial_values(trial + 1, table, of_trial, where) for trial, of_trial in done.items())
    return TableResult(protocol, table, case.setup, values, tuple(_lacks(case, done)))


def refuse_incomplete(case: Case, protocol: str) -> NoReturn:
    """Raise `ResultsError` about a table without a complete trial."""
    refuse(
        f"a folder with a complete trial of table {protocol}", f"{str(case.own.path.parent)!r}, where {lacking(case)}"
    )


def lacking(case: Case) -> str:
    """Return in words which runs the trials of a case lack."""
    return "; ".join(_lacks(case))


def lacking_in(study: Study) -> str:
    """Return in words which runs the trials of a study lack, for the first table that each network can have."""
    texts = []
    for name, case in study.cases.items():
        known = (tables_of(protocol)[0] for protocol in protocols())
        fits = (t for t in known if t.network in (None, case.setup.model.network) and t.is_for(case.grids))
        if (table := next(fits, None)) is not None:
            texts.append(f"for table {table.name} {lacking(study.part(name, table.stages()))}")
    return "; ".join(sorted(texts))


def _lacks(case: Case, done: Collection[int] = ()) -> list[str]:
    """Return parts of a sentence about the trials that are not complete, one for those that lack the same runs.

    Those that are known to be `done` are not read again.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for trial in (trial for trial in range(case.setup.run.trials) if trial not in done):
        alike.setdefault(tuple(case.missing(trial)), []).append(trial + 1)
    return [
        f"{in_words(trials)} lack{'' if len(trials) > 1 else 's'} {', '.join(runs)}"
        for runs, trials in alike.items()
        if runs
    ]


def first_complete(case: Case, runs: Sequence[str], *, trained: bool = True) -> int | None:
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
