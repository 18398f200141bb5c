"""What questions that train by arms cost."""

from __future__ import annotations

from collections.abc import Sequence

from meganet.experiments.questions.base import Cost
from meganet.experiments.runs.arms import Arm, lines_of


def cost_of_arms(images: int, trials: int, tuning: Sequence[Arm], arms: Sequence[Arm]) -> Cost:
    """Return what it costs to try some arms once and to make others in every trial, and those that they start from.

    Parameters
    ----------
    images : int
        For training.
    trials : int
    tuning, arms : sequence of Arm

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.experiments.questions.arm_costs import cost_of_arms
    >>> from meganet.experiments.runs.arms import Arm
    >>> from meganet.multilevel import in_space, nested
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(14, 28))
    >>> arm = Arm("nested", hierarchy, nested(hierarchy))
    >>> cost_of_arms(1000, 20, [arm], [arm]).runs
    21
    """

    def own(arm: Arm) -> float:
        return arm.work(images) - (arm.after.work(images) if arm.after else 0.0)

    every = {
        (tried, f"{arm.name}\n{arm.text()}"): arm
        for tried, some in ((True, tuning), (False, arms))
        for last in some
        for *_, arm in lines_of(last)
    }
    runs = [(1 if tried else trials, own(arm)) for (tried, _), arm in every.items()]
    return Cost(sum(count for count, _ in runs), sum(count * work for count, work in runs) / 1e12)
