"""Weights of a model to start from, and what is stored beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import Layer
from meganet.model.outputs import Outputs
from meganet.optim import History

LARGEST_SEED = 2**31


class State(NamedTuple):
    """What is stored of a model besides network, loss and weights.

    Attributes
    ----------
    outputs : Outputs
        What the outputs stand for.
    frozen : Layer, optional
        The network for single examples, for one that normalises over them.
    epochs : int
    seed : int
        That of the order of the examples.
    history : History

    Examples
    --------
    >>> from meganet import ConvolutionLayer, Model
    >>> state = Model([ConvolutionLayer((1, 4, 4), 2)], 3).state()
    >>> state.outputs.count, state.frozen, state.epochs
    (3, None, 0)
    """

    outputs: Outputs
    frozen: Layer | None
    epochs: int
    seed: int
    history: History


def source_of(rng: Any, usual: int) -> tuple[np.random.Generator, int | None]:
    """Return the generator that the argument `rng` stands for, and its seed, if it has one; `usual` for None.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.model.weights import source_of
    >>> generator, seed = source_of(None, usual=7)
    >>> seed, source_of(3, usual=7)[1], source_of(np.random.default_rng(3), usual=7)[1]
    (7, 3, None)
    """
    if rng is None or isinstance(rng, (int, np.integer)):
        seed = usual if rng is None else validate.integer("rng", rng, minimum=0)
        return np.random.default_rng(seed), seed
    validate.instance("rng", rng, np.random.Generator, "a seed, a numpy.random.Generator or None")
    return rng, None


def joined(network: Layer, classifier: Layer, theta: Any, W: Any) -> Array:
    """Return given weights as one flat vector.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.weights import joined
    >>> joined(mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3), np.zeros(18), np.zeros(99)).shape
    (117,)
    """
    for name, part, layer in (("theta", theta, network), ("W", W, classifier)):
        if part is None:
            validate.reject(name, "both theta and W, or neither", "one of them")
        layer.backend.require_floats(name, part)
        validate.array_shape(name, part, (layer.parameters.size,))
    validate.same_dtype("W", W, theta.dtype, "theta")
    return network.backend.xp.concatenate([theta, W])
