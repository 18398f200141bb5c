"""Dot-product test of an adjoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from meganet.backend import Array, backend_of
from meganet.checks.slopes import norms
from meganet.ground import validate
from meganet.linop.base import LinearOperator

if TYPE_CHECKING:
    from meganet.checks.derivative import TaylorTable

ADJOINT_TOLERANCE = 4.0
"""Largest accepted adjoint error in units of ``eps (||A v|| ||w|| + ||v|| ||A' w||)``; honest ones stay below 1."""

SMALL = 2.0**-30
FACTORS = (0.57, 0.83, 1.21, 1.47)


class CheckError(AssertionError):
    """A check failed: the operator, derivative or layer is wrong.

    Attributes
    ----------
    table : TaylorTable, optional
        What `check_derivative` measured; None if it ended earlier, and for other checks.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks import CheckError, check_adjoint
    >>> v = np.ones(3)
    >>> try:
    ...     check_adjoint(lambda v: 2 * v, lambda w: 3 * w, v=v, w=v)
    ... except CheckError as error:
    ...     print(str(error).split(", error")[0])
    operator: the adjoint test fails: <A v, w> = 6, <v, A' w> = 9
    """

    def __init__(self, message: str, table: TaylorTable | None = None) -> None:
        super().__init__(message)
        self.table = table


def check_adjoint(
    operator: LinearOperator | Callable[[Array], Array],
    adjoint: Callable[[Array], Array] | None = None,
    *,
    v: Array | None = None,
    w: Array | None = None,
    seed: int = 0,
    name: str = "operator",
) -> float:
    """Dot-product test: ``<A v, w> = <v, A' w>`` up to round-off.

    Parameters
    ----------
    operator : LinearOperator or callable
        An operator, or the function ``v -> A v``.
    adjoint : callable, optional
        ``w -> A' w``; not needed for an operator.
    v, w : array, optional
        The vectors; drawn from `seed` (three examples, in the operator's dtype) for an operator.

    Returns
    -------
    float
        The error in units of ``eps (||A v|| ||w|| + ||v|| ||A' w||)``; where it is above 4 such units, the unit also
        counts the measured round-off of the products, which is more if their sums cancel.

    Raises
    ------
    CheckError
        If the error is above 4 such units, a shape does not fit, or a function that fails is not linear: what it makes
        of zero is not zero.

    Examples
    --------
    >>> from meganet.checks import check_adjoint
    >>> from meganet.linop import AveragePooling
    >>> check_adjoint(AveragePooling((2, 4, 6), 2)) < 4
    True
    """
    if isinstance(operator, LinearOperator):
        rng = np.random.default_rng(validate.integer("seed", seed, minimum=0))
        draw = operator.backend.asarray
        v = draw(rng.standard_normal((3, *operator.domain_shape)), operator.dtype) if v is None else v
        w = draw(rng.standard_normal((3, *operator.range_shape)), operator.dtype) if w is None else w
        forward, backward = operator.__matmul__, operator.T.__matmul__
        name = repr(operator)
    else:
        if adjoint is None or v is None or w is None:
            validate.reject("adjoint, v, w", "all three for a check of functions", "None among them")
        forward, backward = operator, adjoint
        for argument, function in (("operator", operator), ("adjoint", adjoint)):
            if not callable(function):
                validate.reject(argument, "a LinearOperator or a function", repr(function))
    for argument, array in (("v", v), ("w", w)):
        backend_of(array).require_floats(argument, array)
    a_v, at_w = forward(v), backward(w)
    for argument, array in (("operator", a_v), ("adjoint", at_w)):
        backend_of(array).require_floats(f"result of {argument}", array)
    if a_v.shape != w.shape or at_w.shape != v.shape:
        raise CheckError(f"{name}: A maps {v.shape} to {a_v.shape} and its adjoint {w.shape} to {at_w.shape}")
    eps = float(np.finfo(v.dtype).eps)
    unit = eps * (_size(a_v) * _size(w) + _size(v) * _size(at_w))
    difference = abs(_dot(a_v, w) - _dot(v, at_w))
    if not difference <= ADJOINT_TOLERANCE * unit:
        for argument, function, array in (("operator", forward, v), ("adjoint", backward, w)):
            of_zero = _size(function(backend_of(array).xp.zeros_like(array)))
            if of_zero > 0:
                message = f"the {argument} is not linear: of zero it makes an array of norm {of_zero:.3g}"
                raise CheckError(f"{name}: {message}")
        unit += 2 * (_round_off(forward, v) * _size(w) + _round_off(backward, w) * _size(v))
    error = difference / unit if unit else 0.0
    if not error <= ADJOINT_TOLERANCE:
        raise CheckError(
            f"{name}: the adjoint test fails: <A v, w> = {_dot(a_v, w):.16g}, <v, A' w> = {_dot(v, at_w):.16g}, "
            f"error {error:.3g} units of round-off, accepted {ADJOINT_TOLERANCE}"
        )
    return error


def _round_off(function: Callable[[Array], Array], v: Array) -> float:
    """Return the typical round-off in an entry of a product, from ``A (c v) - c A v`` for a few factors c.

    It is more than a unit of the product's size if that is what cancellation leaves. `v` is scaled down so far that
    only round-off makes the difference, even if the function is not linear.
    """
    small, largest = v * SMALL, 0.0
    product = function(small)
    for factor in FACTORS:
        largest = max(largest, _size(function(small * factor) - product * factor))
    return largest / SMALL / math.sqrt(math.prod(product.shape))


def _dot(a: Array, b: Array) -> float:
    product = (a.reshape(-1).astype(np.float64) * b.reshape(-1).astype(np.float64)).sum()
    return float(backend_of(product).to_host(product))


def _size(a: Array) -> float:
    return float(norms(a)[0])
