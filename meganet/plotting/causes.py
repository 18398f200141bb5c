"""Gaps between training and validation, with and without a cause."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meganet.ground import validate
from meganet.plotting.axes import LEGEND, PAGE, new_axes
from meganet.plotting.styles import styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.72
"""Of all bars of a variant."""
LABEL = "Training − validation accuracy, points"
_NONE: Mapping[tuple[str, str], float] = {}


class Gap(NamedTuple):
    """Training minus validation accuracy at the end, in percent points.

    Attributes
    ----------
    variant : str
        What was changed.
    net : str
        On which network.
    row : str
        How it was trained, which is the name of its style: "transfer", "multigrid".
    values : ndarray, (trials,)

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting import Gap
    >>> Gap("linear P", "A", "multigrid", np.array([9.0, 11.0])).values.mean()
    np.float64(10.0)
    """

    variant: str
    net: str
    row: str
    values: np.ndarray[Any, Any]


def plot_gaps(
    gaps: Sequence[Gap], net: str, ax: Axes | None = None, *, thesis: Mapping[tuple[str, str], float] = _NONE
) -> Axes:
    """Draw the gaps of a network, a bar for each variant and row.

    Parameters
    ----------
    gaps : sequence of Gap
        Variants and rows may differ from network to network.
    net : str
        Which of them.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given. Bars are means over the trials, points the trials.
    thesis : mapping, optional
        Network and row to a gap to compare with, which is a line.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If there is no gap of the network.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import Gap, plot_gaps
    >>> values = {"transfer": np.array([4.0, 5.0]), "multigrid": np.array([9.0])}
    >>> gaps = [Gap("linear P", "A", row, of_trials) for row, of_trials in values.items()]
    >>> ax = plot_gaps(gaps, "A", Figure().subplots(), thesis={("A", "multigrid"): 36.3})
    >>> [float(bar.get_width()) for bar in ax.patches]
    [4.5, 9.0]
    """
    validate.choice("net", net, dict.fromkeys(gap.net for gap in gaps))
    ax = new_axes((PAGE, 3)) if ax is None else ax
    variants = list(dict.fromkeys(gap.variant for gap in gaps))
    styles = styles_of(dict.fromkeys(gap.row for gap in gaps))
    width = WIDTH / len(styles)
    for number, (row, style) in enumerate(styles.items()):
        side = number - 0.5 * (len(styles) - 1)
        found = {gap.variant: gap.values for gap in gaps if (gap.net, gap.row) == (net, row)}
        places = [place + side * width for place, variant in enumerate(variants) if variant in found]
        values = [found[variant] for variant in variants if variant in found]
        ax.barh(places, [v.mean() for v in values], width, **style.bar())
        for place, trials in zip(places, values, strict=True):
            ax.plot(trials, np.full(len(trials), place), ".", color="k", markersize=4)
        if (net, row) in thesis:
            line: dict[str, Any] = {"color": style.color, "linestyle": style.linestyle}
            ax.axvline(thesis[net, row], lw=1.2, label=f"{style.label}, thesis", **line)
    ax.set(
        yticks=range(len(variants)),
        yticklabels=[textwrap.fill(variant, 24) for variant in variants],
        ylim=(len(variants) - 0.4, -0.6),
        xlabel=LABEL,
        title=f"net {net}",
    )
    ax.grid(alpha=0.3, axis="x")
    ax.set_axisbelow(True)
    return ax


def gaps_figure(gaps: Sequence[Gap], thesis: Mapping[tuple[str, str], float] = _NONE) -> Figure:
    """Return the figure of gaps: the networks side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting import Gap
    >>> from meganet.plotting.causes import gaps_figure
    >>> figure = gaps_figure([Gap("linear P", net, "multigrid", np.array([9.0])) for net in "AB"])
    >>> [ax.get_title() for ax in figure.axes]
    ['net A', 'net B']
    """
    from matplotlib.figure import Figure

    nets = list(dict.fromkeys(gap.net for gap in gaps))
    if not nets:
        validate.reject("gaps", "at least one gap", "none")
    height = 1.6 + 0.42 * len({gap.variant for gap in gaps})
    canvas = Figure(figsize=(PAGE, height), layout="constrained")
    axes = canvas.subplots(1, len(nets), sharex=True, sharey=True, squeeze=False)[0]
    for ax, net in zip(axes, nets, strict=True):
        plot_gaps(gaps, net, ax, thesis=thesis).set_xlabel("")
    canvas.supxlabel(LABEL, fontsize="medium")
    found = sorted(zip(*axes[0].get_legend_handles_labels(), strict=True), key=lambda pair: "thesis" in pair[1])
    canvas.legend(*zip(*found, strict=True), loc="outside upper center", ncols=2, **LEGEND)
    return canvas
