"""Transfer of a whole network with its classifier to the next finer or coarser grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from meganet import _validate
from meganet.backend import Array, backend_of
from meganet.layers.base import Layer
from meganet.multigrid.galerkin import prolongate_kernels, restrict_kernels
from meganet.multigrid.transfer import prolongate_images, restrict_images
from meganet.networks import Chain, Integrator, Reparametrised

CLASSIFIER_SCALINGS = {"logits": 0.25, "none": 1.0, "thesis": 4.0}
"""Factor in front of P for each reading of the thesis' section 3.1.3, see `prolongate_classifier`."""

KERNEL_TRANSFERS = ("galerkin", "copy")

OUTSIDE = 1e-4
"""Relative error above which transferred stencils are said not to lie in a layer's basis; float32 leaves 1e-6."""


class Transferred(NamedTuple):
    """A network on its new grid with its weights and the classifier's."""

    network: Layer
    theta: Array
    W: Array


def prolongate_classifier(
    W: Array, feature_shape: Any, *, interpolation: str = "linear", scaling: str = "logits"
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
        not change); with ``4 R.T`` read as "times four", as in the original package's P, the factor is 1.

    Returns
    -------
    array, (K (4 C H W + 1),), like `W`
    """
    factor = CLASSIFIER_SCALINGS[_validate.choice("scaling", scaling, CLASSIFIER_SCALINGS)]
    return _transfer_blocks(W, feature_shape, lambda blocks: factor * prolongate_images(blocks, interpolation))


def restrict_classifier(W: Array, feature_shape: Any, *, scaling: str = "logits") -> Array:
    """Return the classifier's weights for features of half the resolution: ``R @ block / factor``.

    Parameters and result as for `prolongate_classifier`; the factor is the inverse of the one there. After a
    prolongation with constant interpolation this gives the weights back, since ``R P = I``; with linear interpolation
    ``R P`` smooths, and it does not.
    """
    factor = CLASSIFIER_SCALINGS[_validate.choice("scaling", scaling, CLASSIFIER_SCALINGS)]
    return _transfer_blocks(W, feature_shape, lambda blocks: (1 / factor) * restrict_images(blocks))


def prolongate(
    network: Layer,
    theta: Array,
    W: Array,
    *,
    interpolation: str = "linear",
    kernels: str = "galerkin",
    classifier_scaling: str = "logits",
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
    channels, height, width = _image_domain(network)
    _validate.same_dtype("W", W, theta.dtype, "theta")
    larger = network.resized((channels, 2 * height, 2 * width))
    _check_ranges(network, larger)
    change = _stencils(kernels, lambda k: prolongate_kernels(k, interpolation))
    fine_w = prolongate_classifier(W, network.range_shape, interpolation=interpolation, scaling=classifier_scaling)
    return Transferred(larger, _transfer_theta(network, larger, theta, change), fine_w)


def restrict(
    network: Layer,
    theta: Array,
    W: Array,
    *,
    interpolation: str = "linear",
    kernels: str = "galerkin",
    classifier_scaling: str = "logits",
) -> Transferred:
    """Return the network for images of half the resolution, with its weights.

    Parameters as for `prolongate`. It undoes a prolongation of the stencils with either interpolation; for the
    classifier see `restrict_classifier`.
    """
    channels, height, width = _image_domain(network)
    _validate.even_shape("network's images", (height, width))
    _validate.same_dtype("W", W, theta.dtype, "theta")
    smaller = network.resized((channels, height // 2, width // 2))
    _check_ranges(smaller, network)
    change = _stencils(kernels, lambda k: restrict_kernels(k, interpolation))
    coarse_w = restrict_classifier(W, network.range_shape, scaling=classifier_scaling)
    return Transferred(smaller, _transfer_theta(network, smaller, theta, change), coarse_w)


def _image_domain(network: Layer) -> tuple[int, ...]:
    for name in ("domain_shape", "range_shape"):
        if len(getattr(network, name)) != 3:
            _validate.reject("network", f"images (C, H, W) as {name}", str(getattr(network, name)))
    return network.domain_shape


def _check_ranges(coarse: Layer, fine: Layer) -> None:
    """Refuse a network whose results do not double in size with its images, as with an unsuitable stride."""
    channels, height, width = coarse.range_shape
    if fine.range_shape != (channels, 2 * height, 2 * width):
        expected = f"one whose range doubles with its images, {(channels, 2 * height, 2 * width)} on the finer grid"
        _validate.reject("network", expected, str(fine.range_shape))


def _stencils(kernels: str, galerkin: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return galerkin if _validate.choice("kernels", kernels, KERNEL_TRANSFERS) == "galerkin" else lambda k: k


def _transfer_theta(before: Layer, after: Layer, theta: Array, change: Callable[[Array], Array]) -> Array:
    """Change every stencil, keep biases and factors (there is no multigrid meaning for them, section 3.1.2).

    Stencils in a basis, `Reparametrised`, are changed as stencils and then put into the basis again.
    """
    _validate.float_dtype("dtype of theta", theta.dtype)
    _validate.array_shape("theta", theta, (before.parameters.size,))
    if isinstance(before, Chain) and isinstance(after, Chain):
        return before._join(
            [
                _transfer_theta(old, new, part, change)
                for old, new, part in zip(before.layers, after.layers, before._parts(theta), strict=True)
            ]
        )
    if isinstance(before, Reparametrised) and isinstance(after, Reparametrised):
        changed = _transfer_theta(before.layer, after.layer, before.weights(theta), change)
        return _in_basis(before, changed)
    if isinstance(before, Integrator) and isinstance(after, Integrator):
        return _each_column(before, after, theta, change)
    views = before.parameters._view(theta)
    parts = []
    for old, new in zip(before.parameters, after.parameters, strict=True):
        if old.shape != new.shape:
            _validate.reject(
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
        _validate.reject("network", "weights in a basis without offset, or none at all", repr(layer))
    backend = layer.backend
    basis = scipy.sparse.csc_array(layer.to("numpy").basis.tosparse())
    target = backend.to_host(weights).astype(np.float64)
    square = basis.shape[0] == basis.shape[1]
    system, right = (basis, target) if square else ((basis.T @ basis).tocsc(), basis.T @ target)
    coefficients = scipy.sparse.linalg.splu(system).solve(right)
    error = float(np.linalg.norm(basis @ coefficients - target))
    if not error <= OUTSIDE * float(np.linalg.norm(target)):
        _validate.reject(
            "network", f"a basis that holds the transferred stencils of {layer!r}", f"an error {error:.1e}"
        )
    return backend.asarray(coefficients.astype(weights.dtype))


def _transfer_blocks(W: Array, feature_shape: Any, change: Callable[[Array], Array]) -> Array:
    channels, height, width = _validate.shape("feature_shape", feature_shape, ndim=3)
    features = channels * height * width
    if len(W.shape) != 1 or W.size == 0 or W.size % (features + 1):
        _validate.reject(
            "W", f"a vector of K ({features} + 1) weights: a kernel on {feature_shape} and a bias", f"shape {W.shape}"
        )
    classes = W.size // (features + 1)
    blocks = W[: classes * features].reshape(classes, channels, height, width)
    return backend_of(W).xp.concatenate([change(blocks).reshape(-1), W[classes * features :]])
