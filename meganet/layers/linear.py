"""A fixed linear map as a layer."""

from __future__ import annotations

from operator import add
from typing import Any

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters
from meganet.linop import LinearOperator


class LinearLayer(Layer):
    """``y = A x + b`` with a fixed operator A and a fixed b, no weights: ``connector`` of Meganet.

    ``jvp`` is ``A dx``, ``vjp`` ``A' dy``; no curvature. With `linop.Reshape` it changes the shape of examples, with
    `linop.Identity` it is the identity.

    Parameters
    ----------
    operator : LinearOperator
        A, on one example.
    offset : array, optional
        b, of the operator's range and dtype.

    Examples
    --------
    >>> from meganet.layers import LinearLayer
    >>> from meganet.linop import AveragePooling
    >>> layer = LinearLayer(AveragePooling((3, 8, 8)))
    >>> layer.range_shape, layer.parameters.size
    ((3, 4, 4), 0)
    """

    def __init__(self, operator: LinearOperator, offset: Array | None = None) -> None:
        validate.instance("operator", operator, LinearOperator, "a LinearOperator")
        self.operator, self.offset = operator, offset
        if offset is not None:
            operator.backend.require_floats("offset", offset)
            validate.array_shape("offset", offset, operator.range_shape)
        super().__init__(operator.domain_shape, operator.range_shape, Parameters(), operator.backend)

    def __repr__(self) -> str:
        return f"LinearLayer({self.operator!r})"

    def resized(self, domain_shape: tuple[int, ...]) -> LinearLayer:
        """Return the layer itself for its own domain; a fixed operator has no other."""
        if tuple(domain_shape) != self.domain_shape:
            validate.reject("domain_shape", f"{self.domain_shape}, for which the operator is made", str(domain_shape))
        return self

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, None]:
        y = self.operator.apply_each_unchecked(x)
        if self.offset is None:
            return y, None
        return self.backend.elementwise(add, y, self.offset.astype(y.dtype)), None

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: None) -> Array:
        return self.operator.apply_each_unchecked(dx)

    def vjp_unchecked(self, dy: Array, record: None) -> tuple[Array, Array]:
        return self._no_weights(dy), self.operator.adjoint_each_unchecked(dy)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        return self._no_weights(dy), self.backend.xp.zeros_like(dx)
