"""Outlines of shapes: how deep in a shape each point lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SIN_60 = 0.75**0.5


def disc(u: Array, v: Array) -> Array:
    """Return how deep points lie in a disc of radius 0.8, negative outside.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.outlines import disc
    >>> disc(np.array([0.0, 1.0]), np.zeros(2)).round(3)
    array([ 0.8, -0.2])
    """
    return 0.8 - np.sqrt(u * u + v * v)


def ring(u: Array, v: Array) -> Array:
    """Return the same for a ring, from radius 0.45 to 0.95.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.outlines import ring
    >>> ring(np.array([0.0, 0.7]), np.zeros(2)).round(3)
    array([-0.45,  0.25])
    """
    return 0.25 - abs(np.sqrt(u * u + v * v) - 0.7)


def square(u: Array, v: Array) -> Array:
    """Return the same for a square of half width 0.7.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.outlines import square
    >>> square(np.array([0.0, 0.6]), np.array([0.5, 0.5])).round(3)
    array([0.2, 0.1])
    """
    return 0.7 - np.maximum(abs(u), abs(v))


def triangle(u: Array, v: Array) -> Array:
    """Return the same for a triangle of three equal sides, 0.52 from its middle.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.outlines import triangle
    >>> triangle(np.zeros(2), np.array([0.0, -0.52])).round(3)
    array([0.52, 0.  ])
    """
    return 0.52 - np.maximum(SIN_60 * abs(u) + 0.5 * v, -v)


def cross(u: Array, v: Array) -> Array:
    """Return the same for a cross of two bars, 2 long and 0.6 wide.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.outlines import cross
    >>> cross(np.array([0.0, 0.9, 0.9]), np.array([0.0, 0.0, 0.9])).round(3)
    array([ 0.3,  0.1, -0.6])
    """
    u, v = abs(u), abs(v)
    return np.minimum(0.3 - np.minimum(u, v), 1.0 - np.maximum(u, v))


Outline = Callable[[Array, Array], Array]

OUTLINES: dict[str, Outline] = {
    "disc": disc,
    "ring": ring,
    "square": square,
    "triangle": triangle,
    "cross": cross,
}
"""From coordinates u and v, in which a shape is about as large as the unit disc."""


def cover(
    outline: Outline, points: Array, middle: tuple[float, float], radius: float, angle: float, edge: float
) -> Array:
    """Return how far a shape covers the points of a grid, float32: from 0 outside to 1 inside, linear at its edge.

    Parameters
    ----------
    outline : callable
    points : ndarray
        Of the grid, along both axes.
    middle : tuple of float
        Across and down.
    radius : float
        By how much the shape is scaled.
    angle : float
        By how much it is turned, in radians.
    edge : float
        Width in which it goes over into what is around it, half of it inside.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.outlines import cover, disc
    >>> cover(disc, np.array([0.05, 0.1, 0.5]), middle=(0.5, 0.5), radius=0.5, angle=0.0, edge=0.2)[2].round(3)
    array([0.25, 0.5 , 1.  ], dtype=float32)
    """
    across, down = ((points - m) / radius for m in middle)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = (sin, cos), (cos, -sin)
    u, v = ((down * a)[:, None].astype(np.float32) + (across * b).astype(np.float32) for a, b in turned)
    depth = outline(u, v)
    depth *= np.float32(radius / edge)
    depth += np.float32(0.5)
    found: Array = np.clip(depth, 0, np.float32(1), out=depth)
    return found
