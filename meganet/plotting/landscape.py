"""Loss landscapes: figures 4.3 and 4.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.objective.landscape import Landscape
from meganet.plotting.axes import PAGE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("contour", "surface")
QUANTITIES = ("objective", "loss")


def plot_landscape(
    found: Landscape,
    ax: Axes | None = None,
    *,
    kind: str = "contour",
    quantity: str = "objective",
    limits: tuple[float, float] | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw the values of a landscape over its plane, on a logarithmic scale.

    Parameters
    ----------
    found : Landscape
    ax : matplotlib Axes, optional
        Where to draw, with ``projection="3d"`` for a surface; a new figure of pyplot if not given. Values that are not
        finite are left out.
    kind : {"contour", "surface"}
    quantity : {"objective", "loss"}
    limits : tuple of float, optional
        Smallest and largest value of the scale, positive, so that several landscapes have one; by default those found.
    colorbar : bool
        Beside a contour.

    Returns
    -------
    matplotlib Axes

    See Also
    --------
    plot_landscapes : several to be compared.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.landscape import Landscape, plot_landscape
    >>> steps = np.linspace(-1, 1, 21)
    >>> values = 0.1 + np.add.outer(steps**2, 4 * steps**2)
    >>> bowl = Landscape(steps, values, values, center=0.1, curvature=5.0, loss_curvature=5.0, rise=1.8)
    >>> bowl.objective.shape
    (21, 21)
    >>> ax = plot_landscape(bowl, Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('first direction', 'second direction')
    """
    validate.choice("kind", kind, KINDS)
    values = getattr(found, validate.choice("quantity", quantity, QUANTITIES))
    if ax is None:
        ax = new_axes((5, 4), projection="3d" if kind == "surface" else None)
    elif kind == "surface" and not hasattr(ax, "plot_surface"):
        validate.reject("ax", "axes with projection='3d' for a surface", type(ax).__name__)
    if not np.isfinite(values).any():
        validate.reject("found", f"a finite {quantity} somewhere in the plane", "none")
    heights = np.log10(np.maximum(np.where(np.isfinite(values), values, np.nan), np.finfo(float).tiny))
    levels = _levels(*(np.nanmin(heights), np.nanmax(heights)) if limits is None else map(np.log10, limits))
    options: dict[str, Any] = {"cmap": "viridis", "vmin": levels[0], "vmax": levels[-1]}
    a, b = np.meshgrid(found.steps, found.steps, indexing="ij")
    if kind == "surface":
        surface: Any = ax
        surface.plot_surface(a, b, heights, **options)
        surface.set(xlabel="first direction", ylabel="second direction", zlabel=_label(quantity))
        surface.set_zlim(levels[0], levels[-1])
        return ax
    filled = ax.contourf(a, b, heights, levels=levels, **options)
    ax.contour(filled, colors="k", linewidths=0.3)
    for color, width in (("k", 3.0), ("w", 1.2)):
        # seen on dark and on light ground
        ax.plot(0, 0, "+", color=color, markersize=10, markeredgewidth=width)
    if colorbar:
        ax.figure.colorbar(filled, ax=ax, label=_label(quantity))
    ax.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    return ax


def plot_landscapes(
    found: Mapping[str, Landscape], figure: Figure | None = None, *, quantity: str = "objective"
) -> Figure:
    """Draw landscapes below each other, each as contours and as a surface, all on one scale with one colour bar.

    Parameters
    ----------
    found : mapping
        Title to landscape.
    figure : matplotlib Figure, optional
        Where to draw; a new one of pyplot if not given.
    quantity : {"objective", "loss"}

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.landscape import Landscape, plot_landscapes
    >>> steps = np.linspace(-1, 1, 5)
    >>> values = 0.1 + np.add.outer(steps**2, 4 * steps**2)
    >>> bowl = Landscape(steps, values, values, center=0.1, curvature=5.0, loss_curvature=5.0, rise=2.5)
    >>> figure = plot_landscapes({"new": bowl, "multigrid": bowl}, Figure(layout="constrained"))
    >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
    ['new', 'multigrid']
    """
    from matplotlib.ticker import MaxNLocator

    validate.choice("quantity", quantity, QUANTITIES)
    values = np.concatenate([np.empty(0), *(getattr(landscape, quantity).ravel() for landscape in found.values())])
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        validate.reject("found", f"a landscape with a finite {quantity}", "none")
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(PAGE, 2.8 * len(found) + 0.6), layout="constrained")
    limits = float(values.min()), float(values.max())
    for row, (title, landscape) in enumerate(found.items()):
        flat = figure.add_subplot(len(found), 2, 2 * row + 1)
        raised = figure.add_subplot(len(found), 2, 2 * row + 2, projection="3d")
        for ax, kind in ((flat, "contour"), (raised, "surface")):
            plot_landscape(landscape, ax, kind=kind, quantity=quantity, limits=limits, colorbar=False)
        flat.set_title(title, fontsize="medium")
    bar: dict[str, Any] = {"location": "bottom", "shrink": 0.8, "aspect": 40, "ticks": MaxNLocator(8)}
    figure.colorbar(flat.collections[0], ax=figure.axes, label=_label(quantity), **bar)
    return figure


def _label(quantity: str) -> str:
    return rf"$\log_{{10}}$ of {quantity}"


def _levels(low: float, high: float) -> np.ndarray[Any, Any]:
    """Return round levels of contours from below the lowest to above the highest value."""
    from matplotlib.ticker import MaxNLocator

    if not low < high:
        low, high = low - 0.5, high + 0.5
    return np.asarray(MaxNLocator(36, min_n_ticks=1).tick_values(low, high))
