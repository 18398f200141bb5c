"""Small problems in the plane: circle, Swiss roll, peaks; and a problem of parameters and measurements from a file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meganet import _validate
from meganet._mat5 import NUMBERS, read_mat5

PEAKS_GRID = 256
PEAKS_REACH = 3.0
CDR_LARGEST = 2**22
"""Most numbers in a matrix of ``CDR_Data.mat``; as published, they have 44,000 and 57,600."""


@dataclass(frozen=True)
class Samples:
    """Feature vectors with what is to be learned of them.

    Attributes
    ----------
    features : ndarray of float64, (N, d)
    targets : ndarray
        Classes, int64 (N,), or numbers, float64 (N, k).
    """

    features: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.features)


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
    n = _validate.integer("per_class", per_class)
    _validate.generator("rng", rng, "random")
    features = []
    for first in (0.0, 1.0):
        radius, angle = first + rng.random(n), 2 * np.pi * rng.random(n)
        features.append(np.column_stack([radius * np.cos(angle), 0.4 * radius * np.sin(angle)]))
    return Samples(np.concatenate(features), np.repeat(np.arange(2), n))


def swiss_roll(n: int = 256) -> tuple[Samples, Samples]:
    """Return training and validation points on two spirals around each other; nothing is random.

    Angles are ``0, 2 pi / n, ..., 4 pi``, radii grow from 0 to 1 (class 0) and from 0.2 to 1.2 (class 1). Of both
    spirals in a row every other point is for training, the rest for validation. ``setupSwissRoll`` of Meganet.

    Parameters
    ----------
    n : int
        ``2 n + 1`` points on each spiral.
    """
    n = _validate.integer("n", n)
    angle = np.linspace(0, 4 * np.pi, 2 * n + 1)
    inner, outer = (np.linspace(a, a + 1, 2 * n + 1) for a in (0.0, 0.2))
    features = np.concatenate([np.column_stack([r * np.cos(angle), r * np.sin(angle)]) for r in (inner, outer)])
    classes = np.repeat(np.arange(2), 2 * n + 1)
    return Samples(features[::2], classes[::2]), Samples(features[1::2], classes[1::2])


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
    """
    count, classes = _validate.integer("count", count), _validate.integer("classes", classes)
    _validate.generator("rng", rng, "choice")
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
        _validate.reject("classes", "so few that each has grid points", f"{classes}, of which {len(empty)} have none")
    each = -(-count // classes)
    grid = np.column_stack([x.ravel(), y.ravel()])
    chosen = [rng.choice(np.flatnonzero(level.ravel() == k), each) for k in range(classes)]
    return Samples(grid[np.concatenate(chosen)], np.repeat(np.arange(classes), each))


def load_cdr(path: str | Path) -> Samples:
    """Return the parameters (800, 55) and measurements (800, 72) of a convection-diffusion-reaction equation.

    ``du/dt = div(D grad u) - v . grad u + f + y' r(u)``: the targets are measurements of u, the features the
    parameters. A problem for `losses.LeastSquares`; ``setupCDR`` of Meganet.

    Parameters
    ----------
    path : path
        ``CDR_Data.mat`` of Newman, Ruthotto, Hart and van Bloemen Waanders, *Train like a (Var)Pro* (2021), from
        http://www.mathcs.emory.edu/~lruthot/publication/newman-et-al-2020/CDR_Data.mat. No digest of it is published.

    Raises
    ------
    InputError
        If there is no such file, or not with matrices Y and C of one column for each example.
    """
    path = _validate.path("path", path)
    if not os.path.isfile(path):
        _validate.reject("path", "the file CDR_Data.mat", str(path))
    expected = "a MAT-file with matrices Y and C"

    def check(name: str, kind: str, shape: tuple[int, ...]) -> None:
        if kind not in NUMBERS or len(shape) != 2 or math.prod(shape) > CDR_LARGEST:
            _validate.reject("path", f"{expected} of real numbers", f"{name} of {kind} and shape {shape} ({path})")

    stored = read_mat5(path, ("Y", "C"), check)
    for name in ("Y", "C"):
        if name not in stored:
            _validate.reject("path", expected, f"no {name} ({path})")
    features, targets = (np.ascontiguousarray(stored.pop(name).T, dtype=np.float64) for name in ("Y", "C"))
    if len(features) != len(targets) or not len(features):
        _validate.reject("path", "as many columns of Y as of C", f"{features.shape[::-1]} and {targets.shape[::-1]}")
    return Samples(features, targets)
