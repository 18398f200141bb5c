"""Hand-written CUDA kernels and how they are launched. Only a device backend has them.

The sources, one file for each topic, are compiled for a type of numbers when its first kernel is wanted. Every function
here takes and returns arrays of the device and neither waits for it nor reads from it.
"""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from meganet.ground import validate

SOURCES = ("common.cu", "winograd.cu", "products.cu", "direct.cu", "sparse.cu", "elementwise.cu")
"""In the order in which they are compiled, as one."""
C_TYPES = {"float32": "float", "float64": "double"}
NULL = np.int64(0)
"""The address of no array."""
BLOCK = 256
"""Threads of a block where each thread has a result of its own."""


class Tile(NamedTuple):
    """What one block of a product computes, see ``products.cu``.

    Attributes
    ----------
    rows, columns : int
    threads : int
        Of a block for float32; for float64 they are twice as many.
    speed : float
        Products a thread makes for each number that it reads, up to a factor: large tiles read less.
    """

    rows: int
    columns: int
    threads: int
    speed: float


TILES = (Tile(128, 64, 128, 4.0), Tile(128, 32, 64, 4.0), Tile(64, 32, 64, 2.7), Tile(32, 16, 32, 2.0))
SUMMED = 384
"""Fewest products that a part of a long sum has, where sums are cut: enough to be worth a block, and at least 16."""
BLOCKS = 256
"""Blocks that occupy a large device."""


def source(dtype: Any) -> str:
    """Return the CUDA source of all kernels for float32 or float64."""
    texts = [files(__name__).joinpath(name).read_text(encoding="utf-8") for name in SOURCES]
    return f"typedef {C_TYPES[str(dtype)]} R;\n" + "\n".join(texts)


def tile_of(m: int, n: int) -> Tile:
    """Return the tile for products of (m, n) entries: the work it takes, padding included, is least for its speed."""
    return min(
        TILES, key=lambda tile: -(-m // tile.rows) * -(-n // tile.columns) * tile.rows * tile.columns / tile.speed
    )


def parts_of(m: int, n: int, summed: int) -> int:
    """Return into how many parts the sums of a product of (m, n) entries are cut.

    So many that one product alone occupies a device, if the sums are long enough. It does not depend on how many
    products there are: in a stack each has the sums that it has alone.
    """
    tile = tile_of(m, n)
    blocks = -(-m // tile.rows) * -(-n // tile.columns)
    return max(1, min(summed // SUMMED, BLOCKS // blocks))


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
        self._modules: dict[Any, Any] = {}

    def launch(
        self, name: str, dtype: Any, threads: int, *arguments: Any, block: int = BLOCK, grid: tuple[int, ...] = ()
    ) -> None:
        """Run a kernel for `dtype` on so many threads, in blocks of so many, for each place of the further axes `grid`.

        An ``int`` becomes a C int, other numbers stay as they are. Arrays are handed over as addresses, so they must
        lie in memory as the kernel takes them; `NULL` stands for one that there is not.
        """
        module = self._modules.get(dtype)
        if module is None:
            module = self._modules[dtype] = self.xp.RawModule(code=source(dtype), options=("-std=c++17",))
        numbers = [np.int32(a) if type(a) is int else a for a in arguments]
        module.get_function(name)((-(-threads // block), *grid), (block,), tuple(numbers))

    def launch_rows(self, name: str, dtype: Any, threads: tuple[int, int, int], *arguments: Any) -> None:
        """Run a kernel on (so many threads in a row, rows, trials), as those that divide in 32 bits want it."""
        in_row, *grid = threads
        if in_row >= 2**31:
            validate.reject("images", f"fewer than {2**31:,} numbers in a row of pixels", f"{in_row:,}")
        self.launch(name, dtype, in_row, *arguments, grid=tuple(grid))

    def product(self, a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
        """Return the products of matrices (..., M, K) and (..., K, N), either transposed before.

        At most two axes stand in front; they broadcast. The vendor's library does not serve here: CuPy refuses it
        while a graph is recorded, and copies what is transposed.
        """
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return self._product(a, b, transpose_a, transpose_b, lead, 2)

    def summed_product(self, a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
        """Return the sums over s of the products of (..., S, M, K) and (..., S, K, N), (..., M, N).

        At most one more axis stands in front.
        """
        lead = np.broadcast_shapes(a.shape[:-3], b.shape[:-3])
        return self._product(a, b, transpose_a, transpose_b, lead, 3)

    def _product(self, a: Any, b: Any, ta: bool, tb: bool, lead: tuple[int, ...], axes: int) -> Any:
        """Return the products of matrices with `axes` axes, of which a third one is summed over."""
        a, b = self.xp.ascontiguousarray(a), self.xp.ascontiguousarray(b)
        m, k = a.shape[-2:][::-1] if ta else a.shape[-2:]
        n = b.shape[-2] if tb else b.shape[-1]
        depth = math.prod(a.shape[-axes:-2])
        parts, tile = parts_of(m, n, depth * k), tile_of(m, n)
        result = self.xp.empty((*lead, *([parts] if parts > 1 else []), m, n), dtype=a.dtype)
        tiles = -(-m // tile.rows), -(-n // tile.columns)
        outer, inner = (1, 1, *lead)[-2:]
        strides = [stride for x in (a, b) for stride in _matrix_strides(x.shape, axes)]
        steps = [np.int64(x.shape[-2] * x.shape[-1]) for x in (a, b)]
        threads = tile.threads * a.dtype.itemsize // 4
        sizes = (m, n, k, int(ta), int(tb), *strides, inner, *tiles, depth, *steps, parts)
        name = f"product_{tile.rows}x{tile.columns}"
        blocks = outer * inner * tiles[0] * tiles[1]
        self.launch(name, a.dtype, blocks * threads, a, b, result, *sizes, block=threads, grid=(parts,))
        return self.sum_parts(result, 2) if parts > 1 else result

    def sum_parts(self, part: Any, axes: int) -> Any:
        """Return the sums, in order, of contiguous (..., parts, *sizes) over the parts, with so many axes behind."""
        *lead, parts = part.shape[: part.ndim - axes]
        result = self.xp.empty((*lead, *part.shape[part.ndim - axes :]), dtype=part.dtype)
        size = np.int64(math.prod(part.shape[part.ndim - axes :]))
        self.launch("sum_parts", part.dtype, result.size, part, result, np.int64(result.size), parts, size)
        return result

    def depthwise(self, x: Any, kernel: Any, sign: int) -> Any:
        """Return (..., H, W, N, C) memory with each channel correlated with its stencil (..., C, k1, k2).

        With sign -1 it is the adjoint.
        """
        k1, k2 = kernel.shape[-2:]
        result = self.xp.empty(x.shape, dtype=x.dtype)
        stencils = self.xp.ascontiguousarray(_moved(kernel, (1, 2, 0)))
        stack, height, width, n, channels = _image_sizes(x)
        threads, sizes = (width * n * channels, height, stack), (height, width, n, channels, k1, k2, sign)
        self.launch_rows("depthwise_forward", x.dtype, threads, x, stencils, result, *sizes)
        return result

    def depthwise_gradient(self, x: Any, y: Any, kernel_size: tuple[int, int]) -> Any:
        """Return the gradient of ``<y, K(kernel) x>`` in the stencils, (..., C, k1, k2)."""
        stack, height, width, n, channels = _image_sizes(x)
        part = self.xp.empty((*x.shape[:-4], height, *kernel_size, channels), dtype=x.dtype)
        threads, sizes = (math.prod(kernel_size) * channels, height, stack), (height, width, n, channels)
        self.launch_rows("depthwise_gradient", x.dtype, threads, x, y, part, *sizes, *kernel_size)
        stencils = self.sum_parts(part, 3)
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
        threads, sizes = (width // f2 * n * channels, height // f1, math.prod(lead)), (height, width, n * channels)
        self.launch_rows("pool", memory.dtype, threads, memory, result, *sizes, f1, f2)
        return result

    def pool_adjoint(self, memory: Any, factor: tuple[int, int]) -> Any:
        """Return the adjoint of `pool`."""
        *lead, height, width, n, channels = memory.shape
        f1, f2 = factor
        result = self.xp.empty((*lead, height * f1, width * f2, n, channels), dtype=memory.dtype)
        sizes = (height * f1, width * f2, n * channels)
        threads = (width * f2 * n * channels, height * f1, math.prod(lead))
        self.launch_rows("pool_adjoint", memory.dtype, threads, memory, result, *sizes, f1, f2)
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

    def difference_penalty(self, x: Any, image_shape: tuple[int, int], factors: tuple[float, float]) -> tuple[Any, Any]:
        """Return ``<x, g> / 2``, (T,), and ``g = (f_1 D_1' D_1 + f_2 D_2' D_2) x`` for images (T, ..., H, W).

        ``D_1`` are the differences between neighbouring rows, ``D_2`` between neighbouring columns. The images of one
        trial must lie side by side, those of the next may be anywhere behind.
        """
        x = x if x[0].flags.c_contiguous else self.xp.ascontiguousarray(x)
        stack, count = x.shape[0], math.prod(x.shape[1:])
        gradient = self.xp.empty(x.shape, dtype=x.dtype)
        # at least eight numbers a thread: what is left to be summed is little beside the images
        blocks = min(-(-count // (8 * BLOCK)), BLOCKS)
        part = self.xp.empty((stack, blocks, BLOCK), dtype=x.dtype)
        numbers = (*(np.float64(f) for f in factors), np.int64(x.strides[0] // x.dtype.itemsize))
        sizes = (count, *image_shape, *numbers)
        self.launch("difference_penalty", x.dtype, blocks * BLOCK, x, gradient, part, *sizes, grid=(stack,))
        # first over the blocks: neighbours read neighbours
        return 0.5 * self.sum_parts(self.sum_parts(part, 1), 0), gradient

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


def _matrix_strides(shape: tuple[int, ...], axes: int) -> list[np.int64]:
    """Return how far apart matrices with `axes` axes lie along the two in front, 0 along an axis of length 1."""
    outer, inner = (1, 1, *shape[:-axes])[-2:]
    size = math.prod(shape[-axes:])
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
