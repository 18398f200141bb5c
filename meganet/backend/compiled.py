"""Products and functions on the processor by compiled loops, where these are in use; else by NumPy's expressions."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import loops
from meganet.backend.layout import Array, from_memory
from meganet.backend.loops.plans import readable, work
from meganet.backend.products import Products


class DenseRecord(NamedTuple):
    """What the gradients of a dense matrix need: images and kernel as matrices for each pixel."""

    images: Array
    matrices: Array
    kernel_shape: tuple[int, ...]
    sizes: Any


class CompiledProducts(Products):
    """The same as `Products`, for NumPy arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend import loops
    >>> backend, x = mn.get_backend("numpy"), np.random.default_rng(0).standard_normal((5, 3, 8, 8))
    >>> with loops.use_loops(False):
    ...     expected = backend.pool(x, (2, 2))
    >>> bool(np.allclose(backend.pool(x, (2, 2)), expected))
    True
    """

    def dense(self, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``y[n, k] = <kernel[k], x[n]>`` and what `dense_gradients` needs."""
        if not _dense_by_loops(kernel, x):
            return super().dense(x, kernel)
        sizes = _dense_sizes(x.shape[0], kernel.shape)
        images, y = readable(x.transpose(2, 3, 0, 1)), np.empty((sizes.n, sizes.outputs), x.dtype)
        matrices = _empty_matrices(sizes, x.dtype)
        sums = work("dense sums", y.size * _lanes(x.dtype), x.dtype)
        _loops("dense").forward(images, readable(kernel), y.reshape(-1), sizes, matrices, sums)
        return y, DenseRecord(images, readable(matrices), kernel.shape, sizes)

    def dense_gradients(self, record: Any, y: Array, in_kernel: Array, need_x: bool) -> Array | None:
        """Write the gradient of ``<y, K x>`` in the kernel into `in_kernel`; return the one in x if it is needed."""
        if not isinstance(record, DenseRecord):
            return super().dense_gradients(record, y, in_kernel, need_x)
        return _dense_gradients(record, y, in_kernel, need_x)

    def dense_adjoint(self, y: Array, kernel: Array) -> Array:
        """Return ``K' y``, images."""
        if not _dense_by_loops(kernel, y):
            return super().dense_adjoint(y, kernel)
        sizes = _dense_sizes(y.shape[0], kernel.shape)
        matrices = _empty_matrices(sizes, y.dtype)
        _loops("dense").matrices_of(readable(kernel), sizes, matrices)
        record = DenseRecord(_nothing(y.dtype), readable(matrices), kernel.shape, sizes)
        return _dense_gradients(record, y, None, True)

    def dense_kernel_adjoint(self, x: Array, y: Array, in_kernel: Array) -> None:
        """Write the gradient of ``<y, K x>`` in the kernel into `in_kernel`."""
        if not _dense_by_loops(in_kernel, x, y):
            return super().dense_kernel_adjoint(x, y, in_kernel)
        sizes = _dense_sizes(x.shape[0], in_kernel.shape)
        record = DenseRecord(readable(x.transpose(2, 3, 0, 1)), _nothing(x.dtype), in_kernel.shape, sizes)
        _dense_gradients(record, y, in_kernel, False)
        return None


def _serve(*arrays: Array) -> bool:
    """Whether there are loops for arrays: all of the same dtype, float32 or float64, and not empty."""
    dtype = arrays[0].dtype
    known = dtype == np.float32 or dtype == np.float64
    return known and loops.in_use() and all(array.dtype == dtype and array.size for array in arrays)


@lru_cache(maxsize=16)
def _loops(name: str) -> Any:
    """Return a module of loops, which imports numba."""
    return import_module(f"meganet.backend.loops.{name}")


@lru_cache(maxsize=2)
def _lanes(dtype: np.dtype[Any]) -> int:
    return int(_loops("vectors").REGISTER_BYTES // dtype.itemsize)


@lru_cache(maxsize=2)
def _nothing(dtype: np.dtype[Any]) -> Array:
    return readable(np.empty(0, dtype))


def _dense_by_loops(kernel: Array, *others: Array) -> bool:
    """Whether there are loops for a dense matrix (K, C, H, W): not for a stack, nor for what is no image."""
    if kernel.ndim != 4 or kernel.shape[2] * kernel.shape[3] == 1 or not _serve(kernel, *others):
        return False
    # with other channels BLAS does better than registers in part empty
    return kernel.shape[1] % _lanes(kernel.dtype) == 0


@lru_cache(maxsize=64)
def _dense_sizes(n: int, kernel_shape: tuple[int, ...]) -> Any:
    outputs, channels, height, width = kernel_shape
    return _loops("dense").Sizes(n, outputs, channels, height * width)


def _empty_matrices(sizes: Any, dtype: Any) -> Array:
    return np.empty(sizes.pixels * sizes.outputs * sizes.channels, dtype)


def _dense_gradients(record: DenseRecord, y: Array, in_kernel: Array | None, need_x: bool) -> Any:
    """Write the gradient in the kernel, unless it is None, and return the one in the images if it is needed."""
    images, matrices, shape, sizes = record
    in_x = np.empty((*shape[2:], sizes.n, sizes.channels) if need_x else 0, y.dtype)
    gradient = np.empty(0, y.dtype) if in_kernel is None else np.ascontiguousarray(in_kernel)
    module = _loops("dense")
    block = work("dense gradient", module.PIXELS * sizes.outputs * sizes.channels, y.dtype)
    flat = gradient.reshape(-1), in_x.reshape(-1)
    module.gradients(images, matrices, readable(y), *flat, sizes, block, readable(block))
    if in_kernel is not None and gradient is not in_kernel:
        in_kernel[...] = gradient
    return from_memory(in_x) if need_x else None
