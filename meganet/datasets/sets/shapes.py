"""Shapes, plain and patterned, of continuous functions: the same images at any resolution."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from meganet.datasets.data_set import Drawn
from meganet.datasets.drawn.cells import averaged, middles
from meganet.datasets.drawn.examples import as_pixels, balanced_labels, streams
from meganet.datasets.drawn.fields import smooth_field, waves
from meganet.datasets.drawn.outlines import OUTLINES, cover
from meganet.datasets.images import ImageSet
from meganet.datasets.samples import Samples
from meganet.ground import validate

TITLES = {
    "shapes-14": "25,000 drawn shapes, plain or patterned",
    "shapes-28": "the same shapes, 28x28 pixels",
    "shapes-56": "the same shapes, 56x56 pixels",
    "shapes-112": "the same shapes, 112x112 pixels",
    "shapes-224": "the same shapes, 224x224 pixels",
}
ORDER = 63

CLASSES = tuple(f"{surface} {outline}" for outline in OUTLINES for surface in ("plain", "patterned"))
"""What the classes show."""
SHIFT = 0.06
"""Of a shape's middle from that of the image, at most; all lengths are in widths of the image."""
RADII = 0.3, 0.4
TURN = 0.3
EDGE = 1 / 56
"""Width in which a shape goes over into what is around it."""
LONGEST, SHORTEST = 2 / 7, 1 / 56
"""Wave lengths of patterns: of 14, 28, 56 and 112 pixels, 40, 63, 83 and 100 percent of them take two or more."""
DEPTH = 0.7
"""Of a pattern, as a part of the contrast of its shape."""
CONTRASTS = 0.25, 0.5
GROUND, UNEVENNESS = 0.25, 0.1
"""Mean and deviation of what is around a shape."""


def shapes(
    size: int = 28, examples: int = 1000, *, seed: int = 0, train: bool = True, first: int = 0, dtype: Any = np.float32
) -> Samples:
    """Return drawn shapes as numbers from 0 to 1, (N, 1, size, size), and their classes; see `load_shapes`.

    Parameters
    ----------
    size, examples, seed, train
        As for `load_shapes`.
    first : int
        Number of the first example; the examples ``first, first + 1, ...`` are those of a longer series.
    dtype : dtype
        float32 or float64; computed is in float32.

    Examples
    --------
    The next coarser grid sees the averages over blocks of 2x2 pixels.

    >>> from meganet.datasets import shapes
    >>> from meganet.multigrid import restrict_images
    >>> fine, coarse = shapes(112, 10), shapes(56, 10)
    >>> float(abs(restrict_images(fine.features) - coarse.features).max()) < 1e-6
    True
    """
    dtype = validate.float_dtype("dtype", dtype)
    return Samples(*_drawn(size, examples, seed, train, first, dtype))


def load_shapes(size: int = 28, examples: int = 20_000, *, seed: int = 0, train: bool = True) -> ImageSet:
    """Return drawn shapes, uint8 (N, 1, size, size), in ten classes: discs, rings, squares, triangles and crosses.

    Each is plain or patterned, with stripes or checks: class 2 k is the k-th outline plain, 2 k + 1 patterned. Place,
    size, rotation, contrast, pattern and the smooth ground vary at random. An image is a function on the unit square,
    averaged over pixels, so that the same images exist at any size. Coarse pixels show the outlines, but average the
    finer patterns away: what can be learned grows up to 112x112 pixels.

    The averages are those of 224 or more points along an axis, see `drawn.cells`: between sizes that come from one
    another by doubling, up to 224, images averaged over blocks of 2x2 pixels agree to rounding (to 1 of the 255 as
    pixels), between others to 0.05. Example k depends on nothing but size, `seed`, `train` and k.

    Parameters
    ----------
    size : int
        Pixels along an axis.
    examples : int
        How many; of ten in a row each is of another class.
    seed : int
    train : bool
        The training images; else others for testing.

    Examples
    --------
    >>> from meganet.datasets import load_shapes
    >>> drawn = load_shapes(size=56, examples=20, seed=1)
    >>> drawn.images.shape, drawn.images.dtype, drawn.classes
    ((20, 1, 56, 56), dtype('uint8'), 10)
    """
    return ImageSet("Shapes", *_drawn(size, examples, seed, train, 0, np.dtype(np.uint8)), "drawn")


def _drawn(
    size: int, examples: int, seed: int, train: bool, first: int, dtype: np.dtype[Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    size = validate.size("size", size)
    draw = streams(seed, train, first, examples)
    labels, points = balanced_labels(seed, train, first, examples, len(CLASSES)), middles(size)
    images = np.empty((examples, 1, size, size), dtype)
    # one after another: what an image takes on the fine grid stays in the cache
    for image, label, rng in zip(images, labels, draw, strict=True):
        values = averaged(_values(rng, int(label), points), size, axes=(0, 1))
        image[0] = as_pixels(values) if dtype == np.uint8 else values
    return images, labels


def _values(rng: np.random.Generator, label: int, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the function of an example on the grid of some points, float32."""
    outline, patterned = [*OUTLINES.values()][label // 2], label % 2
    x, y = rng.uniform(0.5 - SHIFT, 0.5 + SHIFT, 2)
    radius, angle, contrast = (rng.uniform(*range_) for range_ in (RADII, (-TURN, TURN), CONTRASTS))
    inside = cover(outline, points, (x, y), radius, angle, EDGE)
    inside *= np.float32(contrast)
    if patterned:
        inside *= _pattern(rng, points)
    inside += np.float32(UNEVENNESS) * smooth_field(rng, points)
    inside += np.float32(GROUND)
    return np.clip(inside, 0, np.float32(1), out=inside)


def _pattern(rng: np.random.Generator, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return stripes or checks around 1."""
    length = LONGEST * (SHORTEST / LONGEST) ** (rng.random() ** 1.5)
    angle, checked = np.pi * rng.random(), rng.random() < 0.5
    pattern = waves(points, angle, length, 2 * np.pi * rng.random())
    if checked:
        pattern *= waves(points, angle + np.pi / 2, length, 2 * np.pi * rng.random())
        # of the same mean square as stripes
        pattern *= np.float32(np.sqrt(2))
    pattern *= np.float32(DEPTH)
    pattern += np.float32(1)
    return pattern


_SIZES = {name: int(name.rpartition("-")[2]) for name in TITLES}
SETS = {
    name: Drawn(
        name=name,
        title=f"Shapes, {size}x{size}",
        examples=(20_000, 5_000),
        shape=(1, size, size),
        classes=len(CLASSES),
        draw=partial(load_shapes, size),
    )
    for name, size in _SIZES.items()
}
