"""Hand-written CUDA kernels and how they are launched. Only a device backend has them.

The source, ``kernels.cu``, is compiled when the first kernel is wanted. Every function here takes and returns arrays
of the device and neither waits for it nor reads from it.
"""

from __future__ import annotations

import math
from functools import cached_property
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

BLOCK = 256
"""Threads of a block, the number that the kernel `product` is written for."""
TILE = 64
"""Rows and columns of a product that one block computes."""


def source() -> str:
    """Return the CUDA source of all kernels."""
    return files(__name__).joinpath("kernels.cu").read_text(encoding="utf-8")


class Csr(NamedTuple):
    """A sparse matrix, or a stack with one pattern, on a device: row i has numbers ``starts[i]`` to ``starts[i + 1]``.

    Attributes
    ----------
    values : array, (nonzeros,) or (T, nonzeros)
    columns : array of int32, (nonzeros,)
    starts : array of int64, (m + 1,)
    shape : tuple of int
        (m, n).
    """

    values: Any
    columns: Any
    starts: Any
    shape: tuple[int, int]


class Kernels:
    """The kernels, on CuPy or what stands in for it.

    Parameters
    ----------
    xp : module
        An array library with CuPy's ``RawModule``.
    """

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    @cached_property
    def _module(self) -> Any:
        return self.xp.RawModule(code=source(), options=("-std=c++17",))

    def launch(self, name: str, dtype: Any, threads: int, *arguments: Any) -> None:
        """Run a kernel for `dtype` on so many threads; an ``int`` becomes a C int, other numbers stay as they are.

        Arrays are handed over as addresses, so they must lie in memory as the kernel takes them.
        """
        function = self._module.get_function(f"{name}_{dtype}")
        numbers = [np.int32(a) if type(a) is int else a for a in arguments]
        function((-(-threads // BLOCK),), (BLOCK,), tuple(numbers))

    def product(self, a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
        """Return the products of matrices (..., M, K) and (..., K, N), either transposed before.

        At most two axes stand in front; they broadcast. The vendor's library does not serve here: CuPy refuses it
        while a graph is recorded, and copies what is transposed.
        """
        a, b = self.xp.ascontiguousarray(a), self.xp.ascontiguousarray(b)
        m, k = a.shape[-2:][::-1] if transpose_a else a.shape[-2:]
        n = b.shape[-2] if transpose_b else b.shape[-1]
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        outer, inner = (1, 1, *lead)[-2:]
        result = self.xp.empty((*lead, m, n), dtype=a.dtype)
        strides = [stride for x in (a, b) for stride in _matrix_strides(x.shape)]
        tiles = -(-m // TILE), -(-n // TILE)
        flags = int(transpose_a), int(transpose_b)
        threads = outer * inner * tiles[0] * tiles[1] * BLOCK
        self.launch("product", a.dtype, threads, a, b, result, m, n, k, *flags, *strides, inner, *tiles)
        return result

    def depthwise(self, x: Any, kernel: Any, sign: int) -> Any:
        """Return (..., H, W, N, C) memory with each channel correlated with its stencil (..., C, k1, k2).

        With sign -1 it is the adjoint.
        """
        k1, k2 = kernel.shape[-2:]
        result = self.xp.empty(x.shape, dtype=x.dtype)
        stencils = self.xp.ascontiguousarray(_moved(kernel, (1, 2, 0)))
        self.launch("depthwise_forward", x.dtype, x.size, x, stencils, result, *_image_sizes(x), k1, k2, sign)
        return result

    def depthwise_gradient(self, x: Any, y: Any, kernel_size: tuple[int, int]) -> Any:
        """Return the gradient of ``<y, K(kernel) x>`` in the stencils, (..., C, k1, k2)."""
        *lead, height, _, _, channels = x.shape
        part = self.xp.empty((*lead, height, *kernel_size, channels), dtype=x.dtype)
        self.launch("depthwise_gradient", x.dtype, part.size, x, y, part, *_image_sizes(x), *kernel_size)
        stencils = part.sum(axis=-4)
        return self.xp.ascontiguousarray(_moved(stencils, (2, 0, 1)))

    def csr_product(self, matrix: Csr, x: Any) -> Any:
        """Return the rows of x (..., N, n) multiplied by a matrix, or by a stack of them with one pattern, (..., N, m).

        Values (T, nonzeros) are those of T matrices; then x is (T, N, n).
        """
        m, n = matrix.shape
        x = self.xp.ascontiguousarray(x)
        result = self.xp.empty((*x.shape[:-1], m), dtype=x.dtype)
        stride = np.int64(matrix.values.shape[-1] if matrix.values.ndim == 2 else 0)
        sizes = (np.int64(result.size), x.shape[-2], m, n, stride)
        values = self.xp.ascontiguousarray(matrix.values)
        self.launch("csr_product", x.dtype, result.size, values, matrix.columns, matrix.starts, x, result, *sizes)
        return result

    def csr_gradient(self, rows: Any, columns: Any, x: Any, y: Any) -> Any:
        """Return ``sum_n y[..., n, rows[p]] x[..., n, columns[p]]`` for every p.

        x is (..., N, n), y (..., N, m), the result (..., nonzeros).
        """
        x, y = self.xp.ascontiguousarray(x), self.xp.ascontiguousarray(y)
        result = self.xp.empty((*x.shape[:-2], rows.shape[0]), dtype=x.dtype)
        sizes = (np.int64(result.size), np.int64(rows.shape[0]), x.shape[-2], y.shape[-1], x.shape[-1])
        self.launch("csr_gradient", x.dtype, result.size, rows, columns, x, y, result, *sizes)
        return result

    def relu(self, z: Any) -> tuple[Any, Any]:
        """Return ``max(z, 0)``, written over `z`, and ``z >= 0``, of contiguous memory in any order of axes."""
        z = z if _dense(z) else self.xp.ascontiguousarray(z)
        slope = self.xp.empty_like(z, dtype=bool)
        self.launch("relu", z.dtype, z.size, z, slope, np.int64(z.size))
        return z, slope

    def pool(self, memory: Any, factor: tuple[int, int]) -> Any:
        """Return the means over blocks of (..., H, W, N, C) memory."""
        *lead, height, width, n, channels = memory.shape
        f1, f2 = factor
        result = self.xp.empty((*lead, height // f1, width // f2, n, channels), dtype=memory.dtype)
        sizes = (np.int64(math.prod(lead)), height, width, n * channels, f1, f2)
        self.launch("pool", memory.dtype, result.size, memory, result, *sizes)
        return result

    def pool_adjoint(self, memory: Any, factor: tuple[int, int]) -> Any:
        """Return the adjoint of `pool`."""
        *lead, height, width, n, channels = memory.shape
        f1, f2 = factor
        result = self.xp.empty((*lead, height * f1, width * f2, n, channels), dtype=memory.dtype)
        sizes = (np.int64(math.prod(lead)), height * f1, width * f2, n * channels, f1, f2)
        self.launch("pool_adjoint", memory.dtype, result.size, memory, result, *sizes)
        return result

    def softmax(self, logits: Any, labels: Any) -> tuple[Any, Any]:
        """Return each example's cross-entropy (..., N) and the gradient of their mean over N, (..., N, K)."""
        loss = self.xp.empty(labels.shape, dtype=logits.dtype)
        gradient = self.xp.empty(logits.shape, dtype=logits.dtype)
        logits = self.xp.ascontiguousarray(logits)
        labels = self.xp.ascontiguousarray(labels.astype(np.int64))
        sizes = (np.int64(loss.size), logits.shape[-1], logits.shape[-2])
        self.launch("softmax", logits.dtype, loss.size, logits, labels, loss, gradient, *sizes)
        return loss, gradient

    def momentum_step(self, x: Any, gradient: Any, velocity: Any, rate: float, momentum: float) -> tuple[Any, Any]:
        """Return the next point and the next velocity, None without momentum."""
        x, gradient = self.xp.ascontiguousarray(x), self.xp.ascontiguousarray(gradient)
        # without momentum the kernel does not touch the velocities: any addresses will do
        velocity = self.xp.ascontiguousarray(velocity) if momentum else x
        x_next = self.xp.empty(x.shape, dtype=x.dtype)
        v_next = self.xp.empty(x.shape, dtype=x.dtype) if momentum else x_next
        numbers = (np.float64(rate), np.float64(momentum), np.int64(x.size))
        self.launch("momentum_step", x.dtype, x.size, x, gradient, velocity, x_next, v_next, *numbers)
        return x_next, v_next if momentum else None


def _matrix_strides(shape: tuple[int, ...]) -> list[np.int64]:
    """Return how far apart the matrices of (..., M, K) lie along the two axes in front, 0 along an axis of length 1."""
    outer, inner = (1, 1, *shape[:-2])[-2:]
    size = shape[-2] * shape[-1]
    return [np.int64(size * inner if outer > 1 else 0), np.int64(size if inner > 1 else 0)]


def _image_sizes(memory: Any) -> tuple[int, ...]:
    """Return T, H, W, N, C of (..., H, W, N, C) memory."""
    return (math.prod(memory.shape[:-4]), *memory.shape[-4:])


def _moved(array: Any, axes: tuple[int, ...]) -> Any:
    """Return the view with the last axes in another order."""
    k = array.ndim - len(axes)
    return array.transpose(*range(k), *(k + axis for axis in axes))


def _dense(array: Any) -> bool:
    """Whether the array fills its memory without gaps, in some order of its axes."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return bool(array.transpose(*order).flags.c_contiguous)
