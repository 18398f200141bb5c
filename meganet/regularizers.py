"""Regularisers: penalties on a vector of weights."""

from __future__ import annotations

from meganet import _validate
from meganet.backend import Array
from meganet.linop.base import LinearOperator


class Tikhonov:
    """``R(x) = alpha/2 ||B (x - reference)||^2`` with any linear operator B.

    Gradient ``alpha B' B (x - reference)``, Hessian product ``alpha B' B v``.

    Parameters
    ----------
    operator : LinearOperator
        B; its domain is the shape of `x`, or `x` is the C-order flattening of it.
    alpha : float
        At least 0.
    reference : array, optional
        Like `x`; zero if not given.

    Notes
    -----
    Section 3.2.1 of the thesis: the identity for the network's weights, `linop.Gradient` for the classifier's.
    """

    def __init__(self, operator: LinearOperator, alpha: float, reference: Array | None = None) -> None:
        self.operator = operator
        self.alpha = _validate.real("alpha", alpha, minimum=0)
        if reference is not None:
            operator.backend.require("reference", reference)
            self._tensor("reference", reference)
        self.reference = reference

    def __repr__(self) -> str:
        reference = "" if self.reference is None else ", with a reference"
        return f"Tikhonov({self.operator!r}, alpha={self.alpha}{reference})"

    def value(self, x: Array) -> Array:
        """Return ``R(x)``, an array of shape (), or (T,) for a stack (T, n) of flat vectors."""
        residual = self.operator @ self._difference(x)
        squares = residual * residual
        total = squares.reshape(x.shape[0], -1).sum(axis=1) if self._stacked(x) else squares.sum()
        return (0.5 * self.alpha) * total

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return ``R(x)``, an array of shape (), and its gradient, an array like `x`.

        For a stack (T, n) of flat vectors the value has the shape (T,).
        """
        difference = self._difference(x)
        gradient = self.alpha * self.operator.normal(difference)
        if self._stacked(x):
            value = (difference * gradient).reshape(x.shape).sum(axis=1)
        else:
            value = self.operator.backend.dot(difference, gradient)
        return 0.5 * value, gradient.reshape(x.shape)

    def hessian_product(self, v: Array) -> Array:
        """Return ``alpha B' B v``, an array like `v`."""
        return (self.alpha * self.operator.normal(self._tensor("v", v))).reshape(v.shape)

    def _difference(self, x: Array) -> Array:
        tensor = self._tensor("x", x)
        if self.reference is None:
            return tensor
        _validate.same_dtype("x", x, self.reference.dtype, "the reference")
        return tensor - self._tensor("reference", self.reference)

    def _stacked(self, x: Array) -> bool:
        """Whether `x` is a stack of flat vectors, not one tensor of the operator's domain."""
        domain = self.operator.domain_shape
        return tuple(x.shape) != domain and x.ndim == 2 and x.shape[1] == self.operator.shape[1]

    def _tensor(self, argument: str, x: Array) -> Array:
        size = self.operator.shape[1]
        if self._stacked(x):
            return x.reshape(-1, *self.operator.domain_shape)
        if x.size != size:
            _validate.reject(argument, f"{size} weights, the domain of the operator", str(x.size))
        return x.reshape(self.operator.domain_shape)
