"""Gaps between training and validation, with and without a cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from meganet import _validate
from meganet.experiments.named.gaps import CARRIED, SGD_TABLES, Gap, thesis_gap
from meganet.experiments.plan import TABLES
from meganet.plotting.axes import new_axes
from meganet.plotting.convergence import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.36


def plot_gaps(gaps: Sequence[Gap], table: str, ax: Axes | None = None) -> Axes:
    """Draw the gap of Transfer and of Multigrid for each variant, and the thesis' gaps as dashed lines.

    Parameters
    ----------
    gaps : sequence of Gap
        Variants, and which of the two arms, may differ from table to table.
    table : {"4.1", "4.2"}
        Which of them.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given. Bars are means over the trials, points the trials.

    Returns
    -------
    matplotlib Axes
    """
    _validate.choice("table", table, SGD_TABLES)
    ax = new_axes((6, 3)) if ax is None else ax
    variants = list(dict.fromkeys(gap.variant for gap in gaps))
    for arm, side in zip(CARRIED, (-0.5, 0.5), strict=True):
        color, label = STYLES[arm]["color"], STYLES[arm]["label"]
        chosen = {gap.variant: gap.values for gap in gaps if (gap.table, gap.arm) == (table, arm)}
        places = [place + side * WIDTH for place, variant in enumerate(variants) if variant in chosen]
        values = [chosen[variant] for variant in variants if variant in chosen]
        ax.barh(places, [v.mean() for v in values], WIDTH, color=color, alpha=0.6, label=label)
        for place, trials in zip(places, values, strict=True):
            ax.plot(trials, np.full(len(trials), place), ".", color="k", markersize=4)
        ax.axvline(thesis_gap(table, arm), color=color, ls="--", lw=1, label=f"{label}, thesis")
    ax.set(
        yticks=range(len(variants)),
        yticklabels=variants,
        ylim=(len(variants) - 0.4, -0.6),
        xlabel="training minus validation accuracy, points",
        title=f"net {TABLES[table].network}",
    )
    ax.grid(alpha=0.3, axis="x")
    return ax


def gaps_figure(gaps: Sequence[Gap]) -> Figure:
    """Return the figure of a cause: the nets side by side."""
    from matplotlib.figure import Figure

    tables = list(dict.fromkeys(gap.table for gap in gaps))
    if not tables:
        _validate.reject("gaps", "at least one gap", "none")
    height = 1.6 + 0.5 * len({gap.variant for gap in gaps})
    canvas = Figure(figsize=(5 * len(tables), height), layout="constrained")
    axes = canvas.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for ax, table in zip(axes, tables, strict=True):
        plot_gaps(gaps, table, ax)
    canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2 * len(CARRIED))
    return canvas
