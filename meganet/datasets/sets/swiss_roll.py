"""Points on two spirals around each other."""

from __future__ import annotations

import numpy as np

from meganet.datasets.data_set import Points
from meganet.datasets.samples import Samples
from meganet.ground import validate

TITLES = {"swiss-roll": "points on two spirals"}
ORDER = 80


def swiss_roll(n: int = 256) -> tuple[Samples, Samples]:
    """Return training and validation points on two spirals around each other; nothing is random.

    Angles are ``0, 2 pi / n, ..., 4 pi``, radii grow from 0 to 1 (class 0) and from 0.2 to 1.2 (class 1). Of both
    spirals in a row every other point is for training, the rest for validation. ``setupSwissRoll`` of Meganet.

    Parameters
    ----------
    n : int
        ``2 n + 1`` points on each spiral.

    Examples
    --------
    >>> from meganet.datasets import swiss_roll
    >>> training, validation = swiss_roll(100)
    >>> training.features.shape, validation.features.shape, training.targets.shape
    ((201, 2), (201, 2), (201,))
    """
    n = validate.integer("n", n)
    angle = np.linspace(0, 4 * np.pi, 2 * n + 1)
    inner, outer = (np.linspace(a, a + 1, 2 * n + 1) for a in (0.0, 0.2))
    features = np.concatenate([np.column_stack([r * np.cos(angle), r * np.sin(angle)]) for r in (inner, outer)])
    classes = np.repeat(np.arange(2), 2 * n + 1)
    return Samples(features[::2], classes[::2]), Samples(features[1::2], classes[1::2])


SET = Points(name="swiss-roll", title="Swiss roll", examples=(), shape=(2,), classes=2, draw=swiss_roll)
