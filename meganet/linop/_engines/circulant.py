"""The explicit circulant matrix: the definition of the convolution, and an engine that multiplies with it."""

from __future__ import annotations

import math
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend
from meganet.linop._engines.base import Engine


class SparseEngine(Engine):
    """The explicit circulant matrix, assembled for each kernel from a stored pattern."""

    name = "sparse"

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        matrix = circulant_matrix(backend, kernel, x.shape[2:])
        flat = x.reshape(x.shape[0], -1)
        return (matrix @ flat.T).T.reshape(x.shape[0], kernel.shape[0], *x.shape[2:])

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>``: a scatter of ``y[row] x[column]`` to the parameters."""
        pattern = _pattern(backend, tuple(kernel_shape), tuple(x.shape[2:]))
        products = backend.xp.zeros(pattern.parameter.shape, dtype=x.dtype)
        flat_x, flat_y = x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1)
        for n in range(x.shape[0]):
            products += flat_y[n][pattern.rows] * flat_x[n][pattern.indices]
        size = int(np.prod(kernel_shape))
        gradient = backend.xp.bincount(pattern.parameter, weights=products, minlength=size)
        return gradient.astype(x.dtype, copy=False).reshape(kernel_shape)


class CirculantPattern:
    """CSR structure of the circulant matrix, with the number of the parameter at every nonzero.

    Row (o, i, j) holds, at column (c, i + d1 (a - k1 // 2), j + d2 (b - k2 // 2)) taken modulo the image, the parameter
    number of kernel entry (o, c, a, b) in C order, for the dilation (d1, d2); of videos there is one axis more. Columns
    are sorted and occur once, so the matrix is canonical.
    """

    def __init__(
        self, kernel_shape: tuple[int, ...], image_shape: tuple[int, ...], dilation: tuple[int, ...] = (1, 1)
    ) -> None:
        out_channels, in_channels, *stencil = kernel_shape
        axes, pixels = len(image_shape), math.prod(image_shape)
        numbers = np.ogrid[tuple(map(slice, (out_channels, *image_shape, in_channels, *stencil)))]
        o, places, c, entries = numbers[0], numbers[1 : 1 + axes], numbers[1 + axes], numbers[2 + axes :]
        row, column, parameter = o, c, o * in_channels + c
        for n, k, d, i, a in zip(image_shape, stencil, dilation, places, entries, strict=True):
            row = row * n + i
            column = column * n + (i + d * (a - k // 2)) % n
            parameter = parameter * k + a
        self.shape = (out_channels * pixels, in_channels * pixels)
        row, column, parameter = (v.ravel() for v in np.broadcast_arrays(row, column, parameter))
        # numbering from 1 keeps parameter 0 from looking like an empty entry
        pattern = scipy.sparse.coo_array((parameter + 1, (row, column)), shape=self.shape).tocsr()
        pattern.sort_indices()
        self.indices, self.indptr = pattern.indices, pattern.indptr
        self.parameter = (pattern.data - 1).astype(self.indices.dtype)
        self.rows = np.repeat(np.arange(self.shape[0], dtype=self.indices.dtype), np.diff(self.indptr))


@lru_cache(maxsize=4)
def _pattern(
    backend: Backend, kernel_shape: tuple[int, ...], image_shape: tuple[int, ...], dilation: tuple[int, ...] = (1, 1)
) -> CirculantPattern:
    pattern = CirculantPattern(kernel_shape, image_shape, dilation)
    for name in ("indices", "indptr", "parameter", "rows"):
        setattr(pattern, name, backend.asarray(getattr(pattern, name)))
    return pattern


# more than the layers of one network: a recorded step holds the addresses
@lru_cache(maxsize=64)
def device_pattern(backend: Backend, kernel_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> Any:
    """Return the pattern as a device's kernels take it, with the places of the nonzeros parameter by parameter too."""
    pattern = CirculantPattern(kernel_shape, image_shape)
    order = np.argsort(pattern.parameter, kind="stable")
    return SimpleNamespace(
        shape=pattern.shape,
        indices=backend.asarray(pattern.indices, np.int32),
        indptr=backend.asarray(pattern.indptr, np.int64),
        parameter=backend.asarray(pattern.parameter),
        sorted_rows=backend.asarray(pattern.rows[order], np.int32),
        sorted_columns=backend.asarray(pattern.indices[order], np.int32),
    )


def circulant_matrix(
    backend: Backend, kernel: Array, image_shape: tuple[int, ...], dilation: tuple[int, ...] = (1, 1)
) -> Any:
    """Return ``K(kernel)`` as a sparse matrix: a gather of the kernel's numbers into the stored pattern."""
    pattern = _pattern(backend, tuple(kernel.shape), tuple(image_shape), dilation)
    data = kernel.reshape(-1)[pattern.parameter]
    # copies: the caller may change the matrix in place, the stored pattern serves the next kernel
    return backend.sparse.csr_array((data, pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape)
