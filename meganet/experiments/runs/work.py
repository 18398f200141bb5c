"""How much arithmetic training takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import SGD, Stage
from meganet.layers import Layer
from meganet.networks import Chain


def products(network: Layer, classes: int) -> list[float]:
    """Return the multiplications and additions of each layer for one example, the classifier's last.

    Of sums as they are written: two for each weight and pixel of the result. Activations, pooling and the loss are left
    out.
    """
    layers = network.layers if isinstance(network, Chain) else (network,)
    own = [2.0 * layer.parameters.size * math.prod(layer.range_shape[1:]) for layer in layers]
    return [*own, 2.0 * classes * math.prod(network.range_shape)]


def step_flop(network: Layer, classes: int) -> float:
    """Return the arithmetic of a gradient for one example, see `products`.

    Backpropagation takes two more products, of which the first layer needs one.

    Examples
    --------
    >>> from meganet.experiments import build_network
    >>> from meganet.experiments.runs.work import step_flop
    >>> step_flop(build_network("A", (1, 28, 28)), classes=10) / 1e6
    90.617856
    """
    return _passes(products(network, classes), 3)


def epoch_flop(setup: Setup, stage: Stage, shapes: Sequence[Shape], classes: int) -> float:
    """Return the arithmetic of an epoch of a stage.

    A step of a Newton method takes a gradient, at most `newton_products` products with the Gauss-Newton matrix, each
    forward and back, and the loss at the new point; that of the classifier alone has its features given.

    Parameters
    ----------
    setup : Setup
    stage : Stage
    shapes : sequence of tuple
        Of the images on all grids, see `grid_shapes`.
    classes : int

    Examples
    --------
    >>> from meganet.experiments import Setup, grid_shapes, tables_of
    >>> from meganet.experiments.runs.work import epoch_flop
    >>> shapes = grid_shapes(Setup(), (1, 28, 28))
    >>> coarse, new, *_ = tables_of("4.1")[0].stages()
    >>> [f"{epoch_flop(Setup(), stage, shapes, 10) / 1e12:.3f} TFLOP" for stage in (coarse, new)]
    ['0.906 TFLOP', '0.905 TFLOP']
    """
    parts = products(build_network(setup.model.network, shapes[stage.grid]), classes)
    examples = stage.examples(setup)
    if stage.method == SGD:
        return examples // setup.descent.batch_size * setup.descent.batch_size * _passes(parts, 3)
    if stage.classifier_only:
        parts = parts[-1:]
    return examples * (_passes(parts, 3) + setup.newton.newton_products * _passes(parts, 4) + sum(parts))


def _passes(parts: Sequence[float], count: int) -> float:
    """Return the arithmetic of so many products of each layer, of which the first needs only two."""
    return 2 * parts[0] + count * sum(parts[1:])
