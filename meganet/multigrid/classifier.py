"""The classifier's weights between grids, section 3.1.3 of the thesis."""

from __future__ import annotations

import math
from typing import Any

from meganet.backend import Array, Backend, backend_of
from meganet.ground import validate
from meganet.linop import BlockDiagonal, Identity, Kronecker, LinearOperator, Matrix
from meganet.multigrid.transfer import Axes, image_axes, prolongation, restriction, scaled

CLASSIFIER_SCALINGS = {"logits": -1, "none": 0, "thesis": 1}
"""Power of two, for each axis, in front of P by each reading of the thesis' section 3.1.3, see `prolongate_classifier`.
"""


def prolongate_classifier(
    W: Array, feature_shape: Any, *, interpolation: str = "linear", scaling: str = "logits", axes: Axes = None
) -> Array:
    """Return the classifier's weights for features of twice the resolution.

    Every (class, channel) block of the kernel becomes ``factor * P @ block``; the bias stays.

    Parameters
    ----------
    W : array, (K (C H W + 1),)
        Flat weights of a `DenseLayer` with bias on features (C, H, W): the kernel (K, C, H, W), then the bias.
    feature_shape : tuple of int
        (C, H, W) before the transfer, or (C, T, H, W).
    interpolation : {"linear", "constant"}
    scaling : {"logits", "none", "thesis"}
        Factors 1/4, 1 and 4. A logit is a plain sum over pixels, of which the fine grid has four times as many, so 1/4
        keeps the logits. The thesis multiplies by 4 (section 3.1.3, whose Riemann sums would ask for weights that do
        not change); with ``4 R.T`` read as "times four", as in the original package's P, the factor is 1. Along one
        axis alone they are 1/2, 1 and 2.
    axes : int or sequence of int, optional
        The image axes along which the resolution doubles, of -2 and -1, of videos -3 to -1; if not given those along
        which features are longer than one pixel.

    Returns
    -------
    array, (K (4 C H W + 1),), like `W`

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multigrid import prolongate_classifier, prolongate_images
    >>> rng = np.random.default_rng(0)
    >>> W, features = rng.standard_normal(10 * (8 * 14 * 14 + 1)), rng.standard_normal((5, 8, 14, 14))
    >>> fine = prolongate_classifier(W, (8, 14, 14), interpolation="constant")
    >>> W.shape, fine.shape
    ((15690,), (62730,))
    >>> logits = mn.DenseLayer((8, 28, 28), 10)(fine, prolongate_images(features, "constant"))
    >>> bool(np.allclose(logits, mn.DenseLayer((8, 14, 14), 10)(W, features)))
    True
    """
    shape, classes = _features(W, feature_shape)
    blocks = prolonged_blocks(shape, classes, interpolation, scaling, axes, backend_of(W))
    return BlockDiagonal(blocks) @ W


def restrict_classifier(W: Array, feature_shape: Any, *, scaling: str = "logits", axes: Axes = None) -> Array:
    """Return the classifier's weights for features of half the resolution: ``R @ block / factor``.

    Parameters and result as for `prolongate_classifier`; the factor is the inverse of the one there. After a
    prolongation with constant interpolation this gives the weights back, since ``R P = I``; with linear interpolation
    ``R P`` smooths, and it does not.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import prolongate_classifier, restrict_classifier
    >>> W = np.random.default_rng(0).standard_normal(10 * (8 * 14 * 14 + 1))
    >>> fine = prolongate_classifier(W, (8, 14, 14), interpolation="constant")
    >>> coarse = restrict_classifier(fine, (8, 28, 28))
    >>> coarse.shape, bool(np.allclose(coarse, W))
    ((15690,), True)
    """
    shape, classes = _features(W, feature_shape)
    return BlockDiagonal(restricted_blocks(shape, classes, scaling, axes, backend_of(W))) @ W


def prolonged_blocks(
    feature_shape: tuple[int, ...], classes: int, interpolation: str, scaling: str, axes: Axes, backend: Backend
) -> list[LinearOperator]:
    """Return the operators on the kernel and on the bias of a classifier that `prolongate_classifier` applies.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.multigrid.classifier import prolonged_blocks
    >>> kernel, bias = prolonged_blocks((8, 14, 14), 10, "linear", "logits", None, get_backend("numpy"))
    >>> kernel.shape, bias.shape
    ((62720, 15680), (10, 10))
    """
    factor, along = _factor(scaling, feature_shape, axes)
    fine = scaled(feature_shape[1:], along, finer=True)
    matrix = prolongation(fine, interpolation, axes=along, backend="numpy")
    return _blocks(factor * matrix, classes, feature_shape[0], backend)


def restricted_blocks(
    feature_shape: tuple[int, ...], classes: int, scaling: str, axes: Axes, backend: Backend
) -> list[LinearOperator]:
    """Return the operators on the kernel and on the bias of a classifier that `restrict_classifier` applies.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.multigrid.classifier import restricted_blocks
    >>> kernel, bias = restricted_blocks((8, 28, 28), 10, "logits", None, get_backend("numpy"))
    >>> kernel.shape, bias.shape
    ((15680, 62720), (10, 10))
    """
    factor, along = _factor(scaling, feature_shape, axes)
    matrix = restriction(feature_shape[1:], axes=along, backend="numpy")
    return _blocks((1 / factor) * matrix, classes, feature_shape[0], backend)


def classes_of(W: Array, feature_shape: tuple[int, ...]) -> int:
    """Return the number of classes of a classifier with these weights on features of a shape.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid.classifier import classes_of
    >>> classes_of(np.zeros(50), (2, 3, 4))
    2
    """
    backend_of(W).require_floats("W", W)
    features = math.prod(feature_shape)
    if len(W.shape) != 1 or W.size == 0 or W.size % (features + 1):
        validate.reject(
            "W", f"a vector of K ({features} + 1) weights: a kernel on {feature_shape} and a bias", f"shape {W.shape}"
        )
    return int(W.size // (features + 1))


def _features(W: Array, feature_shape: Any) -> tuple[tuple[int, ...], int]:
    shape = validate.shape("feature_shape", feature_shape, ndim=(3, 4))
    return shape, classes_of(W, shape)


def _factor(scaling: str, feature_shape: tuple[int, ...], axes: Axes) -> tuple[float, tuple[int, ...]]:
    """Return the factor in front of P, and the axes along which it goes."""
    power = CLASSIFIER_SCALINGS[validate.choice("scaling", scaling, CLASSIFIER_SCALINGS)]
    along = image_axes(axes, feature_shape[1:])
    return 2.0 ** (power * len(along)), along


def _blocks(matrix: Any, classes: int, channels: int, backend: Backend) -> list[LinearOperator]:
    every_image = Kronecker(Identity(classes * channels, backend=backend), Matrix(matrix, backend=backend))
    return [every_image, Identity(classes, backend=backend)]
