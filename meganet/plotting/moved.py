"""Accuracies of networks on a finer grid against how much their stencils grew on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meganet.ground import validate
from meganet.plotting.axes import LEGEND, PAGE, logarithmic, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#D55E00", "#009E73", "#0072B2", "#CC79A7", "#E69F00", "#000000", "#F0A58A", "#8FD3B6")
MARKERS = "s^oDvPX<"
"""Of the kinds, in their order; colours after Okabe and Ito, the last two lighter ones of the first."""
LABELS = {"xlabel": "Growth of the norm of the stencils", "ylabel": "Validation accuracy, %"}


class Moved(NamedTuple):
    """A network that went to a finer grid.

    Attributes
    ----------
    net : str
        A picture of its own.
    kind : str
        Of transfer: a colour and a marker.
    growth, before, after : ndarray, (trials,)
        Of the stencils' norm; accuracies before and after a training there, in percent.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting.moved import Moved
    >>> Moved("net A", "copied", np.ones(2), np.array([80.0, 84.0]), np.array([95.0, 96.0])).before.mean()
    np.float64(82.0)
    """

    net: str
    kind: str
    growth: np.ndarray[Any, Any]
    before: np.ndarray[Any, Any]
    after: np.ndarray[Any, Any]


def plot_moved(moved: Sequence[Moved], net: str, ax: Axes | None = None) -> Axes:
    """Draw the accuracies of a net, means over the trials: empty markers before training, full ones after it.

    Parameters
    ----------
    moved : sequence of Moved
    net : str
        Which of them.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.moved import Moved, plot_moved
    >>> found = [Moved("net A", kind, np.ones(1), np.full(1, 80.0), np.full(1, 95.0)) for kind in ("copied", "damped")]
    >>> ax = plot_moved(found, "net A", Figure().subplots())
    >>> ax.get_legend_handles_labels()[1]
    ['copied', 'damped']
    """
    validate.choice("net", net, dict.fromkeys(one.net for one in moved))
    ax = new_axes((PAGE, 4)) if ax is None else ax
    kinds = list(dict.fromkeys(one.kind for one in moved))
    for number, kind in enumerate(kinds):
        found = [one for one in moved if (one.net, one.kind) == (net, kind)]
        growth, before, after = (
            np.array([getattr(one, name).mean() for one in found]) for name in ("growth", "before", "after")
        )
        color = COLORS[number % len(COLORS)]
        look: dict[str, Any] = {"color": color, "marker": MARKERS[number % len(MARKERS)], "linestyle": ""}
        ax.vlines(growth, before, after, color=color, lw=0.8, alpha=0.6)
        ax.plot(growth, before, markerfacecolor="white", **look)
        ax.plot(growth, after, label=kind, **look)
    logarithmic(ax, "x")
    ax.set(title=net, **LABELS)
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    return ax


def moved_figure(moved: Sequence[Moved]) -> Figure:
    """Return the figure of moved networks: the nets side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting.moved import Moved, moved_figure
    >>> found = [Moved(net, "copied", np.ones(1), np.full(1, 80.0), np.full(1, 95.0)) for net in ("net A", "net B")]
    >>> [ax.get_title() for ax in moved_figure(found).axes]
    ['net A', 'net B']
    """
    from matplotlib.figure import Figure

    nets = list(dict.fromkeys(one.net for one in moved))
    if not nets:
        validate.reject("moved", "at least one", "none")
    canvas = Figure(figsize=(PAGE, 4.4), layout="constrained")
    axes = canvas.subplots(1, len(nets), sharex=True, sharey=True, squeeze=False)[0]
    for ax, net in zip(axes, nets, strict=True):
        plot_moved(moved, net, ax).set(xlabel="", ylabel="")
    canvas.supxlabel(LABELS["xlabel"], fontsize="medium")
    canvas.supylabel(LABELS["ylabel"], fontsize="medium")
    title = "empty: before training, full: after it"
    handles = axes[0].get_legend_handles_labels()
    canvas.legend(*handles, title=title, loc="outside upper center", ncols=3, **(LEGEND | {"handlelength": 1.2}))
    return canvas
