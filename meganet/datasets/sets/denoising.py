"""Noisy and clean images of continuous functions: what a network that removes noise learns from, at any resolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.datasets.drawn.cells import averaged, middles
from meganet.datasets.drawn.examples import streams
from meganet.datasets.drawn.fields import smooth_field
from meganet.datasets.drawn.outlines import OUTLINES, cover
from meganet.datasets.samples import Samples
from meganet.ground import validate

REFERENCE = 28
"""Pixels along an axis for which the noise is given."""
PIECES = 5
EDGE = 1 / 112
RADII = 0.1, 0.35
STEPS = 0.15, 0.4
"""By how much a piece is brighter or darker than what is below it."""
UNEVENNESS = 0.2


def load_denoising(
    size: int = 28, examples: int = 1000, *, noise: float = 0.1, seed: int = 0, train: bool = True, first: int = 0
) -> Samples:
    """Return noisy images as features and clean ones as targets, both float32, (N, 1, size, size).

    The clean image is a smooth field with edges, which five pieces with the outlines of `load_shapes` add to it: a
    function on the unit square, averaged over pixels. The noise is white and averaged alike, as light is that falls on
    a sensor: a pixel's has deviation ``noise * size / 28``, and the average over four pixels half of that. So both
    images at one resolution, averaged over blocks of 2x2, are those at the next coarser one, as `load_shapes` has it.

    Parameters
    ----------
    size : int
        Pixels along an axis.
    examples : int
    noise : float
        Deviation of the noise in an image of 28x28 pixels; the clean values have one of about 0.25.
    seed : int
    train : bool
        The pairs for training; else others for testing.
    first : int
        Number of the first example; the examples ``first, first + 1, ...`` are those of a longer series.

    Examples
    --------
    >>> from meganet.datasets import load_denoising
    >>> from meganet.multigrid import restrict_images
    >>> fine, coarse = (load_denoising(size, 10, noise=0.2) for size in (112, 56))
    >>> float(abs(restrict_images(fine.features) - coarse.features).max()) < 1e-5
    True
    >>> noise = coarse.features - coarse.targets
    >>> bool(abs(noise.std() - 0.2 * 56 / 28) < 0.01)
    True
    """
    size, noise = validate.size("size", size), validate.real("noise", noise, minimum=0)
    draw, points = streams(seed, train, first, examples), middles(size)
    pairs = np.empty((2, examples, 1, size, size), np.float32)
    for noisy, clean, rng in zip(*pairs, draw, strict=True):
        clean[0] = averaged(_values(rng, points), size, axes=(0, 1))
        white = rng.standard_normal((len(points), len(points)), np.float32)
        noisy[0] = clean[0] + np.float32(noise * len(points) / REFERENCE) * averaged(white, size, axes=(0, 1))
    return Samples(*pairs)


def _values(rng: np.random.Generator, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the clean function of an example on the grid of some points, float32."""
    values = np.float32(UNEVENNESS) * smooth_field(rng, points)
    for number in rng.integers(len(OUTLINES), size=PIECES):
        outline = [*OUTLINES.values()][number]
        x, y, turn = rng.random(3)
        inside = cover(outline, points, (x, y), rng.uniform(*RADII), 2 * np.pi * turn, EDGE)
        inside *= np.float32(rng.choice((-1, 1)) * rng.uniform(*STEPS))
        values += inside
    values += np.float32(0.5)
    return values
