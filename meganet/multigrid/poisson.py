"""The model problem of multigrid: Poisson's equation on cells, and its modes."""

from __future__ import annotations

import math
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


def poisson(
    shape: Any,
    boundary: str = "dirichlet",
    h: float | Sequence[float] | None = None,
    *,
    dtype: Any = np.float64,
    backend: str | Backend | None = None,
) -> Matrix:
    """Return minus the Laplacian of cell-centred grid functions, by second differences: in 2-D the five-point stencil.

    Parameters
    ----------
    shape : int or sequence of int
        Cells in each direction, (L,), (H, W), (T, H, W), ...; along an axis of one cell there is no derivative.
    boundary : {"dirichlet", "neumann", "periodic"}
        Zero at the walls, which are faces of the edge cells; zero normal derivative there; or periodic, which makes the
        operator a circulant convolution. With the last two constants are in its null space.
    h : float or sequence of float, optional
        Mesh widths; 1 / cells if not given, so that the domain is the unit interval, square, ...
    dtype, backend
        Of ``tosparse()`` and of the adapters; where it lives.

    Returns
    -------
    Matrix
        From `shape` to `shape`.

    Notes
    -----
    At a wall with u = 0 the cell beyond has the value -u, so that the edge row is ``[3, -1] / h^2``.

    Examples
    --------
    >>> from meganet.multigrid import poisson
    >>> print(poisson(4, h=1.0).tosparse().toarray())
    [[ 3. -1.  0.  0.]
     [-1.  2. -1.  0.]
     [ 0. -1.  2. -1.]
     [ 0.  0. -1.  3.]]
    >>> poisson((64, 32), "periodic")
    Matrix((64, 32) -> (64, 32), float64, numpy)
    """
    cells = validate.shape("shape", shape)
    validate.choice("boundary", boundary, BOUNDARIES)
    given = [1 / n for n in cells] if h is None else [h] * len(cells) if np.ndim(h) == 0 else list(h)  # type: ignore[arg-type]
    if len(given) != len(cells):
        validate.reject("h", f"one mesh width, or one for each of {len(cells)} axes", repr(h))
    widths = [validate.mesh_width("h", width) for width in given]
    terms = [
        reduce(
            scipy.sparse.kron,
            [_second(n, boundary, w) if k == axis else scipy.sparse.eye_array(n) for k, n in enumerate(cells)],
        )
        for axis, w in enumerate(widths)
        if cells[axis] > 1
    ]
    total = sum(terms[1:], terms[0]) if terms else scipy.sparse.csr_array((math.prod(cells),) * 2)
    return Matrix(total, cells, cells, dtype, backend)


def _second(n: int, boundary: str, h: float) -> Any:
    """Return minus the second difference of n cells."""
    matrix = scipy.sparse.diags_array([np.full(n - 1, -1.0), np.full(n, 2.0), np.full(n - 1, -1.0)], offsets=[-1, 0, 1])
    # what lies beyond the two edges: minus the edge cell, the edge cell, or the opposite edge
    beyond = {"dirichlet": -1, "neumann": 1, "periodic": 1}[boundary]
    places = ([0, n - 1], [n - 1, 0] if boundary == "periodic" else [0, n - 1])
    return (matrix - scipy.sparse.coo_array(([beyond, beyond], places), shape=(n, n))).tocsr() / h**2


def modes(shape: Any, boundary: str = "dirichlet") -> np.ndarray[Any, Any]:
    """Return the orthonormal eigenvectors of `poisson`, from the smoothest to the most oscillatory along each axis.

    Parameters
    ----------
    shape : int or sequence of int
    boundary : {"dirichlet", "neumann", "periodic"}
        Sines, cosines, or both in turns.

    Returns
    -------
    ndarray, ``(cells, *shape)``, float64
        In C order of their frequencies: mode ``np.ravel_multi_index((k1, k2), shape)`` is the product of mode k1 in
        rows and k2 in columns.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import modes, poisson
    >>> A, v = poisson(8), modes(8)
    >>> (v[:, 1:] * v[:, :-1] < 0).sum(axis=1)  # changes of sign
    array([0, 1, 2, 3, 4, 5, 6, 7])
    >>> bool(np.allclose(A @ v, (np.sum((A @ v) * v, axis=1)[:, None] * v)))
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
