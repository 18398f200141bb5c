"""Accuracy that ways of training reach with several budgets of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.plotting.axes import PAGE, legend_above, logarithmic, new_axes
from meganet.plotting.styles import styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {"work": "Total work, TFLOP", "seconds": "Total training time, s"}


@dataclass(frozen=True)
class Line:
    """A line of `plot_budgets`: a way of training, with a point for each budget.

    Attributes
    ----------
    name : str
        What the legend calls it; a run of `STYLES` looks as it does there.
    work : ndarray, (budgets,)
        Of each, increasing: TFLOP, or seconds if it is drawn against these.
    accuracy, half_width : ndarray, (budgets,)
        Means of the validation accuracy in percent, and half the widths of their intervals; nan where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting import Line
    >>> Line("nested", np.array([0.1, 0.2]), np.array([90.0, 95.0]), np.array([0.3, 0.2])).work
    array([0.1, 0.2])
    """

    name: str
    work: np.ndarray[Any, Any]
    accuracy: np.ndarray[Any, Any]
    half_width: np.ndarray[Any, Any]


def plot_budgets(lines: Sequence[Line], ax: Axes | None = None, *, against: str = "work", legend: bool = True) -> Axes:
    """Draw accuracies over budgets of work, on a logarithmic axis, with their intervals.

    Parameters
    ----------
    lines : sequence of Line
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.
    against : {"work", "seconds"}
        What the work of the lines is.
    legend : bool
        Above the axes.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import Line, plot_budgets
    >>> work, accuracy = np.array([0.1, 0.2, 0.4]), np.array([90.0, 95.0, 96.0])
    >>> line = Line("nested", work, accuracy, np.array([0.4, 0.2, 0.1]))
    >>> ax = plot_budgets([line], Figure().subplots())
    >>> ax.get_xlabel(), ax.get_xscale()
    ('Total work, TFLOP', 'log')
    """
    validate.choice("against", against, UNITS)
    ax = new_axes((PAGE, 4)) if ax is None else ax
    styles = styles_of(line.name for line in lines)
    for line in lines:
        style = styles[line.name]
        ax.errorbar(line.work, line.accuracy, line.half_width, **style.line(len(line.work)), elinewidth=1, capsize=2)
    logarithmic(ax, "x")
    ax.set(xlabel=UNITS[against], ylabel="Validation accuracy, %")
    ax.grid(alpha=0.3)
    if legend:
        legend_above(ax)
    return ax
