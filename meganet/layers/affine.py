"""Layers ``sigma(K(kernel) x + b)``: one linear map with parameters, a bias, an activation."""

from __future__ import annotations

from functools import partial
from operator import add, iadd, imul, mul
from typing import Any, NamedTuple

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.layers.activations import Activation, activation_of
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameter, Parameters
from meganet.linop import ParametricOperator


class Record(NamedTuple):
    """What the products need: the weights' views, the operator at their kernel, the input, the slope.

    `kept` is what the operator's gradients want of the input; the slope is None where it is 1 everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import DenseLayer
    >>> layer = DenseLayer((3,), 2, activation="relu")
    >>> y, tape = layer.forward(np.ones(layer.parameters.size), np.ones((5, 3)))
    >>> tape.record.operator.kernel.shape, tape.record.slope.shape
    ((2, 3), (5, 2))
    """

    views: dict[str, Array]
    operator: ParametricOperator
    x: Array
    kept: Any
    slope: Array | None


class AffineLayer(Layer):
    """``y = sigma(z)`` with ``z = K(kernel) x + b``, the bias shared by all pixels of a channel.

    With ``s = sigma'(z)``: ``jvp`` is ``s * (K(dkernel) x + K(kernel) dx + db)``; ``vjp`` is, for ``u = s * dy``,
    ``dkernel = adjoint of kernel -> K(kernel) x`` applied to u, ``db = sum of u`` over examples and pixels,
    ``dx = K(kernel)' u``. `curvature` has ``s' = sigma''(z) (K(dkernel) x + K(kernel) dx + db)`` and ``u' = s' * dy``
    beside u: the kernel's part is the adjoint at (dx, u) plus that at (x, u'), the bias' the sum of u', the
    examples' ``K(dkernel)' u + K(kernel)' u'``. This is equation (2.6) of the thesis with ``K2 = I``.

    Parameters
    ----------
    operator : ParametricOperator
        The kind of K; its own kernel is not used.
    activation : {"identity", "relu", "smooth_relu", "tanh"} or Activation
    bias : bool

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import AffineLayer, he_normal
    >>> from meganet.linop import DepthwiseConvolution
    >>> layer = AffineLayer(DepthwiseConvolution(np.zeros((4, 3, 3)), (8, 8)), activation="relu", bias=True)
    >>> layer.parameters.names, layer.parameters.size
    (('kernel', 'bias'), 40)
    >>> theta = he_normal(layer, np.random.default_rng(0))
    >>> y, tape = layer.forward(theta, np.ones((5, 4, 8, 8)))
    >>> dtheta, dx = layer.vjp(y, tape)
    >>> y.shape, dtheta.shape, dx.shape
    ((5, 4, 8, 8), (40,), (5, 4, 8, 8))
    """

    def __init__(
        self, operator: ParametricOperator, *, activation: str | Activation = "identity", bias: bool = False
    ) -> None:
        self._operator = operator
        self._activation = activation_of("activation", activation)
        self.activation = activation
        validate.instance("bias", bias, bool, "True or False")
        self.bias = bias
        parts = [Parameter("kernel", operator.kernel_shape, operator.role, operator.fan_in)]
        parts += [Parameter("bias", (operator.range_shape[0],), "bias")] if bias else []
        super().__init__(operator.domain_shape, operator.range_shape, Parameters(parts), operator.backend)

    def operator(self, kernel: Array) -> ParametricOperator:
        """Return the linear operator ``K(kernel)`` of the layer."""
        return self._operator.with_kernel(kernel)

    def arguments(self) -> dict[str, Any]:
        """Return what the layer is made of, see `networks.architecture`."""
        return {"operator": self._operator, "activation": self.activation, "bias": self.bias}

    def resized(self, domain_shape: tuple[int, ...]) -> AffineLayer:
        """Return the layer for examples of another shape."""
        return AffineLayer(self._operator.resized(domain_shape), activation=self.activation, bias=self.bias)

    def __repr__(self) -> str:
        bias = ", bias" if self.bias else ""
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape}, {self.activation}{bias})"

    def _add_bias(self, z: Array, views: dict[str, Array]) -> None:
        """Add the bias to `z`, in place, at every pixel."""
        if self.bias:
            bias = views["bias"]
            bias = bias.reshape(*bias.shape[:-1], 1, -1, *(1,) * (len(self.range_shape) - 1))
            self.backend.elementwise(iadd, z, bias)

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Record]:
        views = self.parameters.view_unchecked(theta)
        operator = self._operator.with_kernel_unchecked(views["kernel"])
        y, slope, kept = operator.activated_unchecked(x, views.get("bias"), self._activation, recorded=True)
        return y, Record(views, operator, x, kept, slope)

    def evaluate_unchecked(self, theta: Array, x: Array) -> Array:
        views = self.parameters.view_unchecked(theta)
        operator = self._operator.with_kernel_unchecked(views["kernel"])
        return operator.activated_unchecked(x, views.get("bias"), self._activation, recorded=False)[0]

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Record) -> Array:
        if not self.bias:
            return self._derivative(dtheta, dx, record, record.slope)
        dz = self._derivative(dtheta, dx, record, None)
        if record.slope is not None:
            self.backend.elementwise(imul, dz, record.slope)
        return dz

    def _derivative(self, dtheta: Array, dx: Array, record: Record, slope: Array | None) -> Array:
        """Return the derivative of z, times a slope if there is no bias."""
        views = self.parameters.view_unchecked(dtheta)
        dz = record.operator.derivative_unchecked(record.x, dx, views["kernel"], slope)
        self._add_bias(dz, views)
        return dz

    def vjp_unchecked(self, dy: Array, record: Record) -> tuple[Array, Array]:
        return self._backwards(dy, record, need_x=True)

    def vjp_theta_unchecked(self, dy: Array, record: Record) -> Array:
        return self._backwards(dy, record, need_x=False)[0]

    def vjp_x_unchecked(self, dy: Array, record: Record) -> Array:
        return record.operator.adjoint_unchecked(self._times_slope(dy, record))

    def _times_slope(self, dy: Array, record: Record) -> Array:
        """Return ``sigma'(z) * dy``, which may be `dy` itself."""
        return dy if record.slope is None else self.backend.elementwise(mul, dy, record.slope)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Record) -> tuple[Array, Array]:
        direction = record.operator.with_kernel_unchecked(self.parameters.view_unchecked(dtheta)["kernel"])
        u = self._times_slope(dy, record)
        in_theta = self.backend.xp.zeros(dtheta.shape, dtype=dtheta.dtype)
        in_x = direction.adjoint_unchecked(u)
        views = self.parameters.view_unchecked(in_theta)
        views["kernel"][...] = record.operator.kernel_adjoint_unchecked(dx, u)
        if self._activation.curved:
            z = record.operator.apply_unchecked(record.x)
            self._add_bias(z, record.views)
            second = partial(self._activation.second_derivative, self.backend)
            dz = self._derivative(dtheta, dx, record, None)
            du = self.backend.elementwise(lambda z, dz, dy: second(z) * dz * dy, z, dz, dy)
            views["kernel"][...] += record.operator.kernel_adjoint_unchecked(record.x, du)
            if self.bias:
                views["bias"][...] = self._bias_gradient(du)
            in_x = self.backend.elementwise(add, in_x, record.operator.adjoint_unchecked(du))
        return in_theta, in_x

    def _bias_gradient(self, u: Array) -> Array:
        k = len(self.range_shape)
        return u.sum(axis=(-k - 1, *range(1 - k, 0)))

    def _backwards(self, dy: Array, record: Record, need_x: bool) -> tuple[Array, Any]:
        slope = record.slope
        lead = dy.shape[: -len(self.range_shape) - 1]
        in_theta = self.backend.xp.empty((*lead, self.parameters.size), dtype=dy.dtype)
        views = self.parameters.view_unchecked(in_theta)
        if self.bias:
            if slope is not None:
                self.backend.elementwise(imul, dy, slope)
                slope = None
            views["bias"][...] = self._bias_gradient(dy)
        return in_theta, record.operator.sloped_gradients_unchecked(record.kept, dy, slope, views["kernel"], need_x)


def shape_alone(shape: tuple[int, ...], backend: Backend) -> Array:
    """Return a kernel of which only the shape counts, as that of a layer's operator: it takes no memory.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.layers.affine import shape_alone
    >>> kernel = shape_alone((64, 32, 3, 3), get_backend("numpy"))
    >>> kernel.shape, kernel.strides
    ((64, 32, 3, 3), (0, 0, 0, 0))
    """
    return backend.xp.broadcast_to(backend.xp.zeros(()), shape)
