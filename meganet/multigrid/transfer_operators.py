"""R and P as linear operators on images."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import Backend
from meganet.ground import validate
from meganet.linop import Matrix
from meganet.multigrid.transfer import image_axes, prolongation, restriction, scaled


class Restriction(Matrix):
    """R as an operator from fine images (H, W) to coarse ones (H/2, W/2): the mean of each block of cells.

    Parameters
    ----------
    fine_shape : int or sequence of int
        (L,), (H, W) or (T, H, W), even; an axis of length 1 is left alone.
    dtype, backend
        Of ``tosparse()`` and of the adapters; where it lives.

    Raises
    ------
    InputError
        For a shape that is not even.

    See Also
    --------
    restriction : its matrix.

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

    def __init__(self, fine_shape: Any, *, dtype: Any = np.float64, backend: str | Backend | None = None) -> None:
        fine = validate.shape("fine_shape", fine_shape)
        matrix = restriction(as_grid(fine), backend="numpy")
        super().__init__(matrix, fine, halved(fine), dtype, backend)


class Prolongation(Matrix):
    """P as an operator from coarse images (H/2, W/2) to fine ones (H, W).

    Parameters
    ----------
    fine_shape : int or sequence of int
        (L,), (H, W) or (T, H, W), even; an axis of length 1 is left alone.
    interpolation : {"linear", "constant"}
    boundary : {"neumann", "dirichlet", "periodic"}
        As for `prolongation`.
    dtype, backend
        Of ``tosparse()`` and of the adapters; where it lives.

    Raises
    ------
    InputError
        For a shape that is not even, or an unknown interpolation or boundary.

    See Also
    --------
    prolongation : its matrix.

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
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        fine = validate.shape("fine_shape", fine_shape)
        matrix = prolongation(as_grid(fine), interpolation, boundary=boundary, backend="numpy")
        super().__init__(matrix, halved(fine), fine, dtype, backend)


def as_grid(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape as one of two axes or more, as the functions for images take it.

    Examples
    --------
    >>> from meganet.multigrid.transfer_operators import as_grid
    >>> as_grid((8,)), as_grid((4, 8))
    ((1, 8), (4, 8))
    """
    return (1, *shape) if len(shape) == 1 else shape


def halved(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the next coarser grid.

    Examples
    --------
    >>> from meganet.multigrid.transfer_operators import halved
    >>> halved((8,)), halved((1, 4, 8))
    ((4,), (1, 2, 4))
    """
    grid = as_grid(shape)
    return scaled(grid, image_axes(None, grid), finer=False)[-len(shape) :]
