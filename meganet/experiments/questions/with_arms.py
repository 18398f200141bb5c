"""What questions that train by arms with several budgets of work have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from meganet.experiments.questions.budgets import Curve, falling, reached
from meganet.experiments.runs.arms import Outcome
from meganet.experiments.runs.paired import Mean, mean_of
from meganet.multilevel import Phase
from meganet.optim import Momentum
from meganet.plotting import Line

MOMENTUM = 0.9
LAST = 0.05
"""The last learning rate, in the first."""
ROUNDS = 16
"""In which the rate of a phase falls."""


def decaying(
    level: int | tuple[int, ...], passes: float, rate: float, batch_size: int, examples: int, **settings: Any
) -> Phase:
    """Return a phase with momentum whose rate falls linearly to a twentieth; it has one mini-batch at least.

    Examples
    --------
    >>> from meganet.experiments.questions.with_arms import decaying
    >>> print(decaying(1, 2.0, 0.1, 32, 1600))
    level 1: 2 passes, rate 0.1 to 0.005, batch 32, every=0.125, rule=Momentum(momentum=0.9, nesterov=False)
    """
    given = {"batch_size": batch_size, "rule": Momentum(MOMENTUM), **settings}
    return falling(level, passes, rate, LAST * rate, batches=examples // batch_size, rounds=ROUNDS, **given)


def listed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return in words how well candidates did, from the rows of `tuned`.

    Examples
    --------
    >>> from meganet.experiments.questions.with_arms import listed
    >>> listed([{"arm": "joint", "accuracy": 95.0}, {"arm": "joint", "accuracy": 95.25}])
    'joint 95.00, 95.25'
    """
    names = dict.fromkeys(row["arm"] for row in rows)
    found = {name: [f"{row['accuracy']:.2f}" for row in rows if row["arm"] == name] for name in names}
    return "; ".join(f"{name} {', '.join(values)}" for name, values in found.items())


def diverged(budgets: Mapping[str, Sequence[Sequence[Outcome]]]) -> list[str]:
    """Return a sentence for each arm of which runs diverged, of outcomes trial by trial for each budget.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.questions.with_arms import diverged
    >>> from meganet.experiments.runs.arms import Outcome
    >>> diverged({"joint": [[Outcome(accuracy, 0.1, 1.0, 1.0, np.zeros(2)) for accuracy in (95.0, np.nan)]]})
    ['1 of 2 runs of joint diverged.']
    """
    found = {name: [math.isfinite(o.accuracy) for outcomes in of for o in outcomes] for name, of in budgets.items()}
    return [f"{of.count(False)} of {len(of)} runs of {name} diverged." for name, of in found.items() if not all(of)]


def line_of(name: str, budgets: Sequence[Sequence[Outcome]]) -> Line:
    """Return the line of an arm from its outcomes, trial by trial for each budget.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.questions.with_arms import line_of
    >>> from meganet.experiments.runs.arms import Outcome
    >>> budgets = [[Outcome(accuracy, 0.1, work, 1.0, np.zeros(2)) for accuracy in (94.0, 96.0)] for work in (1.0, 2.0)]
    >>> line_of("joint", budgets).accuracy
    array([95., 95.])
    """
    return _curve(budgets).line(name)


def _curve(budgets: Sequence[Sequence[Outcome]]) -> Curve:
    return Curve.of(dict(enumerate(budgets)))


def saved(usual: Sequence[Sequence[Outcome]], other: Sequence[Sequence[Outcome]], within: float) -> tuple[float, Mean]:
    """Return how many times less work another arm takes to come near to what the usual one ends with.

    Parameters
    ----------
    usual, other : sequence
        Outcomes of an arm, trial by trial for each budget.
    within : float
        Points below the accuracy with which the usual arm ends.

    Returns
    -------
    ratio : float
        Of the works, for the means over the trials; nan if the other arm does not come so near.
    logarithm : Mean
        Of the ratio, with its interval, by the jackknife over the trials.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.questions.with_arms import saved
    >>> from meganet.experiments.runs.arms import Outcome
    >>> def arm(scale):
    ...     ends = {1.0: (90.0, 90.4), 2.0: (95.0, 95.2), 4.0: (96.0, 96.1)}
    ...     return [[Outcome(a, 0.1, scale * work, 1.0, np.zeros(2)) for a in of] for work, of in ends.items()]
    >>> round(saved(arm(1.0), arm(0.5), 0.1)[0], 6)
    2.0
    """

    def logarithm(kept: Sequence[int]) -> float:
        curves = [_curve([[of[trial] for trial in kept] for of in budgets]) for budgets in (usual, other)]
        ends = [reached(curve, curves[0].accuracy[-1] - within) for curve in curves]
        own, others = (math.nan if end is None else end[0] for end in ends)
        return math.log(own / others)

    trials = list(range(len(usual[0])))
    whole = logarithm(trials)
    if len(trials) < 2:
        return math.exp(whole), mean_of([whole])
    without = [logarithm([other for other in trials if other != trial]) for trial in trials]
    pseudo = [len(trials) * whole - (len(trials) - 1) * one for one in without]
    return math.exp(whole), mean_of(pseudo)
