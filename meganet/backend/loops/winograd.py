"""Winograd's products block by block: transform, 36 matrix products, transform back, all within the cache.

The same sums as `linop._engines.winograd`, with tiles of any size (see `tiles`). Images are flat (H, W, N, C) memory,
transformed kernels (36, I, O) with the last axis filled up to whole registers. The tables ``rows_at`` and
``columns_at`` hold where pixel row i and column j start, at places i + 1 and j + 1, continued periodically. A row
(m1, m2, i, j, count1, count2) of ``groups`` describes tiles of m1 by m2 outputs, of which the first starts at pixel
(i, j) and each next one four pixels further.

The points of a tile follow each other in work memory, which takes fewer pages than if those of one number did. Where
tiles begin there is the table ``tiles_at``; ``channels_at`` are the channels behind that, 0, 1, 2 and so on.
"""

from __future__ import annotations

from typing import Any

from meganet.backend.loops.compiler import loop, part
from meganet.backend.loops.plans import POINTS
from meganet.backend.loops.products import ROWS, product
from meganet.backend.loops.tiles import gather_tile, scatter_tile, spread_tile, write_tile
from meganet.backend.loops.vectors import lanes

BLOCKS = 64
"""Blocks whose products are summed at once for the kernel's gradient: round-off grows with how many follow each other.
"""


@part
def _point(k: int, m: int) -> int:
    """Return the number, 0 to 5, of point k of a tile of m outputs."""
    return k if k <= m else 5


@part
def _even(tiles: int, most: int) -> int:
    """Return the number of tiles of a block, at most `most`, such that all blocks are alike and rows fill products."""
    blocks = -(-tiles // most)
    return min(most, -(-tiles // (ROWS * blocks)) * ROWS)


@part
def _tile(group: Any, t: int, examples: int) -> tuple[int, int, int]:
    """Return the first pixel (i, j) and the example of number t of a group: each tile of each example has a number."""
    tile = t // examples
    return group[2] + 4 * (tile // group[5]), group[3] + 4 * (tile % group[5]), t % examples


@part
def _multiply(
    v: Any,
    v_width: int,
    kernels: Any,
    m: Any,
    m_width: int,
    m1: int,
    m2: int,
    tiles_at: Any,
    channels_at: Any,
    count: int,
    channels: int,
    add: bool,
) -> None:
    """Multiply the points of `count` tiles by the transformed kernels, (36, channels, m_width)."""
    for a in range(m1 + 2):
        for b in range(m2 + 2):
            k, p = a * (m2 + 2) + b, 6 * _point(a, m1) + _point(b, m2)
            product(
                v,
                k * v_width,
                tiles_at,
                channels_at,
                kernels,
                p * channels * m_width,
                m_width,
                m,
                k * m_width,
                POINTS * m_width,
                count,
                channels,
                m_width,
                add,
            )


@part
def _gather_block(
    x: Any,
    rows_at: Any,
    columns_at: Any,
    group: Any,
    first: int,
    last: int,
    examples: int,
    channels: int,
    v: Any,
    v_width: int,
    work: Any,
) -> None:
    """Transform the windows of numbers `first` to `last` of a group."""
    m1, m2 = group[0], group[1]
    for t in range(first, last):
        i, j, n = _tile(group, t, examples)
        for c in range(0, channels, lanes(x)):
            gather_tile(
                x,
                n * channels + c,
                channels - c,
                rows_at,
                columns_at,
                i,
                j,
                m1,
                m2,
                v,
                (t - first) * POINTS * v_width + c,
                v_width,
                work,
            )


@loop
def correlate(
    x: Any,
    kernels: Any,
    x2: Any,
    kernels2: Any,
    bias: Any,
    y: Any,
    slopes: Any,
    then: int,
    rows_at: Any,
    columns_at: Any,
    groups: Any,
    tiles_at: Any,
    channels_at: Any,
    width: int,
    examples: int,
    channels: int,
    out_channels: int,
    block: int,
    v: Any,
    m: Any,
    work: Any,
) -> None:
    """Write ``K(kernel) x`` (and ``+ K(kernel2) x2`` if there is any, ``+ bias`` if there is any), and what follows.

    Work arrays `v` and `m` hold the points of `block` tiles; `tiles_at` is about `v`.
    """
    registers = lanes(x)
    v_width, m_width = -(-channels // registers) * registers, -(-out_channels // registers) * registers
    column = examples * out_channels
    for g in range(groups.shape[0]):
        group = groups[g]
        m1, m2 = group[0], group[1]
        tiles = group[4] * group[5] * examples
        step = _even(tiles, block)
        for first in range(0, tiles, step):
            last = min(tiles, first + step)
            _gather_block(x, rows_at, columns_at, group, first, last, examples, channels, v, v_width, work)
            _multiply(v, v_width, kernels, m, m_width, m1, m2, tiles_at, channels_at, last - first, channels, False)
            if x2.size:
                _gather_block(x2, rows_at, columns_at, group, first, last, examples, channels, v, v_width, work)
                _multiply(v, v_width, kernels2, m, m_width, m1, m2, tiles_at, channels_at, last - first, channels, True)
            for t in range(first, last):
                i, j, n = _tile(group, t, examples)
                to = (i * width + j) * column + n * out_channels
                for c in range(0, out_channels, registers):
                    write_tile(
                        m,
                        (t - first) * POINTS * m_width + c,
                        m_width,
                        m1,
                        m2,
                        y,
                        slopes,
                        to + c,
                        out_channels - c,
                        width * column,
                        column,
                        bias,
                        c,
                        then,
                        work,
                    )


@loop
def gradients(
    x: Any,
    y: Any,
    slopes: Any,
    kernels: Any,
    in_kernels: Any,
    totals: Any,
    dx: Any,
    rows_at: Any,
    columns_at: Any,
    groups: Any,
    out_tiles_at: Any,
    channels_at: Any,
    width: int,
    examples: int,
    channels: int,
    out_channels: int,
    block: int,
    v: Any,
    z: Any,
    work: Any,
) -> None:
    """Add the gradients of ``<y * slopes, K(kernel) x>`` in the transformed kernels and, if `dx` is not empty, in x.

    `kernels` and `in_kernels` are (36, O, I), the last axis filled up. Work arrays `v` and `z` hold the points of
    `block` tiles; `out_tiles_at` is about `z`. `totals`, the size of `in_kernels`, is work memory.
    """
    blocks = 0
    registers = lanes(x)
    v_width, z_width = -(-channels // registers) * registers, -(-out_channels // registers) * registers
    column = examples * out_channels
    for g in range(groups.shape[0]):
        group = groups[g]
        m1, m2 = group[0], group[1]
        tiles = group[4] * group[5] * examples
        step = _even(tiles, block)
        for first in range(0, tiles, step):
            last = min(tiles, first + step)
            _gather_block(x, rows_at, columns_at, group, first, last, examples, channels, v, v_width, work)
            for t in range(first, last):
                i, j, n = _tile(group, t, examples)
                at = (i * width + j) * column + n * out_channels
                for c in range(0, out_channels, registers):
                    spread_tile(
                        y,
                        slopes,
                        at + c,
                        out_channels - c,
                        width * column,
                        column,
                        m1,
                        m2,
                        z,
                        (t - first) * POINTS * z_width + c,
                        z_width,
                        work,
                    )
            for a in range(m1 + 2):
                for b in range(m2 + 2):
                    k, p = a * (m2 + 2) + b, 6 * _point(a, m1) + _point(b, m2)
                    # rows are output channels, terms are tiles
                    product(
                        z,
                        k * z_width,
                        channels_at,
                        out_tiles_at,
                        v,
                        k * v_width,
                        POINTS * v_width,
                        in_kernels,
                        p * out_channels * v_width,
                        v_width,
                        out_channels,
                        last - first,
                        v_width,
                        True,
                    )
            blocks += 1
            if blocks % BLOCKS == 0:
                for i in range(in_kernels.size):
                    totals[i] = totals[i] + in_kernels[i] if blocks > BLOCKS else in_kernels[i]
                    in_kernels[i] = 0
            if dx.size:
                _multiply(
                    z,
                    z_width,
                    kernels,
                    v,
                    v_width,
                    m1,
                    m2,
                    out_tiles_at,
                    channels_at,
                    last - first,
                    out_channels,
                    False,
                )
                for t in range(first, last):
                    i, j, n = _tile(group, t, examples)
                    for c in range(0, channels, registers):
                        scatter_tile(
                            v,
                            (t - first) * POINTS * v_width + c,
                            v_width,
                            m1,
                            m2,
                            dx,
                            n * channels + c,
                            channels - c,
                            rows_at,
                            columns_at,
                            i,
                            j,
                            work,
                        )
    if blocks >= BLOCKS:
        in_kernels += totals
