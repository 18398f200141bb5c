"""What questions that fit settings to a table have in common: candidates, step by step, and the numbers compared."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from meganet.experiments.setup.settings import DEFAULTS, FITTED
from meganet.experiments.setup.tables import Column
from meganet.optim import History

Candidates = Mapping[str, Sequence[Any]]
"""Settings, with the values that each may have, that are fitted together."""
Choice = Mapping[str, Any]

PRINTED = {name: DEFAULTS[name] for name in FITTED}
"""What a fit starts from whatever the preset: the settings as printed, not those that were fitted."""


def first(steps: Sequence[Candidates]) -> dict[str, Any]:
    """Return the first candidates of all steps.

    Examples
    --------
    >>> from meganet.experiments.questions.fitting import first
    >>> first([{"momentum": (0.0, 0.9)}, {"W_std": (0.1, 1.0)}])
    {'momentum': 0.0, 'W_std': 0.1}
    """
    return {name: values[0] for step in steps for name, values in step.items()}


def choices(kept: Choice, step: Candidates) -> list[dict[str, Any]]:
    """Return the candidates of a step, with all that was kept.

    Examples
    --------
    >>> from meganet.experiments.questions.fitting import choices
    >>> choices({"momentum": 0.9, "W_std": 0.1}, {"W_std": (0.1, 1.0)})
    [{'momentum': 0.9, 'W_std': 0.1}, {'momentum': 0.9, 'W_std': 1.0}]
    """
    return [{**kept, **dict(zip(step, values, strict=True))} for values in itertools.product(*step.values())]


def name_of(choice: Choice) -> str:
    """Return a name for the runs of a choice.

    Examples
    --------
    >>> from meganet.experiments.questions.fitting import name_of
    >>> name_of({"theta_alpha": 2.0**-6, "interpolation": "linear"})
    '0.01562-linear'
    """
    return "-".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in choice.values())


def settings_text(choice: Choice) -> str:
    """Return a choice as text: "momentum = 0.9, W_std = 0.1"."""
    return ", ".join(f"{name} = {value}" for name, value in choice.items())


def percent(histories: Sequence[History], columns: Sequence[Column]) -> np.ndarray[Any, Any]:
    """Return the numbers of a row of a table, (trials, columns), in percent; nan of runs that diverged.

    Examples
    --------
    >>> from meganet.experiments import Column
    >>> from meganet.experiments.questions.fitting import percent
    >>> from meganet.optim import History
    >>> percent([History([{"accuracy": 0.5}, {"accuracy": 0.75}])], [Column("After", -1, -1, "accuracy")])
    array([[75.]])
    """
    return np.array([[column.percent(history) for column in columns] for history in histories])
