"""Means over trials with their intervals of confidence, also of differences between arms of the same trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from meganet.experiments.runs.arms import Outcome

CONFIDENCE = 0.95
ROUND_OFF = 1e-9
"""Percentages, or their differences, that differ by less are the same."""


class Mean(NamedTuple):
    """A mean over trials, and half the width of its interval of confidence by Student's t; nan of a single trial.

    Examples
    --------
    >>> from meganet.experiments.runs.paired import Mean, mean_of
    >>> str(mean_of([1.0, 2.0, 3.0])), str(mean_of([1.0]))
    ('2.00 \u00b1 2.48', '1.00')
    >>> mean_of([1.0, 1.1, 0.9]).above(0.5)
    True
    """

    value: float
    half_width: float

    def above(self, bound: float) -> bool:
        """Whether the whole interval is above a bound; False if there is none."""
        return self.value - self.half_width > bound

    def __str__(self) -> str:
        return f"{self.value:.2f}" + (f" \u00b1 {self.half_width:.2f}" if np.isfinite(self.half_width) else "")


def mean_of(values: Sequence[float] | np.ndarray[Any, Any]) -> Mean:
    """Return the mean of one number for each trial.

    Parameters
    ----------
    values : sequence of float
        Of paired trials the differences: their interval is the one that says whether two arms differ.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.runs.paired import mean_of
    >>> first, second = np.array([97.0, 98.0, 99.0]), np.array([96.0, 97.1, 97.9])
    >>> str(mean_of(first - second))
    '1.00 \u00b1 0.25'
    """
    # imported when it is asked for: it takes longer than the command line does to start
    from scipy import stats

    array = np.asarray(values, np.float64)
    count = len(array)
    if count < 2:
        return Mean(float(array.mean()), float("nan"))
    error = array.std(ddof=1) / np.sqrt(count)
    return Mean(float(array.mean()), float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1) * error))


def finite_mean(values: Sequence[float] | np.ndarray[Any, Any]) -> float:
    """Return the mean over the trials that have a number, those that did not diverge; nan if there are none.

    Examples
    --------
    >>> from meganet.experiments.runs.paired import finite_mean
    >>> finite_mean([1.0, float("nan"), 3.0])
    2.0
    """
    array = np.asarray(values, np.float64)
    known = array[np.isfinite(array)]
    return float(known.mean()) if len(known) else float("nan")


def probability(differences: Sequence[float] | np.ndarray[Any, Any]) -> float:
    """Return the p of the hypothesis that the mean of paired differences is zero, by Student's t-test on both sides.

    Parameters
    ----------
    differences : sequence of float
        Of two arms in the same trials, in points.

    Returns
    -------
    float
        nan, as it is not defined, if all are the same up to round-off, or of a single trial; 1 if all are zero.

    Examples
    --------
    >>> from meganet.experiments.runs.paired import probability
    >>> round(probability([1.0, 1.1, 0.9]), 4), probability([0.0, 0.0])
    (0.0033, 1.0)
    """
    from scipy import stats

    array = np.asarray(differences, np.float64)
    if len(array) > 1 and np.abs(array).max() <= ROUND_OFF:
        return 1.0
    if len(array) < 2 or np.ptp(array) <= ROUND_OFF:
        return float("nan")
    return float(stats.ttest_1samp(array, 0.0).pvalue)


def accuracies(outcomes: Sequence[Outcome]) -> np.ndarray[Any, Any]:
    """Return the accuracies of trials.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.runs.paired import accuracies
    >>> from meganet.experiments.runs.arms import Outcome
    >>> accuracies([Outcome(accuracy, 0.1, 1.0, 1.0, np.zeros(2)) for accuracy in (95.0, 96.0)])
    array([95., 96.])
    """
    return np.array([outcome.accuracy for outcome in outcomes])
