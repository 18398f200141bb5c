"""Signals of ten classes, functions of time: sampled at any length (after Greydanus and Kobak's MNIST-1D)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from meganet.datasets.data_set import Drawn
from meganet.datasets.drawn.cells import averaged, middles
from meganet.datasets.drawn.examples import as_pixels, balanced_labels, streams
from meganet.datasets.images import ImageSet
from meganet.ground import validate

TITLES = {"signals": "5,000 drawn signals, 64 numbers each"}
ORDER = 65

TEMPLATES = (
    (0, 1, 4, 7, 9, 10, 9, 7, 4, 1, 0),
    (0, 6, 9, 6, 0, 0, 0, 6, 9, 6, 0),
    (0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0),
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0),
    (0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
    (0, 6, 9, 6, 0, -6, -9, -6, 0, 0, 0),
    (0, -6, -9, -6, 0, 6, 9, 6, 0, 0, 0),
    (0, 9, -3, 9, -3, 9, -3, 9, -3, 9, 0),
    (0, 3, 3, 3, 6, 6, 6, 9, 9, 9, 0),
    (0, 9, 0, 0, 0, 0, 9, 9, 9, 9, 0),
)
"""Values at times that are evenly spaced, tenths of the height: bump, two bumps, block, ramps up and down, a wave up
and one down, comb, stairs, pulse and block."""
WIDTHS = 0.35, 0.7
"""Of a template, in lengths of the signal."""
HEIGHTS = 0.6, 1.2
SHEAR = 0.6
"""Slope of the straight line that is added, at most, per length of the signal."""
DRIFT = 0.12
"""Deviation of the slow noise, eight cosines."""
WAVES = 8
REFERENCE = 64
"""Numbers in a signal for which the noise is given."""
FINEST = 1024
LOWEST, HIGHEST = -2.0, 2.0
"""What the pixels 0 and 255 stand for."""


def load_signals(
    length: int = 64, examples: int = 4000, *, noise: float = 0.05, seed: int = 0, train: bool = True
) -> ImageSet:
    """Return drawn signals as images of one row, uint8 (N, 1, 1, length), in ten classes.

    Each is a template, broken lines through eleven points, at a random time, of random width and height, on a straight
    line of random slope, with slow noise and white noise: a function of time, averaged over the ``1 / length`` that a
    number stands for. So the same signals exist at any length, and between lengths that come from one another by
    doubling, up to 1024, averages over pairs agree to rounding. White noise is averaged alike: its deviation is
    ``noise * sqrt(length / 64)``. Pixels 0 to 255 stand for -2 to 2.

    The idea is that of S. Greydanus and D. Kobak, *Scaling down deep learning* (2020), arXiv 2011.14439; templates and
    noise are not those of their MNIST-1D.

    Parameters
    ----------
    length : int
        Numbers in a signal.
    examples : int
        How many; of ten in a row each is of another class.
    noise : float
        Deviation of the white noise in a signal of 64 numbers; templates have heights of about 1.
    seed : int
    train : bool
        The training signals; else others for testing.

    Examples
    --------
    >>> from meganet.datasets import load_signals
    >>> signals = load_signals(length=128, examples=20, seed=1)
    >>> signals.images.shape, signals.images.dtype, signals.classes
    ((20, 1, 1, 128), dtype('uint8'), 10)
    """
    length, noise = validate.size("length", length), validate.real("noise", noise, minimum=0)
    draw = streams(seed, train, 0, examples)
    labels, times = balanced_labels(seed, train, 0, examples, len(TEMPLATES)), middles(length, FINEST)
    slow = np.cos(np.pi * np.arange(1, WAVES + 1)[:, None] * times)
    images = np.empty((examples, 1, 1, length), np.uint8)
    for image, label, rng in zip(images, labels, draw, strict=True):
        values = _values(rng, int(label), times, slow)
        values += noise * np.sqrt(len(times) / REFERENCE) * rng.standard_normal(len(times))
        found = (averaged(values, length, axes=(0,)) - LOWEST) / (HIGHEST - LOWEST)
        image[0, 0] = as_pixels(np.clip(found, 0, 1))
    return ImageSet("Signals", images, labels, "drawn")


def _values(
    rng: np.random.Generator, label: int, times: np.ndarray[Any, Any], slow: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the function of an example, without white noise, at some times; `slow` has the cosines there."""
    template = np.array(TEMPLATES[label]) / 10
    width, height, slope = rng.uniform(*WIDTHS), rng.uniform(*HEIGHTS), rng.uniform(-SHEAR, SHEAR)
    start = rng.uniform(0, 1 - width)
    knots = start + width * np.linspace(0, 1, len(template))
    drift = DRIFT * rng.standard_normal(WAVES) / np.sqrt(WAVES / 2)
    values: np.ndarray[Any, Any] = height * np.interp(times, knots, template) + slope * (times - 0.5)
    # summed one by one, so that a value does not depend on how many there are
    for weight, wave in zip(drift, slow, strict=True):
        values += weight * wave
    return values


SET = Drawn(
    name="signals",
    title="Signals",
    examples=(4000, 1000),
    shape=(1, 1, 64),
    classes=len(TEMPLATES),
    draw=partial(load_signals, 64),
)
