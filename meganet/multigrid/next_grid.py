"""The network on the next finer or coarser grid, and how its weights go there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Backend
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.linop import Identity, LinearOperator
from meganet.multigrid.classifier import prolonged_blocks, restricted_blocks
from meganet.multigrid.stencil_transfers import StencilTransfer, checked_matrix, transfer_of
from meganet.multigrid.theta import blocks
from meganet.multigrid.transfer import INTERPOLATIONS, Axes, image_axes, scaled
from meganet.networks.other_stencils import with_stencils


class NextGrid(NamedTuple):
    """A network on two neighbouring grids, and what was said about its way from one to the other.

    Attributes
    ----------
    before, after : Layer
    finer : bool
        Whether `after` is the one on the finer grid.
    stencils : StencilTransfer
    interpolation : str
    axes : tuple of int
        Along which the grids differ.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.backend import get_backend
    >>> from meganet.multigrid.next_grid import NextGrid
    >>> step = NextGrid.of(mn.ConvolutionLayer((1, 8, 8), 2), True, "copy", "linear", None)
    >>> step.after
    ConvolutionLayer((1, 16, 16) -> (2, 16, 16), relu)
    >>> [block.shape for block in step.theta_blocks(get_backend("numpy"))]
    [(18, 18)]
    >>> [block.shape for block in step.classifier_blocks(10, "logits", get_backend("numpy"))]
    [(5120, 1280), (10, 10)]
    """

    before: Layer
    after: Layer
    finer: bool
    stencils: StencilTransfer
    interpolation: str
    axes: tuple[int, ...]

    @classmethod
    def of(cls, network: Any, finer: bool, kernels: Any, interpolation: str, axes: Axes) -> NextGrid:
        """Return the way of a network to the next finer or coarser grid, with all arguments checked."""
        image = _image_domain(network)[1:]
        along = image_axes(axes, image)
        if not finer:
            validate.even_shape("network's images", image, along)
        validate.choice("interpolation", interpolation, INTERPOLATIONS)
        stencils = transfer_of(kernels, interpolation)
        after = _on_next_grid(network, stencils, along, finer)
        return cls(network, after, finer, stencils, interpolation, along)

    def theta_blocks(self, backend: Backend) -> list[LinearOperator]:
        """Return the operators on consecutive parts of the network's weights; none for a network without weights.

        Every stencil changes, whichever channels it belongs to. Biases and factors stay: there is no multigrid meaning
        for them, section 3.1.2 of the thesis. Stencils in a basis are changed as stencils and then put into it again.
        """
        return blocks(self.before, self.after, self._change, backend)

    def classifier_blocks(self, classes: int, scaling: str, backend: Backend) -> list[LinearOperator]:
        """Return the operators on the classifier's kernel and bias.

        Features that are the same on both grids, as after a global average, keep their weights.
        """
        shape = self.before.range_shape
        if self.after.range_shape == shape:
            return [Identity(classes * (int(np.prod(shape)) + 1), backend=backend)]
        if self.finer:
            return prolonged_blocks(shape, classes, self.interpolation, scaling, self.axes, backend)
        return restricted_blocks(shape, classes, scaling, self.axes, backend)

    def _change(self, role: str, kernel_shape: tuple[int, ...]) -> Any:
        """Return the matrix that changes stencils of a shape, None if they stay, as other weights do."""
        if role != "stencil":
            return None
        matrix = checked_matrix(self.stencils, self.finer, kernel_shape, self.axes)
        stay = matrix.shape[0] == matrix.shape[1] and (matrix == np.eye(len(matrix))).all()
        return None if stay else matrix


def _image_domain(network: Any) -> tuple[int, ...]:
    validate.instance("network", network, Layer, "a layer or network")
    domain: tuple[int, ...] = network.domain_shape
    for name in ("domain_shape", "range_shape"):
        shape = getattr(network, name)
        if len(shape) not in (3, 4) or len(shape) != len(domain):
            expected = "videos (C, T, H, W)" if len(domain) == 4 else "images (C, H, W)"
            validate.reject("network", f"{expected} as {name}", str(shape))
    return domain


def _on_next_grid(network: Layer, stencils: StencilTransfer, axes: tuple[int, ...], finer: bool) -> Layer:
    """Return the network for finer or coarser images; refuse one whose results do not follow its images' size.

    They do not, for instance, with an unsuitable stride. Results that do not depend on it at all are those of a global
    average.
    """
    channels, *image = network.domain_shape
    resized = (channels, *scaled(image, axes, finer))
    # stencils are large only where images are
    with validate.within("network"):
        if finer:
            other = with_stencils(network.resized(resized), lambda points: stencils.finer_points(points, axes))
        else:
            other = with_stencils(network, lambda points: stencils.coarser_points(points, axes)).resized(resized)
    coarse, fine = (network, other) if finer else (other, network)
    channels, *image = coarse.range_shape
    expected = (channels, *scaled(image, axes, finer=True))
    if fine.range_shape not in (expected, coarse.range_shape):
        what = f"one whose range doubles with its images, {expected} on the finer grid, or stays the same"
        validate.reject("network", what, str(fine.range_shape))
    return other
