"""Axes where the caller passes none, and figures as bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_axes(size: tuple[float, float]) -> Axes:
    """Return the axes of a new figure, whose size is given in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def to_png(figure: Figure, dpi: int = 120) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    image = io.BytesIO()
    # of numbers near the largest ones the ticks overflow
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        figure.savefig(image, format="png", dpi=dpi)
    return image.getvalue()


def to_svg(figure: Figure) -> bytes:
    """Return a figure as the bytes of an SVG file, the same ones each time; letters are paths, so no font is needed."""
    import matplotlib

    image = io.BytesIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "meganet", "svg.fonttype": "path"}),
        np.errstate(divide="ignore", over="ignore", invalid="ignore"),
    ):
        figure.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue()
