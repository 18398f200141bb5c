"""Winograd's minimal filtering for 3x3 kernels: tiles of 4x4 outputs from 6x6 inputs.

With the matrices B, G and A of `tiles.py`, for one input tile d (6, 6), one kernel g (3, 3) and one output tile y
(4, 4), all of one channel pair::

    y = A' [ (G g G') * (B' d B) ] A

where ``*`` is the elementwise product: 36 multiplications for 16 outputs instead of 144. Summed over input channels
the elementwise products are 36 independent matrix products, over tiles and examples by channels. The map is bilinear
in (g, d), so both gradients are its two adjoints and need no algorithm of their own: with ``z = A y A'``,

    dg = G' [ z * (B' d B) ] G,        dd = B [ (G g G') * z ] B'.

The transformed input ``B' d B`` is kept from the forward product and ``z`` serves both gradients. The transforms are
products with matrices of 6 rows over whole rows of pixels (`tiles.py`), written in place where the next product wants
them.

Accuracy: the sums of the transforms cancel, so the relative error is larger than that of the direct sum, up to 3e-6 in
float32 and 5e-15 in float64 for 32 to 64 channels, at any image size; a test holds it below 40 units of round-off in
the Euclidean norm. Elementwise, with u the unit round-off and d_c the window of an output's tile in channel c,

    |error| <= m u sum_c max |d_c| |g_c|_1,

m below 200 in all trials: an output is accurate in proportion to the largest inputs of its window, not of its own 3x3
neighbourhood, and a non-finite input spoils the tiles of its windows. Both gradients likewise. `guarded.py` says where
that is too little.

Source: Lavin and Gray, *Fast algorithms for convolutional neural networks* (2016), F(4x4, 3x3), points 0, ±1, ±2, ∞;
rows 0 of B' and G are scaled by 1/4 and 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory
from meganet.linop._engines.base import Engine
from meganet.linop._engines.tiles import (
    POINTS,
    TILE,
    Block,
    InputAdjoint,
    blocks,
    kernel_from_transformed,
    tile_count,
    transformed_input,
    transformed_kernel,
    transformed_output,
    write_output,
)


class Record(NamedTuple):
    """What the gradients need: the transformed kernel (36, O, I) and the inputs (36, tiles * examples, I) by blocks."""

    kernel: Array
    inputs: list[tuple[Block, Array]]


class WinogradEngine(Engine):
    """F(4x4, 3x3) on the CPU, block by block."""

    name = "winograd"

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the kernel is 3x3 and the backend is NumPy."""
        return tuple(kernel_shape[2:]) == (3, 3) and backend.array_type is np.ndarray

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        return self._forward(backend, x, transformed_kernel(kernel), None)

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Record]:
        """Return ``K(kernel) x``, the transformed kernel and the transformed input."""
        record = Record(transformed_kernel(kernel), [])
        return self._forward(backend, x, record.kernel, record.inputs), record

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        inputs = [(block, transformed_input(x, block)) for block in blocks(backend, x, kernel_shape)]
        kernel = np.empty((POINTS, *kernel_shape[:2]), x.dtype)
        return self.gradients(backend, Record(kernel, inputs), y, False)[0]

    def gradients(self, backend: Backend, record: Record, y: Array, need_x: bool) -> tuple[Array, Array | None]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        n, _, height, width = y.shape
        in_products: list[Array] = []
        dx = np.empty((height, width, n, record.kernel.shape[2]), y.dtype)
        spread = InputAdjoint(dx)
        for block, inputs in record.inputs:
            z = transformed_output(y, block)
            in_products.append(z.transpose(0, 2, 1) @ inputs)
            if need_x:
                spread.add(z @ record.kernel, block)
        spread.finish()
        for more in in_products[1:]:
            in_products[0] += more
        return kernel_from_transformed(in_products[0]), from_memory(dx) if need_x else None

    @staticmethod
    def _forward(backend: Backend, x: Array, kernel: Array, record: list[tuple[Block, Array]] | None) -> Array:
        n, _, height, width = x.shape
        _, out_channels, in_channels = kernel.shape
        kernels = np.ascontiguousarray(kernel.transpose(0, 2, 1))
        y = np.empty((TILE * tile_count(height), TILE * tile_count(width), n, out_channels), x.dtype)
        for block in blocks(backend, x, (out_channels, in_channels)):
            inputs = transformed_input(x, block)
            write_output(inputs @ kernels, y, block)
            if record is not None:
                record.append((block, inputs))
        return from_memory(y[:height, :width])
