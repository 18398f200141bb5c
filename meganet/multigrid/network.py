"""Transfer of a whole network with its classifier to the next finer or coarser grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from meganet.backend import Array, backend_of
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.multigrid.galerkin import prolongate_kernels, restrict_kernels
from meganet.multigrid.transfer import Axes, image_axes, prolongate_images, restrict_images, scaled
from meganet.networks import Chain, Integrator, Reparametrised

CLASSIFIER_SCALINGS = {"logits": -1, "none": 0, "thesis": 1}
"""Power of two, for each axis, in front of P by each reading of the thesis' section 3.1.3, see `prolongate_classifier`.
"""

KERNEL_TRANSFERS = ("galerkin", "copy")

OUTSIDE = 1e-4
"""Relative error above which transferred stencils are said not to lie in a layer's basis; float32 leaves 1e-6."""


class Transferred(NamedTuple):
    """A network on its new grid with its weights and the classifier's.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> layer = mn.ConvolutionLayer((1, 8, 8), 4)
    >>> W = np.zeros(10 * (4 * 8 * 8 + 1))
    >>> network, theta, W = mn.restrict(layer, mn.he_normal(layer, np.random.default_rng(0)), W)
    >>> network
    ConvolutionLayer((1, 4, 4) -> (4, 4, 4), relu)
    >>> theta.shape, W.shape
    ((36,), (650,))
    """

    network: Layer
    theta: Array
    W: Array


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
        (C, H, W) before the transfer.
    interpolation : {"linear", "constant"}
    scaling : {"logits", "none", "thesis"}
        Factors 1/4, 1 and 4. A logit is a plain sum over pixels, of which the fine grid has four times as many, so 1/4
        keeps the logits. The thesis multiplies by 4 (section 3.1.3, whose Riemann sums would ask for weights that do
        not change); with ``4 R.T`` read as "times four", as in the original package's P, the factor is 1. Along one
        axis alone they are 1/2, 1 and 2.
    axes : int or sequence of int, optional
        The image axes along which the resolution doubles, of -2 and -1; if not given those along which features are
        longer than one pixel.

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
    factor, along = _factor(scaling, feature_shape, axes)
    return _transfer_blocks(W, feature_shape, lambda b: factor * prolongate_images(b, interpolation, axes=along))


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
    factor, along = _factor(scaling, feature_shape, axes)
    return _transfer_blocks(W, feature_shape, lambda b: (1 / factor) * restrict_images(b, axes=along))


def _factor(scaling: str, feature_shape: Any, axes: Axes) -> tuple[float, tuple[int, ...]]:
    """Return the factor in front of P, and the axes along which it goes."""
    shape = validate.shape("feature_shape", feature_shape, ndim=3)
    power = CLASSIFIER_SCALINGS[validate.choice("scaling", scaling, CLASSIFIER_SCALINGS)]
    along = image_axes(axes, shape[1:])
    return 2.0 ** (power * len(along)), along


def prolongate(
    network: Layer,
    theta: Array,
    W: Array,
    *,
    interpolation: str = "linear",
    kernels: str = "galerkin",
    classifier_scaling: str = "logits",
    axes: Axes = None,
) -> Transferred:
    """Return the network for images of twice the resolution, with its weights.

    Parameters
    ----------
    network : Layer
        For images (C, H, W).
    theta : array, (network.parameters.size,)
    W : array, (K (features + 1),)
        Flat weights of the classifier on the network's range, with bias.
    interpolation : {"linear", "constant"}
        The choice of P, for stencils and classifier.
    kernels : {"galerkin", "copy"}
        The thesis' arms: "galerkin" is Multigrid, "copy" keeps the stencils' numbers (Transfer).
    classifier_scaling : {"logits", "none", "thesis"}
        See `prolongate_classifier`.
    axes : int or sequence of int, optional
        The image axes along which the resolution doubles, of -2 and -1; if not given those along which images are
        longer than one pixel, so that signals (C, 1, L) become (C, 1, 2L).

    Returns
    -------
    Transferred
        ``network, theta, W`` on the fine grid; dtype and backend as given.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Chain, ConvolutionLayer, prolongate
    >>> coarse = Chain([ConvolutionLayer((1, 14, 14), 4), ConvolutionLayer((4, 14, 14), 8)])
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.standard_normal(coarse.parameters.size)
    >>> W = rng.standard_normal(10 * (8 * 14 * 14 + 1))
    >>> fine = prolongate(coarse, theta, W)
    >>> fine.network.domain_shape, fine.W.shape
    ((1, 28, 28), (62730,))
    """
    along = image_axes(axes, _image_domain(network)[1:])
    _check_weights(theta, W)
    larger = _on_next_grid(network, along, finer=True)
    change = _stencils(kernels, lambda k: prolongate_kernels(k, interpolation, axes=along))
    fine_w = prolongate_classifier(
        W, network.range_shape, interpolation=interpolation, scaling=classifier_scaling, axes=along
    )
    return Transferred(larger, _transfer_theta(network, larger, theta, change), fine_w)


def restrict(
    network: Layer,
    theta: Array,
    W: Array,
    *,
    interpolation: str = "linear",
    kernels: str = "galerkin",
    classifier_scaling: str = "logits",
    axes: Axes = None,
) -> Transferred:
    """Return the network for images of half the resolution, with its weights.

    Parameters as for `prolongate`. It undoes a prolongation of the stencils with either interpolation; for the
    classifier see `restrict_classifier`.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 28, 28), 4), mn.ConvolutionLayer(..., 8)])
    >>> theta = mn.he_normal(network, np.random.default_rng(0))
    >>> coarse = mn.restrict(network, theta, np.zeros(10 * (8 * 28 * 28 + 1)))
    >>> coarse.network.domain_shape, coarse.W.shape
    ((1, 14, 14), (15690,))
    >>> back = mn.prolongate(*coarse)
    >>> bool(np.allclose(back.theta, theta))
    True
    """
    shape = _image_domain(network)
    along = image_axes(axes, shape[1:])
    validate.even_shape("network's images", shape[1:], along)
    _check_weights(theta, W)
    smaller = _on_next_grid(network, along, finer=False)
    change = _stencils(kernels, lambda k: restrict_kernels(k, interpolation, axes=along))
    coarse_w = restrict_classifier(W, network.range_shape, scaling=classifier_scaling, axes=along)
    return Transferred(smaller, _transfer_theta(network, smaller, theta, change), coarse_w)


def _image_domain(network: Layer) -> tuple[int, ...]:
    validate.instance("network", network, Layer, "a layer or network")
    for name in ("domain_shape", "range_shape"):
        if len(getattr(network, name)) != 3:
            validate.reject("network", f"images (C, H, W) as {name}", str(getattr(network, name)))
    return network.domain_shape


def _on_next_grid(network: Layer, axes: Sequence[int], *, finer: bool) -> Layer:
    """Return the network for finer or coarser images; refuse one whose results do not follow its images' size.

    They do not, for instance, with an unsuitable stride.
    """
    channels, *image = network.domain_shape
    other = network.resized((channels, *scaled(image, axes, finer)))
    coarse, fine = (network, other) if finer else (other, network)
    channels, *image = coarse.range_shape
    expected = (channels, *scaled(image, axes, finer=True))
    if fine.range_shape != expected:
        what = f"one whose range doubles with its images, {expected} on the finer grid"
        validate.reject("network", what, str(fine.range_shape))
    return other


def _stencils(kernels: str, galerkin: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return galerkin if validate.choice("kernels", kernels, KERNEL_TRANSFERS) == "galerkin" else lambda k: k


def _check_weights(theta: Array, W: Array) -> None:
    home = backend_of(theta)
    home.require_floats("theta", theta)
    home.require("W", W)
    validate.same_dtype("W", W, theta.dtype, "theta")


def _transfer_theta(before: Layer, after: Layer, theta: Array, change: Callable[[Array], Array]) -> Array:
    """Change every stencil, keep biases and factors (there is no multigrid meaning for them, section 3.1.2).

    Stencils in a basis, `Reparametrised`, are changed as stencils and then put into the basis again.
    """
    validate.array_shape("theta", theta, (before.parameters.size,))
    if isinstance(before, Chain) and isinstance(after, Chain):
        return before.joined_unchecked(
            [
                _transfer_theta(old, new, part, change)
                for old, new, part in zip(before.layers, after.layers, before.parts_unchecked(theta), strict=True)
            ]
        )
    if isinstance(before, Reparametrised) and isinstance(after, Reparametrised):
        changed = _transfer_theta(before.layer, after.layer, before.weights(theta), change)
        return _in_basis(before, changed)
    if isinstance(before, Integrator) and isinstance(after, Integrator):
        return _each_column(before, after, theta, change)
    views = before.parameters.view_unchecked(theta)
    parts = []
    for old, new in zip(before.parameters, after.parameters, strict=True):
        if old.shape != new.shape:
            validate.reject(
                "network", "layers whose weights do not depend on the resolution", f"{old.name} of {before!r}"
            )
        view = views[old.name]
        # every stencil changes alike, whichever channels it belongs to
        changed = change(view.reshape(-1, 1, *old.shape[-2:])) if old.role == "stencil" else view
        parts.append(changed.reshape(-1))
    return backend_of(theta).xp.concatenate([*parts, theta[:0]])


def _each_column(before: Integrator, after: Integrator, theta: Array, change: Callable[[Array], Array]) -> Array:
    """Change the coefficients in time: the transfer is linear, so they change as the weights at each time do."""
    if not before.width:
        return theta
    columns, count = theta.reshape(-1, before.width), 1 if before.shared else len(before.layers)
    parts = [
        _transfer_theta(before.layers[k], after.layers[k], columns[time, before.parts[k]], change)
        for time in range(columns.shape[0])
        for k in range(count)
    ]
    return backend_of(theta).xp.concatenate(parts)


def _in_basis(layer: Reparametrised, weights: Array) -> Array:
    """Return the coefficients of weights in the layer's basis, in which they must lie."""
    if layer.offset is not None:
        validate.reject("network", "weights in a basis without offset, or none at all", repr(layer))
    backend = layer.backend
    basis = scipy.sparse.csc_array(layer.to("numpy").basis.tosparse())
    target = backend.to_host(weights).astype(np.float64)
    square = basis.shape[0] == basis.shape[1]
    system, right = (basis, target) if square else ((basis.T @ basis).tocsc(), basis.T @ target)
    coefficients = scipy.sparse.linalg.splu(system).solve(right)
    error = float(np.linalg.norm(basis @ coefficients - target))
    if not error <= OUTSIDE * float(np.linalg.norm(target)):
        validate.reject("network", f"a basis that holds the transferred stencils of {layer!r}", f"an error {error:.1e}")
    return backend.asarray(coefficients.astype(weights.dtype))


def _transfer_blocks(W: Array, feature_shape: Any, change: Callable[[Array], Array]) -> Array:
    channels, height, width = validate.shape("feature_shape", feature_shape, ndim=3)
    backend_of(W).require_floats("W", W)
    features = channels * height * width
    if len(W.shape) != 1 or W.size == 0 or W.size % (features + 1):
        validate.reject(
            "W", f"a vector of K ({features} + 1) weights: a kernel on {feature_shape} and a bias", f"shape {W.shape}"
        )
    classes = W.size // (features + 1)
    blocks = W[: classes * features].reshape(classes, channels, height, width)
    return backend_of(W).xp.concatenate([change(blocks).reshape(-1), W[classes * features :]])
