"""Convolution as a sum of shifted images times the kernel's matrices, for any kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, to_memory
from meganet.linop._engines.base import Engine

GATHERED_CHANNELS = 8
"""Below this many input channels the shifted images are gathered and multiplied at once: the single products
would be too thin to be fast."""


class DirectEngine(Engine):
    """``y = sum_{a, b} shift_{a, b}(x) kernel[:, :, a, b]'``, some image rows at a time.

    Every output is a sum of ``I k1 k2`` products, so the relative error is a few units of round-off.
    """

    name = "direct"

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        if kernel.shape[1] < GATHERED_CHANNELS:
            return self._gathered_product(backend, x, kernel, None)
        out_channels, _, k1, k2 = kernel.shape
        n, _, height, width = x.shape
        xp = backend.xp
        matrices = xp.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        images = wrapped(backend, x, (k1, k2))
        y = xp.empty((height, width, n, out_channels), dtype=x.dtype)
        for rows in _row_blocks(backend, x, kernel.shape):
            out = y[rows].reshape(-1, out_channels)
            for number, shifted in enumerate(_shifts(images, rows, (k1, k2))):
                product = xp.matmul(shifted, matrices[number // k2, number % k2]).reshape(-1, out_channels)
                if number:
                    out += product
                else:
                    out[...] = product
        return from_memory(y)

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel) x`` and what `gradients` needs; gathered images are kept."""
        record = self.record(x, kernel)
        if kernel.shape[1] < GATHERED_CHANNELS:
            return self._gathered_product(backend, x, kernel, record[2]), record
        return self.correlate(backend, x, kernel), record

    @staticmethod
    def record(x: Array, kernel: Array) -> tuple[Array, Array, dict[int, Array]]:
        """Return what `gradients` needs where no product was made: nothing is gathered yet."""
        return x, kernel, {}

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        x, kernel, gathered = record
        in_kernel = self._kernel_gradient(backend, x, y, tuple(kernel.shape), gathered)
        return in_kernel, self.adjoint(backend, y, kernel) if need_x else None

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        return self._kernel_gradient(backend, x, y, kernel_shape, {})

    @staticmethod
    def _gathered_product(backend: Backend, x: Array, kernel: Array, record: dict[int, Array] | None) -> Array:
        out_channels, (n, _, height, width) = kernel.shape[0], x.shape
        matrix = kernel.transpose(2, 3, 1, 0).reshape(-1, out_channels)
        y = backend.xp.empty((height, width, n, out_channels), dtype=x.dtype)
        memory = to_memory(backend, x)
        for rows in _row_blocks(backend, x, kernel.shape):
            columns = _gathered(backend, memory, rows, kernel.shape[2:])
            backend.xp.matmul(columns.T, matrix, out=y[rows].reshape(-1, out_channels))
            if record is not None:
                record[rows.start] = columns
        return from_memory(y)

    @staticmethod
    def _kernel_gradient(
        backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...], record: dict[int, Array]
    ) -> Array:
        out_channels, in_channels, k1, k2 = kernel_shape
        xp = backend.xp
        memory = to_memory(backend, y)
        gathers = in_channels < GATHERED_CHANNELS
        images = to_memory(backend, x) if gathers else wrapped(backend, x, (k1, k2))
        gradient = xp.zeros((k1, k2, in_channels, out_channels), dtype=x.dtype)
        for rows in _row_blocks(backend, x, kernel_shape):
            if gathers:
                columns = record[rows.start] if record else _gathered(backend, images, rows, (k1, k2))
                gradient += xp.matmul(columns, memory[rows].reshape(-1, out_channels)).reshape(gradient.shape)
                continue
            matrices = memory[rows].reshape(rows.stop - rows.start, -1, out_channels)
            for number, shifted in enumerate(_shifts(images, rows, (k1, k2))):
                gradient[number // k2, number % k2] += xp.matmul(shifted.transpose(0, 2, 1), matrices).sum(axis=0)
        return xp.ascontiguousarray(gradient.transpose(3, 2, 0, 1))


def wrapped(backend: Backend, x: Array, kernel_size: tuple[int, int]) -> Array:
    """Return (H + k1 - 1, W + k2 - 1, N, C) memory: the images with their periodic continuation."""
    memory = to_memory(backend, x)
    for axis, k in enumerate(kernel_size):
        size, xp = memory.shape[axis], backend.xp
        memory = xp.take(memory, xp.arange(-(k // 2), size + k // 2) % size, axis=axis)
    return memory


def _row_blocks(backend: Backend, x: Array, kernel_shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield ranges of image rows, at least one, whose work arrays stay in the processor's cache."""
    out_channels, in_channels, k1, k2 = kernel_shape
    n, _, height, width = x.shape
    gathered = k1 * k2 * in_channels if in_channels < GATHERED_CHANNELS else in_channels
    row_bytes = n * width * max(gathered, out_channels) * x.dtype.itemsize
    step = height if backend.tile_bytes is None else max(1, min(height, backend.tile_bytes // row_bytes))
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def _shifts(images: Array, rows: slice, kernel_size: tuple[int, int]) -> Iterator[Array]:
    """Yield, for each kernel entry, the shifted rows of wrapped images as matrices (rows, W N, C)."""
    k1, k2 = kernel_size
    width = images.shape[1] - k2 + 1
    for a in range(k1):
        block = images[rows.start + a : rows.stop + a]
        for b in range(k2):
            shifted = block[:, b : b + width]
            yield shifted.reshape(shifted.shape[0], -1, shifted.shape[3])


def _gathered(backend: Backend, memory: Array, rows: slice, kernel_size: tuple[int, ...]) -> Array:
    """Return the shifted copies of some rows of (H, W, N, C) memory, (k1 k2 C, rows W N)."""
    height, width, _, channels = memory.shape
    numbers = _shifted_pixels(backend, (height, width), rows.start, rows.stop, tuple(kernel_size))
    columns = backend.xp.take(memory.reshape(height * width, -1), numbers, axis=0)
    columns = columns.reshape(numbers.shape[0], -1, channels).transpose(0, 2, 1)
    return backend.xp.ascontiguousarray(columns).reshape(numbers.shape[0] * channels, -1)


@lru_cache(maxsize=32)
def _shifted_pixels(
    backend: Backend, image: tuple[int, int], start: int, stop: int, kernel_size: tuple[int, int]
) -> Array:
    """Return, for each kernel entry, the numbers of the pixels that it meets in some rows, (k1 k2, rows W)."""
    (height, width), (k1, k2) = image, kernel_size
    a, b, i, j = np.ogrid[:k1, :k2, start:stop, :width]
    pixels = (i + a - k1 // 2) % height * width + (j + b - k2 // 2) % width
    return backend.asarray(pixels.reshape(k1 * k2, -1))
