"""Videos of digits that move, functions of space and time: the same videos at any size and number of frames."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from meganet.datasets.data_set import Drawn
from meganet.datasets.drawn.cells import averaged, middles
from meganet.datasets.drawn.examples import as_pixels, balanced_labels, streams
from meganet.datasets.images import ImageSet
from meganet.datasets.sets.digits import load_digits
from meganet.ground import validate

TITLES = {"moving-digits": "2,500 drawn videos of moving digits"}
ORDER = 67

DIRECTIONS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
"""Along the axes of an image, down and across."""
ROUND = {0: 1, 6: 1, 8: 1, 9: 1, 1: 0, 4: 0, 7: 0}
"""Which digits are round and which are straight; the others are something of both."""
EXTENT = 0.5
"""Of a digit's image; all lengths are in widths of the frame."""
SPEEDS = 0.3, 0.6
"""Way during the video."""
DRIFT = 0.15
"""The same across the direction, at most."""
FINEST = 32
"""Points in time, at least, whose average frames are."""
HELD_OUT = 5
"""Every fifth image is for testing."""


def load_moving_digits(
    frames: int = 16,
    size: int = 32,
    examples: int = 2000,
    *,
    images: ImageSet | None = None,
    seed: int = 0,
    train: bool = True,
) -> ImageSet:
    """Return videos of moving digits, uint8 (N, 1, frames, size, size), by direction and kind of digit.

    A digit moves straight on, to the right, to the left, down or up, with some speed and some drift aside; what leaves
    the frame comes in on the other side, as circulant convolutions see it. So it is anywhere at any time, whatever
    its direction, and no single frame tells one direction from its opposite. Class ``2 d + r`` moves in the d-th of the
    four directions; the digit is straight (r = 0: 1, 4, 7) or round (r = 1: 0, 6, 8, 9).

    A video is a function on the unit square and an interval of time. Pixels are its averages over squares, exact, and
    frames those over time, taken at 32 or more points: averages over pairs of frames are the frames of the video with
    half as many, up to 32, and averages over blocks of 2x2 pixels the pixels at half the size, to rounding.

    Parameters
    ----------
    frames, size : int
        Of a video, the size in pixels along both axes.
    examples : int
        How many; of eight in a row each is of another class.
    images : ImageSet, optional
        What moves instead of `load_digits`: each class of it in four directions, as ``classes * d + class``.
    seed : int
    train : bool
        The training videos; else others for testing, of other images: each fifth one is kept for them.

    Examples
    --------
    >>> from meganet.datasets import load_moving_digits
    >>> videos = load_moving_digits(frames=8, size=28, examples=16)
    >>> videos.images.shape, videos.images.dtype, videos.classes
    ((16, 1, 8, 28, 28), dtype('uint8'), 8)
    """
    frames, size = validate.size("frames", frames), validate.size("size", size)
    draw = streams(seed, train, 0, examples)
    sources, groups = _sources(images, train)
    labels = balanced_labels(seed, train, 0, examples, len(DIRECTIONS) * len(groups))
    times = middles(frames, FINEST)
    videos = np.empty((examples, sources.shape[1], frames, size, size), np.uint8)
    for video, label, rng in zip(videos, labels, draw, strict=True):
        direction, group = divmod(int(label), len(groups))
        source = sources[rng.choice(groups[group])]
        ways = _ways(rng, [*DIRECTIONS.values()][direction], times)
        # frames first, then channels
        drawn = averaged(_drawn(source, ways, size), frames, axes=(0,))
        video[...] = as_pixels(np.clip(drawn, 0, 1)).swapaxes(0, 1)
    return ImageSet("Moving digits" if images is None else f"Moving {images.name}", videos, labels, "drawn")


def _sources(images: ImageSet | None, train: bool) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """Return images from 0 to 1, and of each group the numbers of those that are for training, or for testing."""
    if images is None:
        images = load_digits()
        labels = np.array([ROUND.get(digit, -1) for digit in range(10)])[images.labels]
    else:
        validate.instance("images", images, ImageSet, "an ImageSet")
        labels = images.labels
    groups = []
    for group in range(labels.max() + 1):
        members = np.flatnonzero(labels == group)
        held_out = np.arange(len(members)) % HELD_OUT == HELD_OUT - 1
        groups.append(members[held_out != train])
        if not len(groups[-1]):
            validate.reject("images", f"at least {HELD_OUT} images of each class", f"{len(members)} of class {group}")
    return images.images / np.float32(255), groups


def _ways(rng: np.random.Generator, direction: tuple[int, int], times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where a digit's corner is along both axes at some times, from 0 to 1."""
    start, speed, drift = rng.random(2), rng.uniform(*SPEEDS), rng.uniform(-DRIFT, DRIFT)
    ahead, aside = np.array(direction), np.array(direction[::-1])
    ways: np.ndarray[Any, Any] = (start[:, None] + np.outer(speed * ahead + drift * aside, times)) % 1
    return ways


def _drawn(image: np.ndarray[Any, Any], ways: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """Return averages over pixels, (T, C, size, size), of an image (C, h, w), interpolated linearly, at T places."""
    pixel = EXTENT / max(image.shape[1:])
    down, across = (_shares(way, count, pixel, size) for way, count in zip(ways, image.shape[1:], strict=True))
    found: np.ndarray[Any, Any] = down[:, None] @ image @ across[:, None].swapaxes(-1, -2)
    return found


def _shares(way: np.ndarray[Any, Any], count: int, pixel: float, size: int) -> np.ndarray[Any, Any]:
    """Return averages over cells of the hat functions that interpolate an axis of an image, (T, size, count)."""
    edges = np.arange(-size, 2 * size + 1) / size
    u = np.clip((edges - way[:, None])[..., None] / pixel - (np.arange(count) + 0.5), -1, 1)
    integrals = u - u * abs(u) / 2
    shares = np.diff(integrals, axis=1) * (pixel * size)
    # what is beyond the frame is on its other side
    wrapped: np.ndarray[Any, Any] = shares.reshape(len(way), 3, size, count).sum(axis=1).astype(np.float32)
    return wrapped


SET = Drawn(
    name="moving-digits",
    title="Moving digits",
    examples=(2000, 500),
    shape=(1, 16, 32, 32),
    classes=2 * len(DIRECTIONS),
    draw=partial(load_moving_digits, 16, 32),
)
