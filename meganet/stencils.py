"""Convolution stencils as differential operators, and back: section 2.3 of the thesis, in one and two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, backend_of
from meganet.ground import validate
from meganet.linop import Matrix

ONE_DIMENSION = {
    2: [([1, 2, 1], 4), ([-1, 0, 1], 2), ([1, -2, 1], 1)],
    4: [
        ([-1, 4, 10, 4, -1], 16),
        ([1, -8, 0, 8, -1], 12),
        ([-1, 16, -30, 16, -1], 12),
        ([-1, 2, 0, -2, 1], 2),
        ([1, -4, 6, -4, 1], 1),
    ],
}
"""Numerators and denominators of the derivatives 0, 1, 2, ... (to be divided by their power of h) by order of
accuracy."""

TWO_DIMENSIONS = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 1), (1, 2), (2, 2))
"""Derivatives (in rows, in columns) of 3x3 stencils in the thesis' order: 1, u, v, uv, uu, vv, uuv, uvv, uuvv."""


def derivative_matrix(order: int = 2, h: float = 1.0) -> np.ndarray[Any, Any]:
    """Return the stencils of the derivatives 0, 1, ... in one dimension, as columns: ``theta = B beta``.

    Parameters
    ----------
    order : {2, 4}
        Order of accuracy: stencils of 3 points, ``[1 2 1]/4``, ``[-1 0 1]/(2 h)``, ``[1 -2 1]/h^2``; or of 5 points,
        whose first and second derivatives are exact for polynomials up to the fourth and fifth degree.
    h : float
        Mesh width, from 1e-150 to 1e150 for order 2, from 1e-75 to 1e75 for order 4.

    Returns
    -------
    ndarray, (order + 1, order + 1)
        Invertible; row a belongs to the point ``(a - order / 2) h``.

    Notes
    -----
    The thesis prints ``[-1 2 1]`` for the second difference, which does not sum to zero: a misprint.

    Examples
    --------
    >>> from meganet.stencils import derivative_matrix
    >>> print(derivative_matrix(2, 0.5))
    [[ 0.25 -1.    4.  ]
     [ 0.5   0.   -8.  ]
     [ 0.25  1.    4.  ]]
    """
    h = validate.mesh_width("h", h, _order(order))
    parts = ONE_DIMENSION[order]
    return np.column_stack([np.array(n) / (d * h**k) for k, (n, d) in enumerate(parts)])


def derivatives(order: int = 2) -> tuple[tuple[int, int], ...]:
    """Return the derivatives (in rows, in columns) of two-dimensional stencils, in the order of their coefficients.

    For order 2 that of the thesis, `TWO_DIMENSIONS`; for order 4 by total degree, then by that in columns.

    Examples
    --------
    >>> from meganet.stencils import derivatives
    >>> derivatives(2)[:4], len(derivatives(4))
    (((0, 0), (1, 0), (0, 1), (1, 1)), 25)
    """
    if _order(order) == 2:
        return TWO_DIMENSIONS
    return tuple(sorted(((a, b) for a in range(5) for b in range(5)), key=lambda ab: (sum(ab), ab[1])))


def derivative_stencils(order: int = 2, h: float | tuple[float, float] = 1.0) -> np.ndarray[Any, Any]:
    """Return the two-dimensional stencils of all `derivatives`, (their number, order + 1, order + 1).

    Parameters
    ----------
    order : {2, 4}
    h : float or pair of float
        Mesh widths in rows and columns, from 1e-75 to 1e75 for order 2, from 1e-37 to 1e37 for order 4.

    Examples
    --------
    >>> from meganet.stencils import derivative_stencils, derivatives
    >>> stencils = derivative_stencils(2, h=0.5)
    >>> stencils.shape, derivative_stencils(4).shape
    ((9, 3, 3), (25, 5, 5))
    >>> print(stencils[derivatives(2).index((2, 0))])
    [[ 1.  2.  1.]
     [-2. -4. -2.]
     [ 1.  2.  1.]]
    """
    widths = h if isinstance(h, tuple) else (h, h)
    if len(widths) != 2:
        validate.reject("h", "one mesh width or a pair of them", repr(h))
    # the fourth derivative in both directions, for one, is divided by the product of both fourth powers
    power = 2 * _order(order)
    rows, columns = (derivative_matrix(order, validate.mesh_width("h", w, power)) for w in widths)
    return np.stack([np.outer(rows[:, a], columns[:, b]) for a, b in derivatives(order)])


def to_derivatives(kernels: Array, h: float | tuple[float, float] = 1.0) -> Array:
    """Return the coefficients beta of the differential operators that stencils are.

    Parameters
    ----------
    kernels : array, (..., 3), (..., 5), (..., 3, 3) or (..., 5, 5)
        float32 or float64, on any backend; square ones of at least two axes count as two-dimensional.
    h : float or pair of float
        Mesh widths.

    Returns
    -------
    array, (..., 3), (..., 5), (..., 9) or (..., 25), like `kernels`
        In the order of `derivative_matrix` or `derivatives`; the arithmetic is done in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.stencils import to_derivatives
    >>> laplace = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    >>> print(to_derivatives(laplace) + 0.0)
    [ 0.   0.   0.   0.   1.   1.   0.   0.  -0.5]
    """
    backend, axes = _image(kernels)
    matrix = _basis(kernels.shape[-1] - 1, h, axes)
    flat = kernels.reshape(-1, len(matrix)).astype(np.float64)
    result = flat @ backend.asarray(np.linalg.inv(matrix)).T
    return result.astype(kernels.dtype).reshape(*kernels.shape[:-axes], len(matrix))


def from_derivatives(beta: Array, h: float | tuple[float, float] = 1.0) -> Array:
    """Return the stencils of differential operators, the inverse of `to_derivatives`.

    Parameters
    ----------
    beta : array, (..., 3), (..., 5), (..., 9) or (..., 25)
    h : float or pair of float

    Returns
    -------
    array, (..., 3), (..., 5), (..., 3, 3) or (..., 5, 5), like `beta`

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.stencils import from_derivatives, to_derivatives
    >>> print(from_derivatives(np.array([0.0, 0.0, 1.0]), h=0.5))
    [ 4. -8.  4.]
    >>> kernels = np.random.default_rng(0).standard_normal((8, 4, 3, 3))
    >>> beta = to_derivatives(kernels)
    >>> beta.shape, bool(np.allclose(from_derivatives(beta), kernels))
    ((8, 4, 9), True)
    """
    backend = backend_of(beta)
    backend.require("beta", beta)
    validate.float_dtype("dtype of beta", beta.dtype)
    shapes = {3: (3,), 5: (5,), 9: (3, 3), 25: (5, 5)}
    if beta.ndim < 1 or beta.shape[-1] not in shapes:
        validate.reject("beta", "3, 5, 9 or 25 coefficients along the last axis", f"shape {beta.shape}")
    shape = shapes[beta.shape[-1]]
    matrix = _basis(shape[-1] - 1, h, len(shape))
    result = beta.reshape(-1, len(matrix)).astype(np.float64) @ backend.asarray(matrix).T
    return result.astype(beta.dtype).reshape(*beta.shape[:-1], *shape)


def derivative_basis(
    kernel_shape: Any, h: float | tuple[float, float] = 1.0, *, backend: str | Backend | None = None
) -> Matrix:
    """Return the operator from coefficients to kernels of a whole convolution, for `networks.Reparametrised`.

    Parameters
    ----------
    kernel_shape : tuple of int
        (O, I, 3, 3) or (O, I, 5, 5).
    h : float or pair of float

    Returns
    -------
    Matrix
        From vectors of ``O I 9`` (or 25) coefficients, pair of channels by pair, to as many kernel entries.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks import Reparametrised
    >>> from meganet.stencils import derivative_basis
    >>> basis = derivative_basis((4, 1, 3, 3))
    >>> basis.shape
    (36, 36)
    >>> layer = Reparametrised(mn.ConvolutionLayer((1, 8, 8), 4), basis)
    >>> layer(np.ones(36), np.ones((5, 1, 8, 8))).shape
    (5, 4, 8, 8)
    """
    shape = validate.shape("kernel_shape", kernel_shape, ndim=4)
    if shape[2:] not in ((3, 3), (5, 5)):
        validate.reject("kernel_shape", "3x3 or 5x5 stencils", f"{shape[2]}x{shape[3]}")
    blocks = scipy.sparse.kron(scipy.sparse.eye_array(shape[0] * shape[1]), _basis(shape[2] - 1, h, 2))
    return Matrix(blocks, backend=backend)


def _basis(order: int, h: float | tuple[float, float], axes: int) -> np.ndarray[Any, Any]:
    if axes == 2:
        stencils = derivative_stencils(order, h)
        return stencils.reshape(len(stencils), -1).T
    if isinstance(h, tuple):
        validate.reject("h", "one mesh width for one-dimensional stencils", repr(h))
    return derivative_matrix(order, h)


def _order(order: int) -> int:
    if not isinstance(order, int) or order not in ONE_DIMENSION:
        validate.reject("order", "2 or 4", repr(order))
    return order


def _image(kernels: Array) -> tuple[Backend, int]:
    """Return the backend and whether the stencils have one axis or two."""
    backend = backend_of(kernels)
    backend.require("kernels", kernels)
    validate.float_dtype("dtype of kernels", kernels.dtype)
    if kernels.ndim < 1 or kernels.shape[-1] not in (3, 5):
        validate.reject("kernels", "stencils of 3 or 5 points in each direction", f"shape {kernels.shape}")
    return backend, 2 if kernels.ndim > 1 and kernels.shape[-2] == kernels.shape[-1] else 1
