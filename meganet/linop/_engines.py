"""How a periodic convolution is computed. Readers of the mathematics need not come here.

Two engines compute the same two products, of images ``x`` (N, I, H, W), ``y`` (N, O, H, W) and a kernel
(O, I, k1, k2):

* `correlate`: ``K(kernel) x``,
* `kernel_gradient`: the kernel's gradient of ``<y, K(kernel) x>``.

The adjoint in ``x`` needs no product of its own: ``K(kernel)' = K(adjoint_kernel(kernel))``.

*tiled* gathers the shifted copies of a few image rows (at least one) into a buffer, small enough for the cache at usual
batch sizes, and multiplies it with the kernel by one dense product. *sparse* multiplies with the explicit circulant
matrix, which is the definition. Both have the accuracy of a sum of ``I k1 k2`` products: a relative error of a few
units of round-off.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend
from meganet.linop._layout import from_memory, to_memory


def adjoint_kernel(kernel: Array) -> Array:
    """Return the kernel of the adjoint: both image axes flipped, channels exchanged."""
    return kernel[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)


class TiledEngine:
    """Row tiles of shifted copies times the kernel matrix."""

    @staticmethod
    def correlate(backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        out_channels, _, k1, k2 = kernel.shape
        n, _, height, width = x.shape
        xp = backend.xp
        matrix = xp.ascontiguousarray(kernel.transpose(2, 3, 1, 0)).reshape(-1, out_channels)
        y = xp.empty((height, n, width, out_channels), dtype=x.dtype)
        for rows, columns in _tiles(backend, x, (k1, k2)):
            xp.matmul(columns, matrix, out=y[rows].reshape(-1, out_channels))
        return from_memory(y)

    @staticmethod
    def kernel_gradient(backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        out_channels, in_channels, k1, k2 = kernel_shape
        xp = backend.xp
        memory = to_memory(backend, y)
        gradient = xp.zeros((k1 * k2 * in_channels, out_channels), dtype=x.dtype)
        for rows, columns in _tiles(backend, x, (k1, k2)):
            gradient += xp.matmul(columns.T, memory[rows].reshape(-1, out_channels))
        return xp.ascontiguousarray(gradient.reshape(k1, k2, in_channels, out_channels).transpose(3, 2, 0, 1))


def _wrapped(backend: Backend, x: Array, r1: int, r2: int) -> Array:
    """Return (H + 2 r1, N, W + 2 r2, C) memory: the images with their periodic continuation."""
    memory = to_memory(backend, x)
    height, n, width, channels = memory.shape
    out = backend.xp.empty((height + 2 * r1, n, width + 2 * r2, channels), dtype=x.dtype)
    out[r1 : r1 + height, :, r2 : r2 + width] = memory
    out[:r1, :, r2 : r2 + width] = memory[height - r1 :]
    out[r1 + height :, :, r2 : r2 + width] = memory[:r1]
    out[:, :, :r2] = out[:, :, width : width + r2]
    out[:, :, r2 + width :] = out[:, :, r2 : 2 * r2]
    return out


def _tiles(backend: Backend, x: Array, kernel_size: tuple[int, int]) -> Iterator[tuple[slice, Array]]:
    """Yield row ranges with their shifted copies, an array (rows * N * W, k1 * k2 * C) overwritten by the next."""
    (k1, k2), (n, channels, height, width) = kernel_size, x.shape
    xp = backend.xp
    padded = _wrapped(backend, x, k1 // 2, k2 // 2)
    windows = xp.lib.stride_tricks.sliding_window_view(padded, (k1, k2), axis=(0, 2)).transpose(0, 1, 2, 4, 5, 3)
    row_bytes = n * width * k1 * k2 * channels * x.dtype.itemsize
    step = height if backend.tile_bytes is None else max(1, min(height, backend.tile_bytes // row_bytes))
    buffer = xp.empty((step, n, width, k1, k2, channels), dtype=x.dtype)
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        tile = buffer[: rows.stop - start]
        tile[...] = windows[rows]
        yield rows, tile.reshape(-1, k1 * k2 * channels)


class SparseEngine:
    """The explicit circulant matrix, assembled for each kernel from a stored pattern."""

    @staticmethod
    def correlate(backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        matrix = circulant_matrix(backend, kernel, x.shape[2:])
        flat = x.reshape(x.shape[0], -1)
        return (matrix @ flat.T).T.reshape(x.shape[0], kernel.shape[0], *x.shape[2:])

    @staticmethod
    def kernel_gradient(backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>``: a scatter of ``y[row] x[column]`` to the parameters.

        On a GPU the scatter adds in no fixed order, so there the last bit may differ from run to run.
        """
        pattern = _device_pattern(backend, tuple(kernel_shape), tuple(x.shape[2:]))
        products = backend.xp.zeros(pattern.parameter.shape, dtype=x.dtype)
        flat_x, flat_y = x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1)
        for n in range(x.shape[0]):
            products += flat_y[n][pattern.rows] * flat_x[n][pattern.indices]
        size = int(np.prod(kernel_shape))
        gradient = backend.xp.bincount(pattern.parameter, weights=products, minlength=size)
        return gradient.astype(x.dtype, copy=False).reshape(kernel_shape)


ENGINES: dict[str, Any] = {"tiled": TiledEngine, "sparse": SparseEngine}


class CirculantPattern:
    """CSR structure of the circulant matrix, with the number of the parameter at every nonzero.

    Row (o, i, j) holds, at column (c, i + a - k1 // 2, j + b - k2 // 2) taken modulo the image, the parameter number
    of kernel entry (o, c, a, b) in C order. Columns are sorted and occur once, so the matrix is canonical.
    """

    def __init__(self, kernel_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
        out_channels, in_channels, k1, k2 = kernel_shape
        height, width = image_shape
        o, i, j, c, a, b = np.ogrid[:out_channels, :height, :width, :in_channels, :k1, :k2]
        row = (o * height + i) * width + j
        column = (c * height + (i + a - k1 // 2) % height) * width + (j + b - k2 // 2) % width
        parameter = ((o * in_channels + c) * k1 + a) * k2 + b
        self.shape = (out_channels * height * width, in_channels * height * width)
        row, column, parameter = (v.ravel() for v in np.broadcast_arrays(row, column, parameter))
        # numbering from 1 keeps parameter 0 from looking like an empty entry
        pattern = scipy.sparse.coo_array((parameter + 1, (row, column)), shape=self.shape).tocsr()
        pattern.sort_indices()
        self.indices, self.indptr = pattern.indices, pattern.indptr
        self.parameter = (pattern.data - 1).astype(self.indices.dtype)
        self.rows = np.repeat(np.arange(self.shape[0], dtype=self.indices.dtype), np.diff(self.indptr))


@lru_cache(maxsize=4)
def _device_pattern(backend: Backend, kernel_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> CirculantPattern:
    pattern = CirculantPattern(kernel_shape, image_shape)
    for name in ("indices", "indptr", "parameter", "rows"):
        setattr(pattern, name, backend.asarray(getattr(pattern, name)))
    return pattern


def circulant_matrix(backend: Backend, kernel: Array, image_shape: tuple[int, ...]) -> Any:
    """Return ``K(kernel)`` as a sparse matrix: a gather of the kernel's numbers into the stored pattern."""
    pattern = _device_pattern(backend, tuple(kernel.shape), tuple(image_shape))
    data = kernel.reshape(-1)[pattern.parameter]
    # copies: the caller may change the matrix in place, the stored pattern serves the next kernel
    return backend.sparse.csr_array((data, pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape)
