"""Random initial weights, drawn on the host: every backend starts from the same ones. Biases are 0, factors 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers.base import Layer


def he_normal(layer: Layer, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Return weights whose kernels are normal with standard deviation ``sqrt(2 / fan_in)``; biases are zero.

    Parameters
    ----------
    layer : Layer
        A layer or network.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float32 or float64; the numbers are drawn in float64.

    Returns
    -------
    array, (parameters.size,), on the layer's backend

    Notes
    -----
    He, Zhang, Ren, Sun, *Delving deep into rectifiers* (2015); Meganet uses the same deviation.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ConvolutionLayer, he_normal
    >>> layer = ConvolutionLayer((16, 8, 8), 32, bias=True)
    >>> theta = he_normal(layer, np.random.default_rng(0))
    >>> theta.shape, theta.dtype
    ((4640,), dtype('float64'))
    >>> views = layer.parameters.view(theta)
    >>> views["kernel"].shape, round(float(views["kernel"].std()), 3), round((2 / (16 * 9)) ** 0.5, 3)
    ((32, 16, 3, 3), 0.118, 0.118)
    >>> float(abs(views["bias"]).max())
    0.0
    """
    return _draw(layer, rng, dtype, lambda p: rng.standard_normal(p.shape) * np.sqrt(2 / p.fan_in))


def normal(layer: Layer, rng: np.random.Generator, std: float, dtype: Any = np.float64) -> Array:
    """Return weights whose kernels are normal with standard deviation `std`; biases are zero.

    Parameters
    ----------
    layer : Layer
        A layer or network.
    rng : numpy.random.Generator
    std : float
        At least 0.
    dtype : dtype, optional
        float32 or float64; the numbers are drawn in float64.

    Returns
    -------
    array, (parameters.size,), on the layer's backend

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import DenseLayer, normal
    >>> layer = DenseLayer((1, 4, 4), 10)
    >>> theta = normal(layer, np.random.default_rng(0), std=0.01, dtype=np.float32)
    >>> theta.shape, theta.dtype
    ((170,), dtype('float32'))
    >>> theta[-10:]  # the biases
    array([0., 0., 0., 0., 0., 0., 0., 0., 0., 0.], dtype=float32)
    """
    std = validate.real("std", std, minimum=0)
    return _draw(layer, rng, dtype, lambda p: std * rng.standard_normal(p.shape))


def clipped_normal(layer: Layer, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Return weights as Meganet draws those of its convolutions: normal kernels with their tails replaced.

    The deviation is ``s = sqrt(2 / (I k2))`` for kernels (O, I, k1, k2), that of `he_normal` times the root of k1.
    Numbers above ``2 s`` are replaced by new standard normal ones, without the factor s, then likewise those below
    ``-2 s``; what still lies outside is clipped, so that some weights lie on the bounds. The numbers are drawn in
    MATLAB's order.

    Parameters
    ----------
    layer : Layer
        A layer or network all of whose kernels are stencils.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float32 or float64; the numbers are drawn in float64.

    Returns
    -------
    array, (parameters.size,), on the layer's backend

    Raises
    ------
    InputError
        For a layer with other kernels than stencils.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ConvolutionLayer, clipped_normal
    >>> theta = clipped_normal(ConvolutionLayer((16, 8, 8), 32), np.random.default_rng(0))
    >>> theta.shape, round(float(abs(theta).max()), 3), round(2 * (2 / (16 * 3)) ** 0.5, 3)
    ((4608,), 0.408, 0.408)
    """

    def draw(p: Any) -> np.ndarray[Any, Any]:
        if p.role != "stencil":
            validate.reject("layer", "convolutions, for which Meganet draws so", f"{p.name}, a {p.role}")
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
    """Return smooth weights for a classifier of images, as in section 3.2.1 of the thesis; biases are zero.

    Normal numbers of standard deviation `std` are clipped to ``[-clip, clip]``; then the coefficient of the mode
    (k, l) in the two-dimensional cosine transform over the last two axes is divided by ``1 + smoothing * lambda_kl``,
    where ``lambda_kl = 4 - 2 cos(pi k / H) - 2 cos(pi l / W)`` are the eigenvalues of ``Gradient' Gradient``. That is
    one implicit diffusion step, ``(I + smoothing Gradient' Gradient) w = w_0``. The thesis only says that the variance
    of the coefficients is reduced.

    Parameters
    ----------
    layer : Layer
        A layer or network with kernels of three axes or more, (..., H, W).
    rng : numpy.random.Generator
    std : float
        At least 0.
    clip : float
        Positive.
    smoothing : float
        At least 0; 0 leaves the clipped numbers as they are.
    dtype : dtype, optional
        float32 or float64; the numbers are drawn in float64.

    Returns
    -------
    array, (parameters.size,), on the layer's backend

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import DenseLayer, smoothed_normal
    >>> from meganet.linop import Gradient
    >>> layer = DenseLayer((1, 28, 28), 10)
    >>> W = [smoothed_normal(layer, np.random.default_rng(0), smoothing=s) for s in (0, 10)]
    >>> kernels = [layer.parameters.view(w)["kernel"] for w in W]
    >>> kernels[0].shape
    (10, 1, 28, 28)
    >>> [round(float(np.linalg.norm(Gradient((1, 28, 28)) @ kernel)), 2) for kernel in kernels]
    [16.73, 0.53]
    """
    std = validate.real("std", std, minimum=0)
    clip = validate.real("clip", clip, above=0)
    smoothing = validate.real("smoothing", smoothing, minimum=0)

    def draw(p: Any) -> np.ndarray[Any, Any]:
        if len(p.shape) < 3:
            validate.reject("layer", "kernels with blocks over two image axes, (..., H, W)", f"shape {p.shape}")
        raw = np.clip(std * rng.standard_normal(p.shape), -clip, clip)
        eigenvalues = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in p.shape[-2:]]
        damping = 1 + smoothing * (eigenvalues[0][:, None] + eigenvalues[1][None, :])
        coefficients = scipy.fft.dctn(raw, axes=(-2, -1), norm="ortho") / damping
        return scipy.fft.idctn(coefficients, axes=(-2, -1), norm="ortho")

    return _draw(layer, rng, dtype, draw)


def initial_weights(network: Layer, classifier: Layer, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """Return random weights: He's for the network, the thesis' smooth ones for a classifier of images.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.layers import initial_weights
    >>> rng = np.random.default_rng(0)
    >>> x = initial_weights(mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3), rng, np.float32)
    >>> x.shape, x.dtype
    ((117,), dtype('float32'))
    """
    images = len(classifier.domain_shape) > 2
    theta = he_normal(network, rng, dtype)
    w = smoothed_normal(classifier, rng, dtype=dtype) if images else he_normal(classifier, rng, dtype)
    return network.backend.xp.concatenate([theta, w])


def _draw(layer: Layer, rng: np.random.Generator, dtype: Any, kernel: Any) -> Array:
    validate.instance("layer", layer, Layer, "a layer or network")
    validate.generator("rng", rng, "standard_normal")
    dtype = validate.float_dtype("dtype", dtype)
    fixed = {"bias": 0.0, "scale": 1.0}
    parts = [np.full(p.size, fixed[p.role]) if p.role in fixed else kernel(p).ravel() for p in layer.parameters]
    return layer.backend.asarray(np.concatenate([*parts, np.zeros(0)]).astype(dtype))
