"""Layers whose domain_shape is left out, and chains that fill it in."""

import copy
import inspect
import pickle

import numpy as np
import pytest
from guard_array import GUARD
from registry import LAYERS

from meganet import ActivationLayer, Chain, ConvolutionLayer, DenseLayer, PoolingLayer, ResidualNetwork
from meganet.backend import get_backend, use_backend
from meganet.ground.validate import InputError
from meganet.layers import FixedNormalisationLayer, Layer, ScalingLayer, Statistics, Unshaped

SHAPE = (4, 6, 6)
ARGUMENTS = {
    ConvolutionLayer: (3,),
    DenseLayer: (3,),
    FixedNormalisationLayer: (Statistics(np.zeros((4, 1, 1)), np.ones((4, 1, 1))),),
}
"""What layers need besides their domain_shape."""


def needed(kind):
    """Return the arguments without a default."""
    return [name for name, one in inspect.signature(kind).parameters.items() if one.default is inspect.Parameter.empty]


SHAPED = [kind for kind in LAYERS if needed(kind) == ["domain_shape"] or kind in ARGUMENTS]


class Wide(ConvolutionLayer):
    """A layer of a user's own that hands its arguments on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, bias=True, **kwargs)


def test_every_layer_of_a_shape_is_known():
    assert set(ARGUMENTS) < set(SHAPED) and len(SHAPED) >= 9


@pytest.mark.parametrize("kind", [*SHAPED, Wide], ids=lambda kind: kind.__name__)
def test_the_shape_may_be_left_out(kind):
    more = ARGUMENTS.get(kind, (3,) if kind is Wide else ())
    first, whole = ActivationLayer(SHAPE), kind(SHAPE, *more)
    made = [Chain([first, layer]).layers[1] for layer in (kind(..., *more), copy.deepcopy(kind(..., *more)))]
    if kind is not Wide:
        made += [
            kind(domain_shape=..., **dict(zip(list(inspect.signature(kind).parameters)[1:], more, strict=False)))(SHAPE)
        ]
    for layer in made:
        assert type(layer) is kind and repr(layer) == repr(whole) and layer.parameters == whole.parameters


def test_a_chain_of_shapes_that_follow():
    net = Chain([ConvolutionLayer((1, 14, 14), 32), ConvolutionLayer(..., 64), PoolingLayer(...), DenseLayer(..., 10)])
    assert [layer.range_shape for layer in net.layers] == [(32, 14, 14), (64, 14, 14), (64, 7, 7), (10,)]
    own = Chain([PoolingLayer((2, 4, 4)), lambda shape: ResidualNetwork(ScalingLayer(shape), 3), PoolingLayer])
    assert isinstance(own.layers[1], ResidualNetwork) and own.range_shape == (2, 1, 1)


def test_layers_follow_on_the_backend_of_the_one_before():
    first = ActivationLayer(SHAPE, backend=GUARD)
    net = Chain([first, ConvolutionLayer(..., 3), lambda shape: ResidualNetwork(ScalingLayer(shape), 2)])
    assert net.backend is GUARD and all(layer.backend is GUARD for layer in net.layers)
    with use_backend(GUARD):
        net = Chain([ActivationLayer(SHAPE, backend="numpy"), ConvolutionLayer(..., 3)])
    assert net.layers[1].backend is get_backend("numpy")
    with pytest.raises(InputError, match=r"^layers\[1\]: expected a layer on guard, got numpy$"):
        Chain([first, DenseLayer(..., 3, backend="numpy")])


def test_a_layer_without_shape_says_what_it_is():
    layer = ConvolutionLayer(..., 64, activation="tanh")
    assert isinstance(layer, Unshaped) and not isinstance(layer, Layer)
    assert repr(layer) == "ConvolutionLayer(..., 64, activation='tanh')"
    assert repr(PoolingLayer(domain_shape=...)) == "PoolingLayer(domain_shape=...)"
    assert repr(pickle.loads(pickle.dumps(layer))(SHAPE)) == repr(layer(SHAPE))
    assert list(inspect.signature(DenseLayer).parameters)[:2] == ["domain_shape", "outputs"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ConvolutionLayer(...), TypeError, r"ConvolutionLayer\(\.\.\.\): missing .* 'out_channels'"),
        (
            lambda: DenseLayer(..., 3, bia=True),
            TypeError,
            r"DenseLayer\(\.\.\., 3, bia=True\): .* keyword argument 'bia'",
        ),
        (lambda: Chain(...), InputError, r"layers of Chain: expected a value, as only a domain_shape may be left out"),
        (lambda: Chain([PoolingLayer(...)]), InputError, r"layers\[0\]: expected a layer with its domain_shape"),
        (
            lambda: Chain([ActivationLayer(SHAPE), DenseLayer(..., 0)]),
            InputError,
            r"layers\[1\]: outputs: expected an int",
        ),
        (
            lambda: Chain([ActivationLayer(SHAPE), 3]),
            InputError,
            r"layers\[1\]: expected a Layer, or a function .*, got 3",
        ),
        (
            lambda: Chain([ActivationLayer(SHAPE), lambda shape: 3]),
            InputError,
            r"layers\[1\]: expected a Layer, .* got 3",
        ),
        (
            lambda: Chain([ActivationLayer(SHAPE), lambda shape: DenseLayer(3, 2)]),
            InputError,
            r"layers\[1\]: expected dom",
        ),
        (
            lambda: Chain(DenseLayer(..., 3)),
            InputError,
            r"layers: expected one or more layers, got DenseLayer\(\.\.\., 3\)",
        ),
    ],
)
def test_what_cannot_be_left_out(make, error, message):
    with pytest.raises(error, match="^" + message) as caught:
        make()
    assert "\n" not in str(caught.value)
