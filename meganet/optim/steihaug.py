"""Conjugate gradients in a ball: the trust-region subproblem after Steihaug."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

from meganet.backend import Array
from meganet.ground import validate
from meganet.optim import functions

Preconditioner = Callable[[Array], Array]
"""``r -> M^-1 r`` with a symmetric positive definite M."""


class Subproblem(NamedTuple):
    """An approximate minimiser of ``<g, p> + <p, H p> / 2`` with ``||p|| <= radius``.

    Attributes
    ----------
    step, product : array
        p and H p.
    length : float
        ``||p||``, in the norm of the preconditioner.
    reduction : float
        ``-<g, p> - <p, H p> / 2``, what the model promises.
    products : int
        Products with H.
    reason : str
        "converged", "boundary", "negative curvature" or "max_iterations"; "not finite" if a product is not, and the
        reduction is then NaN.
    residuals : list of float
        ``||H p + g||`` for every iterate inside, starting with ``||g||``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import steihaug
    >>> solved = steihaug(lambda v: 2 * v, np.array([3.0, 4.0]), 1.0)
    >>> solved.step, solved.length, solved.reduction, solved.products, solved.reason
    (array([-0.6, -0.8]), 1.0, 4.0, 1, 'boundary')
    """

    step: Array
    product: Array
    length: float
    reduction: float
    products: int
    reason: str
    residuals: list[float]

    @property
    def finite(self) -> bool:
        """Whether the products, and so the step, are numbers."""
        return math.isfinite(self.reduction)


def steihaug(
    product: Callable[[Array], Array],
    gradient: Array,
    radius: float,
    *,
    rtol: float = 1e-2,
    max_iterations: int | None = None,
    preconditioner: Preconditioner | None = None,
) -> Subproblem:
    """Minimise a quadratic model in a ball by conjugate gradients.

    The iterates start at 0 and grow. The first one outside of the ball is replaced by the point where the way to it
    leaves the ball; a direction of negative curvature is followed up to the boundary (without a boundary the iterate
    before it is kept, or, at the start, the direction itself).

    Parameters
    ----------
    product : callable
        ``v -> H v``, H symmetric.
    gradient : array, (n,)
    radius : float
        Positive; ``math.inf`` for none. With a preconditioner the ball is ``<p, M p> <= radius^2``.
    rtol : float
        It has converged when the residual ``||H p + g||`` is at most `rtol` times ``||g||``.
    max_iterations : int, optional
        n if not given.
    preconditioner : callable, optional
        ``r -> M^-1 r``.

    Returns
    -------
    Subproblem

    Notes
    -----
    Nocedal and Wright, *Numerical Optimization* (2006), algorithm 7.2; the lengths in the norm of M by the
    recurrences of Conn, Gould and Toint, *Trust-Region Methods* (2000), section 7.5.1. Equation (3.7) of the thesis.
    What
    Meganet computes under this name is in `meganet_cg`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.optim import steihaug
    >>> H, g = np.diag([1.0, 10.0]), np.array([-1.0, -1.0])
    >>> steihaug(lambda v: H @ v, g, 2.0, rtol=1e-10).step
    array([1. , 0.1])
    """
    backend = functions.flat("gradient", gradient)
    radius, rtol = checked_radius(radius), validate.real("rtol", rtol, minimum=0)
    product = functions.owned("product", product, "the gradient")
    if preconditioner is not None:
        preconditioner = functions.owned("preconditioner", preconditioner, "the gradient")
    limit = gradient.shape[0] if max_iterations is None else validate.integer("max_iterations", max_iterations)
    dot = functions.inner(backend)
    p, hp, r = 0 * gradient, 0 * gradient, gradient
    z = r if preconditioner is None else preconditioner(r)
    d, rz = -z, _positive(dot(r, z))
    residuals = [math.sqrt(dot(r, r))]
    # in the norm of M: <p, p>, <p, d>, <d, d>
    pp, pd, dd = 0.0, 0.0, rz
    count, reason = 0, "converged"

    def ended(p: Array, hp: Array, length: float, reason: str) -> Subproblem:
        reduction = -dot(gradient, p) - 0.5 * dot(p, hp)
        return Subproblem(p, hp, length, reduction, count, reason, residuals)

    if residuals[0] == 0 or rz == 0:
        return ended(p, hp, 0.0, reason)
    while count < limit:
        hd = product(d)
        count += 1
        curvature = dot(d, hd)
        if not math.isfinite(curvature):
            return Subproblem(p, hp, math.sqrt(pp), math.nan, count, "not finite", residuals)
        if curvature <= 0:
            if math.isinf(radius):
                first = count == 1
                return ended(
                    d if first else p, hd if first else hp, math.sqrt(dd if first else pp), "negative curvature"
                )
            t = _to_boundary(pp, pd, dd, radius)
            return ended(p + t * d, hp + t * hd, radius, "negative curvature")
        a = rz / curvature
        grown = pp + 2 * a * pd + a * a * dd
        if grown >= radius * radius:
            t = _to_boundary(pp, pd, dd, radius)
            return ended(p + t * d, hp + t * hd, radius, "boundary")
        p, hp, r = p + a * d, hp + a * hd, r + a * hd
        residuals.append(math.sqrt(dot(r, r)))
        if residuals[-1] <= rtol * residuals[0]:
            return ended(p, hp, math.sqrt(grown), "converged")
        z = r if preconditioner is None else preconditioner(r)
        rz, old = _positive(dot(r, z)), rz
        if rz == 0:
            break
        b = rz / old
        d = b * d - z
        pp, pd, dd = grown, b * (pd + a * dd), rz + b * b * dd
    return ended(p, hp, math.sqrt(pp), "max_iterations")


def checked_radius(radius: Any) -> float:
    """Return the radius of a ball as a ``float``, which may be infinite.

    Examples
    --------
    >>> from meganet.optim.steihaug import checked_radius
    >>> checked_radius(2), checked_radius(float("inf"))
    (2.0, inf)
    """
    if isinstance(radius, bool) or not isinstance(radius, Real) or not validate.as_float(radius) > 0:
        validate.reject("radius", "a positive number", repr(radius))
    return validate.as_float(radius)


def _positive(rz: float) -> float:
    """Return ``<r, M^-1 r>``, which is not negative; where it is not a number everything after is not either."""
    if rz < 0:
        validate.reject("preconditioner", "a positive definite one", f"<r, M^-1 r> = {rz:.3g}")
    return rz


def _to_boundary(pp: float, pd: float, dd: float, radius: float) -> float:
    """Return the positive t with ``||p + t d|| = radius``, without cancellation."""
    c = radius * radius - pp
    root = math.sqrt(max(pd * pd + dd * c, 0.0))
    return c / (pd + root) if pd > 0 else (root - pd) / dd
