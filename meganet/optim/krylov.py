"""Arnoldi's process, GMRES, and the trust-region subproblem in a Krylov space."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions
from meganet.optim.steihaug import Subproblem, checked_radius

BREAKDOWN = 10.0
"""A new direction shorter than so many units of round-off of the vector it comes from lies in the space already."""
HARD = 1e-6
"""A solution whose square is this much short of the radius' cannot be made longer by the shift."""
NEGATIVE = 10.0
"""An eigenvalue within so many units of round-off of the largest, for each dimension, is taken for zero."""


class Krylov(NamedTuple):
    """An orthonormal basis of a Krylov space and the operator in it, ``A V[:m] = V H``.

    Attributes
    ----------
    basis : list of array
        m + 1 vectors, or m after a breakdown.
    matrix : ndarray, (m + 1, m)
        The Hessenberg matrix, on the host.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import arnoldi
    >>> space = arnoldi(lambda v: np.arange(1.0, 6) * v, np.ones(5), dimension=3)
    >>> len(space.basis), space.basis[0].shape, space.matrix.shape
    (4, (5,), (4, 3))
    """

    basis: list[Array]
    matrix: np.ndarray[Any, Any]


def arnoldi(product: Callable[[Array], Array], start: Array, dimension: int) -> Krylov:
    """Return the Krylov space of ``start, A start, ...`` by modified Gram-Schmidt, done twice.

    Parameters
    ----------
    product : callable
        ``v -> A v``.
    start : array, (n,)
        Not zero.
    dimension : int
        At most so many products.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import arnoldi
    >>> a = np.arange(1.0, 6)
    >>> space = arnoldi(lambda v: a * v, np.ones(5), dimension=3)
    >>> v = np.stack(space.basis, axis=1)
    >>> v.shape, bool(np.allclose(a[:, None] * v[:, :3], v @ space.matrix))
    ((5, 4), True)
    """
    dimension = validate.integer("dimension", dimension)
    backend, product = functions.flat("start", start), functions.owned("product", product, "the start")
    dot = functions.inner(backend)
    norm = math.sqrt(dot(start, start))
    if not norm > 0:
        validate.reject("start", "a vector that is not zero", "zero" if norm == 0 else "one that is not finite")
    basis = [start * (1 / norm)]
    matrix = np.zeros((dimension + 1, dimension))
    for k in range(dimension):
        w = product(basis[k])
        size = math.sqrt(dot(w, w))
        # the second time, or what round-off has left would spoil the basis when the space is almost exhausted
        for i in 2 * list(range(k + 1)):
            part = dot(basis[i], w)
            matrix[i, k] += part
            w = w - part * basis[i]
        matrix[k + 1, k] = math.sqrt(dot(w, w))
        if matrix[k + 1, k] <= BREAKDOWN * float(np.finfo(start.dtype).eps) * size:
            matrix[k + 1, k] = 0.0
            return Krylov(basis, matrix[: k + 2, : k + 1])
        basis.append(w * float(1 / matrix[k + 1, k]))
    return Krylov(basis, matrix)


def gmres(product: Callable[[Array], Array], b: Array, dimension: int, *, x0: Array | None = None) -> Array:
    """Return the minimiser of ``||A x - b||`` in x0 plus the Krylov space of the residual.

    Parameters
    ----------
    product : callable
        ``v -> A v``; A need not be symmetric.
    b : array, (n,)
    dimension : int
        Of the space: so many products, and one for `x0`. There is no restart; for that and for preconditioning take
        `scipy.sparse.linalg.gmres`.
    x0 : array, optional
        Zero if not given.

    Returns
    -------
    array, (n,)
        NaN if a product is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import gmres
    >>> A = np.array([[2.0, 1.0], [0.0, 4.0]])
    >>> gmres(lambda v: A @ v, np.array([4.0, 8.0]), dimension=2).round(12)
    array([1., 2.])
    """
    dimension = validate.integer("dimension", dimension)
    product, backend = functions.owned("product", product, "b"), functions.flat("b", b)
    start = 0 * b if x0 is None else functions.vector("x0", backend, x0, b, "b").copy()
    r = b if x0 is None else b - product(start)
    beta = math.sqrt(functions.inner(backend)(r, r))
    if beta == 0:
        return start
    space = arnoldi(product, r, dimension)
    if not np.isfinite(space.matrix).all():
        return start * math.nan
    right = np.zeros(len(space.matrix))
    right[0] = beta
    return start + _combined(space, np.linalg.lstsq(space.matrix, right, rcond=None)[0])


def gmres_in_ball(product: Callable[[Array], Array], gradient: Array, radius: float, dimension: int) -> Subproblem:
    """Solve ``H p = -g`` by GMRES; where that leads out of the ball or not downhill, minimise the model in its space.

    Unlike `steihaug` it needs neither a symmetric nor a positive H, and stores the basis.

    Parameters
    ----------
    product : callable
        ``v -> H v``.
    gradient : array, (n,)
    radius : float
        Positive.
    dimension : int
        Of the Krylov space, at most.

    Returns
    -------
    Subproblem
        Its reason is "converged" for the solution by GMRES; "boundary" or "negative curvature" for the minimiser of
        ``<g, p> + <p, H p> / 2`` over the Krylov space and the ball, which then lies on the boundary.

    Notes
    -----
    In the basis V the second is a problem of a few unknowns, ``min -||g|| z_1 + z' S z / 2`` with the symmetric part
    S of ``V' H V``, and solved exactly by its eigenvectors. Meganet's ``trnewton`` takes the smallest residual in the
    ball in that case, which for an indefinite H leads uphill.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import gmres_in_ball
    >>> H, g = np.diag([1.0, -2.0]), np.array([-1.0, -1.0])
    >>> solved = gmres_in_ball(lambda v: H @ v, g, radius=2.0, dimension=2)
    >>> solved.reason, round(solved.length, 12), solved.step.shape
    ('negative curvature', 2.0, (2,))
    """
    radius = checked_radius(radius)
    backend = functions.flat("gradient", gradient)
    dimension = min(validate.integer("dimension", dimension), int(gradient.shape[0]))
    space = arnoldi(product, -gradient, dimension)
    norm = math.sqrt(functions.inner(backend)(gradient, gradient))
    m = space.matrix.shape[1]
    right = np.zeros(m + 1)
    right[0] = norm
    if not np.isfinite(space.matrix).all():
        return Subproblem(0 * gradient, 0 * gradient, 0.0, math.nan, m, "not finite", [norm])
    values, vectors = np.linalg.eigh(0.5 * (space.matrix[:m] + space.matrix[:m].T))
    zero = NEGATIVE * m * float(np.finfo(gradient.dtype).eps)
    values[abs(values) <= zero * abs(values).max()] = 0.0
    z, reason = np.linalg.lstsq(space.matrix, right, rcond=zero)[0], "converged"
    if values[0] < 0 or np.linalg.norm(z) > radius:
        z = vectors @ _in_ball(values, vectors.T @ right[:m], radius)
        reason = "boundary" if values[0] >= 0 else "negative curvature"
    model = space.matrix @ z
    # <g, p> = -norm z_1, and <p, H p> = z' H[:m] z
    reduction = norm * float(z[0]) - 0.5 * float(z @ model[:m])
    residuals = [norm, float(np.linalg.norm(model - right))]
    step, hp = _combined(space, z), _combined(space, model[: len(space.basis)])
    return Subproblem(step, hp, float(np.linalg.norm(z)), reduction, m, reason, residuals)


def _in_ball(values: np.ndarray[Any, Any], right: np.ndarray[Any, Any], radius: float) -> np.ndarray[Any, Any]:
    """Return the minimiser of ``z' diag(values) z / 2 - right' z`` in the ball.

    Where `right` has no component of a negative lowest value the way to the boundary goes along its vector.
    """

    def solution(shift: float) -> np.ndarray[Any, Any]:
        return right / (values + shift)

    if values[0] > 0 and np.linalg.norm(solution(0.0)) <= radius:
        return solution(0.0)
    # the length falls with the shift, from infinity or above the radius at the lowest to below it at the highest
    low = max(0.0, -float(values[0]))
    high = low + float(np.linalg.norm(right)) / radius
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if np.linalg.norm(solution(middle)) > radius else (low, middle)
    z = solution(high)
    square = radius * radius
    missing = square - float(z @ z)
    if values[0] < 0 and missing > HARD * square:
        z[0] = math.copysign(math.sqrt(z[0] ** 2 + missing), right[0])
    return z


def _combined(space: Krylov, z: np.ndarray[Any, Any]) -> Array:
    """Return ``V z``."""
    return sum(float(c) * v for c, v in zip(z, space.basis, strict=False))
