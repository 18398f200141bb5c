"""All weights of a problem between grids as linear operators, with their adjoints."""

from __future__ import annotations

from typing import Any

from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.linop import BlockDiagonal, LinearOperator
from meganet.multigrid.next_grid import NextGrid
from meganet.multigrid.stencil_transfers import StencilTransfer
from meganet.multigrid.transfer import Axes


def weights_prolongation(
    network: Layer,
    classes: int,
    *,
    kernels: str | StencilTransfer = "galerkin",
    interpolation: str = "linear",
    classifier_scaling: str = "logits",
    axes: Axes = None,
) -> LinearOperator:
    """Return the linear map from a problem's weights to those for images of twice the resolution.

    It does what `prolongate` does, on flat vectors ``[theta; W]``: the network's weights, then those of a `DenseLayer`
    with bias on the network's range, kernel and bias. Its adjoint takes gradients of the fine problem to the coarse
    one: the gradient of ``x -> J_h(P x)`` is ``P' grad J_h(P x)``.

    Parameters
    ----------
    network : Layer
        That of the coarse problem.
    classes : int
        Number of the classifier's outputs.
    kernels, interpolation, classifier_scaling, axes
        As for `prolongate`.

    Returns
    -------
    LinearOperator
        Block diagonal; it holds one small matrix for all stencils of a size, and one P for all images of the
        classifier. Products take float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multigrid import weights_prolongation
    >>> network, classifier = mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3)
    >>> P = weights_prolongation(network, classes=3)
    >>> P.domain_shape, P.range_shape
    ((117,), (405,))
    >>> x = np.arange(117.0)
    >>> fine = mn.prolongate(network, x[:18], x[18:])
    >>> bool(np.allclose(P @ x, np.concatenate([fine.theta, fine.W])))
    True
    >>> (P.T @ np.ones(405)).shape
    (117,)
    """
    return _operator(NextGrid.of(network, True, kernels, interpolation, axes), classes, classifier_scaling)


def weights_restriction(
    network: Layer,
    classes: int,
    *,
    kernels: str | StencilTransfer = "galerkin",
    interpolation: str = "linear",
    classifier_scaling: str = "logits",
    axes: Axes = None,
) -> LinearOperator:
    """Return the linear map from a problem's weights to those for images of half the resolution, as `restrict` does.

    Parameters and result as for `weights_prolongation`, with the fine problem's network. It is no multiple of the
    adjoint of that: with "galerkin" it is a left inverse for the stencils.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multigrid import weights_prolongation, weights_restriction
    >>> coarse, fine = mn.ConvolutionLayer((1, 4, 4), 2), mn.ConvolutionLayer((1, 8, 8), 2)
    >>> P = weights_prolongation(coarse, 3, interpolation="constant")
    >>> R = weights_restriction(fine, 3, interpolation="constant")
    >>> bool(np.allclose((R @ P).tosparse().toarray(), np.eye(117)))
    True
    """
    return _operator(NextGrid.of(network, False, kernels, interpolation, axes), classes, classifier_scaling)


def _operator(step: NextGrid, classes: Any, scaling: str) -> LinearOperator:
    home = step.before.backend
    outputs = validate.size("classes", classes)
    return BlockDiagonal([*step.theta_blocks(home), *step.classifier_blocks(outputs, scaling, home)])
