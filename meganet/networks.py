"""Networks: layers made of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meganet import _validate
from meganet.backend import Array
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters


class Chain(Layer):
    """Layers one after another, ``x_{j+1} = F_j(theta_j, x_j)``, equation (2.7) of the thesis.

    ``theta`` holds the layers' weights in order; the names are ``"<number>.<name>"``, as in PyTorch's
    ``Sequential``. ``jvp`` runs through the layers in order, ``vjp`` backwards (backpropagation).

    Parameters
    ----------
    layers : iterable of Layer
        At least one; each layer's range is the next one's domain, all on one backend.

    Examples
    --------
    >>> from meganet import Chain, ConvolutionLayer
    >>> net = Chain([ConvolutionLayer((1, 28, 28), 32), ConvolutionLayer((32, 28, 28), 64)])
    >>> print(net.parameters)
    0.kernel  32x1x3x3      288
    1.kernel  64x32x3x3  18,432
    total                18,720
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        layers = tuple(layers)
        if not layers or not all(isinstance(layer, Layer) for layer in layers):
            _validate.reject("layers", "one or more layers", repr(layers))
        for k, (first, second) in enumerate(zip(layers[:-1], layers[1:], strict=True)):
            if first.range_shape != second.domain_shape:
                _validate.reject(
                    f"layers[{k + 1}]", f"domain {first.range_shape}, the range of {first!r}", repr(second)
                )
            if first.backend is not second.backend:
                _validate.reject(f"layers[{k + 1}]", f"a layer on {first.backend.name}", second.backend.name)
        self.layers = layers
        parameters = Parameters.joined({str(k): layer.parameters for k, layer in enumerate(layers)})
        super().__init__(layers[0].domain_shape, layers[-1].range_shape, parameters, layers[0].backend)

    def __repr__(self) -> str:
        return "Chain(\n  " + ",\n  ".join(map(repr, self.layers)) + "\n)"

    def resized(self, domain_shape: tuple[int, ...]) -> Chain:
        """Return the same layers for images of another resolution."""
        layers: list[Layer] = []
        for layer in self.layers:
            layers.append(layer.resized(layers[-1].range_shape if layers else domain_shape))
        return Chain(layers)

    def _parts(self, theta: Array) -> list[Array]:
        parts, start = [], 0
        for layer in self.layers:
            parts.append(theta[..., start : start + layer.parameters.size])
            start += layer.parameters.size
        return parts

    def _forward(self, theta: Array, x: Array) -> tuple[Array, list[Any]]:
        records = []
        for layer, part in zip(self.layers, self._parts(theta), strict=True):
            x, record = layer._forward(part, x)
            records.append(record)
        return x, records

    def _evaluate(self, theta: Array, x: Array) -> Array:
        for layer, part in zip(self.layers, self._parts(theta), strict=True):
            x = layer._evaluate(part, x)
        return x

    def _jvp(self, dtheta: Array, dx: Array, record: list[Any]) -> Array:
        for layer, part, one in zip(self.layers, self._parts(dtheta), record, strict=True):
            dx = layer._jvp(part, dx, one)
        return dx

    def _vjp(self, dy: Array, record: list[Any]) -> tuple[Array, Array]:
        gradients, dy = self._backwards(dy, record)
        first, dx = self.layers[0]._vjp(dy, record[0])
        return self._join(first, gradients), dx

    def _vjp_theta(self, dy: Array, record: list[Any]) -> Array:
        gradients, dy = self._backwards(dy, record)
        return self._join(self.layers[0]._vjp_theta(dy, record[0]), gradients)

    def _backwards(self, dy: Array, record: list[Any]) -> tuple[list[Array], Array]:
        """Go back to the output of the first layer; return the gradients, last layer first."""
        gradients = []
        for layer, one in zip(self.layers[:0:-1], record[:0:-1], strict=True):
            gradient, dy = layer._vjp(dy, one)
            gradients.append(gradient)
        return gradients, dy

    def _join(self, first: Array, gradients: list[Array]) -> Array:
        return self.backend.xp.concatenate([first, *gradients[::-1]], axis=-1)
