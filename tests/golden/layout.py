"""From MATLAB's array order to ours."""

from __future__ import annotations

import numpy as np


def images(array: np.ndarray) -> np.ndarray:
    """Return [rows, columns, channels, examples], trailing ones absent, as (N, C, H, W)."""
    return array.reshape(array.shape + (1,) * (4 - array.ndim)).transpose(3, 2, 0, 1)


def column_major(*shape: int) -> np.ndarray:
    """Return the position in MATLAB's vec of every entry of a C-ordered array (..., C, H, W) of one example."""
    *lead, height, width = shape
    order = np.arange(int(np.prod(shape))).reshape(height, width, *lead[::-1], order="F")
    return order.transpose(*range(order.ndim - 1, 1, -1), 0, 1).ravel()


def kernel(vector: np.ndarray, shape: list[int]) -> np.ndarray:
    """Return weights ordered [k1, k2, in, out] in MATLAB as (out, in, k1, k2)."""
    return vector.reshape(shape, order="F").transpose(3, 2, 0, 1)


def kernel_vector(array: np.ndarray) -> np.ndarray:
    """Return (out, in, k1, k2) weights as MATLAB's column vector."""
    return array.transpose(2, 3, 1, 0).reshape(-1, 1, order="F")
