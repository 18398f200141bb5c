"""Stencils that do on a finer grid exactly what they did on the coarse one, on its images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.multigrid.galerkin import galerkin_matrix
from meganet.multigrid.stencil_transfers import Copied, Matrix, StencilTransfer, shape_and_axes
from meganet.multigrid.transfer import Axes
from meganet.networks.other_stencils import Points


@dataclass(frozen=True)
class Enlarged(StencilTransfer):
    """Fine stencils take every second pixel: k points become 2k - 1, with zeros between them.

    On images of the coarse grid the fine convolution does what the coarse one does, ``K_h P = P K_2h``: everywhere
    with constant interpolation, away from the edge with linear interpolation. A coarse stencil is Galerkin's with
    constant interpolation, ``R K_h P``, which has (k + 1) / 2 points; of an enlarged stencil it is the one that was
    enlarged. So k must be 1, 5, 9, ... to have a coarser stencil.

    The network's convolutions have larger kernels on the finer grid, and cost 25/9 as much for each pixel if they
    were 3x3.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Enlarged
    >>> transfer = Enlarged()
    >>> transfer.finer_shape((3, 3)), transfer.finer_shape((1, 3), axes=-1), transfer.coarser_shape(5)
    ((5, 5), (1, 5), (3, 3))
    >>> transfer.finer((1, 3), axes=-1) @ np.array([1.0, 2.0, 3.0])
    array([1., 0., 2., 0., 3.])
    >>> transfer.coarser((1, 5), axes=-1) @ np.array([1.0, 0.0, 2.0, 0.0, 3.0])
    array([1., 2., 3.])
    """

    def finer_shape(self, kernel_shape: Any, axes: Axes = None) -> tuple[int, ...]:
        """Return 2k - 1 along the axes."""
        shape, along = shape_and_axes(kernel_shape, axes)
        return tuple(2 * k - 1 if axis in along else k for axis, k in enumerate(shape))

    def coarser_shape(self, kernel_shape: Any, axes: Axes = None) -> tuple[int, ...]:
        """Return (k + 1) / 2 along the axes."""
        shape, along = shape_and_axes(kernel_shape, axes)
        if any(shape[axis] % 4 != 1 for axis in along):
            what = "1, 5, 9, ... points along each axis, twice an odd number less one, as an enlarged stencil has"
            validate.reject("kernel_shape", what, "x".join(map(str, shape)))
        return tuple((k + 1) // 2 if axis in along else k for axis, k in enumerate(shape))

    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the matrix of zeros and ones that puts a stencil's points two pixels apart."""
        shape, along = shape_and_axes(kernel_shape, axes)
        units = [np.eye(k) if axis not in along else np.eye(2 * k - 1)[:, ::2] for axis, k in enumerate(shape)]
        return reduce(np.kron, units)

    def coarser(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the rows of A, with constant interpolation, that are not zero."""
        shape = validate.odd_shape("kernel_shape", kernel_shape)
        smaller = self.coarser_shape(shape, axes)
        centre = tuple(slice((k - n) // 2, (k + n) // 2) for k, n in zip(shape, smaller, strict=True))
        rows = np.arange(math.prod(shape)).reshape(shape)[centre].ravel()
        return galerkin_matrix(shape, "constant", axes=axes)[rows]


@dataclass(frozen=True)
class Dilated(Copied):
    """Stencils keep their numbers and take pixels twice as far apart, from coarse to fine.

    As with `Enlarged` the fine convolution does on images of the coarse grid what the coarse one does,
    ``K_h P = P K_2h``, everywhere with constant interpolation and away from the edge with linear interpolation, at the
    work of a convolution of the same kernel: a dilated one, see `linop.CirculantConvolution`. The zeros between are no
    weights, so what follows pixels of one parity through all convolutions never meets the others. Not for videos.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multigrid import Dilated, prolongate_images
    >>> rng = np.random.default_rng(0)
    >>> layer, images = mn.ConvolutionLayer((1, 8, 8), 4), rng.standard_normal((5, 1, 8, 8))
    >>> theta, W = rng.standard_normal(36), rng.standard_normal(2 * (4 * 64 + 1))
    >>> fine = mn.prolongate(layer, theta, W, kernels=Dilated())
    >>> fine.network.dilation, fine.network.domain_shape
    ((2, 2), (1, 16, 16))
    >>> features = fine.network(fine.theta, prolongate_images(images, "constant"))
    >>> bool(np.allclose(features, prolongate_images(layer(theta, images), "constant")))
    True
    """

    def finer_points(self, points: Points, axes: Axes = None) -> Points:
        """Return points twice as far apart along the axes."""
        along = _spread(points, axes)
        return Points(points.shape, tuple(2 * d if axis in along else d for axis, d in enumerate(points.dilation)))

    def coarser_points(self, points: Points, axes: Axes = None) -> Points:
        """Return points half as far apart along the axes; neighbours have none."""
        along = _spread(points, axes)
        if any(points.dilation[axis] % 2 for axis in along):
            validate.reject(
                "kernels",
                "a transfer to coarser grids; Dilated() has one for stencils of an even dilation",
                f"{points.dilation}",
            )
        return Points(points.shape, tuple(d // 2 if axis in along else d for axis, d in enumerate(points.dilation)))


def _spread(points: Points, axes: Axes) -> list[int]:
    """Return the axes of the transfer along which a stencil has more than one point."""
    return [axis for axis in shape_and_axes(points.shape, axes)[1] if points.shape[axis] > 1]
