"""Convolution with any kernel and stride by compiled loops."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, to_memory
from meganet.backend.loops.plans import PLAIN, RELU, SLOPE, lane_count, loops_of, optional, readable, slopes_of, work
from meganet.linop._engines.base import Engine, FusedEngine

WINDOW_BYTES = 2**18
"""Work memory that the rows of images that are computed at once should fill."""
_BOOL = np.dtype(np.bool_)


class CompiledDirect(FusedEngine):
    """``y = sum_{a, b} shift_{a, b}(x) kernel[:, :, a, b]'`` by `backend.loops.direct`.

    Every output is one sum of ``I k1 k2`` products, in the order of the kernel's entries. With a stride nothing is
    computed that is not kept.

    Parameters
    ----------
    stride : pair of int
        Distance between the results that are kept.
    image_shape : pair of int, optional
        (H, W), needed with a stride: it does not follow from the results.
    """

    name, compiled = "direct", True

    def __init__(self, stride: tuple[int, ...] = (1, 1), image_shape: tuple[int, ...] | None = None) -> None:
        self.stride, self.image_shape = stride, image_shape

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the backend is NumPy."""
        return backend.array_type is np.ndarray

    def at_stride(self, stride: tuple[int, ...], image_shape: tuple[int, ...]) -> Engine:
        """Return the engine that computes only results at distances `stride`."""
        return CompiledDirect(stride, image_shape)

    def activated(
        self, backend: Backend, x: Array, kernel: Array, bias: Array | None, relu: bool, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return y, its slope and what the gradients need, see `Engine`."""
        memory = to_memory(backend, x)
        sizes = self._sizes(memory.shape, kernel.shape, memory.itemsize)
        y = np.empty((sizes.rows, sizes.columns, sizes.n, sizes.o), memory.dtype)
        slope = np.empty(y.shape, bool) if relu and recorded else None
        self._sum(memory, kernel, y, sizes, bias=bias, slope=slope, then=RELU if relu else PLAIN)
        if not recorded:
            return from_memory(y), None, None
        slope = None if slope is None else from_memory(slope)
        return from_memory(y), slope, self.record(from_memory(memory), kernel)

    @staticmethod
    def record(x: Array, kernel: Array) -> tuple[Array, Array]:
        """Return what the gradients need where no product was made."""
        return x, kernel

    def correlate_two(
        self, backend: Backend, x: Array, kernel: Array, x2: Array, kernel2: Array, slope: Array | None
    ) -> Array:
        """Return ``slope * (K(kernel) x + K(kernel2) x2)``."""
        memory, memory2 = to_memory(backend, x), to_memory(backend, x2)
        sizes = self._sizes(memory.shape, kernel.shape, memory.itemsize)
        y = np.empty((sizes.rows, sizes.columns, sizes.n, sizes.o), memory.dtype)
        self._sum(memory, kernel, y, sizes)
        if slope is None:
            self._sum(memory2, kernel2, y, sizes, adds=True)
        else:
            self._sum(memory2, kernel2, y, sizes, slope=to_memory(backend, slope), adds=True, then=SLOPE)
        return from_memory(y)

    def adjoint(self, backend: Backend, y: Array, kernel: Array) -> Array:
        """Return ``K(kernel)' y``."""
        return self._adjoint(to_memory(backend, y), None, kernel)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        return self._kernel_gradient(to_memory(backend, x), to_memory(backend, y), None, tuple(kernel_shape))

    def sloped_gradients(
        self, backend: Backend, record: Any, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Array | None]:
        """Return the gradients of ``<slope * y, K(kernel) x>`` in the kernel and, if needed, in x."""
        x, kernel = record
        upstream, slopes = to_memory(backend, y), None if slope is None else to_memory(backend, slope)
        in_kernel = self._kernel_gradient(to_memory(backend, x), upstream, slopes, kernel.shape)
        return in_kernel, self._adjoint(upstream, slopes, kernel) if need_x else None

    @staticmethod
    def _sum(
        x: Array,
        kernel: Array,
        y: Array,
        sizes: Any,
        *,
        factors: Array | None = None,
        flipped: bool = False,
        bias: Array | None = None,
        slope: Array | None = None,
        adds: bool = False,
        then: int = PLAIN,
    ) -> None:
        """Write or add ``K(kernel) (factors x) + bias`` into image memory; flipped, that of the adjoint."""
        loops_of("direct").correlate(
            readable(x),
            optional(factors, _BOOL),
            readable(kernel),
            flipped,
            optional(bias, x.dtype),
            y.reshape(-1),
            slopes_of(slope),
            adds,
            then,
            sizes,
            *_work(sizes, x.dtype),
        )

    def _kernel_gradient(self, x: Array, y: Array, slope: Array | None, kernel_shape: tuple[int, ...]) -> Array:
        sizes = self._sizes(x.shape, kernel_shape, x.itemsize)
        gradient = np.empty(kernel_shape, x.dtype)
        memory, panels = _work(sizes, x.dtype), _padded(sizes.o, x.dtype)
        loops_of("direct").kernel_gradient(
            readable(x),
            readable(y),
            optional(slope, _BOOL),
            gradient.reshape(-1),
            sizes,
            *memory,
            work("totals", memory[-1].size, x.dtype),
            work("upstream", loops_of("direct").TERMS * panels, x.dtype),
        )
        return gradient

    def _adjoint(self, y: Array, slope: Array | None, kernel: Array) -> Array:
        o, c, k1, k2 = kernel.shape
        height, width, n = (self.image_shape or y.shape[:2]) + y.shape[2:3]
        x = np.empty((height, width, n, c), y.dtype)
        if self.stride == (1, 1):
            sizes = self._sizes(y.shape, (c, o, k1, k2), y.itemsize)
            self._sum(y, kernel, x, sizes, factors=slope, flipped=True)
            return from_memory(x)
        line = (y.shape[1] + k2) * n
        loops_of("direct").strided_adjoint(
            readable(y),
            optional(slope, _BOOL),
            readable(kernel),
            x.reshape(-1),
            self._sizes(x.shape, kernel.shape, y.itemsize),
            work("results", line, np.intp),
            work("entries", k1 * k2 * o, np.intp),
            work("window", k1 * (line + k2 * n) * o, y.dtype),
            work("matrix", k1 * k2 * o * _padded(c, y.dtype), y.dtype),
            work("sums", line * c, y.dtype),
        )
        return from_memory(x)

    def _sizes(self, memory_shape: tuple[int, ...], kernel_shape: tuple[int, ...], itemsize: int) -> Any:
        return _sizes(memory_shape, tuple(kernel_shape), self.stride, itemsize)


def _padded(channels: int, dtype: np.dtype[Any]) -> int:
    """Return channels filled up to whole panels of two registers."""
    step = 2 * lane_count(dtype)
    return -(-channels // step) * step


@lru_cache(maxsize=128)
def _sizes(memory_shape: tuple[int, ...], kernel_shape: tuple[int, ...], stride: tuple[int, int], itemsize: int) -> Any:
    """Return the `direct.Sizes` of a convolution of image memory."""
    (height, width, n, _), (o, c, k1, k2), (s1, s2) = memory_shape, kernel_shape, stride
    rows, columns = -(-height // s1), -(-width // s2)
    line = max(1, (width + k2 - 1) * n * c * itemsize)
    block = max(1, min(rows, (WINDOW_BYTES // line - k1) // s1 + 1))
    return loops_of("direct").Sizes(n, c, o, height, width, k1, k2, s1, s2, rows, columns, block)


def _work(z: Any, dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Return work memory for a block of results: two tables of addresses, the window and the kernel's matrix."""
    entries = z.k1 * z.k2 * z.c
    window = ((z.block - 1) * z.s1 + z.k1) * (z.width + z.k2 - 1) * z.n * z.c
    return (
        work("results", z.block * z.columns * z.n, np.intp),
        work("entries", entries, np.intp),
        work("window", window, dtype),
        work("matrix", _padded(z.o, dtype) * entries, dtype),
    )
