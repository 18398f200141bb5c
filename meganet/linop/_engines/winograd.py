"""Winograd's minimal filtering for 3x3 kernels: tiles of 4x4 outputs from 6x6 inputs.

With the matrices below, for one input tile d (6, 6), one kernel g (3, 3) and one output tile y (4, 4), all of one
channel pair::

    y = A' [ (G g G') * (B' d B) ] A

where ``*`` is the elementwise product: 36 multiplications for 16 outputs instead of 144. Summed over input channels
the elementwise products are 36 independent matrix products, over tiles and examples by channels. The map is bilinear
in (g, d), so both gradients are its two adjoints and need no algorithm of their own: with ``z = A y A'``,

    dg = G' [ z * (B' d B) ] G,        dd = B [ (G g G') * z ] B'.

The transformed input ``B' d B`` is kept from the forward product and ``z`` serves both gradients. The transforms are
products with matrices of 6 rows over whole rows of pixels (`tiles.py`), written in place where the next product wants
them.

Accuracy: the sums of the transforms cancel, so the relative error is larger than that of the direct sum, about 2e-6 in
float32 and 4e-15 in float64 for 32 to 64 channels, at any image size; a test holds it below 1e-5 and 1e-13.

Source: Lavin and Gray, *Fast algorithms for convolutional neural networks* (2016), F(4x4, 3x3), points 0, ±1, ±2, ∞;
rows 0 of B' and G are scaled by 1/4 and 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import Array, Backend
from meganet.linop._engines.base import Engine
from meganet.linop._engines.tiles import (
    POINTS,
    TILE,
    InputAdjoint,
    InputTransform,
    OutputAdjoint,
    OutputTransform,
    example_chunks,
    kernel_from_transformed,
    tile_count,
    transformed_kernel,
)
from meganet.linop._layout import from_memory

Chunk = tuple[slice, np.ndarray[Any, Any]]
"""A range of examples and their transformed inputs, (tile rows, 6, 6, tile columns, examples * I)."""


class WinogradEngine(Engine):
    """F(4x4, 3x3) on the CPU, one row of tiles after another, some examples at a time."""

    name = "winograd"

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the kernel is 3x3 and the backend is NumPy."""
        return tuple(kernel_shape[2:]) == (3, 3) and backend.array_type is np.ndarray

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        return self._forward(backend, x, kernel, keep=False)[0]

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, list[Chunk]]:
        """Return ``K(kernel) x`` and the transformed input."""
        return self._forward(backend, x, kernel, keep=True)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        record = []
        for examples in example_chunks(backend, x, kernel_shape):
            inputs = InputTransform(x, examples)
            kept = np.empty((tile_count(x.shape[2]), *inputs.shape), x.dtype)
            for i, out in enumerate(kept):
                inputs.row(i, out)
            record.append((examples, kept))
        return self._gradients(record, y, kernel_shape, None)[0]

    def gradients(
        self, backend: Backend, record: list[Chunk], y: Array, kernel: Array, need_x: bool
    ) -> tuple[Array, Array | None]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        return self._gradients(record, y, kernel.shape, transformed_kernel(kernel) if need_x else None)

    @staticmethod
    def _forward(backend: Backend, x: Array, kernel: Array, keep: bool) -> tuple[Array, list[Chunk]]:
        out_channels, in_channels = kernel.shape[:2]
        n, _, height, width = x.shape
        rows, columns = tile_count(height), tile_count(width)
        kernels = transformed_kernel(kernel).transpose(0, 2, 1)
        y = np.empty((TILE * rows, TILE * columns, n, out_channels), x.dtype)
        record = []
        for examples in example_chunks(backend, x, kernel.shape):
            inputs, outputs = InputTransform(x, examples), OutputTransform(y, examples)
            kept = np.empty((rows if keep else 1, *inputs.shape), x.dtype)
            for i in range(rows):
                transformed = kept[i if keep else 0]
                inputs.row(i, transformed)
                np.matmul(transformed.reshape(POINTS, -1, in_channels), kernels, out=outputs.products)
                outputs.row(i)
            if keep:
                record.append((examples, kept))
        return from_memory(y[:height, :width]), record

    @staticmethod
    def _gradients(
        record: list[Chunk], y: Array, kernel_shape: tuple[int, ...], kernels: Array | None
    ) -> tuple[Array, Array | None]:
        """Return both gradients; the one in x only if the transformed `kernels` are given."""
        out_channels, in_channels = kernel_shape[:2]
        n, _, height, width = y.shape
        in_products = np.zeros((POINTS, out_channels, in_channels), y.dtype)
        one = np.empty_like(in_products)
        dx = None if kernels is None else np.empty((height, width, n, in_channels), y.dtype)
        for examples, inputs in record:
            outputs = OutputAdjoint(y, examples)
            spread = None if dx is None else InputAdjoint(dx, examples)
            for i, transformed in enumerate(inputs):
                z = outputs.row(i)
                np.matmul(z.transpose(0, 2, 1), transformed.reshape(POINTS, -1, in_channels), out=one)
                in_products += one
                if spread is not None and kernels is not None:
                    np.matmul(z, kernels, out=spread.products)
                    spread.row(i)
            if spread is not None:
                spread.finish()
        return kernel_from_transformed(in_products), None if dx is None else from_memory(dx)
