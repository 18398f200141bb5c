"""Accuracy as a function of the work that is spent, from trainings of several budgets.

A budget of 1 is the arithmetic of one pass through the images on the finest level. A `Scheme` makes of it an arm that
takes as much, so that a way of training is tuned with one budget and compared with all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.datasets import ImageSet
from meganet.experiments.questions.arm_costs import cost_of_arms
from meganet.experiments.questions.base import Context, Cost
from meganet.experiments.runs.arms import Arm, Arms, Outcome, Sizes
from meganet.experiments.runs.paired import accuracies, mean_of
from meganet.experiments.runs.tuning import tuned
from meganet.multilevel import Phase
from meganet.optim import LinearDecay
from meganet.plotting.axes import LEGEND, PAGE
from meganet.plotting.budgets import Line, plot_budgets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scheme = Callable[[float], Arm]
Schemes = Mapping[str, Sequence[Scheme]]
Budgets = Mapping[str, Sequence[float]]

SINGLE = "single grid"
"""The arm that all are compared with."""
LAST = 0.02
"""Part of a rate that is left at the end."""
ROUNDS = 8
"""Of a phase: the rate falls in so many steps."""


@dataclass(frozen=True)
class Curve:
    """What the budgets of an arm gave: means over the trials, the seconds medians.

    Attributes
    ----------
    work : tuple of float
        TFLOP, increasing.
    seconds, accuracy, half_width : tuple of float
        The last is half the width of the 95 % interval of the accuracy, in percent. The accuracy is nan where a run
        diverged.

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
        means = [mean_of(accuracies(found)) for found in ordered]
        return cls(
            tuple(float(np.mean([one.work for one in found])) for found in ordered),
            tuple(float(np.median([one.seconds for one in found])) for found in ordered),
            tuple(mean.value for mean in means),
            tuple(mean.half_width for mean in means),
        )

    def line(self, name: str, against: str = "work") -> Line:
        """Return the line that is drawn of it, over work or seconds."""
        return Line(name, *map(np.array, (getattr(self, against), self.accuracy, self.half_width)))

    @property
    def best(self) -> float:
        """The highest accuracy; nan if runs diverged with all budgets."""
        return max((found for found in self.accuracy if np.isfinite(found)), default=float("nan"))


def reached(curve: Curve, accuracy: float) -> tuple[float, float] | None:
    """Return work and seconds at which a curve first comes to an accuracy, between budgets in logarithms; or None.

    The first budget counts as it is: nothing is known below it. Those with runs that diverged do not count.

    Examples
    --------
    >>> from meganet.experiments.questions.budgets import Curve, reached
    >>> curve = Curve((1.0, 4.0), (2.0, 8.0), (90.0, 92.0), (0.1, 0.1))
    >>> [reached(curve, accuracy) for accuracy in (89.0, 91.0, 93.0)]
    [(1.0, 2.0), (2.0, 4.0), None]
    """
    last: int | None = None
    for k, found in enumerate(curve.accuracy):
        if found >= accuracy:
            if last is None:
                return curve.work[k], curve.seconds[k]
            part = (accuracy - curve.accuracy[last]) / (found - curve.accuracy[last])
            work, seconds = (
                float(np.exp((1 - part) * np.log(values[last]) + part * np.log(values[k])))
                for values in (curve.work, curve.seconds)
            )
            return work, seconds
        if np.isfinite(found):
            last = k
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
        return f"{name} does not come to {accuracy:.2f} % within its budgets; its best is {curve.best:.2f} %."
    start = f"{name} comes to {accuracy:.2f} % with {found[0]:.3g} TFLOP and {found[1]:.3g} s"
    if baseline is None or baseline == found:
        return f"{start}."
    work, time = (whole / part for whole, part in zip(baseline, found, strict=True))
    return f"{start}: {work:.1f} times less work and {time:.1f} times less time than the single grid."


def falling(
    level: int | tuple[int, ...],
    passes: float,
    first: float,
    last: float,
    *,
    batches: int,
    rounds: int = ROUNDS,
    **settings: Any,
) -> Phase:
    """Return a phase whose rate falls linearly, of one mini-batch at least, of which a pass has so many.

    Examples
    --------
    >>> from meganet.experiments.questions.budgets import falling
    >>> print(falling(0, 0.1, 0.5, 0.25, batches=20, batch_size=8))
    level 0: 0.1 passes, rate 0.5 to 0.25, batch 8, every=0.05
    """
    passes = max(passes, 1 / batches)
    every = passes / min(rounds, max(int(passes * batches), 1))
    return Phase(level, passes, LinearDecay(first, last, passes), every=every, **settings)


def shares(flop: Sequence[float], finest: float) -> list[float]:
    """Return shares of the work: a given one for the last of some levels, as many passes as each other for the rest.

    Examples
    --------
    >>> from meganet.experiments.questions.budgets import shares
    >>> shares([1, 3, 12], finest=0.5)
    [0.125, 0.375, 0.5]
    """
    coarse = np.array(flop[:-1])
    return [*((1 - finest) * coarse / coarse.sum()).tolist(), finest]


def cost_of(schemes: Schemes, budgets: Budgets, tuning: Mapping[str, float], images: int, trials: int) -> Cost:
    """Return what `compared` takes in a folder without runs, of so many training images.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.experiments.questions.budgets import cost_of
    >>> from meganet.experiments.runs.arms import Arm
    >>> from meganet.multilevel import in_space, nested
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(28,))
    >>> schemes = {"single grid": [lambda budget: Arm("single", hierarchy, nested(hierarchy, epochs=budget))]}
    >>> cost_of(schemes, {"single grid": (1.0, 2.0)}, {"single grid": 1.0}, images=1000, trials=5).runs
    11
    """
    tried = [scheme(tuning[name]) for name, of_name in schemes.items() for scheme in of_name]
    made = [of_name[0](budget) for name, of_name in schemes.items() for budget in budgets[name]]
    return cost_of_arms(images, trials, tried, made)


@dataclass(frozen=True)
class Comparison:
    """What `compared` found.

    Attributes
    ----------
    outcomes : mapping
        Of each arm and budget, trial by trial.
    names : mapping
        What the runs of each arm and budget are called, see `Arms.run_name`.
    tuning : str
        A sentence on how the arms were tuned.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.experiments.questions.budgets import Comparison
    >>> from meganet.experiments.runs.arms import Outcome
    >>> single, nested = (
    ...     [Outcome(accuracy, 0.5, 1.0, 2.0, np.zeros(0)) for accuracy in found]
    ...     for found in ((90.0, 91.0), (90.5, 91.5))
    ... )
    >>> found = Comparison({("single grid", 4.0): single, ("nested", 2.0): nested}, {}, "Not tuned.")
    >>> [row["difference"] for row in found.rows(factor=2)]
    [nan, 0.5]
    >>> found.curves["nested"].accuracy
    (91.0,)
    """

    outcomes: Mapping[tuple[str, float], Sequence[Outcome]]
    names: Mapping[tuple[str, float], Sequence[str]]
    tuning: str

    @property
    def curves(self) -> dict[str, Curve]:
        """The curve of each arm."""
        of_arms: dict[str, dict[float, Sequence[Outcome]]] = {}
        for (name, budget), found in self.outcomes.items():
            of_arms.setdefault(name, {})[budget] = found
        return {name: Curve.of(found) for name, found in of_arms.items()}

    def rows(self, factor: float = 1.0) -> list[dict[str, Any]]:
        """Return a row for each arm and budget, with paired differences from the single grid at `factor` budgets."""
        return [self._row(name, budget, factor * budget) for name, budget in self.outcomes]

    def _row(self, name: str, budget: float, of_single: float) -> dict[str, Any]:
        outcomes = self.outcomes[name, budget]
        accuracy = accuracies(outcomes)
        mean = mean_of(accuracy)
        single = self.outcomes.get((SINGLE, of_single)) if name != SINGLE else None
        difference = mean_of(accuracy - accuracies(single)) if single else None
        return {
            "arm": name,
            "budget": budget,
            "TFLOP": float(np.mean([outcome.work for outcome in outcomes])),
            "seconds": float(np.median([outcome.seconds for outcome in outcomes])),
            "accuracy": mean.value,
            "±": mean.half_width,
            "difference": difference.value if difference else float("nan"),
            "± of it": difference.half_width if difference else float("nan"),
        }


def compared(
    context: Context,
    data: ImageSet,
    sizes: Sizes,
    schemes: Schemes,
    budgets: Budgets,
    tuning: Mapping[str, float],
) -> Comparison:
    """Tune ways of training by one run of each candidate, with a budget for each arm; make the trials of the best."""
    base = context.base
    given = context.path, data, sizes, base, context.backend
    candidates = {name: [scheme(tuning[name]) for scheme in of_name] for name, of_name in schemes.items()}
    chosen, _ = tuned(Arms(*given, tuning=True), candidates, **context.how)
    every = {
        (name, budget): of_name[chosen[name]](budget) for name, of_name in schemes.items() for budget in budgets[name]
    }
    trials = Arms(*given)
    found = trials.run(list(every.values()), base.run.trials, **context.how)
    told = "; ".join(
        f"{name}, with a budget of {tuning[name]:g}: {k + 1} of {len(candidates[name])} "
        f"(rate {candidates[name][k].schedule[0].cells[2]})"
        for name, k in chosen.items()
    )
    return Comparison(
        dict(zip(every, found, strict=True)),
        {key: [trials.run_name(arm, k) for k in range(base.run.trials)] for key, arm in every.items()},
        f"Tuned alike, by one run of each candidate on other random numbers. The candidates taken: {told}.",
    )


def figure_of(curves: Mapping[str, Curve], title: str) -> Figure:
    """Return the curves over work, and beside them over seconds.

    Examples
    --------
    >>> from meganet.experiments.questions.budgets import Curve, figure_of
    >>> curve = Curve((1.0, 4.0), (2.0, 8.0), (90.0, 92.0), (0.1, 0.1))
    >>> len(figure_of({"nested": curve}, "digits").axes)
    2
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(PAGE, 4.2), layout="constrained")
    axes = canvas.subplots(1, 2, sharey=True)
    for ax, against in zip(axes, ("work", "seconds"), strict=True):
        lines = [curve.line(name, against) for name, curve in curves.items()]
        plot_budgets(lines, ax, against=against, legend=False).label_outer()
    canvas.suptitle(title)
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, **LEGEND)
    return canvas
