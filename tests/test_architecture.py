"""Layers as data: described, written as JSON, built again."""

import copy
import json
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from guard_array import GUARD
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import LAYER_CASES, LAYERS

from meganet import ActivationLayer, Chain, ConvolutionLayer, DenseLayer, NormalisationLayer
from meganet.backend import to_host
from meganet.ground.validate import InputError
from meganet.layers import Activation, AffineLayer, ScalingLayer
from meganet.linop import CirculantConvolution
from meganet.networks import Hamiltonian, SingleLayer
from meganet.networks.architecture import built, described


@contextmanager
def taken_memory():
    """Measure the most memory that is taken within."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def copied(layer, backend=None, **options):
    description, arrays = described(layer)
    return built(
        json.loads(json.dumps(description, allow_nan=False)), arrays, backend, weights=layer.parameters.size, **options
    )


@pytest.mark.parametrize(("kind", "number"), LAYER_CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_every_layer_is_built_again(kind, number, backend, rng):
    layer = LAYERS[kind][number]()
    other = copied(layer)
    assert type(other) is kind and other.backend is backend and other is not layer
    assert other.parameters == layer.parameters and repr(other) == repr(layer)
    for dtype in ("float32", "float64"):
        theta = backend.asarray(rng.standard_normal(layer.parameters.size), dtype)
        x = backend.asarray(rng.standard_normal((3, *layer.domain_shape)), dtype)
        (y, tape), (again, tape_again) = layer.forward(theta, x), other.forward(theta, x)
        assert (to_host(y) == to_host(again)).all()
        for a, b in zip(layer.vjp(y, tape), other.vjp(y, tape_again), strict=True):
            assert (to_host(a) == to_host(b)).all()


CASES = {"-".join((kind.__name__, str(number))): (kind, number) for kind, number in LAYER_CASES}
HOSTILE = [None, True, -1, 0, 2, 10**12, 10**30, 0.5, 1e300, "", "tanh", "Chain", [], [10**12], [10**9, 10**9], {}]
HOSTILE += [{"class": "Chain", "arguments": {}}, {"zeros": [10**12], "dtype": "float64"}, {"array": "x"}, [1] * 40]


def places(node, path=()):
    """Yield the path of every part of a description."""
    yield path
    if isinstance(node, (dict, list)):
        for key, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(item, (*path, key))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_description_is_refused_in_one_line(data):
    kind, number = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    layer = LAYERS[kind][number]()
    description, arrays = described(layer)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in places(description) if path] or [()]))
        if not path:
            continue
        inner = description
        for key in path[:-1]:
            inner = inner[key]
        action = data.draw(st.sampled_from(["value", "delete", "rename", "copy"]))
        if action == "value":
            inner[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(HOSTILE)))
        elif action == "delete":
            del inner[path[-1]]
        elif action == "rename" and isinstance(inner, dict):
            inner["surprise"] = inner.pop(path[-1])
        else:
            inner[path[-1]] = json.loads(json.dumps(description))
    if arrays and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(arrays)))
        arrays[name] = data.draw(st.sampled_from([arrays[name][:0], arrays[name] - 10**6, np.zeros(3), "text", None]))
    with taken_memory() as peak:
        try:
            built(description, arrays, weights=layer.parameters.size)
        except InputError as error:
            assert "\n" not in str(error)
        most = peak()
    assert most < 2**27


WIDE = {"class": "ScalingLayer", "arguments": {"domain_shape": [10**9], "axes": [0]}}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (
            {"class": "DenseLayer", "arguments": {"domain_shape": [10**6], "outputs": 10**6}},
            r"layer: expected sizes that fit the numbers there are, .*, got 1,000,001,000,000 weights",
        ),
        ({"class": "ResidualNetwork", "arguments": {"layer": WIDE, "steps": 10**12}}, r"layer\.layer: expected sizes"),
        (
            {
                "class": "ResidualNetwork",
                "arguments": {
                    "layer": {"class": "ActivationLayer", "arguments": {"domain_shape": [3]}},
                    "steps": 10**12,
                },
            },
            r"layer: expected at most 100,000 time steps",
        ),
        ({"class": "os.system", "arguments": {}}, r"layer: expected a class of meganet, .*, got 'os.system'"),
        ({"class": "DenseLayer", "arguments": {"domain_shape": [3]}}, r"layer: expected arguments .* 'outputs'"),
        (
            {"class": "PoolingLayer", "arguments": {"domain_shape": [1, 4, 4], "x": 1}},
            r"layer: expected arguments .* 'x'",
        ),
        (
            {"class": "PoolingLayer", "arguments": {"domain_shape": [1, 4]}},
            r"layer: domain_shape: expected a tuple of 3",
        ),
        ({"class": "Identity", "arguments": {"domain_shape": [3]}}, r"description: expected a layer or network"),
        (
            {"class": "PoolingLayer", "arguments": {"domain_shape": [1, 4, 4]}},
            r"description: expected a layer with 5 w",
        ),
    ],
)
def test_what_is_asked_for_must_fit(description, message):
    with taken_memory() as peak:
        with pytest.raises(InputError, match="^" + message):
            built(description, {}, weights=5)
        assert peak() < 2**22


def test_layers_within_layers_end():
    description, arrays = described(ConvolutionLayer((1, 4, 4), 2))
    for _ in range(200):
        description = {"class": "Chain", "arguments": {"layers": [description]}}
    with pytest.raises(InputError, match=r"^description: expected at most 60 layers within layers"):
        built(description, arrays, weights=18)
    layer = ConvolutionLayer((1, 4, 4), 2)
    for _ in range(40):
        layer = Chain([layer])
    with pytest.raises(InputError, match=r"^layer: expected at most 60 layers within layers"):
        described(layer)


def test_layers_move_by_their_description():
    for layer in (network_in_time(), frozen_layer()):
        other = copied(layer, GUARD)
        assert other.backend is GUARD and copied(other, "numpy").parameters == layer.parameters


def network_in_time():
    return Hamiltonian(CirculantConvolution(np.zeros((2, 2, 3, 3)), (4, 4)), 2, coefficients=np.eye(2) + 1)


def frozen_layer():
    layer = NormalisationLayer((2, 3, 3), ("examples",))
    return layer.frozen_on(np.zeros(0), np.random.default_rng(0).standard_normal((4, 2, 3, 3)))


class Doubled(ScalingLayer):
    """A layer of a user's own whose arguments are its attributes."""

    def __init__(self, domain_shape, times=2, backend=None):
        super().__init__(domain_shape, backend=backend)
        self.times = times


class Secretive(ScalingLayer):
    def __init__(self, domain_shape, secret):
        super().__init__(domain_shape)


class Own(Activation):
    value = evaluate = second_derivative = None


def test_layers_of_a_users_own_are_named():
    layer = Chain([Doubled((3, 2), 5), DenseLayer(..., 2)])
    assert copied(layer, classes=[Doubled]).layers[0].times == 5
    with pytest.raises(InputError, match=r"^layer\.layers\[0\]: expected a class of meganet, .*, got 'Doubled'$"):
        copied(layer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Chain([ActivationLayer((3,), Own())]),
            r"layer\.layers\[0\]\.activation: expected what a file can hold",
        ),
        (lambda: Secretive((3,), 1), r"layer: expected a class with an attribute 'secret'.*, got Secretive$"),
        (lambda: Doubled((3,), lambda: 1), r"layer\.times: expected what a file can hold, not code of your own"),
        (
            lambda: type("DenseLayer", (Doubled,), {})((3,)),
            r"layer: expected a class with another name than DenseLayer",
        ),
    ],
)
def test_what_cannot_be_described(make, message):
    with pytest.raises(InputError, match="^" + message):
        described(make())


def test_arrays_are_those_of_the_description():
    description, arrays = described(frozen_layer())
    with pytest.raises(InputError, match=r"^arrays: expected those of the description, got 'more' too$"):
        built(description, {**arrays, "more": np.zeros(3)}, weights=0)
    with pytest.raises(InputError, match=r"^layer\.statistics\.mean: expected the name of an array that is there"):
        built(description, {}, weights=0)
    layer = built(description, arrays, weights=0)
    arrays["statistics.mean"][:] = 7
    assert (layer.mean == frozen_layer().mean).all()


def test_a_description_with_parts_of_their_own_gives_the_fused_layer(rng):
    """As files say it that were written before operator, bias and activation of a layer became one."""
    zeros = {"zeros": [3, 2, 3, 3], "dtype": "float64"}
    shapes = {"image_shape": [5, 4], "engine": "auto", "stride": [1, 1]}
    operator = {"class": "CirculantConvolution", "arguments": {"kernel": zeros, **shapes}}
    kernel = {"class": "AffineLayer", "arguments": {"operator": operator, "activation": "identity", "bias": False}}
    bias = {"class": "Broadcast", "arguments": {"range_shape": [3, 5, 4], "axes": [0], "dtype": "float64"}}
    others = {"activation": "tanh", "bias_out": None, "normalisation": None}
    old = {"class": "SingleLayer", "arguments": {"kernel": kernel, "bias_in": bias, **others}}
    layer, new = (
        built(old, {}, weights=57),
        SingleLayer(CirculantConvolution(np.zeros((3, 2, 3, 3)), (5, 4)), bias_in=True),
    )
    assert layer.parameters == new.parameters and layer.parameters.names == ("K.kernel", "K.bias")
    fused = AffineLayer(CirculantConvolution(np.zeros((3, 2, 3, 3)), (5, 4)), activation="tanh", bias=True)
    theta, x = rng.standard_normal(57), rng.standard_normal((2, 2, 5, 4))
    assert (layer(theta, x) == fused(theta, x)).all()
