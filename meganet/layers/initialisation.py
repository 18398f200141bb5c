"""Random weights to start from. All numbers are drawn on the host, so every backend starts from the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from meganet import _validate
from meganet.backend import Array
from meganet.layers.base import Layer


def he_normal(layer: Layer, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Return weights with normal kernels of standard deviation ``sqrt(2 / fan_in)`` and zero biases.

    Source: He, Zhang, Ren, Sun, *Delving deep into rectifiers* (2015); Meganet uses the same deviation.
    """
    return _draw(layer, rng, dtype, lambda p: rng.standard_normal(p.shape) * np.sqrt(2 / p.fan_in))


def normal(layer: Layer, rng: np.random.Generator, std: float, dtype: Any = np.float64) -> Array:
    """Return weights with normal kernels of standard deviation `std` and zero biases."""
    std = _validate.real("std", std, minimum=0)
    return _draw(layer, rng, dtype, lambda p: std * rng.standard_normal(p.shape))


def clipped_normal(layer: Layer, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Return weights as Meganet draws those of its convolutions: normal kernels with their tails replaced.

    With the deviation ``s = sqrt(2 / (I k2))`` for kernels (O, I, k1, k2), numbers above ``2 s`` are replaced by new
    standard normal ones, without the factor s, then likewise those below ``-2 s``; what still lies outside is clipped.
    So some weights stand at the bounds, and s is `he_normal`'s times the root of k1. Drawn in MATLAB's order.
    """

    def draw(p: Any) -> np.ndarray[Any, Any]:
        if p.role != "stencil":
            _validate.reject("layer", "convolutions, for which Meganet draws so", f"{p.name}, a {p.role}")
        std = np.sqrt(2 * p.shape[-2] / p.fan_in)
        values = std * rng.standard_normal(p.size)
        for outside in (lambda v: v > 2 * std, lambda v: v < -2 * std):
            found = outside(values)
            values[found] = rng.standard_normal(int(found.sum()))
        clipped = np.clip(values, -2 * std, 2 * std)
        return clipped.reshape(*p.shape[:-2], p.shape[-1], p.shape[-2]).swapaxes(-1, -2)

    return _draw(layer, rng, dtype, draw)


def smoothed_normal(
    layer: Layer,
    rng: np.random.Generator,
    std: float = 0.1,
    clip: float = 0.2,
    smoothing: float = 10.0,
    dtype: Any = np.float64,
) -> Array:
    """Return the thesis' smooth classifier weights (section 3.2.1) and zero biases.

    Normal numbers of standard deviation `std` are clipped to ``[-clip, clip]``; in the space of the 2-D cosine
    transform of every block over the last two axes the coefficient of the mode (k, l) is divided by
    ``1 + smoothing * lambda_kl``, where ``lambda_kl = 4 - 2 cos(pi k / H) - 2 cos(pi l / W)`` are the eigenvalues of
    ``Gradient' Gradient``. That is one implicit diffusion step, ``(I + smoothing Gradient' Gradient) w = w_0``. The
    thesis only says that the variance of the coefficients is reduced; `smoothing` = 0 leaves them.
    """
    std = _validate.real("std", std, minimum=0)
    clip = _validate.real("clip", clip, above=0)
    smoothing = _validate.real("smoothing", smoothing, minimum=0)

    def draw(p: Any) -> np.ndarray[Any, Any]:
        if len(p.shape) < 3:
            _validate.reject("layer", "kernels with blocks over two image axes, (..., H, W)", f"shape {p.shape}")
        raw = np.clip(std * rng.standard_normal(p.shape), -clip, clip)
        eigenvalues = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in p.shape[-2:]]
        damping = 1 + smoothing * (eigenvalues[0][:, None] + eigenvalues[1][None, :])
        coefficients = scipy.fft.dctn(raw, axes=(-2, -1), norm="ortho") / damping
        return scipy.fft.idctn(coefficients, axes=(-2, -1), norm="ortho")

    return _draw(layer, rng, dtype, draw)


def _draw(layer: Layer, rng: np.random.Generator, dtype: Any, kernel: Any) -> Array:
    _validate.instance("layer", layer, Layer, "a layer or network")
    _validate.generator("rng", rng, "standard_normal")
    dtype = _validate.float_dtype("dtype", dtype)
    fixed = {"bias": 0.0, "scale": 1.0}
    parts = [np.full(p.size, fixed[p.role]) if p.role in fixed else kernel(p).ravel() for p in layer.parameters]
    return layer.backend.asarray(np.concatenate([*parts, np.zeros(0)]).astype(dtype))
