"""Points of a square by the height of MATLAB's ``peaks``."""

from __future__ import annotations

import numpy as np

from meganet.datasets.data_set import Points
from meganet.datasets.samples import Samples
from meganet.ground import validate

TITLES = {"peaks": "points in the plane, by the height of MATLAB's peaks"}
ORDER = 90

PEAKS_GRID = 256
PEAKS_REACH = 3.0


def peaks(count: int, classes: int, rng: np.random.Generator) -> Samples:
    """Return points of the square [-3, 3]^2 whose class is the level of MATLAB's ``peaks`` function there.

    The range of the function on a grid of 256x256 points is cut into `classes` equal intervals; from each level the
    same number of grid points is drawn, with replacement. ``setupPeaks`` of Meganet.

    Parameters
    ----------
    count : int
        Points in all, rounded up to a multiple of `classes`; ordered by class.
    classes : int
    rng : Generator

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import peaks
    >>> points = peaks(1000, 5, np.random.default_rng(0))
    >>> points.features.shape, np.bincount(points.targets)
    ((1000, 2), array([200, 200, 200, 200, 200]))
    """
    count, classes = validate.integer("count", count), validate.integer("classes", classes)
    validate.generator("rng", rng, "choice")
    line = np.linspace(-PEAKS_REACH, PEAKS_REACH, PEAKS_GRID)
    x, y = np.meshgrid(line, line)
    z = (
        3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
        - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - np.exp(-((x + 1) ** 2) - y**2) / 3
    )
    # intervals are closed above; the minimum itself belongs to the lowest
    level = np.clip(np.ceil((z - z.min()) * (classes / (z.max() - z.min()))).astype(int) - 1, 0, classes - 1)
    empty = sorted(set(range(classes)) - set(np.unique(level).tolist()))
    if empty:
        validate.reject("classes", "so few that each has grid points", f"{classes}, of which {len(empty)} have none")
    each = -(-count // classes)
    grid = np.column_stack([x.ravel(), y.ravel()])
    chosen = [rng.choice(np.flatnonzero(level.ravel() == k), each) for k in range(classes)]
    return Samples(grid[np.concatenate(chosen)], np.repeat(np.arange(classes), each))


SET = Points(name="peaks", title="Peaks", examples=(), shape=(2,), classes=None, draw=peaks)
