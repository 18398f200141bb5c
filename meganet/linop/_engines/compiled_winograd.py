"""Winograd's products by compiled loops; `winograd.py` explains them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, to_memory
from meganet.backend.loops.plans import (
    PLAIN,
    RELU,
    SLOPE,
    TILE_REGISTERS,
    lane_count,
    loops_of,
    optional,
    readable,
    slopes_of,
    work,
)
from meganet.linop._engines.base import FusedEngine
from meganet.linop._engines.tiles import POINTS, TILE, WINDOW, kernel_from_transformed, transformed_kernel

BLOCK_BYTES = 7 * 2**16
"""Of the points of a block of tiles: with the kernel's they stay in the second cache."""


class Record(NamedTuple):
    """What the gradients need: the images' memory (H, W, N, I) and the transformed kernel (36, O, I)."""

    x: Array
    kernel: Array


class Plan:
    """Tables for images (H, W, N, C) with I channels and O results; nobody changes them.

    Attributes
    ----------
    rows_at, columns_at, groups, channels_at : array of int
        See `loops.winograd`.
    block : int
        Tiles that are transformed at once.
    widths : pair of int
        Channels and results, filled up to whole registers.
    tiles_at : pair of array of int
        Where tiles begin among the points of images, and among those of results.
    """

    def __init__(self, shape: tuple[int, int, int, int], out_channels: int, dtype: np.dtype[Any]) -> None:
        registers, rows = lane_count(dtype), loops_of("products").ROWS
        height, width, examples, channels = shape
        self.rows_at = (np.arange(height + WINDOW) - 1) % height * (width * examples * channels)
        self.columns_at = (np.arange(width + WINDOW) - 1) % width * (examples * channels)
        self.groups = np.array(
            [(m1, m2, i, j, a, b) for m1, i, a in _tiles(height) for m2, j, b in _tiles(width)], np.int64
        )
        self.widths = tuple(-(-count // registers) * registers for count in (channels, out_channels))
        fitting = BLOCK_BYTES // (POINTS * sum(self.widths) * dtype.itemsize)
        self.block = max(rows, fitting // rows * rows)
        self.tiles_at = tuple(np.arange(self.block) * (POINTS * width) for width in self.widths)
        self.channels_at = np.arange(max(channels, out_channels))


def _tiles(size: int) -> list[tuple[int, int, int]]:
    """Return size, first pixel and number of the whole tiles along an axis, and of the smaller one."""
    whole, rest = divmod(size, TILE)
    found = [(TILE, 0, whole), (rest, TILE * whole, 1)]
    return [(m, start, count) for m, start, count in found if m * count]


@lru_cache(maxsize=64)
def _plan(shape: tuple[int, int, int, int], out_channels: int, dtype: np.dtype[Any]) -> Plan:
    return Plan(shape, out_channels, dtype)


class CompiledWinograd(FusedEngine):
    """F(4x4, 3x3), and smaller tiles at the border, in compiled loops."""

    name, compiled = "winograd", True

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the kernel is 3x3 and the backend is NumPy."""
        return tuple(kernel_shape[2:]) == (3, 3) and backend.array_type is np.ndarray

    def activated(
        self, backend: Backend, x: Array, kernel: Array, bias: Array | None, relu: bool, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return y, its slope and what the gradients need, see `Engine`."""
        memory, points = to_memory(backend, x), transformed_kernel(kernel)
        slope = np.empty((*memory.shape[:3], kernel.shape[0]), bool) if relu and recorded else None
        y = self._sum([(memory, points)], bias, slope, RELU if relu else PLAIN)
        if not recorded:
            return from_memory(y), None, None
        return from_memory(y), None if slope is None else from_memory(slope), Record(memory, points)

    def correlate_two(
        self, backend: Backend, x: Array, kernel: Array, x2: Array, kernel2: Array, slope: Array | None
    ) -> Array:
        """Return ``slope * (K(kernel) x + K(kernel2) x2)``."""
        pairs = [(to_memory(backend, images), transformed_kernel(one)) for images, one in ((x, kernel), (x2, kernel2))]
        if slope is None:
            return from_memory(self._sum(pairs, None, None, PLAIN))
        return from_memory(self._sum(pairs, None, to_memory(backend, slope), SLOPE))

    @staticmethod
    def _sum(pairs: list[tuple[Array, Array]], bias: Array | None, slope: Array | None, then: int) -> Array:
        """Return the sum of the products of memory (H, W, N, I) with points (36, O, I), and what follows."""
        memory, points = pairs[0]
        height, width, examples, channels = memory.shape
        out_channels, dtype = points.shape[1], memory.dtype
        plan = _plan(memory.shape, out_channels, dtype)
        y = np.empty((height, width, examples, out_channels), dtype)
        operands = [_operands(*pair, plan.widths[1]) for pair in pairs] + [(optional(None, dtype),) * 2]
        loops_of("winograd").correlate(
            *operands[0],
            *operands[1],
            optional(None if bias is None else _filled(bias, plan.widths[1]), dtype),
            y.reshape(-1),
            slopes_of(slope),
            then,
            plan.rows_at,
            plan.columns_at,
            plan.groups,
            plan.tiles_at[0],
            plan.channels_at,
            width,
            examples,
            channels,
            out_channels,
            plan.block,
            *_work(plan, dtype),
        )
        return y

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        record = Record(to_memory(backend, x), np.empty((POINTS, *kernel_shape[:2]), x.dtype))
        return self.gradients(backend, record, y, False)[0]

    def sloped_gradients(
        self, backend: Backend, record: Record, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Array | None]:
        """Return the gradients of ``<slope * y, K(kernel) x>`` in the kernel and, if needed, in x."""
        x, points = record
        _, width, examples, channels = x.shape
        out_channels, dtype = points.shape[1], x.dtype
        plan = _plan(x.shape, out_channels, dtype)
        in_points = np.zeros((POINTS, out_channels, plan.widths[0]), dtype)
        dx = np.zeros(x.shape, dtype) if need_x else np.empty(0, dtype)
        loops_of("winograd").gradients(
            readable(x),
            readable(to_memory(backend, y)),
            optional(None if slope is None else to_memory(backend, slope), np.dtype(bool)),
            optional(_filled(points, plan.widths[0]) if need_x else None, dtype),
            in_points.reshape(-1),
            work("totals", in_points.size, dtype),
            dx.reshape(-1),
            plan.rows_at,
            plan.columns_at,
            plan.groups,
            plan.tiles_at[1],
            plan.channels_at,
            width,
            examples,
            channels,
            out_channels,
            plan.block,
            *_work(plan, dtype),
        )
        return kernel_from_transformed(in_points[..., :channels]), from_memory(dx) if need_x else None


def _operands(memory: Array, points: Array, width: int) -> tuple[Array, Array]:
    """Return flat images and the flat transformed kernel as (36, I, O), the last axis filled up to `width`."""
    return readable(memory), readable(_filled(points.transpose(0, 2, 1), width))


def _filled(array: Array, width: int) -> Array:
    """Return a contiguous array with zeros behind the last axis."""
    if array.shape[-1] == width:
        return np.ascontiguousarray(array)
    filled = np.zeros((*array.shape[:-1], width), array.dtype)
    filled[..., : array.shape[-1]] = array
    return filled


def _work(plan: Plan, dtype: np.dtype[Any]) -> list[Array]:
    sizes = [POINTS * plan.block * width for width in plan.widths]
    names = ("points of images", "points of results", "tile")
    sizes.append(TILE_REGISTERS * lane_count(dtype))
    return [work(name, size, dtype) for name, size in zip(names, sizes, strict=True)]
