"""R and P as linear operators on images."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import Backend
from meganet.ground import validate
from meganet.linop import Matrix
from meganet.multigrid.transfer import Axes, image_axes, prolongation, restriction, scaled


class Restriction(Matrix):
    """R as an operator from fine images (H, W) to coarse ones (H/2, W/2): the mean of each block of cells.

    Parameters
    ----------
    fine_shape : sequence of int
        (L,), (H, W) or (T, H, W), even; an axis of length 1 is left alone.
    axes : int or sequence of int, optional
        As for `restriction`, whose matrix this is.
    dtype, backend
        Of ``tosparse()`` and of the adapters; where it lives.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Restriction
    >>> R = Restriction((4, 4))
    >>> R
    Restriction((4, 4) -> (2, 2), float64, numpy)
    >>> print(R @ np.arange(16.0).reshape(4, 4))
    [[ 2.5  4.5]
     [10.5 12.5]]
    """

    def __init__(
        self, fine_shape: Any, *, axes: Axes = None, dtype: Any = np.float64, backend: str | Backend | None = None
    ) -> None:
        fine = validate.shape("fine_shape", fine_shape)
        grid, along = along_axes(fine, axes)
        matrix = restriction(grid, axes=along, backend="numpy")
        coarse = scaled(grid, along, finer=False)[-len(fine) :]
        super().__init__(matrix, fine, coarse, dtype, backend)


class Prolongation(Matrix):
    """P as an operator from coarse images (H/2, W/2) to fine ones (H, W).

    Parameters
    ----------
    fine_shape : sequence of int
        (L,), (H, W) or (T, H, W), even; an axis of length 1 is left alone.
    interpolation : {"linear", "constant"}
    boundary : {"neumann", "dirichlet", "periodic"}
    axes : int or sequence of int, optional
        As for `prolongation`, whose matrix this is.
    dtype, backend
        Of ``tosparse()`` and of the adapters; where it lives.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Prolongation, Restriction
    >>> P = Prolongation(4, boundary="dirichlet")
    >>> print(P @ np.array([1.0, 3.0]))
    [0.5 1.5 2.5 1.5]
    >>> R = Restriction(4)
    >>> print((R @ Prolongation(4, "constant")).tosparse().toarray())
    [[1. 0.]
     [0. 1.]]
    """

    def __init__(
        self,
        fine_shape: Any,
        interpolation: str = "linear",
        *,
        boundary: str = "neumann",
        axes: Axes = None,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        fine = validate.shape("fine_shape", fine_shape)
        grid, along = along_axes(fine, axes)
        matrix = prolongation(grid, interpolation, axes=along, boundary=boundary, backend="numpy")
        coarse = scaled(grid, along, finer=False)[-len(fine) :]
        super().__init__(matrix, coarse, fine, dtype, backend)


def along_axes(shape: tuple[int, ...], axes: Axes = None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a shape as a grid of two axes or more, and those axes of it along which a transfer goes.

    Examples
    --------
    >>> from meganet.multigrid.transfer_operators import along_axes
    >>> along_axes((8,)), along_axes((1, 8, 8))
    (((1, 8), (1,)), ((1, 8, 8), (1, 2)))
    """
    grid = (1, *shape) if len(shape) == 1 else shape
    return grid, image_axes(axes, grid)
