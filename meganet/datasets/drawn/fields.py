"""Smooth random fields on the unit square."""

from __future__ import annotations

from typing import Any

import numpy as np

WAVES = 5
"""Of cosines along an axis."""


def smooth_field(rng: np.random.Generator, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the values of a random sum of cosines, float32, on the grid of some points along both axes.

    ``sum a_jk cos(pi j y) cos(pi k x)`` for j, k = 0 ... 4, the a_jk normal with variance falling as
    ``(1 + j^2 + k^2)^-2``, scaled so that their squares add up to 1 on the average.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.fields import smooth_field
    >>> smooth_field(np.random.default_rng(0), np.linspace(0, 1, 8)).shape
    (8, 8)
    """
    squares = np.arange(WAVES) ** 2
    deviations = 1 / (1.0 + squares[:, None] + squares)
    weights = rng.standard_normal((WAVES, WAVES)) * deviations / np.sqrt((deviations**2).sum())
    cosines = np.cos(np.pi * np.arange(WAVES)[:, None] * points)
    rows = (weights.T @ cosines).astype(np.float32)
    field: np.ndarray[Any, Any] = rows.T @ cosines.astype(np.float32)
    return field


def waves(points: np.ndarray[Any, Any], angle: float, length: float, phase: float) -> np.ndarray[Any, Any]:
    """Return ``sin(2 pi (x cos(angle) + y sin(angle)) / length + phase)``, float32, on the grid of some points.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.fields import waves
    >>> waves(np.array([0.0, 0.25, 0.5]), angle=0.0, length=1.0, phase=0.0).round(6)[1]
    array([0., 1., 0.], dtype=float32)
    """
    x, y = (2 * np.pi * points * part / length for part in (np.cos(angle), np.sin(angle)))
    columns, rows = np.stack([np.sin(x + phase), np.cos(x + phase)]), np.stack([np.cos(y), np.sin(y)])
    found: np.ndarray[Any, Any] = rows.T.astype(np.float32) @ columns.astype(np.float32)
    return found
