"""Layers ``sigma(K(kernel) x + b)``: one linear map with parameters, a bias, an activation."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

from meganet import _validate
from meganet.backend import Array, Backend
from meganet.layers.activations import ACTIVATIONS
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameter, Parameters
from meganet.linop import CirculantConvolution, Dense, ParametricOperator


class Record(NamedTuple):
    """What the products need: the operator at the kernel of the forward pass, the input, the slope."""

    operator: ParametricOperator
    x: Array
    slope: Array


class AffineLayer(Layer):
    """``y = sigma(z)`` with ``z = K(kernel) x + b``, the bias shared by all pixels of a channel.

    With ``s = sigma'(z)``: ``jvp`` is ``s * (K(dkernel) x + K(kernel) dx + db)``; ``vjp`` is, for ``u = s * dy``,
    ``dkernel = adjoint of kernel -> K(kernel) x`` applied to u, ``db = sum of u`` over examples and pixels,
    ``dx = K(kernel)' u``. This is equation (2.6) of the thesis with ``K2 = I``. A subclass says what K is.
    """

    def __init__(
        self, domain_shape: Any, range_shape: Any, kernel: Parameter, activation: str, bias: bool, backend: Any
    ) -> None:
        self.activation = _validate.choice("activation", activation, ACTIVATIONS)
        self.bias = bias
        parts = [kernel] + ([Parameter("bias", (range_shape[0],), "bias")] if bias else [])
        super().__init__(domain_shape, range_shape, Parameters(parts), backend)

    @abstractmethod
    def operator(self, kernel: Array) -> ParametricOperator:
        """Return the linear operator ``K(kernel)`` of the layer."""

    def __repr__(self) -> str:
        bias = ", bias" if self.bias else ""
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape}, {self.activation}{bias})"

    def _spread(self, bias: Array) -> Array:
        return bias.reshape(-1, *(1,) * (len(self.range_shape) - 1))

    def _forward(self, theta: Array, x: Array) -> tuple[Array, Record]:
        views = self.parameters.view(theta)
        operator = self.operator(views["kernel"])
        z = operator._apply(x)
        if self.bias:
            z += self._spread(views["bias"])
        y, slope = ACTIVATIONS[self.activation].evaluate(self.backend, z)
        return y, Record(operator, x, slope)

    def _jvp(self, dtheta: Array, dx: Array, record: Record) -> Array:
        views = self.parameters.view(dtheta)
        dz = record.operator.with_kernel(views["kernel"])._apply(record.x) + record.operator._apply(dx)
        if self.bias:
            dz += self._spread(views["bias"])
        return record.slope * dz

    def _vjp(self, dy: Array, record: Record) -> tuple[Array, Array]:
        u = record.slope * dy
        return self._theta_gradient(u, record), record.operator._adjoint(u)

    def _vjp_theta(self, dy: Array, record: Record) -> Array:
        return self._theta_gradient(record.slope * dy, record)

    def _theta_gradient(self, u: Array, record: Record) -> Array:
        kernel = record.operator._kernel_adjoint(record.x, u).reshape(-1)
        if not self.bias:
            return kernel
        axes = tuple(axis for axis in range(u.ndim) if axis != 1)
        return self.backend.xp.concatenate([kernel, u.sum(axis=axes)])


class ConvolutionLayer(AffineLayer):
    """Periodic convolution, bias, activation: ``sigma(K(kernel) x + b)`` with `linop.CirculantConvolution`.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W) of the input.
    out_channels : int
    kernel_shape : int or pair of int
        Odd sizes, 3x3 in the thesis.
    activation : {"relu", "tanh", "identity"}
    bias : bool
        One number per output channel; the thesis' networks have none.
    engine : {"auto", "tiled", "sparse"}
        See `linop.CirculantConvolution`.
    backend : str or Backend, optional
    """

    def __init__(
        self,
        domain_shape: Any,
        out_channels: int,
        kernel_shape: int | tuple[int, int] = 3,
        *,
        activation: str = "relu",
        bias: bool = False,
        engine: str = "auto",
        backend: str | Backend | None = None,
    ) -> None:
        channels, height, width = _validate.shape("domain_shape", domain_shape, ndim=3)
        out = _validate.integer("out_channels", out_channels)
        self.kernel_shape = _validate.odd_shape("kernel_shape", kernel_shape)
        self.engine = engine
        kernel = Parameter(
            "kernel", (out, channels, *self.kernel_shape), "stencil", channels * math.prod(self.kernel_shape)
        )
        super().__init__((channels, height, width), (out, height, width), kernel, activation, bias, backend)
        # built once here so that a kernel larger than the image is refused before any weights exist
        self.operator(self.backend.xp.zeros(kernel.shape))

    def operator(self, kernel: Array) -> CirculantConvolution:
        """Return the convolution with `kernel` on the layer's images."""
        return CirculantConvolution(kernel, self.domain_shape[1:], self.engine, self.backend)

    def resized(self, domain_shape: tuple[int, ...]) -> ConvolutionLayer:
        """Return the layer for images of another resolution; the kernel's shape stays."""
        return ConvolutionLayer(
            domain_shape,
            self.range_shape[0],
            self.kernel_shape,
            activation=self.activation,
            bias=self.bias,
            engine=self.engine,
            backend=self.backend,
        )


class DenseLayer(AffineLayer):
    """Fully connected layer ``sigma(K x + b)`` with `linop.Dense`; with the identity it is the affine classifier.

    Parameters
    ----------
    domain_shape : int or tuple of int
        Shape of one example; images keep their shape, so the kernel is (K, C, H, W).
    outputs : int
        Number K of outputs.
    activation : {"identity", "relu", "tanh"}
    bias : bool
    backend : str or Backend, optional
    """

    def __init__(
        self,
        domain_shape: Any,
        outputs: int,
        *,
        activation: str = "identity",
        bias: bool = True,
        backend: str | Backend | None = None,
    ) -> None:
        domain = _validate.shape("domain_shape", domain_shape)
        out = _validate.integer("outputs", outputs)
        kernel = Parameter("kernel", (out, *domain), "matrix", math.prod(domain))
        super().__init__(domain, (out,), kernel, activation, bias, backend)

    def operator(self, kernel: Array) -> Dense:
        """Return the dense operator with `kernel`."""
        return Dense(kernel, self.backend)

    def resized(self, domain_shape: tuple[int, ...]) -> DenseLayer:
        """Return the layer for inputs of another shape; its kernel grows with them."""
        return DenseLayer(
            domain_shape, self.range_shape[0], activation=self.activation, bias=self.bias, backend=self.backend
        )
