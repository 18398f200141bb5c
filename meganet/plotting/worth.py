"""Accuracy against work: whether Multigrid is ever worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.plotting.axes import LEGEND, PAGE, new_axes
from meganet.plotting.styles import styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = {
    "coarse network": "coarse",
    "New": "new",
    "Transfer": "transfer",
    "Multigrid, linear P": "multigrid",
    "Multigrid, constant P": "multigrid-constant",
}
"""Which style the lines have; others have one of their own."""


@dataclass(frozen=True)
class Curve:
    """A line of `plot_work`: means over the trials, by epoch.

    Attributes
    ----------
    line : str
        What the legend calls it.
    examples : int
        Fine examples, for which one picture stands; 0 for the coarse network, which is in all pictures.
    tflop, seconds : ndarray, (epochs + 1,)
        Total work.
    accuracy, std : ndarray, (epochs + 1,)
        Validation accuracy in percent, and its standard deviation over the trials; nan where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting import Curve
    >>> epochs = np.arange(3.0)
    >>> Curve("New", 1000, 0.5 * epochs, 2 * epochs, 10 + 40 * epochs, 0 * epochs).tflop
    array([0. , 0.5, 1. ])
    """

    line: str
    examples: int
    tflop: np.ndarray[Any, Any]
    seconds: np.ndarray[Any, Any]
    accuracy: np.ndarray[Any, Any]
    std: np.ndarray[Any, Any]


def plot_work(curves: Sequence[Curve], examples: int, ax: Axes | None = None, *, against: str = "tflop") -> Axes:
    """Draw the validation accuracy over the total work, with one number of fine examples.

    Parameters
    ----------
    curves : sequence of Curve
    examples : int
        Which curves; that of the coarse network is drawn always.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.
    against : {"tflop", "seconds"}

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import Curve, plot_work
    >>> steps = np.arange(3.0)
    >>> curve = Curve("New", 1000, 0.5 * steps, 2 * steps, 10 + 40 * steps, 0 * steps)
    >>> plot_work([curve], 1000, Figure().subplots()).get_xlabel()
    'Total work, TFLOP'
    """
    validate.choice("against", against, ("tflop", "seconds"))
    ax = new_axes((PAGE, 4)) if ax is None else ax
    styles = styles_of(LINES.get(curve.line, curve.line) for curve in curves)
    for curve in (curve for curve in curves if curve.examples in (0, examples)):
        work, style = getattr(curve, against), styles[LINES.get(curve.line, curve.line)]
        ax.plot(work, curve.accuracy, **(style.line(len(work)) | {"label": curve.line}))
        if np.isfinite(curve.std).all():
            low, high = curve.accuracy - curve.std, curve.accuracy + curve.std
            ax.fill_between(work, low, high, color=style.color, alpha=0.2, lw=0)
    unit = {"tflop": "Total work, TFLOP", "seconds": "Total training time, s"}[against]
    ax.set(xlabel=unit, ylabel="Validation accuracy, %", title=f"{examples} fine examples")
    ax.grid(alpha=0.3)
    return ax


def work_figure(curves: Sequence[Curve]) -> Figure:
    """Return the figure of curves: a row for each number of fine examples, work beside seconds.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting import Curve
    >>> from meganet.plotting.worth import work_figure
    >>> epochs = np.arange(3.0)
    >>> curves = [Curve("New", n, n * epochs, epochs, 30 * epochs, 0 * epochs) for n in (10, 1000)]
    >>> [ax.get_title() for ax in work_figure(curves).axes[::2]]
    ['1000 fine examples', '10 fine examples']
    """
    from matplotlib.figure import Figure

    numbers = sorted({curve.examples for curve in curves if curve.examples}, reverse=True)
    if not numbers:
        validate.reject("curves", "at least one of fine training", "none")
    canvas = Figure(figsize=(PAGE, 2.8 * len(numbers) + 0.6), layout="constrained")
    axes = canvas.subplots(len(numbers), 2, sharex="col", sharey=True, squeeze=False)
    for row, examples in zip(axes, numbers, strict=True):
        for ax, against in zip(row, ("tflop", "seconds"), strict=True):
            plot_work(curves, examples, ax, against=against).label_outer()
    canvas.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2, **LEGEND)
    return canvas
