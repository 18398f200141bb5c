"""From stored pixels to what a network is trained on: scaling, splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from meganet.ground import validate

SCALINGS = ("standardize", "unit")
UNIT = 1.5
"""Floats up to here are in unit already: an image that was resized or filtered may exceed 1 a little."""


def scale_images(images: np.ndarray[Any, Any], scaling: str, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """Return stored images as floating-point numbers.

    Parameters
    ----------
    images : ndarray, (N, C, H, W), or (N, H, W) of one channel; videos (N, C, T, H, W)
        Real numbers, finite; neither masked nor booleans. For "unit" they are from 0 to 255, integers or floats.
    scaling : {"unit", "standardize"}
        "unit" divides by 255. "standardize" gives each image mean 0 and standard deviation 1 over its M numbers:
        ``(x - mean) / max(std, 1 / sqrt(M))`` with ``M - 1`` in the deviation, as Meganet's ``normalizeData``.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shaped like `images`, of the given dtype

    Raises
    ------
    InputError
        If `images` is not an array of real numbers, for pixels outside these ranges, for floats none of which is above
        1.5 (they seem to be scaled already), and for numbers so large that their squares overflow.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import scale_images
    >>> print(scale_images(np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3), "unit").ravel())
    [0.  0.2 1. ]
    """
    validate.choice("scaling", scaling, SCALINGS)
    dtype = validate.float_dtype("dtype", dtype)
    images = validate.numbers("images", images, "real numbers of shape (N, C, H, W)")
    if images.ndim not in (3, 4, 5) or min(images.shape) < 1:
        validate.reject(
            "images", "shape (N, C, H, W), (N, C, T, H, W), or (N, H, W) of one channel", f"shape {images.shape}"
        )
    if not np.isfinite(images).all():
        validate.reject("images", "finite pixels", "NaN or infinity among them")
    return _unit(images, dtype) if scaling == "unit" else _standardized(images, dtype)


def _unit(images: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    least, largest = images.min(), images.max()
    if least < 0 or largest > 255:
        validate.reject("images", "pixels from 0 to 255 to divide by 255", f"{least} to {largest}")
    if images.dtype.kind == "f" and 0 < largest <= UNIT:
        advice = "floats from 0 to 1 are in unit already, images.astype(dtype)"
        validate.reject("images", f"pixels from 0 to 255 to divide by 255 ({advice})", f"{least} to {largest}")
    return images.astype(dtype) / 255


def _standardized(images: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    try:
        with np.errstate(over="raise"):
            flat = images.reshape(len(images), -1).astype(np.float64)
            if flat.shape[1] < 2:
                validate.reject("images", "at least two pixels to standardize", f"shape {images.shape}")
            flat -= flat.mean(axis=1, keepdims=True)
            deviation = flat.std(axis=1, ddof=1, keepdims=True)
    except FloatingPointError:
        validate.reject("images", "pixels whose squares are in the range of float64", f"{np.abs(images).max()}")
    return (flat / np.maximum(deviation, 1 / math.sqrt(flat.shape[1]))).astype(dtype).reshape(images.shape)


def split(count: int, sizes: Sequence[int], rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
    """Return disjoint random sets of the numbers 0 to `count` - 1, of the given sizes.

    A set does not depend on the sizes of those after it, and a smaller last set is part of a larger one.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import split
    >>> [s.tolist() for s in split(5, [2, 2], np.random.default_rng(0))]
    [[2, 4], [3, 0]]
    """
    count = validate.integer("count", count)
    validate.instance("sizes", sizes, Sequence, "a sequence of integers")
    validate.generator("rng", rng, "permutation")
    sizes = [validate.integer("sizes", s) for s in sizes]
    if sum(sizes) > count:
        validate.reject("sizes", f"at most {count} examples in total", f"{' + '.join(map(str, sizes))} = {sum(sizes)}")
    order = rng.permutation(count)
    ends = np.cumsum([0, *sizes])
    return [order[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
