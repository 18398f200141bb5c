"""Figures 4.3 and 4.5: the objective around the coarse minimum and around both transferred points."""

from __future__ import annotations

from typing import Any

from meganet.backend import random_stream
from meganet.experiments.report.figure import Figure
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.problems import DIRECTIONS
from meganet.experiments.setup.stages import chain
from meganet.objective.landscape import landscape
from meganet.plotting.axes import PAGE
from meganet.plotting.landscape import plot_landscapes
from meganet.plotting.styles import STYLES

TITLES = {"4.3": "landscapes, net A", "4.5": "landscapes, net B"}


def draw(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw the planes through the points, in like directions."""
    problems, seed = case.problems(trial), case.setup.run.seed
    (coarse,) = chain(case.stages, "coarse")
    points = [("coarse minimum", problems.level_of(coarse).training, case.weights(trial, "coarse"))]
    for row in ("transfer", "multigrid"):
        stage = chain(case.stages, row)[-1]
        start = case.start(trial, row, problems)
        points.append((f"{STYLES[row].label}, before retraining", problems.level_of(stage).training, start))
    # the same random numbers for all, so that both transferred points are seen in like directions
    found = {title: landscape(fun, point, random_stream(seed, trial, DIRECTIONS)) for title, fun, point in points}
    plot_landscapes(found, canvas)
    return [
        f"{title}: objective {plane.center:.3g}, loss {plane.loss.item(plane.loss.size // 2):.3g}; curvature "
        f"{plane.curvature:.3g}, of the loss {plane.loss_curvature:.3g}; mean rise of the loss {plane.rise:.3g}"
        for title, plane in found.items()
    ]


SEEN = "Contours and surfaces of the objective around the coarse minimum and around both starts of retraining."
FIGURES = {
    "4.3": Figure("4.1", draw, (PAGE, 9), SEEN, quick=False),
    "4.5": Figure("4.2", draw, (PAGE, 9), SEEN, quick=False),
}
