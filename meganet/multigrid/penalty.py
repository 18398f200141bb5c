"""A penalty on what stencils become on finer grids."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse

from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.linop import BlockDiagonal
from meganet.multigrid.next_grid import NextGrid
from meganet.multigrid.stencil_transfers import StencilTransfer, checked_matrix
from meganet.multigrid.theta import Change, Piece, blocks, host_matrix, joined, of_arrays, pieces
from meganet.multigrid.transfer import Axes
from meganet.networks import Reparametrised
from meganet.regularizers import Tikhonov

NOTHING = scipy.sparse.csr_array((1, 1))
"""What weights that are no stencils count."""


def prolongation_penalty(
    network: Layer,
    alpha: float,
    *,
    kernels: str | StencilTransfer = "galerkin",
    levels: int = 1,
    interpolation: str = "linear",
    axes: Axes = None,
) -> Tikhonov:
    """Return ``alpha/2 ||T theta||^2``, with T theta the stencils that a network's become on a finer grid.

    With "galerkin" T is A^-1, so that stencils that oscillate, which it amplifies, are kept small while the coarse
    network is trained. Biases, factors and dense layers are left out.

    Parameters
    ----------
    network : Layer
        The coarse network, for images (C, H, W).
    alpha : float
        At least 0.
    kernels : {"galerkin", "copy"} or StencilTransfer
        As for `prolongate`.
    levels : int
        How many times the resolution doubles.
    interpolation, axes
        As for `prolongate`.

    Returns
    -------
    Tikhonov
        For all of the network's weights, as `theta_regularizer` of an `Objective`. Stencils in a basis count as
        stencils; those of a layer that uses the same twice, `networks.SymmetricLayer`, once.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multigrid import prolongation_penalty
    >>> network = mn.ConvolutionLayer((1, 14, 14), 4, bias=True)
    >>> penalty = prolongation_penalty(network, alpha=0.1)
    >>> theta = mn.he_normal(network, np.random.default_rng(0))
    >>> fine = mn.prolongate(network, theta, np.zeros(785))
    >>> bool(np.isclose(penalty.value(theta), 0.05 * np.sum(fine.theta[:36] ** 2)))
    True
    """
    count, steps, last = validate.integer("levels", levels), list[NextGrid](), network
    for _ in range(count):
        steps.append(NextGrid.of(last, True, kernels, interpolation, axes))
        last = steps[-1].after
    if not network.parameters.size:
        validate.reject("network", "one with weights", repr(network))

    def change(role: str, kernel_shape: tuple[int, ...]) -> Any:
        if role != "stencil":
            return NOTHING
        matrix, shape = np.eye(math.prod(kernel_shape)), kernel_shape
        for step in steps:
            matrix = checked_matrix(step.stencils, True, shape, step.axes) @ matrix
            shape = step.stencils.finer_shape(shape, step.axes)
        return matrix

    return Tikhonov(BlockDiagonal(blocks(network, last, change, network.backend, _out_of_basis)), alpha)


def _out_of_basis(before: Reparametrised, after: Reparametrised, change: Change) -> Iterator[Piece]:
    """Yield what makes the changed stencils of coefficients."""
    if any(p.role == "stencil" for p in before.parameters):
        yield from of_arrays(before, after, change)
        return
    inner = list(pieces(before.layer, after.layer, change, _out_of_basis))
    if all(piece.matrix is NOTHING for piece in inner):
        yield Piece(NOTHING, before.parameters.size)
        return
    if before.offset is not None:
        validate.reject("network", "weights in a basis without offset, or none at all", repr(before))
    yield Piece(joined(inner) @ host_matrix(before.basis), 1)
