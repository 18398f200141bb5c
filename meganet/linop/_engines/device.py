"""Convolution on a GPU: the same algorithms as on the CPU, with hand-written kernels, for one kernel or a stack.

The transforms are one kernel each, one thread per tile, example and channel; the 36 products of all trials are one
launch. Every sum has a fixed order, so results repeat to the bit. The slope of a ReLU is multiplied with the gradient
where a kernel reads that.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend
from meganet.backend.cuda import NULL, Csr
from meganet.backend.layout import from_memory, to_memory
from meganet.linop._engines.base import Engine
from meganet.linop._engines.circulant import device_pattern
from meganet.linop._engines.tiles import POINTS, G, tile_count

THREADS = 2**18
"""Threads that occupy a large device."""


class Record(NamedTuple):
    """What the gradients need: transformed kernels (T, 36, O, I) and inputs (T, 36, tiles * N, I)."""

    kernel: Array
    inputs: Array


class DeviceEngine(Engine):
    """An engine of the backends that have kernels, for stacks too."""

    stacks = True

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the backend has kernels."""
        return backend.kernels is not None


class DeviceWinograd(DeviceEngine):
    """F(4x4, 3x3), see `winograd.WinogradEngine`."""

    name = "winograd"

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the kernel is 3x3 and the backend has kernels."""
        return super().serves(backend, kernel_shape) and tuple(kernel_shape[-2:]) == (3, 3)

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        return self.recorded(backend, x, kernel)[0]

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        none = backend.xp.empty((1, POINTS, *kernel_shape[:2]), dtype=x.dtype)
        return self.gradients(backend, Record(none, self._inputs(backend, x)), y, False)[0]

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Record]:
        """Return ``K(kernel) x`` and what `gradients` needs."""
        *lead, out_channels, in_channels, _, _ = kernel.shape
        flat = kernel.reshape(-1, out_channels * in_channels, 9)
        product = _kernels(backend).product
        kernels = product(_gg(backend, kernel.dtype), flat, transpose_b=True)
        kernels = kernels.reshape(-1, POINTS, out_channels, in_channels)
        record = Record(kernels, self._inputs(backend, x))
        products = product(record.inputs, kernels, transpose_b=True)
        *_, n, _, height, width = x.shape
        y = backend.xp.empty((*lead, height, width, n, out_channels), dtype=x.dtype)
        _on_tiles(backend, "output_transform", y, products, y)
        return from_memory(y), record

    def gradients(self, backend: Backend, record: Record, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        return self._gradients(backend, record, y, NULL, need_x)

    def sloped_gradients(
        self, backend: Backend, record: Record, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Any]:
        """Return the gradients of ``<slope * y, K(kernel) x>``; y is multiplied when it is transformed."""
        return self._gradients(backend, record, y, NULL if slope is None else to_memory(backend, slope), need_x)

    def _gradients(self, backend: Backend, record: Record, y: Array, slope: Any, need_x: bool) -> tuple[Array, Any]:
        memory = to_memory(backend, y)
        lead = tuple(memory.shape[:-4])
        out_channels, in_channels = record.kernel.shape[2:]
        z = backend.xp.empty((*record.inputs.shape[:3], out_channels), dtype=y.dtype)
        _on_tiles(backend, "output_adjoint", memory, memory, slope, z)
        product = _kernels(backend).product
        in_products = product(z, record.inputs, transpose_a=True).reshape(-1, POINTS, out_channels * in_channels)
        in_kernel = product(in_products, _gg(backend, y.dtype), transpose_a=True)
        in_kernel = in_kernel.reshape(*lead, out_channels, in_channels, 3, 3)
        if not need_x:
            return in_kernel, None
        products = product(z, record.kernel)
        x = backend.xp.empty((*memory.shape[:-1], in_channels), dtype=y.dtype)
        _on_tiles(backend, "input_adjoint", x, products, x)
        return in_kernel, from_memory(x)

    @staticmethod
    def _inputs(backend: Backend, x: Array) -> Array:
        """Return ``B' d B`` of all windows, (T, 36, tiles * N, I)."""
        memory = to_memory(backend, x)
        stack, height, width, n, channels = _sizes(memory)
        points = backend.xp.empty((stack, POINTS, tile_count(height) * tile_count(width) * n, channels), dtype=x.dtype)
        _on_tiles(backend, "input_transform", memory, memory, points)
        return points


class DeviceDirect(DeviceEngine):
    """The direct sum, one thread per output: any kernel."""

    name = "direct"

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        *lead, out_channels, in_channels, k1, k2 = kernel.shape
        memory = to_memory(backend, x)
        matrices = backend.xp.ascontiguousarray(_exchange(kernel))
        stack, height, width, n, _ = _sizes(memory)
        y = backend.xp.empty((*lead, height, width, n, out_channels), dtype=x.dtype)
        threads, sizes = (width * n * out_channels, height, stack), (height, width, n, in_channels, out_channels)
        _kernels(backend).launch_rows("direct_forward", x.dtype, threads, memory, matrices, y, *sizes, k1, k2)
        return from_memory(y)

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel) x`` and what `gradients` needs: the images in the order that both products take."""
        return super().recorded(backend, from_memory(to_memory(backend, x)), kernel)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        return self._kernel_gradient(backend, x, y, NULL, kernel_shape)

    def sloped_gradients(
        self, backend: Backend, record: Any, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Any]:
        """Return the gradients of ``<slope * y, K(kernel) x>``; for the kernel alone, y is multiplied as it is read."""
        if need_x or slope is None:
            return super().sloped_gradients(backend, record, y, slope, need_x)
        x, kernel = record
        return self._kernel_gradient(backend, x, y, to_memory(backend, slope), tuple(kernel.shape[-4:])), None

    def _kernel_gradient(
        self, backend: Backend, x: Array, y: Array, slope: Any, kernel_shape: tuple[int, ...]
    ) -> Array:
        out_channels, in_channels, k1, k2 = kernel_shape
        inputs, outputs = to_memory(backend, x), to_memory(backend, y)
        stack, height, width, n, _ = _sizes(inputs)
        lead = tuple(inputs.shape[:-4])
        # as many strips of rows as it takes to occupy a device with one network: a stack gives the same sums
        entries = k1 * k2 * in_channels * out_channels
        rows = -(-height // min(height, -(-THREADS // entries)))
        strips = -(-height // rows)
        part = backend.xp.empty((*lead, strips, k1, k2, in_channels, out_channels), dtype=x.dtype)
        arrays = (inputs, outputs, slope, part)
        threads, sizes = (entries, strips, stack), (height, width, n, in_channels, out_channels, k1, k2, rows)
        _kernels(backend).launch_rows("direct_gradient", x.dtype, threads, *arrays, *sizes)
        return backend.xp.ascontiguousarray(_exchange(_kernels(backend).sum_parts(part, 4), back=True))


class DeviceSparse(DeviceEngine):
    """The explicit circulant matrix, with kernels of our own in the place of a sparse library."""

    name = "sparse"

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        pattern = device_pattern(backend, tuple(kernel.shape[-4:]), tuple(x.shape[-2:]))
        values = backend.xp.take(kernel.reshape(*kernel.shape[:-4], -1), pattern.parameter, axis=-1)
        matrix = Csr(values, pattern.indices, pattern.indptr, pattern.shape)
        y = _kernels(backend).csr_product(matrix, x.reshape(*x.shape[:-3], -1))
        return y.reshape(*x.shape[:-3], kernel.shape[-4], *x.shape[-2:])

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>``: of every nonzero, then the sum for every parameter."""
        pattern = device_pattern(backend, tuple(kernel_shape), tuple(x.shape[-2:]))
        flat_x, flat_y = x.reshape(*x.shape[:-3], -1), y.reshape(*y.shape[:-3], -1)
        part = _kernels(backend).csr_gradient(pattern.sorted_rows, pattern.sorted_columns, flat_x, flat_y)
        # a parameter stands once in the matrix for every pixel
        size = math.prod(kernel_shape)
        return part.reshape(*x.shape[:-4], size, -1).sum(axis=-1).reshape(*x.shape[:-4], *kernel_shape)


def _kernels(backend: Backend) -> Any:
    return backend.kernels


def _sizes(memory: Array) -> tuple[int, ...]:
    """Return T, H, W, N, C of (..., H, W, N, C) memory."""
    *lead, height, width, n, channels = memory.shape
    return (lead[0] if lead else 1), height, width, n, channels


def _on_tiles(backend: Backend, name: str, memory: Array, *arrays: Any) -> None:
    """Run a kernel for every tile, example and channel of (..., H, W, N, C) memory."""
    stack, height, width, n, channels = _sizes(memory)
    rows, columns = tile_count(height), tile_count(width)
    threads, sizes = (columns * n * channels, rows, stack), (height, width, n, channels, rows, columns)
    _kernels(backend).launch_rows(name, memory.dtype, threads, *arrays, *sizes)


def _exchange(kernel: Array, back: bool = False) -> Array:
    """Return (..., O, I, k1, k2) as (..., k1, k2, I, O), or back."""
    k = kernel.ndim - 4
    axes = (k + 3, k + 2, k, k + 1) if back else (k + 2, k + 3, k + 1, k)
    return kernel.transpose(*range(k), *axes)


@cache
def _gg(backend: Backend, dtype: Any) -> Array:
    """Return ``G (x) G``, (36, 9), on the device."""
    return backend.asarray(np.kron(G, G).astype(dtype))
