"""From MATLAB's array order to ours, and the comparison of a whole layer or network."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np

from meganet.interop.matlab import from_matlab, to_matlab
from meganet.layers import Layer
from meganet.linop import Matrix


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


def tensors(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return examples of a shape: [features, N], [pixels, channels, N] or [rows, columns, channels, N] in MATLAB."""
    if len(shape) == 3:
        return images(array.reshape(*shape[1:], shape[0], -1, order="F"))
    return array.reshape(*shape[::-1], -1, order="F").transpose()


def matlab(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return the inverse of `tensors`, in the shape of a stored array."""
    order = (2, 3, 1, 0) if array.ndim == 4 else tuple(range(array.ndim))[::-1]
    return array.transpose(order).reshape(like.shape, order="F")


def stencils_within(image: Iterable[int], entries: int | None = None) -> list[tuple[int, int]]:
    """Return the odd sizes of stencils that fit into an image, those with so many entries, the usual ones first."""
    sizes = product(*(range(1, n + 1, 2) for n in image))
    found = [size for size in sizes if entries is None or size[0] * size[1] == entries]
    return sorted(found, key=lambda size: (abs(size[0] - size[1]), abs(max(size) - 3), size))


def fitting(golden, case: str, candidates: Iterable[Layer]) -> Layer:
    """Return the first layer whose weights are as many as those of the case and whose result is the stored one.

    For what a case has without the file saying so: sizes of stencils, channels in between, activations. All products
    are compared afterwards.
    """
    tried = []
    for layer in candidates:
        if layer.parameters.size != golden(case, "theta").size:
            continue
        x = tensors(golden(case, "Y"), layer.domain_shape)
        y = layer(from_matlab(layer.parameters, golden(case, "theta")), x)
        error = np.linalg.norm(matlab(y, golden(case, "Z")) - golden(case, "Z")) / np.linalg.norm(golden(case, "Z"))
        if error < 1e-9:
            return layer
        tried.append(layer)
    raise AssertionError(f"{case}: none of {len(tried)} layers has the stored result: {tried}")


def bias(array: np.ndarray) -> Matrix:
    """Return a bias matrix as an operator."""
    return Matrix(array)


def compare_element(golden, case: str, layer: Layer, tolerance: float = 1e-12) -> None:
    """Compare forward map and all products that are stored for a network element."""

    def has(name: str) -> bool:
        return golden.has(case, name)

    def vector(name: str) -> np.ndarray:
        return from_matlab(layer.parameters, golden(case, name))

    def compare(ours: np.ndarray, name: str) -> None:
        golden.compare(matlab(ours, golden(case, name)), golden(case, name), tolerance)

    if has("nTheta"):
        assert layer.parameters.size == int(golden.number(case, "nTheta"))
    theta, x = vector("theta"), tensors(golden(case, "Y"), layer.domain_shape)
    y, tape = layer.forward(theta, x)
    compare(y, "Z")
    if has("dY") and (has("Jmv") or has("JYmv")):
        dtheta, dx = vector("dtheta"), tensors(golden(case, "dY"), layer.domain_shape)
        directions = {"Jmv": (dtheta, dx), "Jthetamv": (dtheta, 0 * dx), "JYmv": (0 * dtheta, dx)}
        for name, direction in directions.items():
            if has(name):
                compare(layer.jvp(*direction, tape), name)
    dy = tensors(golden(case, "W"), layer.range_shape)
    in_theta, in_x = layer.vjp(dy, tape)
    for name in ("JTmv_dtheta", "JthetaTmv"):
        if has(name) and golden(case, name).size:
            golden.compare(to_matlab(layer.parameters, in_theta), golden(case, name), tolerance)
    for name in ("JTmv_dY", "JYTmv"):
        if has(name):
            compare(in_x, name)
    if has("JthetaTmv_ex"):
        assert not layer.couples_examples
        for n in range(len(x)):
            one = layer.vjp_theta(dy[n : n + 1], layer.forward(theta, x[n : n + 1])[1])
            golden.compare(to_matlab(layer.parameters, one)[:, 0], golden(case, "JthetaTmv_ex")[:, n], tolerance)


def compare_all(golden, build, *required: str, tolerance: float = 1e-12) -> None:
    """Compare every case that has the arrays; `build` returns the layer of a case, or None where it is not one."""
    compared = 0
    for case in golden.cases(*required):
        layer = build(case)
        if layer is not None:
            compare_element(golden, case, layer, tolerance)
            compared += 1
    assert compared
