"""Where the first number arises that is not finite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from meganet.backend import Array, is_finite
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters
from meganet.networks.chain import Chain
from meganet.objective.batch import Terms
from meganet.objective.selection import Selection


def first_non_finite(terms: Terms, x: Array, examples: Selection) -> str | None:
    """Say where the first number that is not finite arises at `x`, in the order of the forward pass.

    Parameters
    ----------
    terms : Terms
    x : array, (n,)
    examples : Selection
        Evaluated batch by batch.

    Returns
    -------
    str, optional
        See `Objective.first_non_finite`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> from meganet.objective.finite import first_non_finite
    >>> x = np.zeros(fun.parameters.size)
    >>> x[-1] = np.inf
    >>> first_non_finite(fun.terms, x, fun.select())
    'layer W (DenseLayer, (3,) -> (2,)) has weights that are not finite (W.bias)'
    """
    theta, w = terms.split(x)
    layers = [*_in_order("theta", terms.network, theta), *_in_order("W", terms.classifier, w)]
    found = _in_forward_pass(layers, (examples.batch(share).images for share in examples.shares))
    if found is not None:
        return found
    for penalty in terms.penalties():
        if not all(is_finite(result) for result in penalty.value_and_gradient(x)):
            weights = "theta" if penalty.part.start is None else "W"
            return f"the regulariser of {weights} ({penalty.regularizer!r}), from finite weights"
    value, gradient = terms.value_and_gradient(x, examples)
    if not is_finite(value):
        return "the loss, from finite outputs of the classifier"
    bad = _bad_names(terms.parameters, gradient)
    # backpropagation comes to the last layer first
    return f"the gradient ({bad[-1]}), from finite outputs" if bad else None


class _Part(NamedTuple):
    """A layer with what it is called in the names of the weights, and its weights."""

    name: str
    layer: Layer
    theta: Array

    def __str__(self) -> str:
        shapes = f"{self.layer.domain_shape} -> {self.layer.range_shape}"
        return f"layer {self.name} ({type(self.layer).__name__}, {shapes})"


def _in_order(name: str, layer: Layer, theta: Array) -> Iterator[_Part]:
    """Yield the layers in the order in which examples go through them; a chain within a chain is taken apart."""
    if not isinstance(layer, Chain):
        yield _Part(name, layer, theta)
        return
    for k, (inner, view) in enumerate(zip(layer.layers, layer.parts_unchecked(theta), strict=True)):
        yield from _in_order(f"{name}.{layer.names[k]}", inner, view)


def _in_forward_pass(layers: Iterable[_Part], batches: Iterable[Array]) -> str | None:
    """Say which layer has or gives the first such number, among its weights or in its output; None if none does."""
    sound: list[_Part] = []
    found = None
    for part in layers:
        bad = _bad_names(part.layer.parameters, part.theta)
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


def _bad_names(parameters: Parameters, theta: Array) -> list[str]:
    """Return the names of the arrays within a flat vector that hold a number that is not finite."""
    return [name for name, view in parameters.view_unchecked(theta).items() if not is_finite(view)]
