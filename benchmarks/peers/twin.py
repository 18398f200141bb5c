"""The twin of a network in another library, built from our layers, whatever they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.layers import (
    ActivationLayer,
    AffineLayer,
    BiasLayer,
    Layer,
    LinearLayer,
    NormalisationLayer,
    ScalingLayer,
)
from meganet.layers.activations import Identity as NoActivation
from meganet.layers.activations import ReLU, SmoothReLU, Tanh, activation_of
from meganet.linop import AveragePooling, Broadcast, CirculantConvolution, Dense, Identity, Transposed
from meganet.networks import Chain, Integrator, SymmetricLayer

Twin = Callable[[Sequence[Any], Any], Any]
"""A function of weights, in the order of a layer's parameters, and examples."""


class Library(ABC):
    """What a twin needs of a library, on its arrays: examples behind one axis, images with channels first or last."""

    channels_last: bool
    relu: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]

    @abstractmethod
    def convolution(self, x: Any, kernel: Any, bias: Any, stride: tuple[int, int]) -> Any:
        """Return the periodic convolution with a kernel of odd size; the bias, one number a channel, may be None."""

    @abstractmethod
    def adjoint_kernel(self, kernel: Any) -> Any:
        """Return the kernel of the adjoint: both image axes flipped, channels exchanged."""

    @abstractmethod
    def dense(self, x: Any, kernel: Any, bias: Any) -> Any:
        """Return the products with a kernel on whole examples; the bias may be None."""

    @abstractmethod
    def pooled(self, x: Any, factor: tuple[int, int]) -> Any:
        """Return means over blocks of pixels."""

    @abstractmethod
    def clipped(self, x: Any) -> Any:
        """Return the nearest number from 0 to 1."""

    @abstractmethod
    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        """Return the mean over axes, which stay with length 1."""

    @abstractmethod
    def parts(self, x: Any, count: int, axis: int) -> Sequence[Any]:
        """Return equal parts along an axis."""

    @abstractmethod
    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        """Return parts side by side."""

    @abstractmethod
    def shaped(self, x: Any, shape: Sequence[int]) -> Any:
        """Return the array in another shape."""

    @abstractmethod
    def squares(self, x: Any) -> Any:
        """Return the sum of squares."""

    @abstractmethod
    def differences(self, kernel: Any) -> Sequence[Any]:
        """Return the differences between neighbours along both image axes of a dense kernel."""

    def axis(self, axis: int, shape: Sequence[int]) -> int:
        """Return where an axis of an example of ours lies, counted from the end."""
        axis %= len(shape)
        if not self.channels_last or len(shape) != 3:
            return axis - len(shape)
        return (axis - 1) % 3 - 3

    def spread(self, weights: Any, axes: Sequence[int], shape: Sequence[int]) -> Any:
        """Return weights along some axes of an example so that they are broadcast along the others."""
        lengths = [1] * len(shape)
        # the axes keep their order unless channels go to the end
        places = [self.axis(a, shape) for a in axes]
        for a, place in zip(axes, places, strict=True):
            lengths[place] = shape[a]
        if sorted(places) != places:
            validate.reject("layer", "weights along channels or pixels, for a twin", f"axes {tuple(axes)}")
        return self.shaped(weights, lengths)


def no_twin(layer: Any) -> Any:
    """Name what the peers have no twin of."""
    validate.reject("--net", "layers that have a twin in the peers", repr(layer))


@singledispatch
def twin(layer: Layer, library: Library) -> Twin:
    """Return the same layer as a function of the library's weights and examples."""
    return no_twin(layer)


@twin.register
def _(layer: Chain, library: Library) -> Twin:
    twins = [twin(part, library) for part in layer.layers]
    places, start = {}, 0
    for k in layer.storage:
        places[k] = slice(start, start + len(layer.layers[k].parameters))
        start = places[k].stop

    def forward(weights: Sequence[Any], x: Any) -> Any:
        for k, part in enumerate(twins):
            x = part(weights[places[k]], x)
        return x

    return forward


@twin.register
def _(layer: Integrator, library: Library) -> Twin:
    twins = [twin(part, library) for part in layer.layers]
    counts = [len(part.parameters) for part in layer.layers]
    ends = [0] * len(counts) if layer.shared else np.cumsum([0, *counts[:-1]]).tolist()
    width = counts[0] if layer.shared else sum(counts)
    in_time = np.eye(layer.times) if layer.coefficients is None else layer.coefficients
    axis = library.axis(0, layer.domain_shape)

    def forward(weights: Sequence[Any], x: Any) -> Any:
        state = [x] if layer.split == 1 else list(library.parts(x, layer.split, axis))
        for stage in layer.stages:
            first, column = ends[stage.layer], in_time[:, stage.time].tolist()
            numbers = range(first, first + counts[stage.layer])
            own = [_combined(column, weights[k::width]) for k in numbers]
            v = twins[stage.layer](own, _combined(stage.read, state))
            state = [_combined(row, [*state, v]) for row in stage.update]
        return state[0] if layer.split == 1 else library.joined(state, axis)

    return forward


def _combined(factors: Sequence[float], arrays: Sequence[Any]) -> Any:
    """Return the linear combination, without the terms that are zero."""
    terms = [array if c == 1 else c * array for c, array in zip(factors, arrays, strict=True) if c]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@twin.register
def _(layer: SymmetricLayer, library: Library) -> Twin:
    chain = twin(layer.layer, library)
    return lambda weights, x: chain([*weights, -weights[0]], x)


@twin.register
def _(layer: AffineLayer, library: Library) -> Twin:
    operator = layer.operator(np.zeros(layer.parameters[0].shape))
    product, activation = _product(layer, operator, library), _activation(layer, library)
    return lambda weights, x: activation(product(x, weights[0], weights[1] if layer.bias else None))


def _product(layer: Layer, operator: Any, library: Library) -> Callable[[Any, Any, Any], Any]:
    convolution = operator.T if isinstance(operator, Transposed) else operator
    if isinstance(convolution, CirculantConvolution) and convolution.dilation != (1, 1):
        return no_twin(layer)
    if isinstance(operator, CirculantConvolution):
        return lambda x, kernel, bias: library.convolution(x, kernel, bias, operator.stride)
    if isinstance(operator, Dense):
        return library.dense
    if (
        isinstance(operator, Transposed)
        and isinstance(operator.T, CirculantConvolution)
        and operator.T.stride == (1, 1)
    ):
        return lambda x, kernel, bias: library.convolution(x, library.adjoint_kernel(kernel), bias, (1, 1))
    return no_twin(layer)


def _activation(layer: Any, library: Library) -> Callable[[Any], Any]:
    activation = activation_of("activation", layer.activation)
    if isinstance(activation, SmoothReLU):
        eta = activation.eta

        def smooth(z: Any) -> Any:
            slope = library.clipped(z * (0.5 / eta) + 0.5)
            return eta * slope * slope + library.relu(z - eta)

        return smooth
    known = {NoActivation: lambda z: z, ReLU: library.relu, Tanh: library.tanh}
    return known[type(activation)] if type(activation) in known else no_twin(layer)


@twin.register
def _(layer: ActivationLayer, library: Library) -> Twin:
    activation = _activation(layer, library)
    return lambda weights, x: activation(x)


@twin.register
def _(layer: LinearLayer, library: Library) -> Twin:
    operator = layer.operator
    if layer.offset is not None or not isinstance(operator, (AveragePooling, Identity)):
        return no_twin(layer)
    if isinstance(operator, Identity):
        return lambda weights, x: x
    return lambda weights, x: library.pooled(x, operator.factor)


@twin.register
def _(layer: BiasLayer, library: Library) -> Twin:
    operator = layer.operator
    if not isinstance(operator, Broadcast):
        return no_twin(layer)
    return lambda weights, x: x + library.spread(weights[0], operator.axes, layer.domain_shape)


@twin.register
def _(layer: ScalingLayer, library: Library) -> Twin:
    return lambda weights, x: x * library.spread(weights[0], layer.axes, layer.domain_shape)


@twin.register
def _(layer: NormalisationLayer, library: Library) -> Twin:
    shape = layer.domain_shape
    places = {"examples": [0], "channels": [library.axis(0, shape)]}
    places["pixels"] = [library.axis(a, shape) for a in range(1, len(shape))]
    axes = [axis for name in set(layer.over) for axis in places[name]]

    def forward(weights: Sequence[Any], x: Any) -> Any:
        centred = x - library.mean(x, axes)
        return centred / library.sqrt(library.mean(centred * centred, axes) + layer.eps)

    return forward
