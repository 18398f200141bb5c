"""Accuracy against how much of what a coarse grid cannot see validation images have, below an image in two parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.plotting.axes import LEGEND, PAGE, new_axes
from meganet.plotting.styles import styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {
    "x": "a real image",
    "seen": "what the coarse grid sees",
    "unseen": "fine detail: not seen",
}
"""The image and its two parts, by the names of their axes."""
SIGNS = ("=", "+")
LABEL = "Fine detail, which the coarse grid cannot see, in the validation images"
ENDS = {0.0: "none,\nsmooth images", 1.0: "all,\nreal images"}


def plot_unseen(curves: Mapping[str, np.ndarray[Any, Any]], shares: Sequence[float], ax: Axes | None = None) -> Axes:
    """Draw a line for each network: the mean over the trials, and a band from the lowest trial to the highest.

    Parameters
    ----------
    curves : mapping
        Name of each network to its accuracies in percent, (trials, shares). A name of `STYLES` has its style.
    shares : sequence of float
        Of the unseen part in the images, in rising order: 0 where they are as in retraining, 1 where they are whole.
    ax : matplotlib Axes, optional
        A new figure of pyplot if not given.

    Raises
    ------
    InputError
        If a curve has another number of shares, or no trial.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import plot_unseen
    >>> ax = plot_unseen({"multigrid": np.array([[96.0, 60.0], [97.0, 64.0]])}, [0, 1], Figure().subplots())
    >>> ax.lines[0].get_ydata().tolist()
    [96.5, 62.0]
    """
    found = {name: np.asarray(values) for name, values in curves.items()}
    for name, values in found.items():
        if values.ndim != 2 or values.shape[1] != len(shares) or not len(values):
            expected = f"(trials, {len(shares)}) accuracies of each, of one trial or more"
            validate.reject("curves", expected, f"{values.shape} of {name!r}")
    ax = new_axes((PAGE, 4)) if ax is None else ax
    for name, style in styles_of(found).items():
        values = found[name]
        ax.plot(shares, values.mean(axis=0), **style.line(points=len(shares)))
        ax.fill_between(shares, values.min(axis=0), values.max(axis=0), color=style.color, alpha=0.15, linewidth=0)
    ax.set(xlabel=LABEL, ylabel="Validation accuracy, %")
    ax.set_xticks(shares, [ENDS.get(share, f"{share:.0%}") for share in shares])
    ax.grid(alpha=0.3)
    return ax


def unseen_figure(
    image: np.ndarray[Any, Any],
    seen: np.ndarray[Any, Any],
    curves: Mapping[str, np.ndarray[Any, Any]],
    shares: Sequence[float],
) -> Figure:
    """Return the figure: an image, what the coarse grid sees of it and what it does not, above the curves.

    Parameters
    ----------
    image, seen : ndarray, (H, W)
        On one scale of grey, from the least number or zero to the largest.
    curves, shares
        As in `plot_unseen`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.plotting.unseen import unseen_figure
    >>> figure = unseen_figure(np.eye(4), np.full((4, 4), 0.5), {"multigrid": np.array([[96.0, 60.0]])}, [0, 1])
    >>> len(figure.axes)
    4
    """
    from matplotlib.figure import Figure

    image, seen = np.asarray(image, np.float64), np.asarray(seen, np.float64)
    canvas = Figure(figsize=(PAGE, 6.2), layout="constrained")
    axes = canvas.subplot_mosaic([[*PARTS], ["curves"] * 3], height_ratios=(1, 2))
    parts = (image, seen, image - seen)
    largest = max(float(np.abs(image).max()), float(np.abs(seen).max())) or 1.0
    least = min(float(image.min()), float(seen.min()), 0.0)
    for number, ((name, title), part) in enumerate(zip(PARTS.items(), parts, strict=True)):
        # what is not seen has both signs
        ax, signed = axes[name], name == "unseen"
        ax.imshow(part, cmap="RdBu" if signed else "gray", vmin=-largest if signed else least, vmax=largest)
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize="medium")
        if number:
            ax.text(-0.22, 0.5, SIGNS[number - 1], transform=ax.transAxes, ha="center", va="center", fontsize="x-large")
    plot_unseen(curves, shares, axes["curves"])
    canvas.suptitle("Retrained networks on images with more and less fine detail", fontsize="large")
    axes["curves"].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, **LEGEND)
    return canvas
