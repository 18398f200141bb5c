"""What a step or an evaluation cannot go below: arithmetic and memory traffic, counted from the layers."""

from __future__ import annotations

import math

import numpy as np

from meganet.layers import AffineLayer, Layer
from meganet.linop import CirculantConvolution
from meganet.networks import Chain, Integrator, Reparametrised

FEWEST_CHANNELS = 8
"""Below this many channels on a side convolutions are direct."""
WINOGRAD = 36 / 16 / 9
"""Multiplications of F(4x4, 3x3) for each one of the direct sum, where the tiles fit."""


def leaves(layer: Layer) -> list[Layer]:
    """Return the layers that a network evaluates, one after another."""
    if isinstance(layer, Chain):
        return [leaf for part in layer.layers for leaf in leaves(part)]
    if isinstance(layer, Integrator):
        return [leaf for stage in layer.stages for leaf in leaves(layer.layers[stage.layer])]
    if isinstance(layer, Reparametrised):
        return leaves(layer.layer)
    return [layer]


def product_flop(layer: Layer, winograd: bool) -> float:
    """Return the multiplications and additions of one product of a leaf with one example.

    With `winograd` the matrix products of F(4x4, 3x3) are counted, without its transforms.
    """
    if not isinstance(layer, AffineLayer):
        return 0.0
    kernel, operator = layer.parameters[0], layer.operator(np.zeros(layer.parameters[0].shape))
    pixels = min(math.prod(shape[1:]) for shape in (layer.domain_shape, layer.range_shape))
    fits = isinstance(operator, CirculantConvolution) and operator.stride == (1, 1) and kernel.shape[2:] == (3, 3)
    fewer = WINOGRAD if winograd and fits and min(kernel.shape[:2]) >= FEWEST_CHANNELS else 1
    return 2.0 * fewer * kernel.size * pixels


def step_flop(network: Layer, classifier: Layer, batch: int, winograd: bool) -> float:
    """Return the arithmetic of a step: forward and two gradients of each layer, none in the images."""
    parts = [product_flop(leaf, winograd) for leaf in [*leaves(network), classifier]]
    return batch * (3 * sum(parts) - parts[0])


def step_bytes(network: Layer, classifier: Layer, batch: int, dtype: str) -> float:
    """Return the least memory traffic of a step.

    Every activation is written, read by the next layer and read again for a gradient; every gradient of an
    activation is written and read; every weight is read twice, its gradient written and read, the weight updated.
    """
    activations = sum(math.prod(leaf.range_shape) for leaf in leaves(network))
    weights = network.parameters.size + classifier.parameters.size
    return np.dtype(dtype).itemsize * 5.0 * (batch * activations + weights)
