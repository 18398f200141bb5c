"""A figure drawn from the stored runs of a case. Each file in `report.figures` holds some, found by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.experiments.runs.case import Case
from meganet.experiments.setup.tables import tables_of
from meganet.ground import dropins, validate

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

FIGURES = "meganet.experiments.report.figures"
ROWS = ("new", "transfer", "multigrid")
"""The rows of the thesis' tables, which are the arms of its figures."""


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes
    ----------
    protocol : str
        The protocol from whose runs it is drawn, with which the report shows it.
    draw : callable
        ``(case, trial, canvas) -> lines``: draws on a matplotlib figure and returns what it has to say in numbers.
    size : tuple of float
        In inches.
    seen : str
        What is seen, for those who do not see it.
    runs : tuple of str
        Those that must be complete.
    quick : bool
        It takes no longer than a second; the others evaluate objectives again and again.
    trained : bool
        It shows trained weights, of a trial in which no run diverged.
    lines : bool
        It is of lines, which the page shows as SVG; the others are images and surfaces.

    Examples
    --------
    >>> from meganet.experiments.report.figure import Figure
    >>> def draw(case, trial, canvas):
    ...     canvas.subplots().plot([1, 2, 3])
    ...     return ["Three points."]
    >>> figure = Figure("4.1", draw, (4, 3), "a rising line", lines=True)
    >>> figure.runs
    ('coarse', 'new', 'transfer', 'multigrid')
    """

    protocol: str
    draw: Callable[[Case, int, Any], list[str]]
    size: tuple[float, float]
    seen: str
    runs: tuple[str, ...] = ("coarse", *ROWS)
    quick: bool = True
    trained: bool = True
    lines: bool = False

    def make(self, case: Case, trial: int) -> tuple[Canvas, list[str]]:
        """Return the figure, drawn from a trial of a case, and its lines of text."""
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=self.size, layout="constrained")
        # numbers of a run that diverges are large, and then none
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return canvas, self.draw(case, trial, canvas)


def figures() -> dict[str, str]:
    """Return the number of every figure with its title, in their order.

    Examples
    --------
    >>> from meganet.experiments.report.figure import figures
    >>> figures()["4.3"].startswith("Figure 4.3: ")
    True
    """
    return {number: f"Figure {number}: {line}" for number, line in sorted(dropins.titles(FIGURES).items())}


def figure_of(number: str) -> Figure:
    """Return a figure by its number.

    Raises
    ------
    InputError
        If there is none, or it is drawn from a protocol or from runs that there are not.

    Examples
    --------
    >>> from meganet.experiments.report.figure import figure_of
    >>> figure_of("4.1").protocol, figure_of("4.1").quick
    ('4.1', True)
    """
    found: Figure = dropins.value_of(FIGURES, number, "FIGURES", "a Figure", lambda value: isinstance(value, Figure))
    with validate.within(f"figure {number}"):
        stages = [stage.name for table in tables_of(found.protocol) for stage in table.stages()]
        for run in found.runs:
            validate.choice("runs", run, stages)
    return found


def check_figures() -> None:
    """Raise `InputError` if there is a figure that cannot be drawn from any runs.

    Examples
    --------
    >>> from meganet.experiments.report.figure import check_figures
    >>> check_figures()
    """
    for number in figures():
        figure_of(number)
