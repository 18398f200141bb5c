"""Which rows of a table differ, paired over the trials: the rows of one are made from the same images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from meganet.experiments.runs.paired import mean_of, probability
from meganet.experiments.setup.tables import Column

SMALLEST = 0.001
"""Below this a probability is not told from another."""


class Difference(NamedTuple):
    """One row minus another in a column, over the trials in which both have a number there, in percent.

    Attributes
    ----------
    row, other : str
    column : str
        Title of the column.
    mean : float
    half_width : float
        Of the interval of confidence of the mean, of 95 %.
    p : float
        Of the hypothesis that the mean is zero, by Student's paired t-test on both sides, for this difference alone;
        nan where the trials do not scatter.
    trials : int
    """

    row: str
    other: str
    column: str
    mean: float
    half_width: float
    p: float
    trials: int

    def __str__(self) -> str:
        p = f"p < {SMALLEST}" if self.p < SMALLEST else f"p = {self.p:.2g}" if math.isfinite(self.p) else "no p"
        return f"{self.mean:+.1f} ± {self.half_width:.1f} ({p})"


def differences(columns: Iterable[Column], values: Mapping[str, Sequence[Sequence[float]]]) -> tuple[Difference, ...]:
    """Return the differences of all pairs of rows in the columns of validation, as far as there are two trials or more.

    Parameters
    ----------
    columns : iterable of Column
    values : mapping
        Row to the numbers of each column, one for each trial, in percent; nan where a run diverged.

    Examples
    --------
    >>> from meganet.experiments import Column
    >>> from meganet.experiments.report.differences import differences
    >>> column = Column("After", -1, -1, "validation_accuracy")
    >>> found = differences([column], {"new": [[91.0, 92.0, 90.5]], "transfer": [[94.0, 95.5, 93.0]]})
    >>> print(found[0].row, "minus", found[0].other, found[0])
    transfer minus new +3.0 ± 1.2 (p = 0.0091)
    """
    found = []
    for k, column in enumerate(columns):
        if column.quantity == "validation_accuracy":
            for other, row in combinations(values, 2):
                change = np.subtract(values[row][k], values[other][k])
                change = change[np.isfinite(change)]
                if len(change) > 1:
                    found.append(
                        Difference(row, other, column.title, *mean_of(change), probability(change), len(change))
                    )
    return tuple(found)
