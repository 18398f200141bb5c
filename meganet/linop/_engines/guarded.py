"""Winograd's products where they are accurate, the direct sum where they are not.

*winograd* computes the outputs of a tile from all 6x6 inputs of its window d, *direct* each from its own 3x3 inputs.
With u the unit round-off, the sum over the I input channels c and the kernel g of one output channel::

    winograd:  |error_p| <= 200 u sum_c max |d_c| |g_c|_1,          direct:  |error_p| <= 9 I u (|K| |x|)_p.

The first is much larger where a few pixels are far larger than the rest of their image: the others of their tiles are
lost, and sums of zeros are not zero. Therefore let ``s_p = |sum_c w_c x_cp|`` be the magnitude of pixel p of an image,
with weights ``1 <= w_c < 2``. A pixel is *large* if s_p is at least 1/64 of the largest. An image is *even* unless its
large pixels are rare: a single one, at most 1/64 of all, or at most 1/12 of those that are not zero. A kernel is even
unless at most 1/12 of its nonzero entries are within 1/64 of its largest.

* Images and kernel even: *winograd*. The largest inputs of a window exceed by at most 64 times what more than 1/12 of
  the nonzero pixels of the image reach, so every output is accurate in proportion to magnitudes common in its image.
* Otherwise: *direct*. A pixel changes no output beyond its 3x3 neighbourhood, and a sum of zeros is zero. NaN and
  infinity are never even, so they spread as the definition says; nor do numbers pass whose products may overflow or
  underflow in the transforms.

What this does not see: a large region beside a small one, such as a quarter of an image 1e8 times the rest, is no
outlier; `engine="direct"` is for such images. Nor can it be told from ordinary activations, whose background is the
round-off of an earlier layer. In a pixel of both signs, large numbers may cancel in s; the weights make that a
coincidence.

The choice is one for all images of a call; for the gradients the images, the kernel and the upstream gradient decide.
It takes one pass over the images, a matrix times a vector, and a few over a number per pixel; compiled loops do the
same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend, loops
from meganet.backend.loops.plans import loops_of, optional, readable, work
from meganet.linop._engines.base import Engine, FusedEngine, Sampled
from meganet.linop._engines.compiled_direct import CompiledDirect
from meganet.linop._engines.direct import DirectEngine

RANGE = 64
"""A number is large if it is at least the largest divided by this."""

RARE, FEW = 1 / 12, 1 / 64
"""Large numbers are rare if they are at most this part of those that are not zero, or of all."""

HEADROOM = 2.0**32
"""How far products must stay from overflow and underflow: more than the transforms and the sums amplify."""


class Record(NamedTuple):
    """What the gradients need: the engine of the forward product with its record, and what another engine needs.

    `sizes` are the largest magnitudes of the images and of the kernel, NaN if they are not even.
    """

    engine: Engine
    kept: Any
    x: Array
    kernel: Array
    sizes: tuple[float, float]


class GuardedEngine(FusedEngine):
    """*winograd* for even images and kernels, else *direct*."""

    name = "winograd"

    def __init__(self, fast: Engine, safe: DirectEngine | CompiledDirect) -> None:
        self.fast, self.safe, self.compiled = fast, safe, fast.compiled

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether *winograd* does."""
        return self.fast.serves(backend, kernel_shape)

    def at_stride(self, stride: tuple[int, ...], image_shape: tuple[int, ...]) -> Engine:
        """Return *direct*, which is faster, if it computes only what is kept."""
        safe = self.safe.at_stride(stride, image_shape)
        return super().at_stride(stride, image_shape) if isinstance(safe, Sampled) else safe

    def activated(
        self, backend: Backend, x: Array, kernel: Array, bias: Array | None, relu: bool, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return y, its slope and what the gradients need, see `Engine`."""
        sizes = _image_size(x), _kernel_size(kernel)
        engine = self.fast if _moderate(x, *sizes) else self.safe
        y, slope, kept = engine.activated(backend, x, kernel, bias, relu, recorded)
        return y, slope, Record(engine, kept, x, kernel, sizes) if recorded else None

    def sloped_gradients(
        self, backend: Backend, record: Any, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Any]:
        """Return the gradients of ``<slope * y, K(kernel) x>`` in the kernel and, if needed, in x."""
        engine, kept, x, kernel, sizes = record
        if engine is self.fast:
            size = _image_size(y, slope)
            if not all(_moderate(y, size, other) for other in sizes):
                engine, kept = self.safe, self.safe.record(x, kernel)
        return engine.sloped_gradients(backend, kept, y, slope, need_x)

    def correlate_two(
        self, backend: Backend, x: Array, kernel: Array, x2: Array, kernel2: Array, slope: Array | None
    ) -> Array:
        """Return ``slope * (K(kernel) x + K(kernel2) x2)``."""
        pairs = ((x, kernel), (x2, kernel2))
        even = all(_moderate(images, _image_size(images), _kernel_size(one)) for images, one in pairs)
        return (self.fast if even else self.safe).correlate_two(backend, x, kernel, x2, kernel2, slope)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        engine = self.fast if _moderate(x, _image_size(x), _image_size(y)) else self.safe
        return engine.kernel_gradient(backend, x, y, kernel_shape)


def _moderate(x: Array, first: float, second: float) -> bool:
    """Whether products of two such magnitudes stay within the range of the dtype of `x`; not if either is NaN."""
    smallest, largest = _range(x.dtype)
    product = first * second
    return product == 0 or smallest <= product <= largest


def _image_size(x: Array, slope: Array | None = None) -> float:
    """Return the largest magnitude of the pixels of ``slope * x``, NaN unless all images (N, C, H, W) are even."""
    n, channels, height, width = x.shape
    weights, few = _weights(channels, x.dtype), max(1, FEW * height * width)
    memory = x.transpose(2, 3, 0, 1)
    if memory.flags.c_contiguous and memory.size and loops.in_use():
        magnitudes = work("magnitudes", n * (height * width + 2), x.dtype)
        slopes = optional(None if slope is None else slope.transpose(2, 3, 0, 1), np.dtype(bool))
        limit = _range(x.dtype)[1]
        loop = loops_of("images").even_size
        return float(loop(readable(memory), slopes, weights, n, few, RARE, RANGE, limit, magnitudes))
    if slope is not None:
        x = x * slope
    with np.errstate(over="ignore", invalid="ignore"):
        if x.flags.c_contiguous:
            signed = weights @ x.reshape(n, channels, -1)
        else:
            signed = (np.ascontiguousarray(memory).reshape(-1, channels) @ weights).reshape(-1, n).T
    return _even_size(np.abs(signed, order="C"), few)


def _kernel_size(kernel: Array) -> float:
    """Return the largest magnitude of the entries of a kernel, NaN unless it is even."""
    return _even_size(np.abs(kernel).reshape(1, -1), 0)


def _even_size(magnitudes: Array, few: float) -> float:
    """Return the largest of magnitudes, NaN if in any row no more than `few` or a rare part of them are large."""
    length = magnitudes.shape[1]
    if not magnitudes.size:
        return 0.0
    largest = magnitudes.max(axis=1)
    size = float(largest.max())
    if not size <= _range(magnitudes.dtype)[1]:
        return np.nan
    # in a row with a part p of large ones the mean is at most p + 1 / RANGE of the largest, which few rows leave open
    open_rows = magnitudes @ _ones(length, magnitudes.dtype) < largest * (
        (max(RARE, few / length) + 1 / RANGE) * length
    )
    if open_rows.any():
        rest = magnitudes[open_rows]
        large = np.count_nonzero(rest >= largest[open_rows, None] / RANGE, axis=1)
        if (large <= np.maximum(RARE * np.count_nonzero(rest, axis=1), few)).any():
            return np.nan
    return size


@lru_cache(maxsize=2)
def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and the largest magnitude that products may have."""
    info = np.finfo(dtype)
    return float(info.tiny) * HEADROOM, float(info.max) / HEADROOM


@lru_cache(maxsize=32)
def _ones(length: int, dtype: np.dtype[Any]) -> Array:
    ones = np.ones(length, dtype)
    ones.flags.writeable = False
    return ones


@lru_cache(maxsize=32)
def _weights(channels: int, dtype: np.dtype[Any]) -> Array:
    """Return weights between 1 and 2, no two alike."""
    golden = (np.sqrt(5) - 1) / 2
    weights = (1 + np.arange(channels) * golden % 1).astype(dtype)
    weights.flags.writeable = False
    return weights
