"""Hierarchies in space: one network for images of several resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral

import scipy.sparse

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import DenseLayer, Layer
from meganet.linop import BlockDiagonal, Identity, LinearOperator, Matrix
from meganet.multigrid import prolongate, restrict, restrict_images, restriction
from meganet.multigrid.transfer import INTERPOLATIONS, image_axes, scaled
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.level import Level

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Transfer:
    """How weights go between neighbouring grids.

    Parameters
    ----------
    up : {"galerkin", "copy"}
        Stencils from coarse to fine. They are copied if not given: the inverse of the Galerkin condition amplifies what
        oscillates in a stencil.
    down : {"galerkin", "copy"}
        Stencils from fine to coarse; Galerkin if not given.
    interpolation : {"linear", "constant"}
        The choice of P.
    classifier_scaling : {"logits", "none", "thesis"}
        See `multigrid.prolongate_classifier`.

    Examples
    --------
    >>> from meganet.multilevel import Transfer
    >>> Transfer(down="copy")
    Transfer(up='copy', down='copy', interpolation='constant', classifier_scaling='logits')
    """

    up: str = "copy"
    down: str = "galerkin"
    interpolation: str = "constant"
    classifier_scaling: str = "logits"

    def __post_init__(self) -> None:
        validate.choice("interpolation", self.interpolation, INTERPOLATIONS)


class Grids(Hierarchy):
    """A network for images of several resolutions, each grid half the next one, or a quarter, and so on.

    Parameters
    ----------
    levels : sequence of Level
    transfer : Transfer

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_space
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 4), classes=3, grids=(8, 16))
    >>> type(hierarchy).__name__, hierarchy.sharing(1).shape
    ('Grids', (807, 3111))
    """

    kind = "grid"

    def __init__(self, levels: Sequence[Level], transfer: Transfer) -> None:
        super().__init__(levels)
        validate.instance("transfer", transfer, Transfer, "a Transfer")
        self.transfer = transfer

    def images(self, level: int, images: Array) -> Array:
        """Return ``R x`` on the grid of a level."""
        shape = self[level].network.domain_shape
        while images.shape[-1] > shape[-1] or images.shape[-2] > shape[-2]:
            images = restrict_images(images)
        return images

    def prolongation(self, level: int) -> LinearOperator:
        """Return the operator that carries weights to the next finer grid, by the transfer `up`."""
        raise NotImplementedError

    def restriction(self, level: int) -> LinearOperator:
        """Return the operator that carries weights to the next coarser grid, by the transfer `down`."""
        raise NotImplementedError

    def sharing(self, level: int) -> LinearOperator:
        """Return the operator of joint training: the stencils are the same, and the logits are kept."""
        network, end = self[level].network, self[level - 1].network.domain_shape
        theta = Identity(network.parameters.size, backend=network.backend)
        classes = self[level].classifier.range_shape[0]
        channels, *image = network.range_shape
        blocks: LinearOperator | None = None
        while network.domain_shape != end:
            along = image_axes(None, image)
            factor = 2.0 ** len(along)
            matrix = scipy.sparse.kron(
                scipy.sparse.eye_array(classes * channels), factor * restriction(image, axes=along, backend="numpy")
            )
            one = Matrix(matrix, backend=network.backend)
            blocks = one if blocks is None else one @ blocks
            image = list(scaled(image, along, finer=False))
            shape = network.domain_shape
            network = network.resized((shape[0], *scaled(shape[1:], image_axes(None, shape[1:]), finer=False)))
        assert blocks is not None
        return BlockDiagonal([theta, blocks, Identity(classes, backend=network.backend)])

    def carry(self, x: Array, start: int, end: int) -> Array:
        """Return weights on another grid, grid by grid."""
        validate.array_shape("x", x, (self[start].unknowns,))
        network, size = self[start].network, self[start].network.parameters.size
        finer = self.number(start) < self.number(end)
        carried = partial(
            prolongate if finer else restrict,
            kernels=self.transfer.up if finer else self.transfer.down,
            interpolation=self.transfer.interpolation,
            classifier_scaling=self.transfer.classifier_scaling,
        )
        theta, w = x[:size], x[size:]
        while network.domain_shape != self[end].network.domain_shape:
            network, theta, w = carried(network, theta, w)
        return network.backend.xp.concatenate([theta, w])


def in_space(network: Layer, classes: int, grids: Sequence[int], transfer: Transfer | None = None) -> Grids:
    """Return a network on several grids.

    Parameters
    ----------
    network : Layer
        For images (C, H, W) of any of the grids, or of another.
    classes : int
        How many outputs the classifier has.
    grids : sequence of int
        Widths of the images, increasing; each is half the next one, or a quarter, an eighth, ... The heights are in
        proportion; signals (C, 1, L) keep their one row.
    transfer : Transfer, optional
        How weights go from grid to grid.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_space
    >>> in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(7, 28))
    <Grids: 7x7, 28x28>
    >>> in_space(mn.ConvolutionLayer((1, 1, 64), 4, (1, 3)), classes=10, grids=(16, 32, 64))
    <Grids: 1x16, 1x32, 1x64>
    """
    validate.instance("network", network, Layer, "a layer or network")
    if len(network.domain_shape) != 3:
        validate.reject("network", "images (C, H, W) as domain_shape", str(network.domain_shape))
    outputs = validate.integer("classes", classes)
    shapes = _shapes(network.domain_shape, validate.items("grids", grids, Integral, "one or more widths of images"))
    levels = []
    for k, shape in enumerate(shapes):
        with validate.within(f"grids[{k}]"):
            on_grid = network.resized(shape)
        classifier = DenseLayer(on_grid.range_shape, outputs, backend=network.backend)
        levels.append(Level(f"{shape[1]}x{shape[2]}", on_grid, classifier))
    return Grids(levels, Transfer() if transfer is None else transfer)


def _shapes(known: Shape, widths: Sequence[int]) -> list[Shape]:
    """Return the shapes of the images on all grids; refuse widths that do not follow from each other by doubling."""
    channels, height, width = known
    shapes: list[Shape] = []
    for k, given in enumerate(widths):
        w = validate.integer(f"grids[{k}]", given)
        rows = height if height == 1 else height * w / width
        if rows != int(rows) or rows < 1:
            validate.reject(f"grids[{k}]", f"a width for which {height}x{width} images have whole heights", str(w))
        factor, rest = divmod(w, widths[k - 1]) if k else (2, 0)
        if rest or factor < 2 or factor & (factor - 1):
            validate.reject("grids", "widths of which each is the one before doubled, once or more", str(widths))
        shapes.append((channels, int(rows), w))
    return shapes
