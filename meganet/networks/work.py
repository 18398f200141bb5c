"""How much arithmetic networks take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from meganet.layers import Layer
from meganet.networks.chain import Chain
from meganet.networks.integrator import Integrator
from meganet.networks.reparametrised import Reparametrised


def products(network: Layer, classes: int) -> list[float]:
    """Return the multiplications and additions of each layer for one example, the classifier's last.

    Of sums as they are written: two for each weight and pixel of the result, of all time steps and of every use of a
    weight in them. Activations, pooling and the loss are left out.

    Examples
    --------
    >>> from meganet import Chain, ConvolutionLayer
    >>> from meganet.networks.work import products
    >>> products(Chain([ConvolutionLayer((1, 28, 28), 32)]), classes=10)
    [451584.0, 501760.0]
    """
    layers = network.layers if isinstance(network, Chain) else (network,)
    return [*map(_product, layers), 2.0 * classes * math.prod(network.range_shape)]


def _product(layer: Layer) -> float:
    """Return the multiplications and additions of a layer for one example."""
    if isinstance(layer, Chain):
        return sum(map(_product, layer.layers))
    if isinstance(layer, Reparametrised):
        return _product(layer.layer)
    if isinstance(layer, Integrator):
        return sum(_product(layer.layers[stage.layer]) for stage in layer.stages)
    # the pixels of the result, or of a transposed operator those of the example
    pixels = min(math.prod(shape[1:]) for shape in (layer.domain_shape, layer.range_shape))
    return 2.0 * layer.parameters.size * pixels


def passes(parts: Sequence[float], count: int) -> float:
    """Return the arithmetic of so many products of each layer, of which the first needs only two.

    Backpropagation takes two more than the network itself; the first layer has no layer before it that wants to know.

    Examples
    --------
    >>> from meganet import Chain, ConvolutionLayer
    >>> from meganet.networks.work import passes, products
    >>> passes(products(Chain([ConvolutionLayer((1, 28, 28), 32)]), classes=10), 3)
    2408448.0
    """
    return 2 * parts[0] + count * sum(parts[1:])


def step_flop(network: Layer, classes: int) -> float:
    """Return the arithmetic of a gradient for one example, see `products`.

    Examples
    --------
    >>> from meganet.experiments import build_network
    >>> from meganet.networks.work import step_flop
    >>> step_flop(build_network("A", (1, 28, 28)), classes=10) / 1e6
    90.617856
    """
    return passes(products(network, classes), 3)
