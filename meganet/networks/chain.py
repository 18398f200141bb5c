"""Layers one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from operator import add
from typing import Any

from meganet.backend import Array, use_backend
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters
from meganet.linop import LinearOperator

Shaped = Callable[[tuple[int, ...]], Layer]
"""A function from domain_shape to a layer, such as ``ConvolutionLayer(..., 64)``."""


class Chain(Layer):
    """Layers one after another, ``x_{j+1} = F_j(theta_j, x_j)``, equation (2.7) of the thesis.

    ``theta`` holds the layers' weights in order; the names are ``"<number>.<name>"``, as in PyTorch's
    ``Sequential``. ``jvp`` runs through the layers in order, ``vjp`` backwards (backpropagation).

    Parameters
    ----------
    layers : iterable of Layer or callable
        At least one; each layer's range is the next one's domain, all on one backend. After the first, a function
        ``domain_shape -> Layer`` is called with that range, on that backend, such as a layer class with ``...``.
    names : sequence of str, optional
        What the layers are called in the names of their weights; their numbers if not given.
    storage : sequence of int, optional
        The order in which the flat vector holds the layers' weights, as layer numbers; their own order if not given.

    Examples
    --------
    >>> from meganet import Chain, ConvolutionLayer
    >>> net = Chain([ConvolutionLayer((1, 28, 28), 32), ConvolutionLayer(..., 64)])
    >>> print(net.parameters)
    0.kernel  32x1x3x3      288
    1.kernel  64x32x3x3  18,432
    total                18,720
    """

    def __init__(
        self,
        layers: Iterable[Layer | Shaped],
        names: Sequence[str] | None = None,
        storage: Sequence[int] | None = None,
    ) -> None:
        layers = _shaped(validate.items("layers", layers, object, "one or more layers"))
        for k, (first, second) in enumerate(zip(layers[:-1], layers[1:], strict=True)):
            if first.range_shape != second.domain_shape:
                validate.reject(f"layers[{k + 1}]", f"domain {first.range_shape}, the range of {first!r}", repr(second))
            if first.backend is not second.backend:
                validate.reject(f"layers[{k + 1}]", f"a layer on {first.backend.name}", second.backend.name)
        self.layers = layers
        numbers = range(len(layers))
        expected = f"{len(layers)} different names"
        given = [str(k) for k in numbers] if names is None else names
        self.names = validate.items("names", given, str, expected)
        if len(set(self.names)) != len(self.names) or len(self.names) != len(layers):
            validate.reject("names", expected, repr(names))
        expected = f"a permutation of 0 to {len(layers) - 1}"
        self.storage = validate.items("storage", numbers if storage is None else storage, Integral, expected)
        if sorted(self.storage) != list(numbers):
            validate.reject("storage", expected, repr(storage))
        parameters = Parameters.joined({self.names[k]: layers[k].parameters for k in self.storage})
        self._slices = self._places()
        self.couples_examples = any(layer.couples_examples for layer in layers)
        super().__init__(layers[0].domain_shape, layers[-1].range_shape, parameters, layers[0].backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(\n  " + ",\n  ".join(map(repr, self.layers)) + "\n)"

    def resized(self, domain_shape: tuple[int, ...]) -> Chain:
        """Return the same layers for images of another resolution."""
        layers: list[Layer] = []
        for layer in self.layers:
            layers.append(layer.resized(layers[-1].range_shape if layers else domain_shape))
        return self._of(layers)

    def _of(self, layers: Iterable[Layer]) -> Chain:
        """Return a chain of the same kind of other layers."""
        other = object.__new__(type(self))
        Chain.__init__(other, layers, self.names, self.storage)
        return other

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is defined for every part."""
        return all(layer.twice_differentiable for layer in self.layers)

    @property
    def widest(self) -> int:
        """That of the widest layer."""
        return max(layer.widest for layer in self.layers)

    def in_time(self, *, finer: bool) -> tuple[Chain, list[LinearOperator]]:
        """Return the chain with every part refined or coarsened in time, and the operators on its weights."""
        layers, blocks = zip(*(layer.in_time(finer=finer) for layer in self.layers), strict=True)
        changed = any(new is not old for new, old in zip(layers, self.layers, strict=True))
        return self._of(layers) if changed else self, [block for k in self.storage for block in blocks[k]]

    def _places(self) -> list[slice]:
        """Return the place of every layer's weights in the flat vector."""
        places, start = {}, 0
        for k in self.storage:
            places[k] = slice(start, start + self.layers[k].parameters.size)
            start = places[k].stop
        return [places[k] for k in range(len(self.layers))]

    def parts_unchecked(self, theta: Array) -> list[Array]:
        """Return the views of the layers' weights."""
        return [theta[..., place] for place in self._slices]

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, list[Any]]:
        records = []
        for layer, part in zip(self.layers, self.parts_unchecked(theta), strict=True):
            x, record = layer.forward_unchecked(part, x)
            records.append(record)
        return x, records

    def outputs(self, theta: Array, x: Array) -> list[Array]:
        """Return what every layer makes of a batch `x`: ``x_1, x_2, ...`` up to the chain's own result."""
        found: list[Array] = []
        for layer, part in zip(self.layers, self.parts_unchecked(theta), strict=True):
            found.append(layer(part, found[-1] if found else x))
        return found

    def frozen_on_unchecked(self, theta: Array, x: Array) -> tuple[Layer, Array]:
        layers = []
        for layer, part in zip(self.layers, self.parts_unchecked(theta), strict=True):
            layer, x = layer.frozen_on_unchecked(part, x)
            layers.append(layer)
        return self._of(layers), x

    def evaluate_unchecked(self, theta: Array, x: Array) -> Array:
        for layer, part in zip(self.layers, self.parts_unchecked(theta), strict=True):
            x = layer.evaluate_unchecked(part, x)
        return x

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: list[Any]) -> Array:
        for layer, part, one in zip(self.layers, self.parts_unchecked(dtheta), record, strict=True):
            dx = layer.jvp_unchecked(part, dx, one)
        return dx

    def vjp_unchecked(self, dy: Array, record: list[Any]) -> tuple[Array, Array]:
        gradients, dy = self._backwards(dy, record)
        first, dx = self.layers[0].vjp_unchecked(dy, record[0])
        return self.joined_unchecked([first, *gradients]), dx

    def vjp_theta_unchecked(self, dy: Array, record: list[Any]) -> Array:
        gradients, dy = self._backwards(dy, record)
        return self.joined_unchecked([self.layers[0].vjp_theta_unchecked(dy, record[0]), *gradients])

    def vjp_x_unchecked(self, dy: Array, record: list[Any]) -> Array:
        for layer, one in zip(self.layers[::-1], record[::-1], strict=True):
            dy = layer.vjp_x_unchecked(dy, one)
        return dy

    def _backwards(self, dy: Array, record: list[Any]) -> tuple[list[Array], Array]:
        """Go back to the output of the first layer; return the gradients of the layers behind it."""
        gradients = []
        for layer, one in zip(self.layers[:0:-1], record[:0:-1], strict=True):
            gradient, dy = layer.vjp_unchecked(dy, one)
            gradients.append(gradient)
        return gradients[::-1], dy

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: list[Any]) -> tuple[Array, Array]:
        """Push the direction through the layers, then the adjoint and its derivative back.

        With ``u`` the adjoint behind a layer and ``u'`` its derivative, the layer adds
        ``curvature(dtheta, dx; u) + J' u'``.
        """
        parts, directions = self.parts_unchecked(dtheta), [dx]
        for layer, part, one in zip(self.layers[:-1], parts, record, strict=False):
            directions.append(layer.jvp_unchecked(part, directions[-1], one))
        gradients: list[Array] = []
        u, du = dy, None
        for k in range(len(self.layers) - 1, -1, -1):
            layer, one = self.layers[k], record[k]
            in_theta, in_x = layer.curvature_unchecked(parts[k], directions[k], u, one)
            if du is not None:
                through = layer.vjp_unchecked(du, one)
                in_theta, in_x = in_theta + through[0], self.backend.elementwise(add, in_x, through[1])
            if k:
                u = layer.vjp_x_unchecked(self.backend.copied(u), one)
            gradients.append(in_theta)
            du = in_x
        return self.joined_unchecked(gradients[::-1]), du

    def joined_unchecked(self, parts: list[Array]) -> Array:
        """Return the flat vector of the layers' parts."""
        return self.backend.concatenate([parts[k] for k in self.storage])


def _shaped(entries: Sequence[Any]) -> tuple[Layer, ...]:
    """Return layers, those given as functions of their domain_shape made to follow the one before."""
    layers: list[Layer] = []
    for k, entry in enumerate(entries):
        # a layer is callable too, with weights and examples
        if isinstance(entry, Layer):
            layers.append(entry)
            continue
        argument, expected = f"layers[{k}]", "a Layer, or a function from domain_shape to one"
        if not callable(entry):
            validate.reject(argument, expected, validate.shown(entry))
        if not layers:
            validate.reject(argument, "a layer with its domain_shape, as none comes before", validate.shown(entry))
        with validate.within(argument), use_backend(layers[-1].backend):
            layer = entry(layers[-1].range_shape)
        validate.instance(argument, layer, Layer, expected)
        layers.append(layer)
    return tuple(layers)
