"""Sums over the pixels of images, each number read once: means of blocks, magnitudes, differences of neighbours."""

from __future__ import annotations

import math
from typing import Any

from meganet.backend.loops.compiler import loop
from meganet.backend.loops.vectors import (
    fma,
    lanes,
    larger,
    load,
    load_first,
    load_slopes,
    moved_up,
    store_first,
    total,
    zeros,
)


@loop
def pool(x: Any, y: Any, height: int, width: int, row: int, f1: int, f2: int) -> None:
    """Write the means over blocks of f1 x f2 pixels of `row` numbers each; y has height x width pixels."""
    share = x.dtype.type(1 / (f1 * f2))
    for i in range(height):
        for j in range(width):
            to, at = (i * width + j) * row, (i * f1 * width + j) * f2 * row
            for c in range(0, row, lanes(x)):
                s = load_first(x, at + c, row - c)
                for k in range(1, f1 * f2):
                    # the pixels of a block row by row
                    s = s + load_first(x, at + (k // f2 * width * f2 + k % f2) * row + c, row - c)
                store_first(y, to + c, row - c, s * share)


@loop
def pool_adjoint(y: Any, x: Any, height: int, width: int, row: int, f1: int, f2: int) -> None:
    """Write the adjoint of `pool`."""
    share = x.dtype.type(1 / (f1 * f2))
    for i in range(height):
        for j in range(width):
            at, to = (i * width + j) * row, (i * f1 * width + j) * f2 * row
            for k in range(f1 * f2):
                block = to + (k // f2 * width * f2 + k % f2) * row
                for c in range(0, row, lanes(x)):
                    store_first(x, block + c, row - c, load_first(y, at + c, row - c) * share)


@loop
def even_size(
    x: Any, slopes: Any, weights: Any, n: int, few: float, rare: float, span: float, limit: float, magnitudes: Any
) -> float:
    """Return the largest magnitude of the pixels of images, NaN if it exceeds `limit` or an image is not even.

    The images are (P, N, C), times Booleans `slopes` if there are any; a magnitude is ``|<weights, x[p, n]>|``. An
    image is even unless its magnitudes of at least its largest divided by `span` are no more than `few` or the part
    `rare` of those that are not zero. The work memory `magnitudes` holds N (P + 2) numbers.
    """
    channels, width = weights.size, lanes(x)
    rows, whole = x.size // channels, channels // width * width
    pixels = rows // n
    for r in range(rows):
        s = zeros(x)
        for c in range(0, whole, width):
            v = load(x, r * channels + c)
            if slopes.size:
                v = v * load_slopes(slopes, r * channels + c, width, v)
            s = fma(v, load(weights, c), s)
        if whole < channels:
            left, at = channels - whole, r * channels + whole
            v = load_first(x, at, left)
            if slopes.size:
                v = v * load_slopes(slopes, at, left, v)
            s = fma(v, load_first(weights, whole, left), s)
        magnitudes[r] = abs(total(s))
    for i in range(0, n, width):
        s = most = zeros(x)
        for p in range(pixels):
            m = load_first(magnitudes, p * n + i, n - i)
            s, most = s + m, larger(most, m)
        store_first(magnitudes, rows + i, n - i, s)
        store_first(magnitudes, rows + n + i, n - i, most)
    size = 0.0
    # in an image with a part p of large ones the mean is at most p + 1 / span of the largest: few images stay open
    bound = x.dtype.type((max(rare, few / pixels) + 1 / span) * pixels)
    for i in range(n):
        s, most = magnitudes[rows + i], magnitudes[rows + n + i]
        # what is not a number makes no maximum, but the sum
        if s != s or not most <= limit:
            return math.nan
        size = max(size, float(most))
        if s < most * bound:
            large = nonzero = 0
            least = most / x.dtype.type(span)
            for p in range(pixels):
                m = magnitudes[p * n + i]
                large += m >= least
                nonzero += m != 0
            if large <= max(rare * nonzero, few):
                return math.nan
    return size


@loop
def gradient_penalty(x: Any, y: Any, height: int, width: int, alpha: float, a: float, b: float) -> float:
    """Write ``y = alpha (a D1'D1 + b D2'D2) x`` for images and return ``<x, y>``.

    ``D'D x`` is the difference from the neighbour before minus that to the one behind, where there are such.
    """
    step, row = lanes(x), width
    product = 0.0
    sums = zeros(x)
    for line in range(x.size // row):
        i, q = line % height, line * row
        for j in range(0, row, step):
            left = row - j
            here = load_first(x, q + j, left)
            behind = load_first(x, q + j + 1, left - 1) - load_first(x, q + j, left - 1)
            before = moved_up(behind) if j == 0 else here - load_first(x, q + j - 1, left)
            along = (before - behind) * b
            before = here - load_first(x, q + j - row, left if i > 0 else 0)
            behind = load_first(x, q + j + row, left if i < height - 1 else 0) - here
            if i == 0:
                before = zeros(x)
            if i == height - 1:
                behind = zeros(x)
            result = ((before - behind) * a + along) * alpha
            store_first(y, q + j, left, result)
            sums = fma(here, result, sums)
        if i == height - 1:
            product += total(sums)
            sums = zeros(x)
    return product
