"""Hierarchies of images of any sizes, such as progressive resizing goes through."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import Layer
from meganet.linop import BlockDiagonal, Identity, Kronecker, LinearOperator, Matrix
from meganet.multigrid import resample_images, resampling
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.level import Level


class Sizes(Hierarchy):
    """A network for images of several sizes that need not be halves of each other.

    Stencils keep their numbers. Images and the classifier's weights are resampled, the latter so that logits are kept.

    Parameters
    ----------
    levels : sequence of Level

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import in_sizes
    >>> hierarchy = in_sizes(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, sizes=(14, 20, 28))
    >>> hierarchy.images(1, np.ones((5, 1, 28, 28))).shape, hierarchy.prolongation(0).shape
    ((5, 1, 20, 20), (16046, 7886))
    """

    kind = "size"

    def images(self, level: int, images: Array) -> Array:
        """Return the images with as many pixels as the level's have."""
        network = self[level].network
        network.backend.require("images", images)
        shape = network.domain_shape[1:]
        return images if tuple(images.shape[-2:]) == shape else resample_images(images, shape)

    def prolongation(self, level: int) -> LinearOperator:
        """Return the operator that carries weights to the next larger size."""
        return self._operator(level, 1)

    def restriction(self, level: int) -> LinearOperator:
        """Return the operator that carries weights to the next smaller size."""
        return self._operator(level, -1)

    def sharing(self, level: int) -> LinearOperator:
        """Return the operator of joint training, which is the restriction."""
        return self._operator(level, -1)

    def _operator(self, level: int, way: int) -> LinearOperator:
        start, end = self.neighbours(level, way)
        backend, outputs = start.network.backend, start.outputs
        old, new = start.network.range_shape, end.network.range_shape
        if old == new or outputs is None:
            return Identity(start.unknowns, backend=backend)
        # a logit is a sum over pixels; means keep what each weight is summed over
        factor = (old[1] * old[2]) / (new[1] * new[2])
        matrix = Matrix(factor * resampling(old[1:], new[1:], "constant", backend="numpy"), backend=backend)
        kernel = Kronecker(Identity(outputs * old[0], backend=backend), matrix)
        theta = [Identity(n, backend=backend) for n in (start.network.parameters.size,) if n]
        return BlockDiagonal([*theta, kernel, Identity(outputs, backend=backend)])


def in_sizes(network: Layer, classes: int | None, sizes: Sequence[Any]) -> Sizes:
    """Return a network for images of several sizes.

    Parameters
    ----------
    network : Layer
        For images (C, H, W).
    classes : int, optional
        How many outputs the classifier has; of None there is no classifier, and the results are images.
    sizes : sequence of int or pair of int
        Of the images, (H, W) or what both are, increasing.

    Raises
    ------
    InputError
        If the sizes do not increase, or if the network, its stride or its pooling does not fit one of them.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_sizes
    >>> in_sizes(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, sizes=range(14, 29, 2))
    <Sizes: 14x14, 16x16, 18x18, 20x20, 22x22, 24x24, 26x26, 28x28>
    """
    validate.instance("network", network, Layer, "a layer or network")
    if len(network.domain_shape) != 3:
        validate.reject("network", "images (C, H, W) as domain_shape (videos have in_video)", str(network.domain_shape))
    outputs = None if classes is None else validate.integer("classes", classes)
    shapes = [
        validate.pair(f"sizes[{k}]", (size, size) if isinstance(size, Integral) else size)
        for k, size in enumerate(validate.items("sizes", sizes, object, "one or more sizes of images"))
    ]
    if any(a >= b for a, b in zip(shapes[:-1], shapes[1:], strict=True)):
        validate.reject("sizes", "increasing sizes", str(shapes))
    levels = []
    for k, shape in enumerate(shapes):
        with validate.within(f"sizes[{k}]"):
            at = network.resized((network.domain_shape[0], *shape))
        levels.append(Level.of("x".join(map(str, shape)), at, outputs))
    return Sizes(levels)
