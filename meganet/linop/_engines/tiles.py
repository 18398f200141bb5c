"""The transforms of Winograd's 4x4 tiles, each a product with a small matrix over whole rows of pixels.

Tiles of an image of height H are rows ``4 i ... 4 i + 3``, the last one reaching beyond H if 4 does not divide it; a
tile's window are rows ``4 i - 1 ... 4 i + 4`` modulo H. Columns likewise. Images are (H, W, N, C) memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

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
GG = np.kron(G, G)


def transformed_kernel(kernel: Array) -> Array:
    """Return ``G g G'`` of every channel pair, (36, O, I)."""
    return (GG.astype(kernel.dtype) @ kernel.reshape(-1, 9).T).reshape(POINTS, *kernel.shape[:2])


def kernel_from_transformed(gradient: Array) -> Array:
    """Return ``G' u G`` of every channel pair, (O, I, 3, 3): the adjoint of `transformed_kernel`."""
    _, out_channels, in_channels = gradient.shape
    flat = gradient.reshape(POINTS, -1).T @ GG.astype(gradient.dtype)
    return flat.reshape(out_channels, in_channels, 3, 3)


def tile_count(size: int) -> int:
    """Return how many tiles cover an axis."""
    return -(-size // TILE)


def example_chunks(backend: Backend, x: Array, kernel_shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield ranges of examples whose products, for one row of tiles, stay in the processor's cache."""
    n, _, _, width = x.shape
    row_bytes = POINTS * tile_count(width) * max(kernel_shape[:2]) * x.dtype.itemsize
    most = n if backend.tile_bytes is None else max(1, backend.tile_bytes // row_bytes)
    count = -(-n // most)
    for k in range(count):
        yield slice(k * n // count, (k + 1) * n // count)


class InputTransform:
    """``B' d B`` of the windows of some examples' images, one row of tiles at a time."""

    def __init__(self, x: Array, examples: slice) -> None:
        self.images = x.transpose(2, 3, 0, 1)[:, :, examples]
        _, self.width, count, channels = self.images.shape
        self.length, self.columns = count * channels, tile_count(self.width)
        self.matrix = BT.astype(x.dtype)
        padded = TILE * self.columns + 2
        self.half = np.empty((WINDOW, padded, self.length), x.dtype)
        # half[:, 1 + q] is column q; -1 and all from the width on are wrapped
        self.wrapped = [(q + 1, q % self.width + 1) for q in (-1, *range(self.width, padded - 1))]
        a, b, c = self.half.strides
        self.windows = as_strided(self.half, (WINDOW, self.columns, WINDOW, self.length), (a, TILE * b, b, c))
        self.shape = (WINDOW, WINDOW, self.columns, self.length)

    def row(self, i: int, out: Array) -> None:
        """Write the transformed windows of tile row `i`, (6, 6, tile columns, examples * C)."""
        start, height = TILE * i - 1, self.images.shape[0]
        inside = start >= 0 and start + WINDOW <= height
        rows = slice(start, start + WINDOW) if inside else np.arange(start, start + WINDOW) % height
        middle = self.half[:, 1 : 1 + self.width].reshape(WINDOW, -1)
        np.matmul(self.matrix, self.images[rows].reshape(WINDOW, -1), out=middle)
        for target, source in self.wrapped:
            self.half[:, target] = self.half[:, source]
        np.matmul(self.matrix, self.windows, out=out.transpose(0, 2, 1, 3))


class OutputTransform:
    """``A' m A`` of the products of some examples: rows of image memory."""

    def __init__(self, y: Array, examples: slice) -> None:
        self.target = y[:, :, examples]
        _, columns, count, channels = self.target.shape
        self.matrix = AT.astype(y.dtype)
        self.products = np.empty((POINTS, columns // TILE * count, channels), y.dtype)
        self.half = np.empty((TILE, WINDOW, columns // TILE, count * channels), y.dtype)

    def row(self, i: int) -> None:
        """Write the images of tile row `i` from `products`."""
        np.matmul(self.matrix, self.products.reshape(WINDOW, -1), out=self.half.reshape(TILE, -1))
        band = self.target[TILE * i : TILE * (i + 1)].reshape(TILE, -1, TILE, self.half.shape[3])
        np.matmul(self.matrix, self.half.transpose(0, 2, 1, 3), out=band)


class OutputAdjoint:
    """``A y A'`` of the tiles of some examples' images."""

    def __init__(self, y: Array, examples: slice) -> None:
        images = y.transpose(2, 3, 0, 1)[:, :, examples]
        height, width, count, channels = images.shape
        rows, columns = tile_count(height), tile_count(width)
        if height % TILE or width % TILE:
            whole = np.zeros((TILE * rows, TILE * columns, count, channels), y.dtype)
            whole[:height, :width] = images
            images = whole
        self.images, self.matrix = images, np.ascontiguousarray(AT.T, y.dtype)
        self.half = np.empty((WINDOW, columns, TILE, count * channels), y.dtype)
        self.result = np.empty((WINDOW, WINDOW, columns, count * channels), y.dtype)
        self.products = self.result.reshape(POINTS, columns * count, channels)

    def row(self, i: int) -> Array:
        """Return the products of tile row `i`, (36, tile columns * examples, C); the next call overwrites them."""
        band = self.images[TILE * i : TILE * (i + 1)].reshape(TILE, -1)
        np.matmul(self.matrix, band, out=self.half.reshape(WINDOW, -1))
        np.matmul(self.matrix, self.half, out=self.result.transpose(0, 2, 1, 3))
        return self.products


class InputAdjoint:
    """``B m B'`` of the products of some examples, summed over the windows that overlap.

    Rows 1 to 4 of a window are the tile's own pixels; row 0 belongs to the tile before and is ``m[0]``, row 5 to the
    tile after and is ``m[5]``, since these columns of B' have one entry, 1.
    """

    def __init__(self, dx: Array, examples: slice) -> None:
        self.target = dx[:, :, examples]
        height, self.width, count, channels = self.target.shape
        self.rows, self.columns = tile_count(height), tile_count(self.width)
        self.matrix = np.ascontiguousarray(BT.T[1:5], dx.dtype)
        self.values = np.empty((WINDOW, WINDOW, self.columns, count * channels), dx.dtype)
        self.products = self.values.reshape(POINTS, self.columns * count, channels)
        self.half = np.empty((WINDOW, self.columns, TILE, count * channels), dx.dtype)
        self.late: list[tuple[int, Array]] = []

    def row(self, i: int) -> None:
        """Add `products` of tile row `i` to the images; rows of other tiles are kept for `finish`."""
        half, values, width = self.half, self.values, self.width
        np.matmul(self.matrix, values.transpose(0, 2, 1, 3), out=half)
        half[:, :-1, 3] += values[:, 0, 1:]
        half[:, 1:, 0] += values[:, 5, :-1]
        pixels = half.reshape(WINDOW, TILE * self.columns, -1)
        pixels[:, width - 1] += values[:, 0, 0]
        pixels[:, TILE * self.columns % width] += values[:, 5, -1]
        for q in range(width, TILE * self.columns):
            pixels[:, q - width] += pixels[:, q]
        inside = pixels[:, :width].reshape(WINDOW, -1)
        height = self.target.shape[0]
        band = np.matmul(self.matrix, inside).reshape(TILE, *self.target.shape[1:])
        stop = min(TILE * (i + 1), height)
        self.target[TILE * i : stop] = band[: stop - TILE * i]
        edges = inside[[0, 5]].reshape(2, *self.target.shape[1:])
        self.late += [((TILE * i - 1) % height, edges[0]), (TILE * (i + 1) % height, edges[1])]
        self.late += [(p - height, band[p - TILE * i]) for p in range(stop, TILE * (i + 1))]

    def finish(self) -> None:
        """Add what belongs to rows of other tiles."""
        for row, values in self.late:
            self.target[row] += values
