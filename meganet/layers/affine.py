"""Layers ``sigma(K(kernel) x + b)``: one linear map with parameters, a bias, an activation."""

from __future__ import annotations

from typing import Any, NamedTuple

from meganet import _validate
from meganet.backend import Array
from meganet.layers.activations import ACTIVATIONS
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameter, Parameters
from meganet.linop import ParametricOperator


class Record(NamedTuple):
    """What the products need: the operator at the kernel of the forward pass, the input, the slope.

    `kept` is what the operator's gradients want of the input.
    """

    operator: ParametricOperator
    x: Array
    kept: Any
    slope: Array


class AffineLayer(Layer):
    """``y = sigma(z)`` with ``z = K(kernel) x + b``, the bias shared by all pixels of a channel.

    With ``s = sigma'(z)``: ``jvp`` is ``s * (K(dkernel) x + K(kernel) dx + db)``; ``vjp`` is, for ``u = s * dy``,
    ``dkernel = adjoint of kernel -> K(kernel) x`` applied to u, ``db = sum of u`` over examples and pixels,
    ``dx = K(kernel)' u``. This is equation (2.6) of the thesis with ``K2 = I``.

    Parameters
    ----------
    operator : ParametricOperator
        What K is; its own kernel is of no account.
    kernel : Parameter
        The kernel among the parameters: its name is "kernel".
    activation : {"identity", "relu", "tanh"}
    bias : bool
    """

    def __init__(self, operator: ParametricOperator, kernel: Parameter, activation: str, bias: bool) -> None:
        self._operator = operator
        self.activation = _validate.choice("activation", activation, ACTIVATIONS)
        self.bias = bias
        parts = [kernel] + ([Parameter("bias", (operator.range_shape[0],), "bias")] if bias else [])
        super().__init__(operator.domain_shape, operator.range_shape, Parameters(parts), operator.backend)

    def operator(self, kernel: Array) -> ParametricOperator:
        """Return the linear operator ``K(kernel)`` of the layer."""
        return self._operator.with_kernel(kernel)

    def __repr__(self) -> str:
        bias = ", bias" if self.bias else ""
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape}, {self.activation}{bias})"

    def _add_bias(self, z: Array, views: dict[str, Array]) -> None:
        """Add the bias to `z`, in place, at every pixel."""
        if self.bias:
            bias = views["bias"]
            z += bias.reshape(*bias.shape[:-1], 1, -1, *(1,) * (len(self.range_shape) - 1))

    def _forward(self, theta: Array, x: Array) -> tuple[Array, Record]:
        views = self.parameters._view(theta)
        operator = self._operator._with_kernel(views["kernel"])
        z, kept = operator._recorded(x)
        self._add_bias(z, views)
        y, slope = ACTIVATIONS[self.activation].evaluate(self.backend, z)
        return y, Record(operator, x, kept, slope)

    def _evaluate(self, theta: Array, x: Array) -> Array:
        views = self.parameters._view(theta)
        z = self._operator._with_kernel(views["kernel"])._apply(x)
        self._add_bias(z, views)
        return ACTIVATIONS[self.activation].value(self.backend, z)

    def _jvp(self, dtheta: Array, dx: Array, record: Record) -> Array:
        views = self.parameters._view(dtheta)
        dz = record.operator._with_kernel(views["kernel"])._apply(record.x) + record.operator._apply(dx)
        self._add_bias(dz, views)
        dz *= record.slope
        return dz

    def _vjp(self, dy: Array, record: Record) -> tuple[Array, Array]:
        return self._gradients(dy, record, need_x=True)

    def _vjp_theta(self, dy: Array, record: Record) -> Array:
        return self._gradients(dy, record, need_x=False)[0]

    def _gradients(self, dy: Array, record: Record, need_x: bool) -> tuple[Array, Any]:
        dy *= record.slope
        k = len(self.range_shape)
        lead = dy.shape[: -k - 1]
        in_theta = self.backend.xp.empty((*lead, self.parameters.size), dtype=dy.dtype)
        views = self.parameters._view(in_theta)
        if self.bias:
            views["bias"][...] = dy.sum(axis=(-k - 1, *range(1 - k, 0)))
        return in_theta, record.operator._gradients(record.kept, dy, views["kernel"], need_x)
