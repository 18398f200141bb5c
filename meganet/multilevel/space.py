"""Hierarchies in space: one network for images of several resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from numbers import Integral

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import Layer
from meganet.linop import BlockDiagonal, LinearOperator
from meganet.multigrid import StencilTransfer, restrict_images
from meganet.multigrid.classifier import CLASSIFIER_SCALINGS
from meganet.multigrid.next_grid import NextGrid
from meganet.multigrid.stencil_transfers import transfer_of
from meganet.multigrid.transfer import INTERPOLATIONS
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.level import Level

Shape = tuple[int, ...]
Stencils = str | StencilTransfer


@dataclass(frozen=True)
class Transfer:
    """How weights go between neighbouring grids.

    Parameters
    ----------
    up : {"galerkin", "copy"} or StencilTransfer
        Stencils from coarse to fine. They are copied if not given: the inverse of the Galerkin condition amplifies what
        oscillates in a stencil.
    down : {"galerkin", "copy"} or StencilTransfer
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

    up: Stencils = "copy"
    down: Stencils = "galerkin"
    interpolation: str = "constant"
    classifier_scaling: str = "logits"

    def __post_init__(self) -> None:
        validate.choice("interpolation", self.interpolation, INTERPOLATIONS)
        validate.choice("classifier_scaling", self.classifier_scaling, CLASSIFIER_SCALINGS)
        for name in ("up", "down"):
            with validate.within(name):
                transfer_of(getattr(self, name), self.interpolation)


class Grids(Hierarchy):
    """A network for images or videos of several resolutions, each grid half the next one, or a quarter, and so on.

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
        self.transfer = transfer
        self._operators: dict[tuple[int, int, Stencils, str], LinearOperator] = {}

    def images(self, level: int, images: Array) -> Array:
        """Return ``R x`` on the grid of a level."""
        network = self[level].network
        network.backend.require("images", images)
        shape = network.domain_shape
        while along := longer_axes(images.shape[-len(shape) :], shape):
            images = restrict_images(images, axes=along)
        return images

    def prolongation(self, level: int) -> LinearOperator:
        """Return the operator that carries weights to the next finer grid, by the transfer `up`."""
        return self._operator(level, 1, self.transfer.up, self.transfer.classifier_scaling)

    def restriction(self, level: int) -> LinearOperator:
        """Return the operator that carries weights to the next coarser grid, by the transfer `down`."""
        return self._operator(level, -1, self.transfer.down, self.transfer.classifier_scaling)

    def sharing(self, level: int) -> LinearOperator:
        """Return the operator of joint training: the stencils are the same, and the logits are kept."""
        return self._operator(level, -1, "copy", "logits")

    def _operator(self, level: int, way: int, kernels: Stencils, scaling: str) -> LinearOperator:
        """Return the operator to the grid next to a level's, halving by halving."""
        start, end = self.neighbours(level, way)
        key = self.number(level), way, kernels, scaling
        if key not in self._operators:
            network, outputs, shape = start.network, start.outputs, end.network.domain_shape
            interpolation = self.transfer.interpolation
            parts: list[LinearOperator] = []
            while along := longer_axes(shape, network.domain_shape) or longer_axes(network.domain_shape, shape):
                step = NextGrid.of(network, way > 0, kernels, interpolation, along)
                blocks = step.theta_blocks(network.backend)
                if outputs is not None:
                    blocks += step.classifier_blocks(outputs, scaling, network.backend)
                parts.append(BlockDiagonal(blocks))
                network = step.after
            self._operators[key] = reduce(lambda found, part: part @ found, parts)
        return self._operators[key]


def longer_axes(shape: Shape, other: Shape) -> tuple[int, ...]:
    """Return the axes along which images of one shape are longer than those of another, counted from the last.

    Examples
    --------
    >>> from meganet.multilevel.space import longer_axes
    >>> longer_axes((1, 28, 28), (1, 14, 14)), longer_axes((1, 8, 28, 28), (1, 4, 28, 28))
    ((-2, -1), (-3,))
    """
    return tuple(k for k in range(1 - len(shape), 0) if shape[k] > other[k])


def levels_on(
    network: Layer, outputs: int | None, shapes: Sequence[Shape], transfer: Transfer | None, argument: str
) -> Grids:
    """Return a network for images of several shapes, of which each is a finer grid than the one before.

    Parameters
    ----------
    network : Layer
        For images of one of the shapes, or of another.
    outputs : int, optional
        Of the classifier; of None there is none.
    shapes : sequence of tuple of int
        With channels.
    transfer : Transfer, optional
    argument : str
        What errors call the shapes.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel.space import levels_on
    >>> levels_on(mn.ConvolutionLayer((1, 8, 8), 2), 3, [(1, 4, 8), (1, 8, 8)], None, "grids")
    <Grids: 4x8, 8x8>
    """
    transfer = Transfer() if transfer is None else transfer
    validate.instance("transfer", transfer, Transfer, "a Transfer or None")
    with validate.within(f"{argument}[0]"):
        on_grid = network.resized(shapes[0])
    levels = []
    for shape in shapes:
        while along := longer_axes(shape, on_grid.domain_shape):
            on_grid = NextGrid.of(on_grid, True, transfer.up, transfer.interpolation, along).after
        levels.append(Level.of(validate.by(shape[1:]), on_grid, outputs))
    return Grids(levels, transfer)


def in_space(network: Layer, classes: int | None, grids: Sequence[int], transfer: Transfer | None = None) -> Grids:
    """Return a network on several grids.

    Parameters
    ----------
    network : Layer
        For images (C, H, W) of any of the grids, or of another.
    classes : int, optional
        How many outputs the classifier has; of None there is no classifier, and the results are images.
    grids : sequence of int
        Widths of the images, increasing; each is half the next one, or a quarter, an eighth, ... The heights are in
        proportion; signals (C, 1, L) keep their one row.
    transfer : Transfer, optional
        How weights go from grid to grid.

    Raises
    ------
    InputError
        If a grid is not the one before doubled, or if the network, its stride or its pooling does not fit a grid.

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
        validate.reject("network", "images (C, H, W) as domain_shape (videos have in_video)", str(network.domain_shape))
    outputs = None if classes is None else validate.integer("classes", classes)
    shapes = _shapes(network.domain_shape, validate.items("grids", grids, Integral, "one or more widths of images"))
    return levels_on(network, outputs, shapes, transfer, "grids")


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
