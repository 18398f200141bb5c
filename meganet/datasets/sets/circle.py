"""Points inside and outside of an ellipse."""

from __future__ import annotations

import numpy as np

from meganet.datasets.data_set import Points
from meganet.datasets.samples import Samples
from meganet.ground import validate

TITLES = {"circle": "points in the plane, inside and outside of a circle"}
ORDER = 70


def circle(per_class: int, rng: np.random.Generator) -> Samples:
    """Return points inside (class 0) and outside (class 1) of an ellipse, ``(r cos t, 0.4 r sin t)``.

    The radius is uniform in [0, 1] inside and in [1, 2] outside, the angle uniform. ``setupCircle`` of Meganet.

    Parameters
    ----------
    per_class : int
        Points of each class; class 0 comes first.
    rng : Generator

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import circle
    >>> circle(100, np.random.default_rng(0)).features.shape
    (200, 2)
    """
    n = validate.integer("per_class", per_class)
    validate.generator("rng", rng, "random")
    features = []
    for first in (0.0, 1.0):
        radius, angle = first + rng.random(n), 2 * np.pi * rng.random(n)
        features.append(np.column_stack([radius * np.cos(angle), 0.4 * radius * np.sin(angle)]))
    return Samples(np.concatenate(features), np.repeat(np.arange(2), n))


SET = Points(name="circle", title="Circle", examples=(), shape=(2,), classes=2, draw=circle)
