"""Layers that act entry by entry: activation, bias, scaling. Larger layers are chains of such parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import add, mul
from typing import Any

from meganet.backend import Array, Backend, get_backend
from meganet.ground import validate
from meganet.layers.activations import Activation, activation_of
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameter, Parameters
from meganet.linop import Broadcast, LinearOperator


class ActivationLayer(Layer):
    """An activation function of every entry, ``y = sigma(x)``; no weights.

    With ``s = sigma'(x)``: `jvp` is ``s * dx``, `vjp` is ``s * dy`` and `curvature` is ``sigma''(x) * dx * dy``.

    Parameters
    ----------
    domain_shape : tuple of int
    activation : {"identity", "relu", "smooth_relu", "tanh"} or Activation

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ActivationLayer
    >>> layer = ActivationLayer((2, 3, 3), "relu")
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 3, 3))
    >>> y, tape = layer.forward(np.zeros(0), x)
    >>> y.shape, float(y.min())
    ((5, 2, 3, 3), 0.0)
    >>> dtheta, dx = layer.vjp(np.ones_like(y), tape)
    >>> dtheta.shape, np.array_equal(dx, x >= 0)
    ((0,), True)
    """

    def __init__(
        self, domain_shape: Any, activation: str | Activation = "tanh", *, backend: str | Backend | None = None
    ) -> None:
        self._activation = activation_of("activation", activation)
        self.activation = activation
        super().__init__(domain_shape, domain_shape, Parameters(), backend)

    def __repr__(self) -> str:
        return f"ActivationLayer({self.domain_shape}, {self.activation!r})"

    def resized(self, domain_shape: tuple[int, ...]) -> ActivationLayer:
        """Return the same activation for examples of another shape."""
        return type(self)(domain_shape, self.activation, backend=self.backend)

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Any]:
        y, slope = self.backend.elementwise(lambda x: self._activation.evaluate(self.backend, x.copy()), x)
        return y, (x, slope)

    def evaluate_unchecked(self, theta: Array, x: Array) -> Array:
        return self.backend.elementwise(lambda x: self._activation.value(self.backend, x.copy()), x)

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Any) -> Array:
        return dx if record[1] is None else self.backend.elementwise(mul, dx, record[1])

    def vjp_unchecked(self, dy: Array, record: Any) -> tuple[Array, Array]:
        return self._no_weights(dy), self.jvp_unchecked(dy, dy, record)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        second = partial(self._activation.second_derivative, self.backend)
        return self._no_weights(dy), self.backend.elementwise(lambda x, dx, dy: second(x) * dx * dy, record[0], dx, dy)


class BiasLayer(Layer):
    """A bias, ``y = x + B b``, with weights b and a fixed operator B; the same for all examples.

    `jvp` is ``dx + B db``; `vjp` is ``db = B' (sum of dy over the examples)`` and ``dx = dy``; the curvature is zero.

    Parameters
    ----------
    domain_shape : tuple of int
    operator : LinearOperator, optional
        B, from a tensor of weights to one example; one weight for each channel (`linop.Broadcast`) if not given.

    Raises
    ------
    InputError
        For an operator whose range is not `domain_shape`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import BiasLayer
    >>> layer = BiasLayer((2, 3, 3))
    >>> print(layer.parameters)
    bias   2  2
    total     2
    >>> y, tape = layer.forward(np.array([1.0, -1.0]), np.zeros((5, 2, 3, 3)))
    >>> y[0, :, 0, 0]
    array([ 1., -1.])
    >>> dtheta, dx = layer.vjp(np.ones_like(y), tape)
    >>> dtheta  # summed over 5 examples of 9 pixels
    array([45., 45.])
    """

    def __init__(
        self, domain_shape: Any, operator: LinearOperator | None = None, *, backend: str | Backend | None = None
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        self.operator = Broadcast(domain, backend=backend) if operator is None else operator
        if not isinstance(self.operator, LinearOperator):
            validate.reject("operator", "a LinearOperator", repr(operator))
        if self.operator.range_shape != domain:
            validate.reject("operator", f"one that maps to {domain}", repr(self.operator))
        weights = Parameters([Parameter("bias", self.operator.domain_shape, "bias")])
        super().__init__(domain, domain, weights, self.operator.backend)

    def __repr__(self) -> str:
        return f"BiasLayer({self.domain_shape}, {self.parameters.size} weights)"

    def resized(self, domain_shape: tuple[int, ...]) -> BiasLayer:
        """Return the layer for examples of another shape, for a bias that is the same along the axes that change."""
        return type(self)(domain_shape, resized_bias(self.operator, domain_shape))

    def _spread(self, b: Array) -> Array:
        """Return ``B b`` with an axis for the examples."""
        return self.operator.apply_each_unchecked(b.reshape(*b.shape[:-1], 1, *self.operator.domain_shape))

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, None]:
        return self.backend.elementwise(add, x, self._spread(theta)), None

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: None) -> Array:
        return self.backend.elementwise(add, dx, self._spread(dtheta))

    def vjp_unchecked(self, dy: Array, record: None) -> tuple[Array, Array]:
        k = len(self.domain_shape)
        in_b = self.operator.adjoint_each_unchecked(dy.sum(axis=-k - 1, keepdims=True))
        return in_b.reshape(*dy.shape[: -k - 1], self.parameters.size), dy

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: None) -> tuple[Array, Array]:
        return self.backend.xp.zeros_like(dtheta), self.backend.xp.zeros_like(dx)


def resized_bias(operator: LinearOperator, domain_shape: tuple[int, ...]) -> LinearOperator:
    """Return the operator of a bias for examples of another shape.

    Raises
    ------
    InputError
        For another shape and an operator that is no `linop.Broadcast`: only copies along axes fit axes of any length.

    Examples
    --------
    >>> from meganet.layers.elementwise import resized_bias
    >>> from meganet.linop import Broadcast
    >>> resized_bias(Broadcast((16, 28, 28)), (16, 14, 14))
    Broadcast((16,) -> (16, 14, 14), float64, numpy)
    """
    if tuple(domain_shape) == operator.range_shape:
        return operator
    if not isinstance(operator, Broadcast):
        validate.reject("domain_shape", f"{operator.range_shape}, where the bias' operator maps", str(domain_shape))
    return Broadcast(domain_shape, operator.axes, operator.dtype, operator.backend)


class ScalingLayer(Layer):
    """A diagonal scaling, ``y = s x``, with one factor for each place along some axes of an example.

    `jvp` is ``ds x + s dx``; `vjp` is ``ds = sum of x dy`` over the examples and the other axes, and ``dx = s dy``;
    `curvature` is ``(sum of dx dy, ds dy)``. The initial factors are 1.

    Parameters
    ----------
    domain_shape : tuple of int
    axes : sequence of int
        Axes of an example along which the factors vary: (0,) for one per channel, (1, 2) for one per pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ScalingLayer, he_normal
    >>> layer = ScalingLayer((2, 3, 3))
    >>> theta = he_normal(layer, np.random.default_rng(0))
    >>> theta
    array([1., 1.])
    >>> y, tape = layer.forward(3 * theta, np.ones((5, 2, 3, 3)))
    >>> float(y.max())
    3.0
    >>> dtheta, dx = layer.vjp(np.ones_like(y), tape)
    >>> dtheta, dx.shape
    (array([45., 45.]), (5, 2, 3, 3))
    """

    def __init__(self, domain_shape: Any, axes: Sequence[int] = (0,), *, backend: str | Backend | None = None) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        self.axes = validate.axes("axes", axes, len(domain))
        scale = Parameter("scale", tuple(domain[a] for a in self.axes), "scale")
        super().__init__(domain, domain, Parameters([scale]), get_backend(backend))

    def __repr__(self) -> str:
        return f"ScalingLayer({self.domain_shape}, axes={self.axes})"

    def resized(self, domain_shape: tuple[int, ...]) -> ScalingLayer:
        """Return the layer for examples of another shape."""
        return type(self)(domain_shape, self.axes, backend=self.backend)

    def _factors(self, theta: Array) -> Array:
        shape = (n if a in self.axes else 1 for a, n in enumerate(self.domain_shape))
        return theta.reshape(*theta.shape[:-1], 1, *shape)

    def _summed(self, products: Array) -> Array:
        """Sum over the examples and the other axes."""
        k = len(self.domain_shape)
        others = tuple(a - k for a in range(k) if a not in self.axes)
        total = products.sum(axis=(-k - 1, *others))
        return total.reshape(*products.shape[: -k - 1], self.parameters.size)

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Any]:
        factors = self._factors(theta)
        return self._product(x, factors), (x, factors)

    def _product(self, x: Array, y: Array) -> Array:
        return self.backend.elementwise(mul, x, y)

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Any) -> Array:
        x, factors = record
        d_factors = self._factors(dtheta)
        return self.backend.elementwise(lambda x, dx, f, df: df * x + f * dx, x, dx, factors, d_factors)

    def vjp_unchecked(self, dy: Array, record: Any) -> tuple[Array, Array]:
        x, factors = record
        return self._summed(self._product(x, dy)), self._product(factors, dy)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        return self._summed(self._product(dx, dy)), self._product(self._factors(dtheta), dy)
