"""Accuracy as a function of the work that is spent, from trainings of several budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meganet.experiments.questions.paired import mean_of
from meganet.experiments.runs.arms import Outcome


@dataclass(frozen=True)
class Curve:
    """What the budgets of an arm gave: means over the trials, the seconds medians.

    Attributes
    ----------
    work : tuple of float
        TFLOP, increasing.
    seconds, accuracy, half_width : tuple of float
        The last is half the width of the 95 % interval of the accuracy, in percent.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.questions.budgets import Curve
    >>> from meganet.experiments.runs.arms import Outcome
    >>> of_one = {1.0: [Outcome(90.0, 0.5, 1.0, 2.0, np.zeros(0))], 2.0: [Outcome(92.0, 0.4, 2.0, 4.0, np.zeros(0))]}
    >>> Curve.of(of_one).accuracy
    (90.0, 92.0)
    """

    work: tuple[float, ...]
    seconds: tuple[float, ...]
    accuracy: tuple[float, ...]
    half_width: tuple[float, ...]

    @classmethod
    def of(cls, outcomes: Mapping[float, Sequence[Outcome]]) -> Curve:
        """Return the curve of the outcomes of each budget."""
        ordered = [outcomes[budget] for budget in sorted(outcomes)]
        means = [mean_of([one.accuracy for one in found]) for found in ordered]
        return cls(
            tuple(float(np.mean([one.work for one in found])) for found in ordered),
            tuple(float(np.median([one.seconds for one in found])) for found in ordered),
            tuple(mean.value for mean in means),
            tuple(mean.half_width for mean in means),
        )


def reached(curve: Curve, accuracy: float) -> tuple[float, float] | None:
    """Return work and seconds at which a curve first comes to an accuracy, between budgets in logarithms; or None.

    The first budget counts as it is: nothing is known below it.

    Examples
    --------
    >>> from meganet.experiments.questions.budgets import Curve, reached
    >>> curve = Curve((1.0, 4.0), (2.0, 8.0), (90.0, 92.0), (0.1, 0.1))
    >>> [reached(curve, accuracy) for accuracy in (89.0, 91.0, 93.0)]
    [(1.0, 2.0), (2.0, 4.0), None]
    """
    for k, found in enumerate(curve.accuracy):
        if found >= accuracy:
            if k == 0:
                return curve.work[0], curve.seconds[0]
            part = (accuracy - curve.accuracy[k - 1]) / (found - curve.accuracy[k - 1])
            work, seconds = (
                float(np.exp((1 - part) * np.log(values[k - 1]) + part * np.log(values[k])))
                for values in (curve.work, curve.seconds)
            )
            return work, seconds
    return None


def sentence(name: str, curve: Curve, baseline: tuple[float, float] | None, accuracy: float) -> str:
    """Return in words what an arm takes to come to an accuracy, against a baseline's work and seconds.

    Examples
    --------
    >>> from meganet.experiments.questions.budgets import Curve, sentence
    >>> curve = Curve((1.0, 4.0), (2.0, 8.0), (90.0, 92.0), (0.1, 0.1))
    >>> print(sentence("nested", curve, (4.0, 4.0), 91.0))
    nested comes to 91.00 % with 2 TFLOP and 4 s: 2.0 times less work and 1.0 times less time than the single grid.
    >>> print(sentence("nested", curve, (4.0, 4.0), 93.0))
    nested does not come to 93.00 % within its budgets; its best is 92.00 %.
    """
    found = reached(curve, accuracy)
    if found is None:
        best = max(curve.accuracy)
        return f"{name} does not come to {accuracy:.2f} % within its budgets; its best is {best:.2f} %."
    start = f"{name} comes to {accuracy:.2f} % with {found[0]:.3g} TFLOP and {found[1]:.3g} s"
    if baseline is None or baseline == found:
        return f"{start}."
    work, time = (whole / part for whole, part in zip(baseline, found, strict=True))
    return f"{start}: {work:.1f} times less work and {time:.1f} times less time than the single grid."
