"""Figure 4.1: objective and validation accuracy over the epochs of coarse training and of the three rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meganet.experiments.report.figure import Figure
from meganet.experiments.report.results import refuse_incomplete
from meganet.experiments.runs.case import Case
from meganet.experiments.setup.stages import Stage, chain
from meganet.plotting.axes import PAGE
from meganet.plotting.convergence import plot_convergence

TITLES = {"4.1": "convergence, net A"}


def beside(stages: Sequence[Stage]) -> dict[str, str]:
    """Return behind which stage each is drawn, of those that are not drawn at the left.

    What starts from fresh weights stands beside what was first carried to its grid from elsewhere, if anything was.

    Examples
    --------
    >>> from meganet.experiments.report.figures.convergence import beside
    >>> from meganet.experiments.setup.stages import Stage
    >>> beside([Stage("coarse", 0), Stage("new", 1), Stage("transfer", 1, start="copy", after="coarse")])
    {'new': 'coarse', 'transfer': 'coarse'}
    """
    lines = {stage.name: {one.name for one in chain(stages, stage.name)} for stage in stages}
    carried = sorted((stage for stage in stages if stage.after), key=lambda stage: len(lines[stage.name]))
    places = {
        stage.name: stage.after
        or next((c.after for c in carried if c.grid == stage.grid and stage.name not in lines[c.name]), None)
        for stage in stages
    }
    return {name: place for name, place in places.items() if place}


def draw(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw the histories of all stages, each from where the one before it ends."""
    histories = case.histories()
    if not all(histories.values()):
        refuse_incomplete(case, FIGURES["4.1"].protocol)
    after = beside(case.stages)
    above, below = canvas.subplots(2, sharex=True)
    plot_convergence(histories, "objective", above, after=after)
    plot_convergence(histories, "validation_accuracy", below, legend=False, after=after)
    above.label_outer()
    trials = len(histories[case.stages[0].name])
    return [f"means and ranges of {trials} trials" if trials > 1 else "one trial"]


SEEN = (
    "Curves of the objective and of the validation accuracy over the epochs: coarse training, then New, Transfer and "
    "Multigrid."
)
FIGURES = {"4.1": Figure("4.1", draw, (PAGE, 6), SEEN, trained=False, lines=True)}
FIGURE = replace(
    FIGURES["4.1"], runs=(), seen="Curves of the objective and of the validation accuracy over the epochs."
)
"""The same of any protocol."""
