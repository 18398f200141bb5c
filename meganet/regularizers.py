"""Regularisers: penalties on a vector of weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from numbers import Real
from typing import Any

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.layers import Layer
from meganet.linop import Identity, LinearOperator


class Regularizer(ABC):
    """A penalty ``R(x)`` on `size` weights, an array of any shape; regularisers of one size add: ``R + S``.

    Attributes
    ----------
    size : int
    backend : Backend

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Tikhonov
    >>> from meganet.linop import Identity
    >>> from meganet.regularizers import Regularizer, SmoothedL1
    >>> penalty = Tikhonov(Identity((3,)), 0.5) + SmoothedL1(Identity((3,)), 0.1)
    >>> isinstance(penalty, Regularizer), penalty.size
    (True, 3)
    >>> value, gradient = penalty.value_and_gradient(np.ones(3))
    >>> value.shape, gradient.shape, penalty.hessian_product(np.ones(3), np.ones(3)).shape
    ((), (3,), (3,))
    """

    size: int
    backend: Backend
    #: Whether `value_and_gradient` takes a stack (T, n) of flat vectors.
    takes_stacks = False

    @abstractmethod
    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return ``R(x)``, an array of shape (), and its gradient, an array like `x`."""

    @abstractmethod
    def hessian_product(self, x: Array, v: Array) -> Array:
        """Return the Hessian at `x` times `v`, an array like `v`."""

    def value(self, x: Array) -> Array:
        """Return ``R(x)``, an array of shape ()."""
        return self.value_and_gradient(x)[0]

    def __add__(self, other: Regularizer) -> Regularizer:
        return RegularizerSum([self, other]) if isinstance(other, Regularizer) else NotImplemented


class Tikhonov(Regularizer):
    """``R(x) = alpha/2 ||B (x - reference)||^2`` with any linear operator B.

    Gradient ``alpha B' B (x - reference)``, Hessian product ``alpha B' B v``.

    Parameters
    ----------
    operator : LinearOperator
        B; its domain is the shape of `x`, or `x` is the C-order flattening of it.
    alpha : float
        At least 0.
    reference : array, optional
        Like `x`; zero if not given. Copied.

    Notes
    -----
    Section 3.2.1 of the thesis: the identity for the network's weights, `linop.Gradient` for the classifier's.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Tikhonov
    >>> from meganet.linop import Gradient
    >>> smooth = Tikhonov(Gradient((10, 8, 28, 28)), alpha=0.1)
    >>> value, gradient = smooth.value_and_gradient(np.ones((10, 8, 28, 28)))
    >>> float(value), gradient.shape
    (0.0, (10, 8, 28, 28))
    >>> smooth.value(np.ones((5, smooth.size))).shape
    (5,)
    """

    takes_stacks = True

    def __init__(self, operator: LinearOperator, alpha: float, reference: Array | None = None) -> None:
        validate.instance("operator", operator, LinearOperator, "a LinearOperator")
        self.operator, self.size, self.backend = operator, operator.shape[1], operator.backend
        self.alpha = validate.real("alpha", alpha, minimum=0)
        if reference is not None:
            operator.backend.require_floats("reference", reference)
            self._tensor("reference", reference)
        self.reference = None if reference is None else reference.copy()

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
        value, gradient = self.backend.penalty(self.operator, self.alpha, difference)
        return value, gradient.reshape(x.shape)

    def hessian_product(self, x: Array, v: Array) -> Array:
        """Return ``alpha B' B v``, an array like `v`."""
        self._tensor("x", x)
        self.backend.require("v", v)
        validate.same_dtype("v", v, x.dtype, "x")
        return (self.alpha * self.operator.normal(self._tensor("v", v))).reshape(v.shape)

    def _difference(self, x: Array) -> Array:
        tensor = self._tensor("x", x)
        if self.reference is None:
            return tensor
        validate.same_dtype("x", x, self.reference.dtype, "the reference")
        return tensor - self._tensor("reference", self.reference)

    def _stacked(self, x: Array) -> bool:
        """Whether `x` is a stack of flat vectors, not one tensor of the operator's domain."""
        domain = self.operator.domain_shape
        return tuple(x.shape) != domain and x.ndim == 2 and x.shape[1] == self.operator.shape[1]

    def _tensor(self, argument: str, x: Array) -> Array:
        self.backend.require(argument, x)
        size = self.operator.shape[1]
        if self._stacked(x):
            return x.reshape(-1, *self.operator.domain_shape)
        if x.size != size:
            validate.reject(argument, f"{size} weights, the domain of the operator", str(x.size))
        return x.reshape(self.operator.domain_shape)


class SmoothedL1(Regularizer):
    """``R(x) = alpha sum sqrt((B (x - reference))^2 + eps)``: with a gradient as B, smoothed total variation.

    With ``u = B (x - reference)`` and ``s = sqrt(u^2 + eps)`` the gradient is ``alpha B' (u / s)``, the Hessian product
    ``alpha B' (eps / s^3 * B v)``, or ``alpha B' (B v / s)`` in the lagged form.

    Parameters
    ----------
    operator : LinearOperator
        B; its domain is the shape of `x`, or `x` is the C-order flattening of it.
    alpha : float
        At least 0.
    eps : float
        Positive.
    reference : array, optional
        Like `x`; zero if not given. Copied.
    hessian : {"exact", "lagged"}
        The lagged form holds s fixed, as in lagged diffusivity, and is the larger; ``l1Reg`` of Meganet has it.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Difference
    >>> from meganet.regularizers import SmoothedL1
    >>> variation = SmoothedL1(Difference((6,), axis=0), alpha=1.0, eps=1e-12)
    >>> value, gradient = variation.value_and_gradient(np.array([0.0, 0.0, 0.0, 3.0, 3.0, 3.0]))
    >>> round(float(value), 3), gradient.shape
    (3.0, (6,))
    """

    def __init__(
        self,
        operator: LinearOperator,
        alpha: float,
        eps: float = 1e-3,
        reference: Array | None = None,
        hessian: str = "exact",
    ) -> None:
        validate.instance("operator", operator, LinearOperator, "a LinearOperator")
        self.operator, self.size, self.backend = operator, operator.shape[1], operator.backend
        self.alpha = validate.real("alpha", alpha, minimum=0)
        self.eps = validate.real("eps", eps, above=0)
        self.hessian = validate.choice("hessian", hessian, ["exact", "lagged"])
        if reference is not None:
            self.backend.require_floats("reference", reference)
        self.reference = None if reference is None else self._tensor("reference", reference).copy()

    def __repr__(self) -> str:
        return f"SmoothedL1({self.operator!r}, alpha={self.alpha}, eps={self.eps})"

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return ``R(x)``, an array of shape (), and its gradient, an array like `x`."""
        u, s = self._differences(x)
        return self.alpha * s.sum(), (self.alpha * (self.operator.T @ (u / s))).reshape(x.shape)

    def hessian_product(self, x: Array, v: Array) -> Array:
        """Return the Hessian at `x`, exact or lagged, times `v`, an array like `v`."""
        self.backend.require("x", x)
        self.backend.require("v", v)
        validate.same_dtype("v", v, x.dtype, "x")
        _, s = self._differences(x)
        factor = 1 / s if self.hessian == "lagged" else self.eps / (s * s * s)
        product = self.operator.T @ (factor * (self.operator @ self._tensor("v", v)))
        return (self.alpha * product).reshape(v.shape)

    def _differences(self, x: Array) -> tuple[Array, Array]:
        tensor = self._tensor("x", x)
        if self.reference is not None:
            validate.same_dtype("x", x, self.reference.dtype, "the reference")
        u = self.operator @ (tensor if self.reference is None else tensor - self.reference)
        return u, self.backend.xp.sqrt(u * u + self.eps)

    def _tensor(self, argument: str, x: Array) -> Array:
        self.backend.require(argument, x)
        if x.size != self.size:
            validate.reject(argument, f"{self.size} weights, the domain of the operator", str(x.size))
        return x.reshape(self.operator.domain_shape)


class RegularizerSum(Regularizer):
    """The sum of regularisers, which ``R_1 + R_2`` makes.

    Parameters
    ----------
    parts : iterable of Regularizer
        All of one size.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Tikhonov
    >>> from meganet.linop import Difference, Identity
    >>> penalty = Tikhonov(Identity((4,)), 1.0) + Tikhonov(Difference((4,), axis=0), 10.0)
    >>> type(penalty).__name__, float(penalty.value(np.ones(4)))
    ('RegularizerSum', 2.0)
    >>> penalty.hessian_product(np.ones(4), np.ones(4)).shape
    (4,)
    """

    def __init__(self, parts: Iterable[Regularizer]) -> None:
        self.parts = _checked(parts)
        self.size, self.backend = self.parts[0].size, self.parts[0].backend
        for part in self.parts:
            if part.size != self.size:
                validate.reject("parts", f"all on {self.size} weights", repr(part))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return the sums of the parts' values and gradients."""
        values, gradients = zip(*(part.value_and_gradient(x) for part in self.parts), strict=True)
        return sum(values), sum(gradients)

    def hessian_product(self, x: Array, v: Array) -> Array:
        """Return the sum of the parts' products."""
        return sum(part.hessian_product(x, v) for part in self.parts)


class BlockRegularizer(Regularizer):
    """The sum of regularisers of consecutive parts of a flat vector, ``R_1(x_1)`` and so on.

    Parameters
    ----------
    parts : iterable of Regularizer

    Notes
    -----
    ``blockReg`` of Meganet; for instance one penalty for every layer.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Tikhonov
    >>> from meganet.linop import Identity
    >>> from meganet.regularizers import BlockRegularizer
    >>> penalty = BlockRegularizer([Tikhonov(Identity((3,)), 1.0), Tikhonov(Identity((2,)), 10.0)])
    >>> value, gradient = penalty.value_and_gradient(np.ones(5))
    >>> float(value), gradient
    (11.5, array([ 1.,  1.,  1., 10., 10.]))
    """

    def __init__(self, parts: Iterable[Regularizer]) -> None:
        self.parts = _checked(parts)
        self.size, self.backend = sum(part.size for part in self.parts), self.parts[0].backend

    def __repr__(self) -> str:
        return f"BlockRegularizer([{', '.join(map(repr, self.parts))}])"

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return the sum of the parts' values and their gradients in a row."""
        results = [part.value_and_gradient(one) for part, one in zip(self.parts, self._split("x", x), strict=True)]
        values, gradients = zip(*results, strict=True)
        return sum(values), self.backend.concatenate(gradients)

    def hessian_product(self, x: Array, v: Array) -> Array:
        """Return the parts' products in a row."""
        pieces = zip(self.parts, self._split("x", x), self._split("v", v), strict=True)
        return self.backend.concatenate([part.hessian_product(a, b) for part, a, b in pieces])

    def _split(self, argument: str, x: Array) -> list[Array]:
        self.backend.require(argument, x)
        validate.array_shape(argument, x, (self.size,))
        pieces, start = [], 0
        for part in self.parts:
            pieces.append(x[start : start + part.size])
            start += part.size
        return pieces


def _checked(parts: Iterable[Regularizer]) -> tuple[Regularizer, ...]:
    found = validate.items("parts", parts, Regularizer, "one or more regularisers")
    for part in found:
        if part.backend is not found[0].backend:
            validate.reject("parts", f"regularisers on {found[0].backend.name}", repr(part))
    return found


def penalty_of(argument: str, given: Any, layer: Layer, dtype: Any) -> Regularizer | None:
    """Return the regulariser of a layer's weights, none if it has no weights; a number is that of ``||.||^2 / 2``.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.regularizers import penalty_of
    >>> penalty = penalty_of("theta_regularizer", 0.5, mn.ConvolutionLayer((1, 4, 4), 2), np.float64)
    >>> float(penalty.value(np.ones(18)))
    4.5
    >>> penalty_of("theta_regularizer", None, mn.ConvolutionLayer((1, 4, 4), 2), np.float64) is None
    True
    """
    size = layer.parameters.size
    if given is None or isinstance(given, Regularizer):
        return given
    if isinstance(given, bool) or not isinstance(given, Real):
        validate.reject(argument, "a Regularizer, a number or None", validate.shown(given))
    alpha = validate.real(argument, given, minimum=0)
    return Tikhonov(Identity((size,), dtype, layer.backend), alpha) if size else None
