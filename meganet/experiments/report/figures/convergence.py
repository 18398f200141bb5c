"""Figure 4.1: objective and validation accuracy over the epochs of coarse training and of the three rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meganet.experiments.report.figure import Figure
from meganet.experiments.report.results import refuse_incomplete
from meganet.experiments.runs.case import Case
from meganet.plotting.axes import PAGE
from meganet.plotting.convergence import plot_convergence

TITLES = {"4.1": "convergence, net A"}


def draw(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw the histories of all stages, each from where the one before it ends."""
    histories = case.histories()
    if not all(histories.values()):
        refuse_incomplete(case, FIGURES["4.1"].protocol)
    # whatever starts from fresh weights on the finest grid stands beside what was carried there
    first = case.stages[0].name
    after = {stage.name: stage.after or first for stage in case.stages[1:]}
    above, below = canvas.subplots(2, sharex=True)
    plot_convergence(histories, "objective", above, after=after)
    plot_convergence(histories, "validation_accuracy", below, legend=False, after=after)
    above.label_outer()
    trials = len(histories[first])
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
