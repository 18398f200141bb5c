"""Accuracy against work: whether Multigrid is ever worth it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from meganet import _validate
from meganet.experiments.named.worth import Curve
from meganet.plotting.axes import new_axes
from meganet.plotting.convergence import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {
    "coarse network": STYLES["coarse"]["color"],
    "New": STYLES["new"]["color"],
    "Transfer": STYLES["transfer"]["color"],
    "Multigrid, linear P": STYLES["multigrid"]["color"],
    "Multigrid, constant P": "tab:olive",
}


def plot_work(curves: Sequence[Curve], examples: int, ax: Axes | None = None, *, against: str = "tflop") -> Axes:
    """Draw the validation accuracy over the total work, with one number of fine examples.

    Parameters
    ----------
    curves : sequence of Curve
    examples : int
        Which curves; that of the coarse network is drawn always.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.
    against : {"tflop", "seconds"}

    Returns
    -------
    matplotlib Axes
    """
    _validate.choice("against", against, ("tflop", "seconds"))
    ax = new_axes((6, 4)) if ax is None else ax
    for curve in curves:
        if curve.examples in (0, examples):
            work, color = getattr(curve, against), COLORS.get(curve.line)
            (line,) = ax.plot(work, curve.accuracy, marker=".", color=color, label=curve.line)
            if np.isfinite(curve.std).all():
                low, high = curve.accuracy - curve.std, curve.accuracy + curve.std
                ax.fill_between(work, low, high, color=line.get_color(), alpha=0.2, lw=0)
    unit = {"tflop": "work in all, TFLOP", "seconds": "training time in all, s"}[against]
    ax.set(xlabel=unit, ylabel="validation accuracy, %", title=f"{examples} fine examples")
    ax.grid(alpha=0.3)
    return ax


def work_figure(curves: Sequence[Curve]) -> Figure:
    """Return the figure of the experiment: a column for each number of fine examples, work above seconds."""
    from matplotlib.figure import Figure

    numbers = sorted({curve.examples for curve in curves if curve.examples}, reverse=True)
    if not numbers:
        _validate.reject("curves", "at least one of fine training", "none")
    canvas = Figure(figsize=(5 * len(numbers), 8), layout="constrained")
    axes = canvas.subplots(2, len(numbers), sharey=True, squeeze=False)
    for row, against in zip(axes, ("tflop", "seconds"), strict=True):
        for ax, examples in zip(row, numbers, strict=True):
            plot_work(curves, examples, ax, against=against)
    canvas.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(COLORS))
    return canvas
