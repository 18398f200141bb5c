"""Matrix products made of tiles that fill the processor's registers.

A tile is six rows of two registers each: twelve sums, which stay in registers while a column of the first and a row of
the second matrix are read for each of their terms. Both matrices are read where they lie, nothing is packed: the first
by two tables of addresses, of its rows and of its terms, so that it may also be a matrix of shifted pixels.
"""

from __future__ import annotations

from typing import Any

from meganet.backend.loops.compiler import part
from meganet.backend.loops.vectors import fma, lanes, load, load_first, spread, store, store_first, zeros

ROWS = 6
"""Rows of a tile."""


@part
def product(
    a: Any,
    a0: int,
    rows: Any,
    terms: Any,
    b: Any,
    b0: int,
    b_step: int,
    c: Any,
    c0: int,
    c_step: int,
    row_count: int,
    count: int,
    columns: int,
    add: bool,
) -> None:
    """Write, or with `add` add, ``c[r, j] = sum_k a[r, k] b[k, j]`` for r < row_count, k < count, j < columns.

    ``a[r, k]`` is at ``a0 + rows[r] + terms[k]``, ``b[k, j]`` at ``b0 + k b_step + j``, where as many numbers may be
    read as fill registers, and ``c[r, j]`` at ``c0 + r c_step + j``.
    """
    width = lanes(b)
    for j in range(0, columns, 2 * width):
        left = columns - j
        for r in range(0, row_count, ROWS):
            # beyond the last row the same row again: the same sum is written once more
            i1, i2, i3 = min(r + 1, row_count - 1), min(r + 2, row_count - 1), min(r + 3, row_count - 1)
            i4, i5 = min(r + 4, row_count - 1), min(r + 5, row_count - 1)
            a1, a2, a3, a4, a5 = a0 + rows[i1], a0 + rows[i2], a0 + rows[i3], a0 + rows[i4], a0 + rows[i5]
            s0 = s1 = s2 = s3 = s4 = s5 = t0 = t1 = t2 = t3 = t4 = t5 = zeros(b)
            p, q = a0 + rows[r], b0 + j
            if left > width:
                for k in range(count):
                    u, v, term = load(b, q), load(b, q + width), terms[k]
                    x = spread(a, p + term)
                    s0, t0 = fma(x, u, s0), fma(x, v, t0)
                    x = spread(a, a1 + term)
                    s1, t1 = fma(x, u, s1), fma(x, v, t1)
                    x = spread(a, a2 + term)
                    s2, t2 = fma(x, u, s2), fma(x, v, t2)
                    x = spread(a, a3 + term)
                    s3, t3 = fma(x, u, s3), fma(x, v, t3)
                    x = spread(a, a4 + term)
                    s4, t4 = fma(x, u, s4), fma(x, v, t4)
                    x = spread(a, a5 + term)
                    s5, t5 = fma(x, u, s5), fma(x, v, t5)
                    q += b_step
            else:
                for k in range(count):
                    u, term = load(b, q), terms[k]
                    s0, s1 = fma(spread(a, p + term), u, s0), fma(spread(a, a1 + term), u, s1)
                    s2, s3 = fma(spread(a, a2 + term), u, s2), fma(spread(a, a3 + term), u, s3)
                    s4, s5 = fma(spread(a, a4 + term), u, s4), fma(spread(a, a5 + term), u, s5)
                    q += b_step
            out = c0 + j
            if add:
                # all before any is written, as rows may be repeated
                s0, t0 = _plus(c, out + r * c_step, left, s0, t0)
                s1, t1 = _plus(c, out + i1 * c_step, left, s1, t1)
                s2, t2 = _plus(c, out + i2 * c_step, left, s2, t2)
                s3, t3 = _plus(c, out + i3 * c_step, left, s3, t3)
                s4, t4 = _plus(c, out + i4 * c_step, left, s4, t4)
                s5, t5 = _plus(c, out + i5 * c_step, left, s5, t5)
            _write(c, out + r * c_step, left, s0, t0)
            _write(c, out + i1 * c_step, left, s1, t1)
            _write(c, out + i2 * c_step, left, s2, t2)
            _write(c, out + i3 * c_step, left, s3, t3)
            _write(c, out + i4 * c_step, left, s4, t4)
            _write(c, out + i5 * c_step, left, s5, t5)


@part
def _plus(c: Any, at: int, left: int, s: Any, t: Any) -> Any:
    """Return two registers of sums with the `left` numbers added that are there."""
    width = lanes(c)
    if left >= 2 * width:
        return load(c, at) + s, load(c, at + width) + t
    if left > width:
        return load(c, at) + s, load_first(c, at + width, left - width) + t
    return load_first(c, at, left) + s, t


@part
def _write(c: Any, at: int, left: int, s: Any, t: Any) -> None:
    """Write the first `left` numbers of two registers."""
    width = lanes(c)
    if left >= 2 * width:
        store(c, at, s)
        store(c, at + width, t)
    elif left > width:
        store(c, at, s)
        store_first(c, at + width, left - width, t)
    else:
        store_first(c, at, left, s)
