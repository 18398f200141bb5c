"""What a table is made of: the numbers of each trial, which can be joined with those of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from meganet.experiments.runs.diverged import Diverged
from meganet.experiments.setup.tables import Table
from meganet.optim import SGDState
from meganet.store.disk import with_nan

DETAILS = ("objective", "loss", "validation_loss")
"""Columns of the history that are reported beside the accuracies."""


class TrialValues(NamedTuple):
    """The numbers of one trial that a table is made of.

    Attributes
    ----------
    trial : int
        From 1.
    percent : dict
        Row to the number of each column; nan where a run diverged.
    end : dict
        Row to objective, loss and validation loss at its end.
    epochs : dict
        Row to the seconds of each epoch of its last stage; nan where they are not known.
    seconds : float
        Of all training steps, those that rows share once; evaluations not.
    environment : dict
        Backend, digest of the data, versions and machine of the first run in its folder.
    diverged : tuple of Diverged
    """

    trial: int
    percent: dict[str, list[float]]
    end: dict[str, dict[str, float]]
    epochs: dict[str, list[float]]
    seconds: float
    environment: dict[str, str]
    diverged: tuple[Diverged, ...] = ()


def trial_values(trial: int, table: Table, ends: dict[str, SGDState], environment: dict[str, str]) -> TrialValues:
    """Return the numbers of a trial, counted from 1, of a table from the last states of its runs by name.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments import tables_of
    >>> from meganet.experiments.report.values import trial_values
    >>> from meganet.optim import History, SGDState
    >>> row = dict.fromkeys(("accuracy", "validation_accuracy", "objective", "loss", "validation_loss"), 0.5)
    >>> end = SGDState(np.zeros(1), history=History([{"epoch": k, **row} for k in range(3)]), seconds=[1.0, 2.0])
    >>> found = trial_values(1, tables_of("4.1")[0], dict.fromkeys(["coarse", "new", "transfer", "multigrid"], end), {})
    >>> found.percent["new"], found.seconds
    ([50.0, 50.0, 50.0, 50.0], 12.0)
    """
    last = {row: ends[stages[-1].name] for row, stages in table.rows.items()}
    return TrialValues(
        trial,
        {
            row: [column.percent(ends[stages[column.stage].name].history) for column in table.columns]
            for row, stages in table.rows.items()
        },
        {row: {name: end.history[-1][name] for name in DETAILS} for row, end in last.items()},
        {row: list(end.seconds) for row, end in last.items()},
        float(sum(sum(end.seconds) for end in ends.values())),
        environment,
        tuple(Diverged(trial, run, *end.divergence) for run, end in ends.items() if end.divergence is not None),
    )


def plain(values: TrialValues) -> dict[str, Any]:
    """Return the numbers as they stand in a JSON file."""
    return {**values._asdict(), "diverged": [item._asdict() for item in values.diverged]}


def from_plain(content: dict[str, Any]) -> TrialValues:
    """Return the numbers from those of a JSON file, in which null stands for what is not finite.

    Examples
    --------
    >>> from meganet.experiments.report.values import TrialValues, from_plain, plain
    >>> content = plain(TrialValues(2, {"new": [91.5, 90.0]}, {}, {}, 3.5, {"numpy": "2.4.6"}))
    >>> content["percent"]["new"][1] = None
    >>> from_plain(content).percent, from_plain(content).trial
    ({'new': [91.5, nan]}, 2)
    """
    known = {name: with_nan(content[name]) for name in ("percent", "end", "epochs", "seconds")}
    diverged = tuple(Diverged(**item) for item in content["diverged"])
    return TrialValues(content["trial"], **known, environment=content["environment"], diverged=diverged)


def in_words(trials: Sequence[int]) -> str:
    """Return numbers of trials in words.

    Examples
    --------
    >>> from meganet.experiments.report.values import in_words
    >>> in_words([1, 2, 3, 7, 9, 10])
    'trials 1 to 3, 7, 9 and 10'
    >>> in_words([4])
    'trial 4'
    """
    runs: list[list[int]] = []
    for trial in trials:
        if runs and trial == runs[-1][-1] + 1:
            runs[-1].append(trial)
        else:
            runs.append([trial])
    # of two neighbours each is named
    parts = [text for run in runs for text in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    text = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return f"trial{'s' if len(trials) > 1 else ''} {text}"
