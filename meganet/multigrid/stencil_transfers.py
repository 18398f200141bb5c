"""How convolution stencils go between neighbouring grids: one class for each answer, two small matrices each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.multigrid.galerkin import galerkin_condition, galerkin_matrix
from meganet.multigrid.transfer import INTERPOLATIONS, Axes, image_axes
from meganet.networks.other_stencils import Points
from meganet.stencils import derivative_matrix

KERNEL_TRANSFERS = ("galerkin", "copy")
"""What the transfers of the thesis are called: its arms Multigrid and Transfer."""

Matrix = np.ndarray[Any, Any]


class StencilTransfer(ABC):
    """How the stencils of a network's convolutions go to the next finer and to the next coarser grid.

    Both are linear maps, the same for every pair of channels. A new one defines `finer` and `coarser`, the shapes if
    its stencils change their size, and the points if it knows what to do with dilated ones; everything that carries
    weights between grids takes it as `kernels`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import StencilTransfer
    >>> class Halved(StencilTransfer):
    ...     def finer(self, kernel_shape, axes=None):
    ...         return 0.5 * np.eye(np.prod(kernel_shape))
    ...
    ...     def coarser(self, kernel_shape, axes=None):
    ...         return 2 * np.eye(np.prod(kernel_shape))
    >>> import meganet as mn
    >>> fine = mn.prolongate(mn.ConvolutionLayer((1, 4, 4), 1), np.ones(9), np.zeros(34), kernels=Halved())
    >>> fine.theta
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    """

    @abstractmethod
    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the matrix from a stencil, flattened in C order, to that of the next finer grid, in float64.

        Parameters
        ----------
        kernel_shape : int or sequence of int
            That of the stencil that the matrix acts on; odd, (k1, k2) or of videos (kt, k1, k2).
        axes : int or sequence of int, optional
            The image axes along which the finer grid has twice the cells, of -2 and -1, of videos -3 to -1; all if not
            given.
        """

    @abstractmethod
    def coarser(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the matrix from a stencil to that of the next coarser grid, arguments and result as of `finer`."""

    def finer_shape(self, kernel_shape: Any, axes: Axes = None) -> tuple[int, ...]:
        """Return the shape of a stencil on the next finer grid."""
        return validate.odd_shape("kernel_shape", kernel_shape)

    def coarser_shape(self, kernel_shape: Any, axes: Axes = None) -> tuple[int, ...]:
        """Return the shape of a stencil on the next coarser grid."""
        return validate.odd_shape("kernel_shape", kernel_shape)

    def finer_points(self, points: Points, axes: Axes = None) -> Points:
        """Return the points of a stencil on the next finer grid; only neighbours are known to most transfers."""
        return Points(self.finer_shape(self._neighbours(points).shape, axes), points.dilation)

    def coarser_points(self, points: Points, axes: Axes = None) -> Points:
        """Return the points of a stencil on the next coarser grid."""
        return Points(self.coarser_shape(self._neighbours(points).shape, axes), points.dilation)

    def _neighbours(self, points: Points) -> Points:
        if max(points.dilation) > 1:
            validate.reject("kernels", "Copied() or Dilated() for dilated stencils", repr(self))
        return points


@dataclass(frozen=True)
class Copied(StencilTransfer):
    """Stencils keep their numbers in both directions, the thesis' Transfer.

    Examples
    --------
    >>> from meganet.multigrid import Copied
    >>> print(Copied().finer((1, 3)))
    [[1. 0. 0.]
     [0. 1. 0.]
     [0. 0. 1.]]
    """

    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the identity."""
        return np.eye(math.prod(validate.odd_shape("kernel_shape", kernel_shape)))

    def coarser(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the identity."""
        return self.finer(kernel_shape, axes)

    def finer_points(self, points: Points, axes: Axes = None) -> Points:
        """Return the same points."""
        return points

    def coarser_points(self, points: Points, axes: Axes = None) -> Points:
        """Return the same points."""
        return points


@dataclass(frozen=True)
class Galerkin(StencilTransfer):
    """Stencils follow the Galerkin condition ``K_2h = R K_h P``, the thesis' Multigrid.

    The coarse stencil is ``A theta`` with `galerkin_matrix`; the fine one solves ``A theta_h = theta_2h`` exactly.

    Parameters
    ----------
    interpolation : {"linear", "constant"}
        The choice of P.

    Raises
    ------
    InputError
        For finer stencils where A cannot be inverted, as for 5x5 stencils with constant interpolation.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Galerkin
    >>> transfer = Galerkin("constant")
    >>> print(transfer.coarser((1, 3), axes=-1))
    [[0.5 0.  0. ]
     [0.5 1.  0.5]
     [0.  0.  0.5]]
    >>> bool(np.allclose(transfer.coarser(3) @ transfer.finer(3), np.eye(9)))
    True
    """

    interpolation: str = "linear"

    def __post_init__(self) -> None:
        validate.choice("interpolation", self.interpolation, INTERPOLATIONS)

    def coarser(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the Galerkin matrix A."""
        return galerkin_matrix(kernel_shape, self.interpolation, axes=axes)

    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the inverse of A."""
        shape = validate.odd_shape("kernel_shape", kernel_shape)
        if galerkin_condition(shape, self.interpolation, axes=axes) == float("inf"):
            what = f"stencils whose Galerkin matrix can be inverted with {self.interpolation} interpolation"
            validate.reject("kernels", what, "x".join(map(str, shape)))
        return np.linalg.inv(self.coarser(shape, axes))


@dataclass(frozen=True)
class DampedGalerkin(Galerkin):
    """Fine stencils between the copy and Galerkin's: they minimise ``||A t - s||^2 + damping ||t - s||^2``.

    A stencil that A makes smaller by a factor f, one that oscillates, grows by at most about ``1 / (2 sqrt(damping))``
    instead of ``1/f``; one that A keeps is kept. Coarse stencils are Galerkin's, ``A theta``.

    Parameters
    ----------
    interpolation : {"linear", "constant"}
    damping : float
        Positive; small is near Galerkin's stencils, large near the copy.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Copied, DampedGalerkin, Galerkin
    >>> for transfer in (Galerkin(), DampedGalerkin(damping=0.01), DampedGalerkin(damping=1.0), Copied()):
    ...     print(round(float(np.linalg.norm(transfer.finer(3), 2)), 1))
    20.7
    5.4
    1.2
    1.0
    """

    damping: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.real("damping", self.damping, above=0)

    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return ``(A'A + damping I)^-1 (A' + damping I)``."""
        a = self.coarser(kernel_shape, axes)
        unit = self.damping * np.eye(len(a))
        return np.linalg.solve(a.T @ a + unit, a.T + unit)


@dataclass(frozen=True)
class TruncatedGalerkin(Galerkin):
    """Fine stencils are Galerkin's without what A nearly loses: singular values below the cutoff are left out.

    Of all stencils that agree with the rest, the one of smallest norm is taken. Coarse stencils are ``A theta``.

    Parameters
    ----------
    interpolation : {"linear", "constant"}
    cutoff : float
        At least 0. No stencil grows by more than ``1 / cutoff``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import TruncatedGalerkin
    >>> matrix = TruncatedGalerkin("linear", cutoff=0.2).finer(3)
    >>> int(np.linalg.matrix_rank(matrix)), bool(np.linalg.norm(matrix, 2) < 1 / 0.2)
    (6, True)
    """

    cutoff: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.real("cutoff", self.cutoff, minimum=0)

    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return the pseudo-inverse of A without its small singular values."""
        u, s, v = np.linalg.svd(self.coarser(kernel_shape, axes))
        # values that are rounding errors of zero are left out whatever the cutoff
        kept = (s >= self.cutoff) & (s > len(s) * np.finfo(float).eps * s[0])
        inverse: Matrix = (v[kept].T / s[kept]) @ u[:, kept].T
        return inverse


@dataclass(frozen=True)
class Rediscretised(StencilTransfer):
    """Stencils stay the same differential operators, discretised with half, or twice, the mesh width.

    Of 3 or 5 points along each axis on which the grid changes (or one point, which stays), see `meganet.stencils`:
    ``theta = B(h) beta`` becomes ``B(h/2) beta``, whatever h is. The derivative of order k grows by ``2^k``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Rediscretised
    >>> laplace = np.array([1.0, -2.0, 1.0])
    >>> Rediscretised().finer((1, 3), axes=-1) @ laplace
    array([ 4., -8.,  4.])
    """

    def finer(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return ``B(h/2) B(h)^-1``."""
        return self._with_width(kernel_shape, axes, 0.5)

    def coarser(self, kernel_shape: Any, axes: Axes = None) -> Matrix:
        """Return ``B(2h) B(h)^-1``."""
        return self._with_width(kernel_shape, axes, 2.0)

    def _with_width(self, kernel_shape: Any, axes: Axes, factor: float) -> Matrix:
        shape, along = shape_and_axes(kernel_shape, axes)
        factors = [np.eye(k) for k in shape]
        for axis in along:
            k = shape[axis]
            if k not in (1, 3, 5):
                size = "x".join(map(str, shape))
                validate.reject("kernel_shape", "stencils of 1, 3 or 5 points, which have a difference formula", size)
            if k > 1:
                factors[axis] = derivative_matrix(k - 1, factor) @ np.linalg.inv(derivative_matrix(k - 1))
        return reduce(np.kron, factors)


def shape_and_axes(kernel_shape: Any, axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape of a stencil, and the axes along which the grids differ; all of it if not given.

    Examples
    --------
    >>> from meganet.multigrid.stencil_transfers import shape_and_axes
    >>> shape_and_axes(3, None), shape_and_axes((3, 1, 1), -3)
    (((3, 3), (0, 1)), ((3, 1, 1), (0,)))
    """
    shape = validate.odd_shape("kernel_shape", kernel_shape)
    return shape, image_axes(axes, (2,) * len(shape))


def transfer_of(kernels: Any, interpolation: str) -> StencilTransfer:
    """Return the transfer that the argument `kernels` stands for: one of the thesis' by its name, or itself.

    Examples
    --------
    >>> from meganet.multigrid.stencil_transfers import transfer_of
    >>> transfer_of("galerkin", "linear"), transfer_of("copy", "linear")
    (Galerkin(interpolation='linear'), Copied())
    """
    if isinstance(kernels, StencilTransfer):
        return kernels
    if not isinstance(kernels, str):
        validate.reject("kernels", "'galerkin', 'copy' or a StencilTransfer", validate.shown(kernels))
    known = validate.choice("kernels", kernels, KERNEL_TRANSFERS)
    return Galerkin(interpolation) if known == "galerkin" else Copied()


def checked_matrix(transfer: StencilTransfer, finer: bool, kernel_shape: tuple[int, ...], axes: Axes) -> Matrix:
    """Return the matrix of a transfer for stencils of a shape, which may be one of somebody's own.

    Examples
    --------
    >>> from meganet.multigrid import Enlarged
    >>> from meganet.multigrid.stencil_transfers import checked_matrix
    >>> checked_matrix(Enlarged(), True, (3, 3), None).shape
    (25, 9)
    """
    change, shape_of = (transfer.finer, transfer.finer_shape) if finer else (transfer.coarser, transfer.coarser_shape)
    matrix = validate.numbers("kernels", change(kernel_shape, axes)).astype(np.float64)
    expected = math.prod(shape_of(kernel_shape, axes)), math.prod(kernel_shape)
    if matrix.shape != expected:
        validate.reject("kernels", f"matrices of shape {expected} for stencils of {kernel_shape}", str(matrix.shape))
    return matrix
