"""How much arithmetic training takes."""

from __future__ import annotations

import math

from meganet.experiments.protocol import Protocol, build_network
from meganet.layers import Layer
from meganet.networks import Chain

SIZE = 28
"""Pixels of the fine images in each direction."""


def step_flop(network: Layer, classes: int) -> float:
    """Return the multiplications and additions of a gradient for one example, of sums as they are written.

    A product with a kernel costs two for each of its weights and pixels of its result; backpropagation takes two more
    products, of which the first layer needs one. Activations, pooling, loss and update are left out.
    """
    layers = network.layers if isinstance(network, Chain) else (network,)
    total = 0.0
    for number, layer in enumerate(layers):
        pixels = math.prod(layer.range_shape[1:])
        total += (3 if number else 2) * 2 * layer.parameters.size * pixels
    return total + 3 * 2 * classes * math.prod(network.range_shape)


def epoch_flop(protocol: Protocol, *, coarse: bool, classes: int = 10) -> float:
    """Return the arithmetic of an epoch of SGD on the coarse or on the fine grid."""
    size = SIZE // 2 if coarse else SIZE
    examples = protocol.coarse_examples if coarse else protocol.fine_examples
    used = examples // protocol.batch_size * protocol.batch_size
    return used * step_flop(build_network(protocol.network, (size, size)), classes)
