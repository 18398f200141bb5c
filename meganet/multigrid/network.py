"""Transfer of a whole network with its classifier to the next finer or coarser grid."""

from __future__ import annotations

from typing import NamedTuple

from meganet.backend import Array, backend_of
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.linop import BlockDiagonal, LinearOperator
from meganet.multigrid.classifier import classes_of
from meganet.multigrid.next_grid import NextGrid
from meganet.multigrid.stencil_transfers import StencilTransfer
from meganet.multigrid.transfer import Axes


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


def prolongate(
    network: Layer,
    theta: Array,
    W: Array,
    *,
    interpolation: str = "linear",
    kernels: str | StencilTransfer = "galerkin",
    classifier_scaling: str = "logits",
    axes: Axes = None,
) -> Transferred:
    """Return the network for images of twice the resolution, with its weights.

    Parameters
    ----------
    network : Layer
        For images (C, H, W) or videos (C, T, H, W).
    theta : array, (network.parameters.size,)
    W : array, (K (features + 1),)
        Flat weights of the classifier on the network's range, with bias. They stay what they are where the range does
        not change with the images, as behind a `GlobalPoolingLayer`. Empty for a network without classifier.
    interpolation : {"linear", "constant"}
        The choice of P, for stencils and classifier.
    kernels : {"galerkin", "copy"} or StencilTransfer
        How stencils change. The thesis' arms: "galerkin" is Multigrid, `Galerkin` with this interpolation, "copy"
        keeps the stencils' numbers (Transfer, `Copied`).
    classifier_scaling : {"logits", "none", "thesis"}
        See `prolongate_classifier`.
    axes : int or sequence of int, optional
        The image axes along which the resolution doubles, of -2 and -1, of videos -3 (time) to -1; if not given those
        along which images are longer than one pixel, so that signals (C, 1, L) become (C, 1, 2L).

    Returns
    -------
    Transferred
        ``network, theta, W`` on the fine grid; dtype and backend as given.

    Warnings
    --------
    "galerkin", the thesis' Multigrid, amplifies what fine images have and the coarse grid does not see: on real images
    the network is far worse than before, until it is trained on them. "copy" and `Dilated` are not; the page on why
    Multigrid validates at 63 % compares them.

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
    return _carried(NextGrid.of(network, True, kernels, interpolation, axes), theta, W, classifier_scaling)


def restrict(
    network: Layer,
    theta: Array,
    W: Array,
    *,
    interpolation: str = "linear",
    kernels: str | StencilTransfer = "galerkin",
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
    return _carried(NextGrid.of(network, False, kernels, interpolation, axes), theta, W, classifier_scaling)


def _carried(step: NextGrid, theta: Array, W: Array, classifier_scaling: str) -> Transferred:
    home = backend_of(theta)
    home.require_floats("theta", theta)
    home.require("W", W)
    validate.same_dtype("W", W, theta.dtype, "theta")
    validate.array_shape("theta", theta, (step.before.parameters.size,))
    # a network without weights has no blocks, nor has one without classifier
    of_theta = step.theta_blocks(home)
    classes = classes_of(W, step.before.range_shape) if W.size else 0
    of_w = step.classifier_blocks(classes, classifier_scaling, home) if classes else []
    return Transferred(step.after, _product(of_theta, theta), _product(of_w, W))


def _product(blocks: list[LinearOperator], x: Array) -> Array:
    return BlockDiagonal(blocks) @ x if blocks else x.copy()
