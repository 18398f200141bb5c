"""Accuracies of networks that were carried to another grid, before and after a training there."""

from __future__ import annotations

import math
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

LABEL = "Validation accuracy, %"
_NONE: Mapping[str, float] = {}


class Carried(NamedTuple):
    """Accuracies of networks on the grid that they were carried to, in percent.

    Attributes
    ----------
    place : str
        Which network and grid: a picture of its own.
    way : str
        How it was carried: a line of the picture.
    training : str
        What was done there: a marker.
    values : ndarray, (trials,)

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting.carried import Carried
    >>> Carried("net A, 14x14", "copied", "no training", np.array([81.0, 83.0])).values.mean()
    np.float64(82.0)
    """

    place: str
    way: str
    training: str
    values: np.ndarray[Any, Any]


def plot_carried(
    carried: Sequence[Carried], place: str, ax: Axes | None = None, *, trained: Mapping[str, float] = _NONE
) -> Axes:
    """Draw the accuracies of a place: a line for each way, on it a marker for each training.

    Parameters
    ----------
    carried : sequence of Carried
    place : str
        Which of them.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given. Markers are means over the trials, bars reach from the
        lowest to the highest trial.
    trained : mapping, optional
        Place to the accuracy of a network that was trained there, a line to compare with.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.carried import Carried, plot_carried
    >>> found = [Carried("net A, 14x14", way, "no training", np.array([82.0])) for way in ("copied", "Galerkin")]
    >>> ax = plot_carried(found, "net A, 14x14", Figure().subplots(), trained={"net A, 14x14": 95.0})
    >>> ax.get_title(), [label.get_text() for label in ax.get_yticklabels()]
    ('net A, 14x14', ['copied', 'Galerkin'])
    """
    validate.choice("place", place, dict.fromkeys(one.place for one in carried))
    ax = new_axes((PAGE, 3)) if ax is None else ax
    ways = list(dict.fromkeys(one.way for one in carried))
    styles = styles_of(dict.fromkeys(one.training for one in carried))
    if place in trained:
        ax.axvline(trained[place], lw=1, color="0.6", label="trained there")
    for training, style in styles.items():
        found = {one.way: one.values for one in carried if (one.place, one.training) == (place, training)}
        lines = [ways.index(way) for way in found]
        means = np.array([values.mean() for values in found.values()])
        ends = [[mean - v.min(), v.max() - mean] for mean, v in zip(means, found.values(), strict=True)]
        look: dict[str, Any] = {"fmt": style.marker, "color": style.color, "label": style.label}
        ax.errorbar(means, lines, xerr=np.transpose(ends), markersize=5, lw=1, **look)
    labels = [textwrap.fill(way, 24) for way in ways]
    ax.set(yticks=range(len(ways)), yticklabels=labels, ylim=(len(ways) - 0.5, -0.5), xlabel=LABEL, title=place)
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    return ax


def carried_figure(carried: Sequence[Carried], trained: Mapping[str, float] = _NONE) -> Figure:
    """Return the figure of accuracies: two places side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting.carried import Carried, carried_figure
    >>> found = [Carried(f"net {net}, 14x14", "copied", "no training", np.array([82.0])) for net in "ABC"]
    >>> [ax.get_title() for ax in carried_figure(found).axes]
    ['net A, 14x14', 'net B, 14x14', 'net C, 14x14']
    """
    from matplotlib.figure import Figure

    places = list(dict.fromkeys(one.place for one in carried))
    if not places:
        validate.reject("carried", "at least one", "none")
    columns = min(len(places), 2)
    lines = math.ceil(len(places) / columns)
    height = lines * (0.7 + 0.28 * len({one.way for one in carried})) + 0.8
    canvas = Figure(figsize=(PAGE, height), layout="constrained")
    every = canvas.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, place in zip(every, places, strict=False):
        plot_carried(carried, place, ax, trained=trained).set_xlabel("")
    for number in range(len(places), len(every)):
        # the numbers of the axis below stand at the picture above the gap
        every[number].remove()
        every[number - columns].tick_params(labelbottom=True)
    canvas.supxlabel(LABEL, fontsize="medium")
    canvas.legend(*every[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, **LEGEND)
    return canvas
