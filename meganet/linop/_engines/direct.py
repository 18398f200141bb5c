"""Convolution as a sum of shifted images times the kernel's matrices, for any kernel."""

from __future__ import annotations

from collections.abc import Iterator

from meganet.backend import Array, Backend
from meganet.linop._engines.base import Engine
from meganet.linop._layout import from_memory, to_memory

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
        out_channels, in_channels, k1, k2 = kernel.shape
        n, _, height, width = x.shape
        xp = backend.xp
        matrices = xp.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        images = wrapped(backend, x, (k1, k2))
        y = xp.empty((height, width, n, out_channels), dtype=x.dtype)
        for rows in _row_blocks(backend, x, kernel.shape):
            out = y[rows].reshape(-1, out_channels)
            if in_channels < GATHERED_CHANNELS:
                columns = _gathered(backend, images, rows, (k1, k2))
                xp.matmul(columns.T, matrices.reshape(-1, out_channels), out=out)
                continue
            for number, shifted in enumerate(_shifts(images, rows, (k1, k2))):
                product = xp.matmul(shifted, matrices[number // k2, number % k2]).reshape(-1, out_channels)
                if number:
                    out += product
                else:
                    out[...] = product
        return from_memory(y)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        out_channels, in_channels, k1, k2 = kernel_shape
        xp = backend.xp
        images, memory = wrapped(backend, x, (k1, k2)), to_memory(backend, y)
        gradient = xp.zeros((k1, k2, in_channels, out_channels), dtype=x.dtype)
        for rows in _row_blocks(backend, x, kernel_shape):
            if in_channels < GATHERED_CHANNELS:
                columns = _gathered(backend, images, rows, (k1, k2))
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


def _gathered(backend: Backend, images: Array, rows: slice, kernel_size: tuple[int, int]) -> Array:
    """Return the shifted copies of some rows of wrapped images, (k1 k2 C, rows W N)."""
    k1, k2 = kernel_size
    _, padded_width, n, channels = images.shape
    block = images[rows.start : rows.stop + k1 - 1]
    a, b, c, d = block.strides
    shape = (k1, k2, channels, rows.stop - rows.start, padded_width - k2 + 1, n)
    windows = backend.xp.lib.stride_tricks.as_strided(block, shape, (a, b, d, a, b, c))
    return backend.xp.ascontiguousarray(windows).reshape(k1 * k2 * channels, -1)
