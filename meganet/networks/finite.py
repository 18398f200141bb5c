"""Which layer of a network gives the first number that is not finite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from meganet.backend import Array, is_finite
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters
from meganet.networks.chain import Chain


class Part(NamedTuple):
    """A layer with what it is called in the names of the weights, and its weights.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks.finite import Part
    >>> print(Part("theta.0", mn.ConvolutionLayer((1, 8, 8), 4), np.zeros(36)))
    layer theta.0 (ConvolutionLayer, (1, 8, 8) -> (4, 8, 8))
    """

    name: str
    layer: Layer
    theta: Array

    def __str__(self) -> str:
        shapes = f"{self.layer.domain_shape} -> {self.layer.range_shape}"
        return f"layer {self.name} ({type(self.layer).__name__}, {shapes})"


def in_order(name: str, layer: Layer, theta: Array) -> Iterator[Part]:
    """Yield the layers in the order in which examples go through them; a chain within a chain is taken apart.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks.finite import in_order
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 8, 8), 4), mn.PoolingLayer(..., 2)])
    >>> for part in in_order("theta", network, np.zeros(36)):
    ...     print(part, part.theta.shape)
    layer theta.0 (ConvolutionLayer, (1, 8, 8) -> (4, 8, 8)) (36,)
    layer theta.1 (PoolingLayer, (4, 8, 8) -> (4, 4, 4)) (0,)
    """
    if not isinstance(layer, Chain):
        yield Part(name, layer, theta)
        return
    for k, (inner, view) in enumerate(zip(layer.layers, layer._parts(theta), strict=True)):
        yield from in_order(f"{name}.{layer.names[k]}", inner, view)


def first_non_finite(chain: Iterable[Part], batches: Iterable[Array]) -> str | None:
    """Say which layer has or gives the first number that is not finite, in the order of the forward pass.

    Parameters
    ----------
    chain : iterable of Part
        The layers in order.
    batches : iterable of array
        Examples of the first layer's domain, batch by batch.

    Returns
    -------
    str, optional
        Whether it is among the layer's weights or in its output; None if all numbers are finite.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks.finite import first_non_finite, in_order
    >>> network = mn.Chain([mn.DenseLayer((2,), 2), mn.DenseLayer((2,), 2)])
    >>> theta, x = np.full(12, 1e200), np.ones((5, 2))
    >>> with np.errstate(over="ignore"):
    ...     print(first_non_finite(in_order("theta", network, theta), [x]))
    layer theta.1 (DenseLayer, (2,) -> (2,)) gives the first number that is not finite, from finite weights
    >>> print(first_non_finite(in_order("theta", network, 0 * theta), [x]))
    None
    """
    sound: list[Part] = []
    found = None
    for part in chain:
        bad = bad_names(part.layer.parameters, part.theta)
        if bad:
            found = f"{part} has weights that are not finite ({part.name}.{bad[0]})"
            break
        sound.append(part)
    for batch in batches:
        x = batch
        for k, part in enumerate(sound):
            x = part.layer(part.theta, x)
            if not is_finite(x):
                found = f"{part} gives the first number that is not finite, from finite weights"
                # of the other batches only the layers before matter
                del sound[k:]
                break
    return found


def bad_names(parameters: Parameters, theta: Array) -> list[str]:
    """Return the names of the arrays within a flat vector that hold a number that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks.finite import bad_names
    >>> layer = mn.DenseLayer((2,), 3)
    >>> bad_names(layer.parameters, np.array([0.0] * 6 + [np.nan] * 3))
    ['bias']
    """
    return [name for name, view in parameters._view(theta).items() if not is_finite(view)]
