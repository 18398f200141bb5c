"""A dense matrix on images, ``y[n, k] = sum_{c, p} kernel[k, c, p] x[n, c, p]``, and its gradients.

The images have a matrix (N, C) for each pixel p of their memory (P, N, C), and so has their gradient. The kernel's
memory is (K, C, P): some pixels of it at a time become such matrices (K, C), which the gradients read again, and its
gradient is written back from such matrices while they are in the cache. C is a multiple of a register's lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meganet.backend.loops.compiler import loop, part
from meganet.backend.loops.products import product
from meganet.backend.loops.vectors import fma, lanes, load, prefetch, store, total, transpose, zeros

PIXELS = 32
"""Pixels whose matrices are made at once."""
ROWS = 512
"""Examples at pixels that are multiplied at once, and are in the second cache when the turn comes to them."""
TERMS = 512
"""Examples whose products are summed at once: round-off grows with how many follow each other."""


class Sizes(NamedTuple):
    """N examples, K outputs, C channels and P pixels."""

    n: int
    outputs: int
    channels: int
    pixels: int


@part
def _turned(a: Any, a0: int, a_step: int, b: Any, b0: int, b_step: int, rows: int, columns: int) -> None:
    """Write ``b[j, i] = a[i, j]`` for i < rows and j < columns."""
    width = lanes(a)
    for i in range(0, rows, width):
        for j in range(0, columns, width):
            at, to = a0 + i * a_step + j, b0 + j * b_step + i
            if i + width <= rows and j + width <= columns:
                transpose(a, at, a_step, b, to, b_step)
            else:
                for s in range(min(width, rows - i)):
                    for t in range(min(width, columns - j)):
                        b[to + t * b_step + s] = a[at + s * a_step + t]


@part
def _prefetch_next(kernel: Any, at: int, sizes: Sizes) -> None:
    """Prefetch the next pixels of an output of the kernel, which no processor foresees: each channel is far away."""
    for c in range(sizes.channels):
        for q in range(PIXELS, 2 * PIXELS, lanes(kernel)):
            prefetch(kernel, at + c * sizes.pixels + q)


@part
def _kernel_matrices(kernel: Any, p: int, count: int, sizes: Sizes, to: Any) -> None:
    """Write the kernel's matrices (K, C) of `count` pixels from p on."""
    start, step = p * sizes.outputs * sizes.channels, sizes.outputs * sizes.channels
    for k in range(sizes.outputs):
        at = k * sizes.channels * sizes.pixels + p
        _prefetch_next(kernel, at, sizes)
        _turned(kernel, at, sizes.pixels, to, start + k * sizes.channels, step, sizes.channels, count)


@part
def _add_products(x: Any, x0: int, matrices: Any, m0: int, count: int, sizes: Sizes, sums: Any) -> None:
    """Add the products of examples and rows of the kernel at some pixels to ``sums[n, k]``, a register for each.

    A tile is two examples and five outputs.
    """
    width, n, outputs, channels = lanes(x), sizes.n, sizes.outputs, sizes.channels
    for i in range(0, n, 2):
        other = min(i + 1, n - 1)
        for k in range(0, outputs, 5):
            # beyond the last the same again: the same sum is written once more
            k1, k2 = min(k + 1, outputs - 1), min(k + 2, outputs - 1)
            k3, k4 = min(k + 3, outputs - 1), min(k + 4, outputs - 1)
            s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = t3 = t4 = zeros(x)
            for p in range(count):
                a, b, m = x0 + (p * n + i) * channels, x0 + (p * n + other) * channels, m0 + p * outputs * channels
                if k == 0:  # both rows of the next pixels
                    for c in range(0, 2 * channels, width):
                        prefetch(x, a + count * n * channels + c)
                w0, w1, w2, w3, w4 = (
                    m + k * channels,
                    m + k1 * channels,
                    m + k2 * channels,
                    m + k3 * channels,
                    m + k4 * channels,
                )
                for c in range(0, channels, width):
                    u, v = load(x, a + c), load(x, b + c)
                    w = load(matrices, w0 + c)
                    s0, t0 = fma(u, w, s0), fma(v, w, t0)
                    w = load(matrices, w1 + c)
                    s1, t1 = fma(u, w, s1), fma(v, w, t1)
                    w = load(matrices, w2 + c)
                    s2, t2 = fma(u, w, s2), fma(v, w, t2)
                    w = load(matrices, w3 + c)
                    s3, t3 = fma(u, w, s3), fma(v, w, t3)
                    w = load(matrices, w4 + c)
                    s4, t4 = fma(u, w, s4), fma(v, w, t4)
            p, q = i * outputs * width, other * outputs * width
            k, k1, k2, k3, k4 = k * width, k1 * width, k2 * width, k3 * width, k4 * width
            # all are read before any is written
            s0, t0 = load(sums, p + k) + s0, load(sums, q + k) + t0
            s1, t1 = load(sums, p + k1) + s1, load(sums, q + k1) + t1
            s2, t2 = load(sums, p + k2) + s2, load(sums, q + k2) + t2
            s3, t3 = load(sums, p + k3) + s3, load(sums, q + k3) + t3
            s4, t4 = load(sums, p + k4) + s4, load(sums, q + k4) + t4
            store(sums, p + k, s0)
            store(sums, p + k1, s1)
            store(sums, p + k2, s2)
            store(sums, p + k3, s3)
            store(sums, p + k4, s4)
            store(sums, q + k, t0)
            store(sums, q + k1, t1)
            store(sums, q + k2, t2)
            store(sums, q + k3, t3)
            store(sums, q + k4, t4)


@loop
def forward(x: Any, kernel: Any, y: Any, sizes: Sizes, matrices: Any, sums: Any) -> None:
    """Write the outputs (N, K) of images and the kernel's matrices (P, K, C); `sums` is work memory."""
    width, n, outputs, channels = lanes(x), sizes.n, sizes.outputs, sizes.channels
    step = min(PIXELS, max(1, ROWS // max(1, n)))
    sums[:] = 0
    for p in range(0, sizes.pixels, PIXELS):
        count = min(PIXELS, sizes.pixels - p)
        _kernel_matrices(kernel, p, count, sizes, matrices)
        for q in range(p, p + count, step):
            some = min(step, p + count - q)
            _add_products(x, q * n * channels, matrices, q * outputs * channels, some, sizes, sums)
    for k in range(n * outputs):
        y[k] = total(load(sums, k * width))


@loop
def gradients(x: Any, matrices: Any, y: Any, in_kernel: Any, in_x: Any, sizes: Sizes, block: Any) -> None:
    """Write the gradients of ``<y, K x>`` in the kernel and in the images; one that has no size is not wanted.

    `block` is work memory.
    """
    n, outputs, channels, pixels = sizes
    every = np.arange(max(n, outputs))
    by_row = every * outputs
    if in_x.size:
        for p in range(pixels):
            at, to = p * outputs * channels, p * n * channels
            product(y, 0, by_row, every, matrices, at, channels, in_x, to, channels, n, outputs, channels, False)
    if in_kernel.size == 0:
        return
    for p in range(0, pixels, PIXELS):
        count = min(PIXELS, pixels - p)
        for q in range(count):
            at, to = (p + q) * n * channels, q * outputs * channels
            for i in range(0, n, TERMS):
                a, b, some = i * outputs, at + i * channels, min(TERMS, n - i)
                product(y, a, every, by_row, x, b, channels, block, to, channels, outputs, some, channels, i > 0)
        for k in range(outputs):
            to = k * channels * pixels + p
            _prefetch_next(in_kernel, to, sizes)
            _turned(block, k * channels, outputs * channels, in_kernel, to, pixels, count, channels)
