"""The periodic convolution as products of matrices of shifted pixels, for any kernel and stride.

Images are flat (H, W, N, C) memory. Some rows at a time are copied into a window with their periodic continuation.
In the window the number that an entry of the kernel meets for a result is at an address that depends on the result plus
one that depends on the entry, so that both the results and the kernel's gradient are products (`products.product`) with
matrices that nobody makes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from meganet.backend.loops.compiler import loop, part
from meganet.backend.loops.plans import PLAIN, RELU, SLOPE
from meganet.backend.loops.products import product
from meganet.backend.loops.vectors import (
    lanes,
    load_first,
    load_slopes,
    load_some,
    positive,
    store,
    store_slopes,
    store_some,
)

PIXELS = 96
"""Results whose sums are made at once, a multiple of a tile's rows."""
TERMS = 128
"""Terms of a sum, or of an entry of the kernel's gradient, that are added at once: their factors stay in the cache."""
GROUP = 64
"""Sums of `TERMS` that follow each other in an entry of the kernel's gradient: round-off grows with their number."""


class Sizes(NamedTuple):
    """What is convolved: N examples of C channels and H x W pixels to O channels of rows x columns pixels.

    Results are computed `block` rows at a time.
    """

    n: int
    c: int
    o: int
    height: int
    width: int
    k1: int
    k2: int
    s1: int
    s2: int
    rows: int
    columns: int
    block: int


@loop
def correlate(
    x: Any,
    factors: Any,
    kernel: Any,
    flipped: bool,
    bias: Any,
    y: Any,
    slopes: Any,
    adds: bool,
    then: int,
    z: Sizes,
    results: Any,
    entries: Any,
    window: Any,
    matrix: Any,
) -> None:
    """Write ``K(kernel) (factors x) + bias``, or add it to y, and do with the sum what comes then.

    That is nothing, ``max(y, 0)`` with ``y >= 0`` written into the slopes, or the product with the slopes. Factors,
    bias and slopes may be empty: they are left out. A flipped kernel is that of the adjoint. The last four arrays are
    work memory.
    """
    size = z.k1 * z.k2
    forth = -1 if flipped else 1
    start, c_step, o_step = (size - 1, z.o * size, size) if flipped else (0, size, z.c * size)
    _pack(kernel, start, forth * z.k2, forth, c_step, o_step, z, matrix)
    _addresses(z, results, entries)
    for first in range(0, z.rows, z.block):
        stop = min(first + z.block, z.rows)
        _wrap(x, factors, z, first, stop, window)
        start, end = first * z.columns * z.n, stop * z.columns * z.n
        for r in range(start, end, PIXELS):
            pixels = min(PIXELS, end - r)
            _sums(window, results[r - start :], entries, matrix, z, pixels, y, r * z.o, adds)
            if then != PLAIN or bias.size:
                _finish(y, r * z.o, pixels, z.o, bias, slopes, then)


@loop
def kernel_gradient(
    x: Any,
    y: Any,
    slopes: Any,
    gradient: Any,
    z: Sizes,
    results: Any,
    entries: Any,
    window: Any,
    matrix: Any,
    totals: Any,
    upstream: Any,
) -> None:
    """Write the gradient of ``<slopes y, K(kernel) x>`` in the kernel; `slopes` may be empty, work memory the rest."""
    step, count = 2 * lanes(x), z.k1 * z.k2 * z.c
    if z.n == 0:
        for i in range(matrix.size):
            matrix[i] = 0
    _addresses(z, results, entries)
    sums = groups = 0
    for first in range(0, z.rows, z.block):
        stop = min(first + z.block, z.rows)
        _wrap(x, slopes[:0], z, first, stop, window)
        start, end = first * z.columns * z.n, stop * z.columns * z.n
        for r in range(start, end, TERMS):
            pixels = min(TERMS, end - r)
            terms = results[r - start :]
            for j in range(0, z.o, step):
                panel, at = j * pixels, j * count
                columns = step if z.o - j > lanes(x) else lanes(x)
                _panel(y, slopes, r * z.o + j, z.o, pixels, min(step, z.o - j), upstream, panel)
                product(
                    window, 0, entries, terms, upstream, panel, step, matrix, at, step, count, pixels, columns, sums > 0
                )
            sums += 1
            if sums == GROUP:
                _gather(matrix, groups, totals)
                sums, groups = 0, groups + 1
    if groups == 0:
        _unpack(matrix, z, gradient)
    else:
        if sums > 0:
            _gather(matrix, groups, totals)
        _unpack(totals, z, gradient)


@loop
def strided_adjoint(
    y: Any,
    slopes: Any,
    kernel: Any,
    x: Any,
    z: Sizes,
    results: Any,
    entries: Any,
    window: Any,
    matrix: Any,
    sums: Any,
) -> None:
    """Write ``K(kernel)' (slopes y)``; `slopes` may be empty, the last five are work memory.

    Entries of the kernel whose distance is a multiple of the stride meet the same pixels of x, others meet none of
    these. So this is a convolution of its own for each residue, of y with zeros around it.
    """
    for i in range(x.size):
        x[i] = 0
    size, pixel = z.k1 * z.k2, z.n * z.c
    for a in range(min(z.s1, z.k1)):
        for b in range(min(z.s2, z.k2)):
            k1, k2 = (z.k1 - a + z.s1 - 1) // z.s1, (z.k2 - b + z.s2 - 1) // z.s2
            rows, columns = z.rows + k1 - 1, z.columns + k2 - 1
            w = Sizes(z.n, z.o, z.c, rows, columns, k1, k2, 1, 1, rows, columns, 1)
            last = (a + (k1 - 1) * z.s1) * z.k2 + b + (k2 - 1) * z.s2
            _pack(kernel, last, -z.s1 * z.k2, -z.s2, z.c * size, size, w, matrix)
            _addresses(w, results, entries)
            for i in range(rows):
                _pad(y, slopes, z, w, i - k1 + 1, window)
                for r in range(0, columns * z.n, PIXELS):
                    _sums(window, results[r:], entries, matrix, w, min(PIXELS, columns * z.n - r), sums, r * z.c, False)
                row = (i * z.s1 + a - z.k1 // 2) % z.height * z.width
                for j in range(columns):
                    at, source = (row + (j * z.s2 + b - z.k2 // 2) % z.width) * pixel, j * pixel
                    for number in range(pixel):
                        x[at + number] += sums[source + number]


@part
def _sums(
    window: Any, results: Any, entries: Any, matrix: Any, z: Any, pixels: int, y: Any, out: int, adds: bool
) -> None:
    """Write or add some results: the shifted pixels times the kernel's panels."""
    step, count = 2 * lanes(y), z.k1 * z.k2 * z.c
    for k in range(0, count, TERMS):
        terms = min(TERMS, count - k)
        for j in range(0, z.o, step):
            at, to, columns = j * count + k * step, out + j, min(step, z.o - j)
            product(
                window, 0, results, entries[k:], matrix, at, step, y, to, z.o, pixels, terms, columns, adds or k > 0
            )


@part
def _addresses(z: Any, results: Any, entries: Any) -> None:
    """Write where in the window the first number of every result of a block is, and the others relative to it."""
    line = (z.width + z.k2 - 1) * z.n * z.c
    at = 0
    for i in range(z.block):
        for j in range(z.columns):
            for n in range(z.n):
                results[at] = i * z.s1 * line + (j * z.s2 * z.n + n) * z.c
                at += 1
    at = 0
    for a in range(z.k1):
        for b in range(z.k2):
            for c in range(z.c):
                entries[at] = a * line + b * z.n * z.c + c
                at += 1


@part
def _wrap(x: Any, slopes: Any, z: Any, first: int, stop: int, window: Any) -> None:
    """Copy the rows of images that some rows of results meet, with their periodic continuation."""
    pixel = z.n * z.c
    line, edge = z.width * pixel, z.k2 // 2 * pixel
    above = first * z.s1 - z.k1 // 2
    for row in range((stop - 1 - first) * z.s1 + z.k1):
        start, at = (above + row) % z.height * line, row * (line + 2 * edge)
        _copy(x, slopes, start + line - edge, edge, window, at)
        _copy(x, slopes, start, line, window, at + edge)
        _copy(x, slopes, start, edge, window, at + edge + line)


@part
def _pad(y: Any, slopes: Any, z: Any, w: Any, first: int, window: Any) -> None:
    """Copy the rows of y that some entries of the kernel meet, with zeros around them."""
    size, edge = z.columns * z.n * z.o, (w.k2 - 1) * z.n * z.o
    for row in range(w.k1):
        at = row * (size + 2 * edge)
        for i in range(size + 2 * edge):
            window[at + i] = 0
        if 0 <= first + row < z.rows:
            _copy(y, slopes, (first + row) * size, size, window, at + edge)


@part
def _copy(x: Any, slopes: Any, start: int, count: int, target: Any, at: int) -> None:
    """Copy some numbers, times their slopes if there are any."""
    width = lanes(x)
    for i in range(0, count, width):
        left, place = count - i, start + i
        v = load_some(x, place, left)
        if slopes.size:
            v = v * load_slopes(slopes, place, left, v)
        store_some(target, at + i, left, v)


@part
def _pack(kernel: Any, start: int, a_step: int, b_step: int, c_step: int, o_step: int, z: Any, matrix: Any) -> None:
    """Copy a kernel into panels: for every two registers of output channels the rows of all entries, then zeros."""
    step, at = 2 * lanes(matrix), 0
    for j in range(0, z.o, step):
        columns = min(step, z.o - j)
        for a in range(z.k1):
            for b in range(z.k2):
                for c in range(z.c):
                    source = start + a * a_step + b * b_step + c * c_step + j * o_step
                    for o in range(columns):
                        matrix[at + o] = kernel[source + o * o_step]
                    for o in range(columns, step):
                        matrix[at + o] = 0
                    at += step


@part
def _gather(matrix: Any, groups: int, totals: Any) -> None:
    """Add sums to those of some groups; without any they are the first."""
    for i in range(matrix.size):
        totals[i] = totals[i] + matrix[i] if groups > 0 else matrix[i]


@part
def _unpack(matrix: Any, z: Any, kernel: Any) -> None:
    """Copy panels into a kernel."""
    step, count, at = 2 * lanes(matrix), z.k1 * z.k2 * z.c, 0
    size = z.k1 * z.k2
    for o in range(z.o):
        panel = o // step * step * count + o % step
        for c in range(z.c):
            for entry in range(size):
                kernel[at] = matrix[panel + (entry * z.c + c) * step]
                at += 1


@part
def _panel(y: Any, slopes: Any, start: int, y_step: int, pixels: int, columns: int, panel: Any, at: int) -> None:
    """Copy one or two registers of channels of some pixels, times their slopes if there are any, and zeros behind."""
    width = lanes(y)
    for r in range(pixels):
        for o in range(0, columns, width):
            left, place = columns - o, start + r * y_step + o
            v = load_some(y, place, left)
            if slopes.size:
                v = v * load_slopes(slopes, place, left, v)
            store(panel, at + 2 * r * width + o, v)


@part
def _finish(y: Any, start: int, pixels: int, channels: int, bias: Any, slopes: Any, then: int) -> None:
    """Add the bias to some pixels, and do what comes then."""
    width = lanes(y)
    for r in range(pixels):
        for o in range(0, channels, width):
            left, place = channels - o, start + r * channels + o
            v = load_some(y, place, left) + load_first(bias, o, min(left, bias.size))
            # as in `tiles.write_tile`
            if then == RELU:
                if slopes.size:
                    store_slopes(slopes, place, left, v)
                v = positive(v)
            elif then == SLOPE:
                v = v * load_slopes(slopes, place, left, v)
            store_some(y, place, left, v)
