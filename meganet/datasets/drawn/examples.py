"""Random numbers of examples that depend on nothing but the seed and an example's number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from meganet.ground import validate

TRAINING, TESTING, LABELS = range(3)
"""Numbers of the random streams of a seed; those of labels are numbered alike below."""


def _stream(seed: int, *key: int) -> np.random.Generator:
    # the backend takes its time, and completion, which asks for names of data sets, draws nothing
    from meganet.backend import random_stream

    return random_stream(seed, *key)


def streams(seed: int, train: bool, first: int, count: int) -> Iterator[np.random.Generator]:
    """Return the random streams of examples, one after another; what is asked for is checked at once.

    Examples
    --------
    >>> from meganet.datasets.drawn.examples import streams
    >>> numbers = [rng.random() for rng in streams(0, True, 0, 4)]
    >>> [rng.random() for rng in streams(0, True, 2, 2)] == numbers[2:]
    True
    """
    validate.integer("examples", count)
    validate.integer("first", first, 0)
    validate.integer("seed", seed, 0)
    validate.instance("train", train, bool, "True or False")
    part = TRAINING if train else TESTING
    return (_stream(seed, part, number) for number in range(first, first + count))


def balanced_labels(seed: int, train: bool, first: int, count: int, classes: int) -> np.ndarray[Any, Any]:
    """Return the classes of examples, from the first one on: of `classes` in a row each has one, in random order.

    Examples
    --------
    >>> from meganet.datasets.drawn.examples import balanced_labels
    >>> labels = balanced_labels(0, True, 0, 6, classes=3)
    >>> sorted(labels[:3].tolist()), bool((balanced_labels(0, True, 2, 4, 3) == labels[2:]).all())
    ([0, 1, 2], True)
    """
    part = TRAINING if train else TESTING
    blocks = range(first // classes, (first + count - 1) // classes + 1)
    labels = np.concatenate([_stream(seed, LABELS, part, block).permutation(classes) for block in blocks])
    return labels[first % classes :][:count].astype(np.int64)


def as_pixels(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers from 0 to 1 as pixels, uint8 from 0 to 255.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.drawn.examples import as_pixels
    >>> as_pixels(np.array([0.0, 0.5, 1.0]))
    array([  0, 128, 255], dtype=uint8)
    """
    pixels: np.ndarray[Any, Any] = np.rint(255 * values).astype(np.uint8)
    return pixels
