"""Loss landscapes: figures 4.3 and 4.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meganet import _validate
from meganet.experiments.landscape import Landscape
from meganet.plotting.axes import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("contour", "surface")


def plot_landscape(
    found: Landscape, ax: Axes | None = None, *, kind: str = "contour", quantity: str = "objective"
) -> Axes:
    """Draw the values of a landscape over its plane, on a logarithmic scale.

    Parameters
    ----------
    found : Landscape
    ax : matplotlib Axes, optional
        Where to draw, with ``projection="3d"`` for a surface; a new figure if not given. Values that are not finite
        are left out.
    kind : {"contour", "surface"}
    quantity : {"objective", "loss"}

    Returns
    -------
    matplotlib Axes
    """
    _validate.choice("kind", kind, KINDS)
    values = getattr(found, _validate.choice("quantity", quantity, ("objective", "loss")))
    if ax is None:
        ax = _surface_axes() if kind == "surface" else new_axes((5, 4))
    elif kind == "surface" and not hasattr(ax, "plot_surface"):
        _validate.reject("ax", "axes with projection='3d' for a surface", type(ax).__name__)
    if not np.isfinite(values).any():
        _validate.reject("found", f"a finite {quantity} somewhere in the plane", "none")
    heights = np.log10(np.maximum(np.where(np.isfinite(values), values, np.nan), np.finfo(float).tiny))
    a, b = np.meshgrid(found.steps, found.steps, indexing="ij")
    if kind == "surface":
        surface: Any = ax
        surface.plot_surface(a, b, heights, cmap="viridis")
        surface.set(xlabel="first direction", ylabel="second direction", zlabel=f"log10 of {quantity}")
        return ax
    filled = ax.contourf(a, b, heights, levels=20, cmap="viridis")
    ax.contour(filled, colors="k", linewidths=0.3)
    ax.plot(0, 0, "w+", markersize=10)
    ax.figure.colorbar(filled, ax=ax, label=f"log10 of {quantity}")
    ax.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    return ax


def _surface_axes() -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(5, 4), layout="constrained").add_subplot(projection="3d")
