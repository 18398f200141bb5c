"""Products and functions on the processor by compiled loops, where these are in use; else by NumPy's expressions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import loops
from meganet.backend.layout import Array, from_memory
from meganet.backend.loops.plans import lane_count, loops_of, optional, readable, work
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
        return _dense(x, kernel)

    def dense_gradients(self, record: Any, y: Array, in_kernel: Array, need_x: bool) -> Array | None:
        """Write the gradient of ``<y, K x>`` in the kernel into `in_kernel`; return the one in x if it is needed."""
        if not isinstance(record, DenseRecord):
            return super().dense_gradients(record, y, in_kernel, need_x)
        return _dense_gradients(record, y, in_kernel, need_x)

    def dense_adjoint(self, y: Array, kernel: Array) -> Array:
        """Return ``K' y``, images."""
        if not _dense_by_loops(kernel, y):
            return super().dense_adjoint(y, kernel)
        # the kernel's matrices are the record of no images
        nothing = _dense(np.empty((0, *kernel.shape[1:]), y.dtype), kernel)[1]
        record = nothing._replace(sizes=_dense_sizes(y.shape[0], kernel.shape))
        return _dense_gradients(record, y, None, True)

    def dense_kernel_adjoint(self, x: Array, y: Array, in_kernel: Array) -> None:
        """Write the gradient of ``<y, K x>`` in the kernel into `in_kernel`."""
        if not _dense_by_loops(in_kernel, x, y):
            return super().dense_kernel_adjoint(x, y, in_kernel)
        sizes = _dense_sizes(x.shape[0], in_kernel.shape)
        record = DenseRecord(readable(_exchanged(x)), optional(None, x.dtype), in_kernel.shape, sizes)
        _dense_gradients(record, y, in_kernel, False)
        return None

    def pool(self, x: Array, factor: tuple[int, int]) -> Array:
        """Return the means over blocks of images."""
        if not _in_memory_order(x):
            return super().pool(x, factor)
        n, channels, height, width = x.shape
        y = np.empty((height // factor[0], width // factor[1], n, channels), x.dtype)
        loops_of("images").pool(readable(_exchanged(x)), y.reshape(-1), *y.shape[:2], n * channels, *factor)
        return from_memory(y)

    def pool_adjoint(self, y: Array, factor: tuple[int, int]) -> Array:
        """Return the adjoint of `pool`."""
        if not _in_memory_order(y):
            return super().pool_adjoint(y, factor)
        n, channels, height, width = y.shape
        x = np.empty((factor[0] * height, factor[1] * width, n, channels), y.dtype)
        loops_of("images").pool_adjoint(readable(_exchanged(y)), x.reshape(-1), height, width, n * channels, *factor)
        return from_memory(x)

    def penalty(self, operator: Any, alpha: float, x: Array) -> tuple[Array, Array]:
        """Return ``alpha/2 ||B x||^2`` and its gradient: of differences between pixels by one loop."""
        if operator.image_differences is None or not _serve(x):
            return super().penalty(operator, alpha, x)
        stacked = x.ndim > len(operator.domain_shape)
        gradient = np.empty(x.shape, x.dtype)
        parts = zip(x, gradient, strict=True) if stacked else [(x, gradient)]
        loop, numbers = loops_of("images").gradient_penalty, (*x.shape[-2:], alpha, *operator.image_differences)
        values = [0.5 * loop(readable(one), written.reshape(-1), *numbers) for one, written in parts]
        return (np.array(values, x.dtype) if stacked else x.dtype.type(values[0])), gradient

    def cross_entropy(self, logits: Array, labels: Array) -> Array:
        """Return the mean cross-entropy."""
        if not _are_logits(logits, labels):
            return super().cross_entropy(logits, labels)
        return _cross_entropy(logits, labels, np.empty(0, logits.dtype))

    def cross_entropy_and_gradient(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean cross-entropy and its gradient in the logits."""
        if not _are_logits(logits, labels):
            return super().cross_entropy_and_gradient(logits, labels)
        gradient = np.empty(logits.shape, logits.dtype)
        return _cross_entropy(logits, labels, gradient.reshape(-1)), gradient

    def momentum_step(
        self, x: Array, gradient: Array, velocity: Array | None, rate: float, momentum: float
    ) -> tuple[Array, Array | None]:
        """Return ``x - d`` and ``d = rate gradient + momentum velocity``; None for it without a velocity."""
        if velocity is not None or x.shape != gradient.shape or not _serve(x, gradient):
            return super().momentum_step(x, gradient, velocity, rate, momentum)
        moved = np.empty(x.shape, x.dtype)
        loops_of("flat").move(readable(x), readable(gradient), moved.reshape(-1), rate)
        return moved, None


def _serve(*arrays: Array) -> bool:
    """Whether there are loops for arrays: all of the same dtype, float32 or float64, and not empty."""
    dtype = arrays[0].dtype
    known = dtype == np.float32 or dtype == np.float64
    return known and loops.in_use() and all(array.dtype == dtype and array.size for array in arrays)


def _in_memory_order(images: Array) -> bool:
    """Whether there are loops for images (N, C, H, W): for those in the order that products write."""
    return images.ndim == 4 and _serve(images) and bool(_exchanged(images).flags.c_contiguous)


def _exchanged(images: Array) -> Array:
    return images.transpose(2, 3, 0, 1)


def _are_logits(logits: Array, labels: Array) -> bool:
    return logits.ndim == 2 and labels.shape == logits.shape[:1] and labels.dtype == np.int64 and _serve(logits)


def _cross_entropy(logits: Array, labels: Array, gradient: Array) -> Any:
    value = loops_of("flat").cross_entropy(readable(logits), readable(labels), gradient, logits.shape[1])
    return logits.dtype.type(value)


def _dense_by_loops(kernel: Array, *others: Array) -> bool:
    """Whether there are loops for a dense matrix (K, C, H, W): not for a stack, nor for what is no image."""
    if kernel.ndim != 4 or kernel.shape[2] * kernel.shape[3] == 1 or not _serve(kernel, *others):
        return False
    # with other channels BLAS does better than registers in part empty
    return kernel.shape[1] % lane_count(kernel.dtype) == 0


@lru_cache(maxsize=64)
def _dense_sizes(n: int, kernel_shape: tuple[int, ...]) -> Any:
    outputs, channels, height, width = kernel_shape
    return loops_of("dense").Sizes(n, outputs, channels, height * width)


def _dense(x: Array, kernel: Array) -> tuple[Array, DenseRecord]:
    sizes = _dense_sizes(x.shape[0], kernel.shape)
    images, y = readable(_exchanged(x)), np.empty((sizes.n, sizes.outputs), x.dtype)
    matrices = np.empty(kernel.size, x.dtype)
    sums = work("dense sums", y.size * lane_count(x.dtype), x.dtype)
    loops_of("dense").forward(images, readable(kernel), y.reshape(-1), sizes, matrices, sums)
    return y, DenseRecord(images, readable(matrices), kernel.shape, sizes)


def _dense_gradients(record: DenseRecord, y: Array, in_kernel: Array | None, need_x: bool) -> Any:
    """Write the gradient in the kernel, unless it is None, and return the one in the images if it is needed."""
    images, matrices, shape, sizes = record
    in_x = np.empty((*shape[2:], sizes.n, sizes.channels) if need_x else 0, y.dtype)
    gradient = np.empty(0, y.dtype) if in_kernel is None else np.ascontiguousarray(in_kernel)
    module = loops_of("dense")
    block = work("dense gradient", module.PIXELS * sizes.outputs * sizes.channels, y.dtype)
    flat = gradient.reshape(-1), in_x.reshape(-1)
    module.gradients(images, matrices, readable(y), *flat, sizes, block)
    if in_kernel is not None and gradient is not in_kernel:
        in_kernel[...] = gradient
    return from_memory(in_x) if need_x else None
