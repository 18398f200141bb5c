"""Gaps between training and validation, with and without a cause."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet import _validate
from meganet.experiments.named.gaps import CARRIED, SGD_TABLES, Gap, thesis_gap
from meganet.experiments.plan import TABLES
from meganet.plotting.axes import LEGEND, PAGE, new_axes
from meganet.plotting.styles import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.36


def plot_gaps(gaps: Sequence[Gap], table: str, ax: Axes | None = None) -> Axes:
    """Draw the gap of Transfer and of Multigrid for each variant, and the thesis' gaps as lines.

    Parameters
    ----------
    gaps : sequence of Gap
        Variants, and which of the two arms, may differ from table to table.
    table : {"4.1", "4.2"}
        Which of them.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given. Bars are means over the trials, points the trials.

    Returns
    -------
    matplotlib Axes
    """
    _validate.choice("table", table, SGD_TABLES)
    ax = new_axes((PAGE, 3)) if ax is None else ax
    variants = list(dict.fromkeys(gap.variant for gap in gaps))
    for arm, side in zip(CARRIED, (-0.5, 0.5), strict=True):
        style = STYLES[arm]
        chosen = {gap.variant: gap.values for gap in gaps if (gap.table, gap.arm) == (table, arm)}
        places = [place + side * WIDTH for place, variant in enumerate(variants) if variant in chosen]
        values = [chosen[variant] for variant in variants if variant in chosen]
        ax.barh(places, [v.mean() for v in values], WIDTH, **style.bar())
        for place, trials in zip(places, values, strict=True):
            ax.plot(trials, np.full(len(trials), place), ".", color="k", markersize=4)
        thesis: dict[str, Any] = {"color": style.color, "linestyle": style.linestyle, "label": f"{style.label}, thesis"}
        ax.axvline(thesis_gap(table, arm), lw=1.2, **thesis)
    ax.set(
        yticks=range(len(variants)),
        yticklabels=[textwrap.fill(variant, 24) for variant in variants],
        ylim=(len(variants) - 0.4, -0.6),
        xlabel="Training − validation accuracy, points",
        title=f"net {TABLES[table].network}",
    )
    ax.grid(alpha=0.3, axis="x")
    ax.set_axisbelow(True)
    return ax


def gaps_figure(gaps: Sequence[Gap]) -> Figure:
    """Return the figure of a cause: the nets side by side."""
    from matplotlib.figure import Figure

    tables = list(dict.fromkeys(gap.table for gap in gaps))
    if not tables:
        _validate.reject("gaps", "at least one gap", "none")
    height = 1.6 + 0.42 * len({gap.variant for gap in gaps})
    canvas = Figure(figsize=(PAGE, height), layout="constrained")
    axes = canvas.subplots(1, len(tables), sharex=True, sharey=True, squeeze=False)[0]
    for ax, table in zip(axes, tables, strict=True):
        plot_gaps(gaps, table, ax).set_xlabel("")
    canvas.supxlabel("Training − validation accuracy, points", fontsize="medium")
    found = sorted(zip(*axes[0].get_legend_handles_labels(), strict=True), key=lambda pair: "thesis" in pair[1])
    canvas.legend(*zip(*found, strict=True), loc="outside upper center", ncols=2, **LEGEND)
    return canvas
