"""The model problem of multigrid: Poisson's equation on cells, and its modes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse

from meganet.backend import Backend
from meganet.ground import validate
from meganet.linop import Matrix
from meganet.multigrid.transfer import BOUNDARIES


class Poisson(Matrix):
    """Minus the Laplacian of grid functions on cells, by second differences: in two dimensions the five-point stencil.

    ``(A u)_i = (-u_{i-1} + 2 u_i - u_{i+1}) / h^2`` along every axis of more than one cell, summed over the axes.

    Parameters
    ----------
    shape : int or sequence of int
        Cells in each direction, (L,), (H, W), (T, H, W).
    boundary : {"dirichlet", "neumann", "periodic"}
        Zero at the walls, which are faces of the edge cells; zero normal derivative there; or periodic, which makes the
        operator a circulant convolution. With the last two constants are in its null space.
    h : float or sequence of float, optional
        Mesh width, or one for each axis; if not given cells are square, and the longest side of the domain has length
        1.
    dtype, backend
        Of ``tosparse()`` and of the adapters; where it lives.

    Raises
    ------
    InputError
        For no shape, an unknown boundary, or mesh widths that are not positive.

    Notes
    -----
    At a wall where u = 0 the cell beyond has the value -u, so that the edge row is ``[3, -1] / h^2``. The model problem
    of Trottenberg, Oosterlee and Schuller, Multigrid, 2001.

    Examples
    --------
    >>> from meganet.multigrid import Poisson
    >>> print(Poisson(4, h=1.0).tosparse().toarray())
    [[ 3. -1.  0.  0.]
     [-1.  2. -1.  0.]
     [ 0. -1.  2. -1.]
     [ 0.  0. -1.  3.]]
    >>> Poisson((64, 32), "periodic")
    Poisson((64, 32) -> (64, 32), float64, numpy)
    """

    def __init__(
        self,
        shape: Any,
        boundary: str = "dirichlet",
        h: float | Sequence[float] | None = None,
        *,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        cells = validate.shape("shape", shape)
        self.boundary = validate.choice("boundary", boundary, BOUNDARIES)
        widths = _widths(1 / max(cells) if h is None else h, len(cells))
        total = scipy.sparse.csr_array((int(np.prod(cells)),) * 2)
        for axis, n in enumerate(cells):
            if n > 1:
                factors = [scipy.sparse.eye_array(m) for m in cells]
                factors[axis] = _second(n, boundary, widths[axis])
                total = total + reduce(scipy.sparse.kron, factors)
        total.eliminate_zeros()
        super().__init__(total, cells, cells, dtype, backend)


def _widths(h: Any, axes: int) -> list[float]:
    given = list(h) if isinstance(h, (Sequence, np.ndarray)) and not isinstance(h, str) else [h] * axes
    if len(given) != axes:
        validate.reject("h", f"one mesh width, or one for each of {axes} axes", repr(h))
    return [validate.mesh_width("h", width) for width in given]


def _second(n: int, boundary: str, h: float) -> Any:
    """Return minus the second difference of n cells."""
    matrix = scipy.sparse.diags_array([np.full(n - 1, -1.0), np.full(n, 2.0), np.full(n - 1, -1.0)], offsets=[-1, 0, 1])
    # what lies beyond the two edges: minus the edge cell, the edge cell, or the opposite edge
    beyond = {"dirichlet": -1, "neumann": 1, "periodic": 1}[boundary]
    places = ([0, n - 1], [n - 1, 0] if boundary == "periodic" else [0, n - 1])
    return (matrix - scipy.sparse.coo_array(([beyond, beyond], places), shape=(n, n))).tocsr() / h**2


def modes(shape: Any, boundary: str = "dirichlet") -> np.ndarray[Any, Any]:
    """Return the orthonormal eigenvectors of `Poisson`, from the smoothest to the most oscillatory along each axis.

    Parameters
    ----------
    shape : int or sequence of int
    boundary : {"dirichlet", "neumann", "periodic"}
        Sines, cosines, or both in turns: ``sin(k pi (j + 1/2) / n)`` with k = 1, ..., n for walls where u = 0.

    Returns
    -------
    ndarray, ``(cells, *shape)``, float64
        In C order of their frequencies: mode ``np.ravel_multi_index((k1, k2), shape)`` is the product of mode k1 in
        rows and k2 in columns.

    Raises
    ------
    InputError
        For no shape, or an unknown boundary.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Poisson, modes
    >>> A, v = Poisson(8), modes(8)
    >>> (v[:, 1:] * v[:, :-1] < 0).sum(axis=1)  # changes of sign
    array([0, 1, 2, 3, 4, 5, 6, 7])
    >>> bool(np.allclose(A @ v, np.sum((A @ v) * v, axis=1)[:, None] * v))
    True
    """
    cells = validate.shape("shape", shape)
    validate.choice("boundary", boundary, BOUNDARIES)
    return np.asarray(reduce(np.kron, [_basis(n, boundary) for n in cells])).reshape(-1, *cells)


def _basis(n: int, boundary: str) -> np.ndarray[Any, Any]:
    """Return the modes of an axis as rows."""
    unit = np.eye(n)
    if boundary == "dirichlet":
        return np.asarray(scipy.fft.idst(unit, type=2, norm="ortho"))
    if boundary == "neumann":
        return np.asarray(scipy.fft.idct(unit, type=2, norm="ortho"))
    angle = 2 * np.pi * np.outer((np.arange(n) + 1) // 2, np.arange(n)) / n
    rows = np.where(np.arange(n)[:, None] % 2, np.cos(angle), np.sin(angle))
    rows[0] = 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
