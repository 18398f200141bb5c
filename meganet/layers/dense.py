"""The fully connected layer; with the identity it is the affine classifier."""

from __future__ import annotations

from typing import Any

from meganet.backend import Backend, get_backend
from meganet.ground import validate
from meganet.layers.activations import Activation
from meganet.layers.affine import AffineLayer, shape_alone
from meganet.linop import Dense


class DenseLayer(AffineLayer):
    """The fully connected layer ``sigma(K x + b)`` with `linop.Dense`; with the identity, the affine classifier.

    Parameters
    ----------
    domain_shape : int or tuple of int
        Shape of one example; images are not flattened, so their kernel is (K, C, H, W).
    outputs : int
        Number K of outputs.
    activation : {"identity", "relu", "smooth_relu", "tanh"} or Activation
    bias : bool
    backend : str or Backend, optional

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import DenseLayer, he_normal
    >>> layer = DenseLayer((1, 8, 8), 10)
    >>> print(layer.parameters)
    kernel  10x1x8x8  640
    bias    10         10
    total             650
    >>> theta = he_normal(layer, np.random.default_rng(0))
    >>> y, tape = layer.forward(theta, np.ones((5, 1, 8, 8)))
    >>> dtheta, dx = layer.vjp(y, tape)
    >>> y.shape, dtheta.shape, dx.shape
    ((5, 10), (650,), (5, 1, 8, 8))
    """

    def __init__(
        self,
        domain_shape: Any,
        outputs: int,
        *,
        activation: str | Activation = "identity",
        bias: bool = True,
        backend: str | Backend | None = None,
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        out = validate.size("outputs", outputs)
        super().__init__(
            Dense(shape_alone((out, *domain), get_backend(backend)), backend), activation=activation, bias=bias
        )

    def arguments(self) -> dict[str, Any]:
        """Return what the layer is made of, see `networks.architecture`."""
        return {
            "domain_shape": self.domain_shape,
            "outputs": self.range_shape[0],
            "activation": self.activation,
            "bias": self.bias,
        }

    def resized(self, domain_shape: tuple[int, ...]) -> DenseLayer:
        """Return the layer for inputs of another shape; its kernel grows with them."""
        return type(self)(**{**self.arguments(), "domain_shape": domain_shape}, backend=self.backend)
