"""A model as a line, as a table of text and as one of HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from meganet.document.page import table_of
from meganet.ground.columns import aligned
from meganet.layers import Layer
from meganet.networks import Chain

if TYPE_CHECKING:
    from meganet.model.model import Model

HEADER = ("", "layer", "output", "weights")


def line(model: Model) -> str:
    """Return what the model is, in one line.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.summary import line
    >>> line(mn.Model([mn.ConvolutionLayer((1, 28, 28), 4)], classes=10))
    'Model(1x28x28 -> 10 classes, 31,406 weights, not trained)'
    """
    size = model.network.parameters.size + model.classifier.parameters.size
    start, end = _shape(model.network.domain_shape), _target(model)
    return f"Model({start} -> {end}, {size:,} weights, {_state(model)})"


def text(model: Model) -> str:
    """Return the table of the layers, and what is known of the training.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.summary import text
    >>> print(text(mn.Model([mn.ConvolutionLayer((1, 28, 28), 4), mn.PoolingLayer(..., 2)], classes=10)))
       layer                                   output   weights
    -----------------------------------------------------------
       images                                  1x28x28
    0  ConvolutionLayer: kernel 4x1x3x3        4x28x28       36
    1  PoolingLayer                            4x14x14        0
    W  DenseLayer: kernel 10x4x14x14, bias 10  10         7,850
       all                                                7,886
    <BLANKLINE>
    not trained
    """
    lines = [line.rstrip() for line in aligned(rows(model), left=3)]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, "", _state(model)])


def html(model: Model) -> str:
    """Return the same for a notebook.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.summary import html
    >>> html(mn.Model([mn.ConvolutionLayer((1, 28, 28), 4)], classes=10))[:7]
    '<table>'
    """
    return f"{table_of(rows(model), keys=0)}<p>{escape(_state(model))}</p>"


def rows(model: Model) -> list[tuple[str, str, str, str]]:
    """Return the cells: the columns' names, the images, a row for each layer, the classifier, the sum.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.summary import rows
    >>> rows(mn.Model([mn.ConvolutionLayer((1, 28, 28), 4)], classes=10))[2]
    ('0', 'ConvolutionLayer: kernel 4x1x3x3', '4x28x28', '36')
    """
    network, layers = model.network, [("W", model.classifier)]
    # of a chain of a kind of its own, such as a SingleLayer, the parts are not layers of the model
    parts = zip(network.names, network.layers, strict=True) if type(network) is Chain else [("0", network)]
    layers = [*parts, *(layers if model.classifier.parameters.size else [])]
    size = sum(layer.parameters.size for _, layer in layers)
    return [
        HEADER,
        ("", "images", _shape(model.network.domain_shape), ""),
        *((name, _described(layer), _shape(layer.range_shape), f"{layer.parameters.size:,}") for name, layer in layers),
        ("", "all", "", f"{size:,}"),
    ]


def _described(layer: Layer) -> str:
    """Return the kind of a layer, with the shapes of its weights."""
    shapes = [f"{p.name} {_shape(p.shape)}" for p in layer.parameters]
    few = shapes if len(shapes) <= 2 else [*shapes[:2], "..."]
    return f"{type(layer).__name__}" + (f": {', '.join(few)}" if few else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _target(model: Model) -> str:
    count = model.classifier.range_shape[0]
    if not model.classifier.parameters.size:
        return f"{_shape(model.network.range_shape)} image"
    return f"{count} classes" if model.classes is not None else f"{count} numbers"


def _state(model: Model) -> str:
    if not model.epochs:
        return "not trained"
    last = model.history[-1]
    names = ("accuracy", "validation_accuracy")
    known = [(n.replace("_", " "), last[n]) for n in names if last[n] == last[n]]
    epochs = "1 epoch" if model.epochs == 1 else f"{model.epochs} epochs"
    return ", ".join([epochs, *(f"{name} {100 * value:.1f} %" for name, value in known)])
