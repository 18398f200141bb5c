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


LEAST, MOST = 1e-12, 1e-10
"""Tolerances for what is well conditioned, and for anything."""
AMPLIFICATION = 64.0
FACTORS = (0.57, 0.83, 1.21)


def conditioned(function, point, directions, degrees):
    """Return the results of a function by name, and the relative error that rounding may cause in each.

    The results are homogeneous in the directions, of degree 1 if `degrees` says nothing else. The tolerance is 64 times
    what changes of all arguments by four units of round-off do to a result, but at least 1e-12 and at most 1e-10. The
    directions are scaled as well and the results scaled back, for other roundings inside sums that cancel.
    """
    rng = np.random.default_rng(0)
    results = function(*point, *directions)
    largest = dict.fromkeys(results, 0.0)
    for factor in FACTORS:
        changed = [[a * (1 + 2.0**-50 * rng.standard_normal(a.shape)) for a in part] for part in (point, directions)]
        for name, other in function(*changed[0], *(factor * a for a in changed[1])).items():
            size = np.linalg.norm(results[name]) or 1.0
            change = other / factor ** degrees.get(name, 1) - results[name]
            largest[name] = max(largest[name], np.linalg.norm(change) / size)
    return results, {name: float(np.clip(AMPLIFICATION * c, LEAST, MOST)) for name, c in largest.items()}


def products(golden, case: str, layer: Layer):
    """Return a function of point and directions: the results of a network element by the names in the file."""

    def evaluated(theta, x, dy, dtheta=None, dx=None):
        y, tape = layer.forward(theta, x)
        results = {"Z": matlab(y, golden(case, "Z"))}
        if dtheta is not None:
            directions = {"Jmv": (dtheta, dx), "Jthetamv": (dtheta, 0 * dx), "JYmv": (0 * dtheta, dx)}
            found = {name: direction for name, direction in directions.items() if golden.has(case, name)}
            results |= {name: matlab(layer.jvp(*d, tape), golden(case, name)) for name, d in found.items()}
        in_theta, in_x = layer.vjp(dy, tape)
        for name in ("JTmv_dtheta", "JthetaTmv"):
            if golden.has(case, name) and golden(case, name).size:
                results[name] = to_matlab(layer.parameters, in_theta)
        for name in ("JTmv_dY", "JYTmv"):
            if golden.has(case, name):
                results[name] = matlab(in_x, golden(case, name))
        if golden.has(case, "JthetaTmv_ex"):
            assert not layer.couples_examples
            for n in range(len(x)):
                one = layer.vjp_theta(dy[n : n + 1], layer.forward(theta, x[n : n + 1])[1])
                results[f"JthetaTmv_ex {n}"] = to_matlab(layer.parameters, one)[:, 0]
        return results

    return evaluated


def compare_element(golden, case: str, layer: Layer) -> None:
    """Compare forward map and all products that are stored for a network element, as its conditioning allows."""

    def vector(name: str) -> np.ndarray:
        return from_matlab(layer.parameters, golden(case, name))

    if golden.has(case, "nTheta"):
        assert layer.parameters.size == int(golden.number(case, "nTheta"))
    point = vector("theta"), tensors(golden(case, "Y"), layer.domain_shape)
    directions = [tensors(golden(case, "W"), layer.range_shape)]
    if golden.has(case, "dY") and (golden.has(case, "Jmv") or golden.has(case, "JYmv")):
        directions += [vector("dtheta"), tensors(golden(case, "dY"), layer.domain_shape)]
    results, tolerances = conditioned(products(golden, case, layer), point, directions, {"Z": 0})
    for name, ours in results.items():
        stored, *column = name.split()
        theirs = golden(case, stored)
        golden.compare(ours, theirs[:, int(column[0])] if column else theirs, tolerances[name])


def compare_all(golden, build, *required: str) -> None:
    """Compare every case that has the arrays; `build` returns the layer of a case, or None where it is not one."""
    compared = 0
    for case in golden.cases(*required):
        layer = build(case)
        if layer is not None:
            compare_element(golden, case, layer)
            compared += 1
    assert compared
