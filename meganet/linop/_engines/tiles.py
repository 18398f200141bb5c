"""The transforms of Winograd's 4x4 tiles, each a product with a small matrix over whole rows of pixels.

Tiles of an image of height H are rows ``4 i ... 4 i + 3``, the last one reaching beyond H if 4 does not divide it; a
tile's window are rows ``4 i - 1 ... 4 i + 4`` modulo H. Columns likewise. Images are (H, W, N, C) memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend

TILE, WINDOW, POINTS = 4, 6, 36
"""Outputs of a tile along one axis, inputs that they depend on, products of a tile."""

BT = np.array(
    [
        [1, 0, -5 / 4, 0, 1 / 4, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
G = np.array(
    [
        [1, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
AT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


@lru_cache(maxsize=2)
def _matrices(dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Return B', A', A, the rows 1 to 4 of B, and G (x) G in a dtype."""
    every = BT, AT, AT.T, BT.T[1:5], np.kron(G, G)
    return tuple(np.ascontiguousarray(matrix, dtype) for matrix in every)


def transformed_kernel(kernel: Array) -> Array:
    """Return ``G g G'`` of every channel pair, (36, O, I)."""
    gg = _matrices(kernel.dtype)[4]
    return (gg @ kernel.reshape(-1, 9).T).reshape(POINTS, *kernel.shape[:2])


def kernel_from_transformed(gradient: Array) -> Array:
    """Return ``G' u G`` of every channel pair, (O, I, 3, 3): the adjoint of `transformed_kernel`."""
    _, out_channels, in_channels = gradient.shape
    flat = gradient.reshape(POINTS, -1).T @ _matrices(gradient.dtype)[4]
    return flat.reshape(out_channels, in_channels, 3, 3)


def tile_count(size: int) -> int:
    """Return how many tiles cover an axis."""
    return -(-size // TILE)


class Block(NamedTuple):
    """Some examples and some rows of tiles: what is worked on at once."""

    examples: slice
    rows: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows of tiles and of examples."""
        return self.rows.stop - self.rows.start, self.examples.stop - self.examples.start


def blocks(backend: Backend, x: Array, kernel_shape: tuple[int, ...]) -> Iterator[Block]:
    """Yield blocks whose products stay in the processor's cache: many rows of few tiles, or the other way."""
    n, _, height, width = x.shape
    rows = tile_count(height)
    one = POINTS * tile_count(width) * max(kernel_shape[:2]) * x.dtype.itemsize
    budget = n * rows if backend.tile_bytes is None else max(1, backend.tile_bytes // one)
    for examples in _even_parts(n, budget):
        count = examples.stop - examples.start
        for part in _even_parts(rows, max(1, budget // count)):
            yield Block(examples, part)


def _even_parts(size: int, most: int) -> list[slice]:
    count = -(-size // most)
    return [slice(k * size // count, (k + 1) * size // count) for k in range(count)]


def transformed_input(x: Array, block: Block) -> Array:
    """Return ``B' d B`` of the windows of a block, (36, tiles * examples, C)."""
    rows, count = block.shape
    images = x.transpose(2, 3, 0, 1)[:, :, block.examples]
    height, width, _, channels = images.shape
    columns, length = tile_count(width), count * channels
    matrix = _matrices(x.dtype)[0]
    first, last = TILE * block.rows.start - 1, TILE * block.rows.stop + 1
    inside = first >= 0 and last <= height
    window_rows = images[first:last] if inside else images[np.arange(first, last) % height]
    pixels = window_rows.reshape(last - first, -1)
    # half[..., 1 + q, :] is column q; -1 and all from the width on are wrapped
    half = np.empty((rows, WINDOW, TILE * columns + 2, length), x.dtype)
    a, b = pixels.strides
    windows = np.ndarray((rows, WINDOW, pixels.shape[1]), x.dtype, pixels, strides=(TILE * a, a, b))
    np.matmul(matrix, windows, out=half[:, :, 1 : 1 + width].reshape(rows, WINDOW, -1))
    beyond = TILE * columns + 1 - width
    half[:, :, 0] = half[:, :, width]
    half[:, :, width + 1 :] = half[:, :, 1 : 1 + beyond]
    a, b, c, d = half.strides
    windows = np.ndarray((rows, WINDOW, columns, WINDOW, length), x.dtype, half, strides=(a, b, TILE * c, c, d))
    result = np.empty((WINDOW, WINDOW, rows, columns, length), x.dtype)
    np.matmul(matrix, windows, out=result.transpose(2, 0, 3, 1, 4))
    return result.reshape(POINTS, -1, channels)


def write_output(products: Array, y: Array, block: Block) -> None:
    """Write ``A' m A`` of the products (36, tiles * examples, C) of a block into image memory of whole tiles."""
    target = y[TILE * block.rows.start : TILE * block.rows.stop, :, block.examples]
    _, width, count, channels = target.shape
    rows, columns, length = block.shape[0], width // TILE, count * channels
    matrix = _matrices(y.dtype)[1]
    half = np.empty((TILE, WINDOW, rows, columns, length), y.dtype)
    # row by row: BLAS is slower at one long product, which it copies first
    lines = products.reshape(WINDOW, WINDOW, rows, -1).transpose(1, 2, 0, 3)
    np.matmul(matrix, lines, out=half.reshape(TILE, WINDOW, rows, -1).transpose(1, 2, 0, 3))
    band = target.reshape(rows, TILE, columns, TILE, length)
    np.matmul(matrix, half.transpose(2, 0, 3, 1, 4), out=band)


def transformed_output(y: Array, block: Block) -> Array:
    """Return ``A y A'`` of the tiles of a block, (36, tiles * examples, C): the adjoint of `write_output`."""
    rows, count = block.shape
    first, last = TILE * block.rows.start, TILE * block.rows.stop
    images = y.transpose(2, 3, 0, 1)[first:last, :, block.examples]
    height, width, _, channels = images.shape
    columns, length = tile_count(width), count * channels
    matrix = _matrices(y.dtype)[2]
    half = np.empty((rows, WINDOW, TILE * columns, length), y.dtype)
    inside = half[:, :, :width].reshape(rows, WINDOW, -1)
    # beyond the image y counts as zero: a last row of tiles that is not full has fewer factors, the columns are set
    full = height // TILE
    if full:
        np.matmul(matrix, images[: TILE * full].reshape(full, TILE, -1), out=inside[:full])
    if full < rows:
        rest = height - TILE * full
        np.matmul(matrix[:, :rest], images[TILE * full :].reshape(rest, -1), out=inside[full])
    half[:, :, width:] = 0
    result = np.empty((WINDOW, WINDOW, rows, columns, length), y.dtype)
    np.matmul(matrix, half.reshape(rows, WINDOW, columns, TILE, length), out=result.transpose(2, 0, 3, 1, 4))
    return result.reshape(POINTS, -1, channels)


class InputAdjoint:
    """``B m B'`` of blocks of products, summed over the windows that overlap: the adjoint of `transformed_input`.

    Rows 1 to 4 of a window are the tile's own pixels; row 0 belongs to the tile before and is ``m[0]``, row 5 to the
    tile after and is ``m[5]``, since these columns of B' have one entry, 1. Columns likewise.

    Parameters
    ----------
    dx : array, (H, W, N, C)
        Image memory, written by `add` and complete after `finish`.
    """

    def __init__(self, dx: Array) -> None:
        self.dx = dx
        self.matrix = _matrices(dx.dtype)[3]
        self.late: list[tuple[Array, Array]] = []

    def add(self, products: Array, block: Block) -> None:
        """Take the products (36, tiles * examples, C) of a block."""
        target = self.dx[:, :, block.examples]
        height, width, count, channels = target.shape
        rows, columns, length = block.shape[0], tile_count(width), count * channels
        values = products.reshape(WINDOW, WINDOW, rows, columns, length)
        half = np.empty((rows, WINDOW, TILE * columns, length), self.dx.dtype)
        tiles = half.reshape(rows, WINDOW, columns, TILE, length)
        np.matmul(self.matrix, values.transpose(2, 0, 3, 1, 4), out=tiles)
        before, after = values[:, 0].transpose(1, 0, 2, 3), values[:, 5].transpose(1, 0, 2, 3)
        tiles[:, :, :-1, 3] += before[:, :, 1:]
        tiles[:, :, 1:, 0] += after[:, :, :-1]
        half[:, :, width - 1] += before[:, :, 0]
        half[:, :, TILE * columns % width] += after[:, :, -1]
        if beyond := TILE * columns - width:
            half[:, :, :beyond] += half[:, :, width:]
        inside = half[:, :, :width].reshape(rows, WINDOW, -1)
        band = np.matmul(self.matrix, inside)
        band[:-1, 3] += inside[1:, 0]
        band[1:, 0] += inside[:-1, 5]
        band = band.reshape(TILE * rows, width, count, channels)
        first, last = TILE * block.rows.start, TILE * block.rows.stop
        stop = min(last, height)
        target[first:stop] = band[: stop - first]
        # rows of other blocks, which may not be written yet; copies, so that the rest of the work array can go
        edges = inside.reshape(rows, WINDOW, width, count, channels)
        outside = [((first - 1) % height, edges[0, 0]), (last % height, edges[-1, 5])]
        self.late += [(target[row], values.copy()) for row, values in outside]
        if stop < last:
            self.late.append((target[: last - stop], band[stop - first :].copy()))

    def finish(self) -> None:
        """Add what blocks gave to rows of other blocks."""
        for row, values in self.late:
            row += values
