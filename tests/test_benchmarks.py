"""The scripts that put us beside other libraries: whose network is timed, how its twin is built, what is counted."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import meganet as mn
from meganet import layers, networks
from meganet.linop import CirculantConvolution, Dense, Reshape

FOLDER = Path(__file__).parent.parent / "benchmarks"
OWN = """
import meganet as mn
def layer(): return mn.ConvolutionLayer((1, 8, 8), 4)
def model(): return mn.Model([layer()], classes=3)
def regression(): return mn.Model([layer()], outputs=2)
def number(): return 3
def needy(shape): return layer()
def borrowed():
    from beside import another
    return another()
"""
IMAGE = (4, 6, 6)


@pytest.fixture(autouse=True)
def found(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def stencils(outputs, inputs=4, stride=1):
    return CirculantConvolution(np.zeros((outputs, inputs, 3, 3)), IMAGE[1:], stride=stride)


def convolution(outputs=4, **kwargs):
    return mn.ConvolutionLayer(IMAGE, outputs, **kwargs)


TWINS = {
    "bias": lambda: convolution(bias=True),
    "stride": lambda: convolution(5, kernel_shape=(5, 1), stride=(2, 3), activation="tanh"),
    "smooth": lambda: convolution(activation="smooth_relu"),
    "pooling": lambda: mn.PoolingLayer(IMAGE, (3, 2)),
    "dense": lambda: mn.Chain([mn.DenseLayer(IMAGE, 7, activation="relu"), mn.DenseLayer(..., 3, bias=False)]),
    "bias and scaling": lambda: mn.Chain([layers.BiasLayer(IMAGE), layers.ScalingLayer(..., (1, 2))]),
    "activation": lambda: mn.ActivationLayer(IMAGE, layers.SmoothReLU(0.5)),
    "normalisation": lambda: mn.NormalisationLayer(IMAGE, ("pixels",)),
    "over examples": lambda: mn.Chain([convolution(), mn.NormalisationLayer(..., ("examples", "pixels"))]),
    "nested": lambda: mn.Chain([convolution(), mn.Chain([mn.PoolingLayer(IMAGE), mn.DenseLayer(..., 3)])]),
    "storage": lambda: networks.DoubleLayer(stencils(5), stencils(4, 5), bias1=True, bias_out=True),
    "residual": lambda: mn.ResidualNetwork(convolution(bias=True), 3, 0.5),
    "in time": lambda: mn.ResidualNetwork(convolution(), 3, 0.5, coefficients=np.array([[1.0, 2, 3], [0, 1, -1]])),
    "symmetric": lambda: networks.Leapfrog(networks.SymmetricLayer(stencils(5), bias_in=True), 3, 0.5),
    "shared": lambda: networks.Hamiltonian(stencils(4), 3, 0.5, bias=True),
    "halves": lambda: networks.DoubleHamiltonian(*[mn.ConvolutionLayer((2, 6, 6), 2, activation="tanh")] * 2, 2, 0.5),
    "fourth order": lambda: networks.RungeKutta4(convolution(activation="tanh"), [0, 0.5, 1]),
    "vectors": lambda: mn.ResidualNetwork(networks.SingleLayer(Dense(np.zeros((6, 6))), bias_in=True), 2),
}


class Given:
    """A case of a network that is there."""

    batch, dtype = 8, "float64"

    def __init__(self, network):
        self.network = network

    def parts(self):
        return self.network, mn.DenseLayer(self.network.range_shape, 3)


def training(network):
    """Return a training whose weights are all random: a bias of zero would hide what is done with it."""
    from suite.cases import Training

    made = Training(Given(network), examples=12)
    made.x = np.random.default_rng(1).standard_normal(made.x.shape) / 2
    return made


@pytest.fixture(scope="module", params=["torch", "xla"])
def variants(request):
    pytest.importorskip(
        {"torch": "torch", "xla": "tensorflow"}[request.param], reason="the extra bench is not installed"
    )
    sys.path.insert(0, str(FOLDER))
    try:
        from peers import peers

        return peers([request.param], 1)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", TWINS)
def test_twins_do_the_same(variants, name):
    ours = training(TWINS[name]())
    for variant in variants.values():
        peer = variant.make(ours)
        np.testing.assert_allclose(peer.outputs(), ours.outputs(), rtol=1e-10, atol=1e-10)
        gradient = ours.gradient()
        np.testing.assert_allclose(peer.gradient(), gradient, rtol=1e-9, atol=1e-10 * abs(gradient).max())
        np.testing.assert_allclose(peer.evaluate(), ours.evaluate(), rtol=1e-10)
        before = ours.x.copy()
        peer.step()
        ours.step()
        np.testing.assert_allclose(peer.outputs(), ours.outputs(), rtol=1e-9, atol=1e-9)
        ours.x = before


@pytest.mark.parametrize(
    "layer",
    [
        layers.LinearLayer(Reshape((4, 9), (6, 6))),
        networks.antisymmetric(4),
        mn.ResidualNetwork(mn.Chain([networks.antisymmetric(4)]), 2),
    ],
    ids=["reshape", "reparametrised", "inside"],
)
def test_a_layer_without_a_twin_is_named(variants, layer):
    inside = getattr(layer, "layers", [layer])[0]
    inside = getattr(inside, "layers", [inside])[0]
    with pytest.raises(mn.InputError) as error:
        next(iter(variants.values())).make(training(layer))
    assert str(error.value) == f"--net: expected layers that have a twin in the peers, got {inside!r}"


def test_a_library_that_nobody_knows_or_has(monkeypatch):
    from peers import library

    with pytest.raises(mn.InputError, match="--against: expected one of 'torch', 'xla', got 'torhc'; did you mean"):
        library("torhc")
    for module in ("torch", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, None)
    for name, module in (("torch", "pytorch"), ("xla", "xla")):
        monkeypatch.delitem(sys.modules, f"peers.{module}", raising=False)
        with pytest.raises(mn.InputError, match=f"--against: expected {name} to be installed, as by the extra bench"):
            library(name)


def test_networks_of_a_users_own(file):
    from suite.own import Own

    network, classifier = Own(f"{file}:layer").parts()
    assert network.range_shape == (4, 8, 8) and classifier.range_shape == (10,)
    network, classifier = Own(f"{file}:model").parts()
    assert classifier.range_shape == (3,) and repr(Own(f"{file}:model")) == "own.py:model"
    file.with_name("beside.py").write_text("from own import layer as another\n")
    assert Own(f"{file}:borrowed").parts()[0].range_shape == (4, 8, 8)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("{file}", "expected FILE.py:function, got"),
        ("{file}:a b", "expected FILE.py:function, got"),
        ("missing.py:f", "expected a Python file before the colon, got 'missing.py', which is no file"),
        (
            "{file}:laier",
            r"expected a function in .*own.py \(layer, model, regression, number, needy, borrowed\), got 'laier'",
        ),
        ("{file}:number", "own.py:number to return a Model or a Layer, got 3"),
        ("{file}:needy", r"own.py:needy to return a Model or a Layer, got TypeError: needy\(\) missing 1"),
        ("{file}:regression", r"expected a Model with classes, as the peers' twins have, got LeastSquares"),
        ("{broken}:f", "broken.py to be Python that runs, got ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_network(file, net, message):
    from suite.own import Own

    broken = file.with_name("broken.py")
    broken.write_text("1 / 0")
    with pytest.raises(mn.InputError, match=f"^--net: .*{message}") as error:
        Own(net.format(file=file, broken=broken)).parts()
    assert "\n" not in str(error.value)


def test_what_a_step_cannot_go_below():
    from suite import floors
    from suite.cases import Case, step_flop

    # 3 products of the second convolution and the classifier, 2 of the first
    dense, first, second = 2 * 10 * 64 * 28**2, 2 * 9 * 32 * 28**2, 2 * 9 * 32 * 64 * 28**2
    assert step_flop(Case("A", 28), winograd=False) == 32 * (3 * (second + dense) + 2 * first)
    assert step_flop(Case("A", 28), winograd=True) == 32 * (3 * (second / 4 + dense) + 2 * first)
    weights = 9 * 32 + 9 * 32 * 64 + 10 * 64 * 28**2 + 10
    assert floors.step_bytes(*Case("A", 28).parts(), 32, "float32") == 4 * 5 * (32 * 96 * 28**2 + weights)
    strided = mn.ConvolutionLayer((8, 6, 6), 8, stride=2)
    assert floors.product_flop(strided, True) == 2 * 9 * 64 * 9
    in_time = mn.ResidualNetwork(mn.Chain([mn.ConvolutionLayer((8, 6, 6), 8), mn.ActivationLayer(..., "tanh")]), 3)
    assert len(floors.leaves(in_time)) == 6


def test_a_step_in_parts_is_a_step(file):
    from parts import Clock, step
    from suite.cases import Case, Training
    from suite.own import Own

    for case in (Case("B", 8, batch=4, channels=2), Own(f"{file}:model", batch=4)):
        made, clock = Training(case), Clock()
        step(made, clock)
        assert all(len(seconds) == 1 for seconds in clock.seconds.values())
        assert len(clock.seconds) == 2 * len(made.fun.network.layers) + 7


def test_ratios_are_to_the_peer_that_is_fastest_over_all_turns():
    from common import ratios

    seconds = {"meganet": [1.0, 1, 2, 2], "a": [2.0, 2, 2, 2], "b": [1.0, 1, 9, 9]}
    assert ratios(seconds, "meganet", ["a", "b"], calls=2) == ("a", [2.0, 1.0])


def test_the_sides_are_held_to_the_same_instructions():
    from kernels import AVX2, PINS, environment

    given = {"HOME": "/", "OPENBLAS_CORETYPE": "SkylakeX"}
    held = environment("avx2", given)
    assert held.items() >= {**AVX2, "HOME": "/"}.items() and environment("avx2", held) is None
    free = environment("native", held)
    assert free["HOME"] == "/" and not free.keys() & set(PINS) and environment("native", free) is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read from /proc")
def test_peak_memory_counts_what_steps_need():
    from memory import peak_of_training
    from suite.cases import Case

    small, large = (peak_of_training("meganet", Case("A", 28, channels=8), 1, examples=n) for n in (32, 10_000))
    images = 10_000 * 28**2 * 4 / 2**20
    assert math.isclose(large - small, images, rel_tol=0.2)
