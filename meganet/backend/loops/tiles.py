"""Winograd's transforms of tiles of 1 to 4 outputs along each axis, in vector registers over channels.

A tile of m outputs has a window of m + 2 inputs and as many points: of 0, 1, -1, 2, -2 the first m + 1, and infinity.
Points are numbered 0 to 5; each has the kernel's transform of `linop._engines.tiles`, G, whatever m is, so tiles of
all sizes share the transformed kernel and no work goes into padding: 14 = 4 + 4 + 4 + 2. With ``y = A' [G g * B' d]``
along one axis, `windows` computes ``B' d``, `outputs` ``A' p``, `spread_outputs` ``A y`` and `spread_windows` ``B p``.
"""

from __future__ import annotations

from typing import Any

from meganet.backend.loops.compiler import part
from meganet.backend.loops.plans import POINTS, RELU, SLOPE
from meganet.backend.loops.vectors import (
    lanes,
    load,
    load_slopes,
    load_some,
    positive,
    store,
    store_slopes,
    store_some,
)


@part
def windows(m: int, d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any, out: Any, at: int, step: int) -> None:
    """Write the m + 2 points ``B' d`` of the first m + 2 inputs."""
    if m == 4:
        even, odd = d4 - d2 * 4.0, d3 - d1 * 4.0
        second, third = d4 - d2, (d3 - d1) * 2.0
        store(out, at, d0 + (d4 - d2 * 5.0) * 0.25)
        store(out, at + step, even + odd)
        store(out, at + 2 * step, even - odd)
        store(out, at + 3 * step, second + third)
        store(out, at + 4 * step, second - third)
        store(out, at + 5 * step, d5 + d1 * 4.0 - d3 * 5.0)
    elif m == 3:
        difference = d3 - d1
        store(out, at, d0 - d2 + difference * 0.5)
        store(out, at + step, difference * 3.0 - (d1 + d2) * 3.0)
        store(out, at + 2 * step, d3 + d1 * 2.0 - d2 * 3.0)
        store(out, at + 3 * step, difference * 4.0)
        store(out, at + 4 * step, d4 - d2 - difference * 2.0)
    elif m == 2:
        store(out, at, d0 - d2)
        store(out, at + step, (d1 + d2) * -3.0)
        store(out, at + 2 * step, (d1 - d2) * 3.0)
        store(out, at + 3 * step, d3 - d1)
    else:
        store(out, at, d0 - d1)
        store(out, at + step, d1 * -6.0)
        store(out, at + 2 * step, d2 - d1)


@part
def outputs(m: int, p: Any, at: int, step: int, out: Any, to: int, to_step: int) -> None:
    """Write the m outputs ``A' p`` of m + 2 points."""
    p0, p1, p2 = load(p, at), load(p, at + step), load(p, at + 2 * step)
    if m == 1:
        store(out, to, p0 + p1 + p2)
        return
    p3, plus, minus = load(p, at + 3 * step), p1 + p2, p1 - p2
    if m == 2:
        store(out, to, p0 + plus)
        store(out, to + to_step, minus + p3)
        return
    p4 = load(p, at + 4 * step)
    if m == 3:
        store(out, to, p0 + plus + p3)
        store(out, to + to_step, minus + p3 * 2.0)
        store(out, to + 2 * to_step, plus + p3 * 4.0 + p4)
        return
    sum2, difference2 = p3 + p4, p3 - p4
    store(out, to, p0 + plus + sum2)
    store(out, to + to_step, minus + difference2 * 2.0)
    store(out, to + 2 * to_step, plus + sum2 * 4.0)
    store(out, to + 3 * to_step, minus + difference2 * 8.0 + load(p, at + 5 * step))


@part
def spread_outputs(m: int, y: Any, at: int, step: int, out: Any, to: int, to_step: int) -> None:
    """Write the m + 2 points ``A y`` of m outputs, the adjoint of `outputs`."""
    y0 = load(y, at)
    store(out, to, y0)
    if m == 1:
        store(out, to + to_step, y0)
        store(out, to + 2 * to_step, y0)
        return
    y1 = load(y, at + step)
    if m == 2:
        store(out, to + to_step, y0 + y1)
        store(out, to + 2 * to_step, y0 - y1)
        store(out, to + 3 * to_step, y1)
        return
    y2 = load(y, at + 2 * step)
    even, even2 = y0 + y2, y0 + y2 * 4.0
    if m == 3:
        store(out, to + to_step, even + y1)
        store(out, to + 2 * to_step, even - y1)
        store(out, to + 3 * to_step, even2 + y1 * 2.0)
        store(out, to + 4 * to_step, y2)
        return
    y3 = load(y, at + 3 * step)
    odd, odd2 = y1 + y3, y1 * 2.0 + y3 * 8.0
    store(out, to + to_step, even + odd)
    store(out, to + 2 * to_step, even - odd)
    store(out, to + 3 * to_step, even2 + odd2)
    store(out, to + 4 * to_step, even2 - odd2)
    store(out, to + 5 * to_step, y3)


@part
def spread_windows(m: int, p: Any, at: int, step: int, out: Any, to: int, to_step: int) -> None:
    """Write the m + 2 inputs ``B p`` of as many points, the adjoint of `windows`."""
    p0, p1, p2 = load(p, at), load(p, at + step), load(p, at + 2 * step)
    store(out, to, p0)
    if m == 1:
        store(out, to + to_step, p1 * -6.0 - p0 - p2)
        store(out, to + 2 * to_step, p2)
        return
    p3, plus, minus = load(p, at + 3 * step), p1 + p2, p1 - p2
    if m == 2:
        store(out, to + to_step, minus * -3.0 - p3)
        store(out, to + 2 * to_step, plus * -3.0 - p0)
        store(out, to + 3 * to_step, p3)
        return
    p4 = load(p, at + 4 * step)
    if m == 3:
        store(out, to + to_step, p2 * 2.0 - p1 * 6.0 - p0 * 0.5 - p3 * 4.0 + p4 * 2.0)
        store(out, to + 2 * to_step, plus * -3.0 - p0 - p4)
        store(out, to + 3 * to_step, p1 * 3.0 + p2 + p0 * 0.5 + p3 * 4.0 - p4 * 2.0)
        store(out, to + 4 * to_step, p4)
        return
    p5 = load(p, at + 5 * step)
    sum2, difference2 = p3 + p4, (p3 - p4) * 2.0
    store(out, to + to_step, (p5 - minus) * 4.0 - difference2)
    store(out, to + 2 * to_step, p0 * -1.25 - plus * 4.0 - sum2)
    store(out, to + 3 * to_step, minus + difference2 - p5 * 5.0)
    store(out, to + 4 * to_step, p0 * 0.25 + plus + sum2)
    store(out, to + 5 * to_step, p5)


@part
def gather_tile(
    x: Any,
    at: int,
    left: int,
    rows_at: Any,
    columns_at: Any,
    i: int,
    j: int,
    m1: int,
    m2: int,
    v: Any,
    to: int,
    step: int,
    work: Any,
) -> None:
    """Write ``B' d B`` of one tile's window, of one register of channels from `at` on."""
    width = lanes(x)
    r0, r1, r2 = at + rows_at[i], at + rows_at[i + 1], at + rows_at[i + 2]
    r3, r4, r5 = at + rows_at[i + 3], at + rows_at[i + 4], at + rows_at[i + 5]
    for s in range(m2 + 2):
        o = columns_at[j + s]
        d0, d1, d2 = load_some(x, r0 + o, left), load_some(x, r1 + o, left), load_some(x, r2 + o, left)
        d3, d4, d5 = load_some(x, r3 + o, left), load_some(x, r4 + o, left), load_some(x, r5 + o, left)
        windows(m1, d0, d1, d2, d3, d4, d5, work, s * width, 6 * width)
    for a in range(m1 + 2):
        o = 6 * a * width
        d0, d1, d2 = load(work, o), load(work, o + width), load(work, o + 2 * width)
        d3, d4, d5 = load(work, o + 3 * width), load(work, o + 4 * width), load(work, o + 5 * width)
        windows(m2, d0, d1, d2, d3, d4, d5, v, to + a * (m2 + 2) * step, step)


@part
def spread_tile(
    y: Any,
    slopes: Any,
    at: int,
    left: int,
    row: int,
    column: int,
    m1: int,
    m2: int,
    z: Any,
    to: int,
    step: int,
    work: Any,
) -> None:
    """Write ``A y A'`` of one tile's outputs, times their slopes if there are any."""
    width = lanes(y)
    for s in range(m2):
        for r in range(m1):
            o = at + r * row + s * column
            value = load_some(y, o, left)
            if slopes.size:
                value = value * load_slopes(slopes, o, left, value)
            store(work, (POINTS + r) * width, value)
        spread_outputs(m1, work, POINTS * width, width, work, s * width, 6 * width)
    for a in range(m1 + 2):
        spread_outputs(m2, work, 6 * a * width, width, z, to + a * (m2 + 2) * step, step)


@part
def write_tile(
    m: Any,
    at: int,
    step: int,
    m1: int,
    m2: int,
    y: Any,
    slopes: Any,
    to: int,
    left: int,
    row: int,
    column: int,
    bias: Any,
    channel: int,
    then: int,
    work: Any,
) -> None:
    """Write ``A' m A`` of one tile, with the bias added and what comes `then`."""
    width = lanes(y)
    for s in range(m2 + 2):
        outputs(m1, m, at + s * step, (m2 + 2) * step, work, s * width, 6 * width)
    for r in range(m1):
        outputs(m2, work, 6 * r * width, width, work, POINTS * width, width)
        for s in range(m2):
            o = to + r * row + s * column
            value = load(work, (POINTS + s) * width)
            if bias.size:
                value = value + load(bias, channel)
            # as in `direct._finish`: a part for both is a tenth to a half slower, inlined or not
            if then == RELU:
                if slopes.size:
                    store_slopes(slopes, o, left, value)
                value = positive(value)
            elif then == SLOPE:
                value = value * load_slopes(slopes, o, left, value)
            store_some(y, o, left, value)


@part
def scatter_tile(
    v: Any,
    at: int,
    step: int,
    m1: int,
    m2: int,
    dx: Any,
    to: int,
    left: int,
    rows_at: Any,
    columns_at: Any,
    i: int,
    j: int,
    work: Any,
) -> None:
    """Add ``B p B'`` of one tile to its window."""
    width = lanes(dx)
    for s in range(m2 + 2):
        spread_windows(m1, v, at + s * step, (m2 + 2) * step, work, s * width, 6 * width)
    for r in range(m1 + 2):
        spread_windows(m2, work, 6 * r * width, width, work, POINTS * width, width)
        for s in range(m2 + 2):
            o = to + rows_at[i + r] + columns_at[j + s]
            store_some(dx, o, left, load_some(dx, o, left) + load(work, (POINTS + s) * width))
