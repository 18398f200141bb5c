"""Networks in time: orders of accuracy, refinement, transfer between grids, shapes of all kinds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from meganet import (
    ActivationLayer,
    Chain,
    ConvolutionLayer,
    DenseLayer,
    NormalisationLayer,
    ResidualNetwork,
    he_normal,
    prolongate,
    restrict,
)
from meganet.backend import to_host, use_backend
from meganet.checks import check_adjoint, check_layer
from meganet.ground.validate import InputError
from meganet.layers import BiasLayer, LinearLayer, ScalingLayer
from meganet.linop import (
    Broadcast,
    CirculantConvolution,
    DepthwiseConvolution,
    Diagonal,
    Difference,
    Gradient,
    Matrix,
    RemoveMean,
    Reshape,
    Sparse,
    Transposed,
)
from meganet.losses import LeastSquares
from meganet.multigrid import prolongate_kernels
from meganet.networks import (
    DoubleHamiltonian,
    DoubleLayer,
    Hamiltonian,
    Leapfrog,
    Reparametrised,
    RungeKutta4,
    SingleLayer,
    SymmetricLayer,
)
from meganet.stencils import derivative_basis

RNG = np.random.default_rng(0)


def stencils(out=2, channels=2, image=(4, 6)):
    return CirculantConvolution(np.zeros((out, channels, 3, 3)), image)


NETWORKS = {
    "chain": lambda: Chain([ConvolutionLayer((2, 4, 6), 3, bias=True), ConvolutionLayer((3, 4, 6), 2)]),
    "single": lambda: SingleLayer(stencils(3), bias_in=True, bias_out=True, normalisation=ScalingLayer((3, 4, 6))),
    "double": lambda: DoubleLayer(stencils(3), stencils(2, 3), bias1=True, bias2=True),
    "symmetric": lambda: SymmetricLayer(stencils(3), bias_in=True),
    "transposed": lambda: SingleLayer(Transposed(stencils(2, 3))),
    "depthwise": lambda: SingleLayer(DepthwiseConvolution(np.zeros((2, 3, 3)), (4, 6))),
    "residual": lambda: ResidualNetwork(SymmetricLayer(stencils()), 3, 0.5),
    "in time": lambda: ResidualNetwork(SingleLayer(stencils()), 3, 0.5, coefficients=RNG.standard_normal((2, 3))),
    "runge-kutta": lambda: RungeKutta4(SymmetricLayer(stencils(), bias_in=True), [0, 0.3, 1]),
    "leapfrog": lambda: Leapfrog(SymmetricLayer(stencils()), 3, 0.5),
    "hamiltonian": lambda: Hamiltonian(stencils(), 3, 0.5, bias=True),
    "double hamiltonian": lambda: DoubleHamiltonian(
        SingleLayer(stencils(1, 1)), SymmetricLayer(stencils(2, 1)), 2, 0.5
    ),
    "derivatives": lambda: Reparametrised(ConvolutionLayer((2, 4, 6), 3), derivative_basis((3, 2, 3, 3), 0.5)),
    "nested": lambda: Chain(
        [
            Reparametrised(ConvolutionLayer((2, 4, 6), 2), derivative_basis((2, 2, 3, 3))),
            ResidualNetwork(Chain([SingleLayer(stencils(3)), SingleLayer(stencils(2, 3))]), 2, 0.5),
        ]
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
class TestTransfer:
    def weights(self, name):
        network = NETWORKS[name]()
        features = int(np.prod(network.range_shape))
        return network, RNG.standard_normal(network.parameters.size), RNG.standard_normal(3 * (features + 1))

    @pytest.mark.parametrize("interpolation", ["linear", "constant"])
    def test_there_and_back(self, name, interpolation):
        network, theta, w = self.weights(name)
        fine = prolongate(network, theta, w, interpolation=interpolation)
        assert fine.network.domain_shape == (network.domain_shape[0], 8, 12)
        back = restrict(*fine, interpolation=interpolation)
        assert back.network.domain_shape == network.domain_shape
        np.testing.assert_allclose(back.theta, theta, rtol=1e-8, atol=1e-9)
        assert type(fine.network) is type(network)

    def test_stencils_change_and_nothing_else(self, name):
        network, theta, w = self.weights(name)
        copied = prolongate(network, theta, w, kernels="copy")
        np.testing.assert_allclose(copied.theta, theta, rtol=1e-12, atol=1e-12)
        if name in ("derivatives", "nested"):
            return
        fine = prolongate(network, theta, w)
        old, new = network.parameters.view(theta), fine.network.parameters.view(fine.theta)
        for p in network.parameters:
            if p.role == "stencil":
                flat = old[p.name].reshape(-1, 1, 3, 3)
                np.testing.assert_allclose(new[p.name].reshape(-1, 1, 3, 3), prolongate_kernels(flat), atol=1e-12)
            else:
                np.testing.assert_array_equal(new[p.name], old[p.name])


def test_coefficients_in_time_are_transferred_as_the_weights_are():
    network = NETWORKS["in time"]()
    theta = RNG.standard_normal(network.parameters.size)
    fine = prolongate(network, theta, RNG.standard_normal(49))
    old, new = network.columns_unchecked(theta), fine.network.columns_unchecked(fine.theta)
    expected = prolongate_kernels(old.reshape(-1, 1, 3, 3))
    np.testing.assert_allclose(new.reshape(-1, 1, 3, 3), expected, atol=1e-12)


def test_stencils_in_the_basis_are_what_is_transferred():
    network = NETWORKS["derivatives"]()
    theta = RNG.standard_normal(network.parameters.size)
    fine = prolongate(network, theta, RNG.standard_normal(3 * 73))
    expected = prolongate_kernels(network.weights(theta).reshape(3, 2, 3, 3))
    np.testing.assert_allclose(fine.network.weights(fine.theta).reshape(3, 2, 3, 3), expected, atol=1e-10)


def test_a_basis_that_does_not_hold_the_fine_stencils():
    few = Matrix(derivative_basis((1, 1, 3, 3)).matrix[:, [1, 2]])
    network = Reparametrised(ConvolutionLayer((1, 4, 4), 1), few)
    with pytest.raises(InputError, match="network: expected a basis that holds the transferred stencils"):
        prolongate(network, np.array([1.0, 2.0]), np.ones(17), interpolation="constant")
    moved = Reparametrised(ConvolutionLayer((1, 4, 4), 1), derivative_basis((1, 1, 3, 3)), np.ones(9))
    with pytest.raises(InputError, match="network: expected weights in a basis without offset"):
        prolongate(moved, np.ones(9), np.ones(17))
    dense = Chain([DenseLayer((1, 4, 4), 5)])
    with pytest.raises(InputError, match="network: expected images"):
        prolongate(dense, np.ones(85), np.ones(6))


class TestAccuracy:
    """With weights that do not change in time, against an integrator of SciPy's."""

    def solution(self, layer, theta, x, time):
        def right(t, y):
            return layer(theta, y.reshape(x.shape)).ravel()

        return solve_ivp(right, (0, time), x.ravel(), rtol=1e-12, atol=1e-12).y[:, -1].reshape(x.shape)

    def errors(self, make, columns):
        layer = DenseLayer((3,), 3, activation="tanh")
        theta, x = RNG.standard_normal(layer.parameters.size), RNG.standard_normal((2, 3))
        exact = self.solution(layer, theta, x, 1.0)
        return [
            np.linalg.norm(make(layer, n)(np.tile(theta, columns(n)), x) - exact) / np.linalg.norm(exact)
            for n in (8, 16, 32)
        ]

    def test_euler(self):
        errors = self.errors(lambda layer, n: ResidualNetwork(layer, n, 1 / n), lambda n: n)
        np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 1, atol=0.25)

    def test_runge_kutta(self):
        errors = self.errors(lambda layer, n: RungeKutta4(layer, np.linspace(0, 1, n + 1)), lambda n: 2 * n + 1)
        np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 4, atol=0.4)

    def test_leapfrog(self):
        """Of ``x'' = F(x)`` at rest; the start ``x_{-1} = x_0`` costs an order."""
        layer = DenseLayer((3,), 3, activation="tanh")
        theta, x = RNG.standard_normal(layer.parameters.size), RNG.standard_normal((1, 3))

        def right(t, y):
            return np.concatenate([y[3:], layer(theta, y[None, :3])[0]])

        exact = solve_ivp(right, (0, 1), [*x[0], 0, 0, 0], rtol=1e-12, atol=1e-12).y[:3, -1]
        errors = [np.linalg.norm(Leapfrog(layer, n, 1 / n)(np.tile(theta, n), x)[0] - exact) for n in (32, 64, 128)]
        np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 1, atol=0.2)


@pytest.mark.parametrize(
    "name", ["residual", "in time", "runge-kutta", "leapfrog", "hamiltonian", "double hamiltonian"]
)
def test_refinement_in_time(name):
    """Twice as many steps compute nearly the same, and ever more nearly."""
    network = NETWORKS[name]()
    theta, x = 0.2 * RNG.standard_normal(network.parameters.size), RNG.standard_normal((2, *network.domain_shape))
    results = [network(theta, x)]
    for _ in range(4):
        network, theta = network.refined_in_time(theta)
        results.append(network(theta, x))
    changes = [np.linalg.norm(b - a) for a, b in zip(results[:-1], results[1:], strict=True)]
    assert changes[-1] < 0.35 * changes[0] and changes[-1] < 0.1 * np.linalg.norm(results[0])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_operators_of_all_shapes(data):
    """Dot-product test and explicit matrix."""
    draw = data.draw
    c, o, h, w = (draw(st.integers(1, 4)) for _ in range(4))
    k1, k2 = (draw(st.sampled_from([1, 3, 5]).filter(lambda k, n=n: k <= n)) for n in (h, w))
    s = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    axes = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    order = draw(st.permutations(range(3)))
    # each place once: values that add up may cancel
    places = np.unravel_index(rng.permutation(o * c)[:5], (o, c))
    operators = [
        CirculantConvolution(rng.standard_normal((o, c, k1, k2)), (h, w), stride=s),
        Transposed(CirculantConvolution(rng.standard_normal((o, c, k1, k2)), (h, w), stride=s)),
        DepthwiseConvolution(rng.standard_normal((c, k1, k2)), (h, w)),
        Sparse(rng.standard_normal(len(places[0])), *places, (o, c)),
        Reshape((c, h, w), axes=order),
        Broadcast((c, h, w), axes),
        RemoveMean((c, h, w), axes),
        Gradient((c, h + 1, w + 1), (0.5, 2.0)),
        Difference((c, h + 1, w), 1, 0.3),
    ]
    for operator in operators:
        check_adjoint(operator)
        x = rng.standard_normal((2, *operator.domain_shape))
        expected = (operator.tosparse() @ x.reshape(2, -1).T).T
        np.testing.assert_allclose((operator @ x).reshape(2, -1), expected, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_layers_of_all_shapes(data):
    """Derivatives of both orders, adjoints, dtypes and stacks."""
    draw = data.draw
    c, h, w, n = (draw(st.integers(1, 3)) for _ in range(4))
    seed = draw(st.integers(0, 1000))
    shape, image = (c, h + 1, w + 1), (h + 2, w + 2)
    over = draw(st.lists(st.sampled_from(["examples", "channels", "pixels"]), min_size=1, max_size=3, unique=True))
    layers = [
        NormalisationLayer(shape, over, eps=0.5),
        ScalingLayer(shape, draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))),
        BiasLayer(shape, Broadcast(shape, (1,))),
        ConvolutionLayer((c, *image), n, activation="tanh", bias=True, stride=draw(st.integers(1, 3))),
        ResidualNetwork(SymmetricLayer(CirculantConvolution(np.zeros((n, c, 1, 1)), (h, w))), n, 0.3),
        DoubleHamiltonian(DenseLayer((c,), c, activation="tanh"), DenseLayer((c,), c, activation="tanh"), n, 0.3),
    ]
    for layer in layers:
        check_layer(layer, seed=seed, examples=draw(st.integers(1, 3)))


class TestErrors:
    """Arguments that cannot be meant, each with one line that says so."""

    def test_biases(self):
        kernel = stencils(3)
        assert SingleLayer(kernel, bias_in=None).parameters.names == ("K.kernel",)
        with pytest.raises(InputError, match="operator: expected a LinearOperator"):
            SingleLayer(kernel, bias_in="yes")

    def test_layers(self):
        with pytest.raises(InputError, match="operator: expected a ParametricOperator"):
            SymmetricLayer(ConvolutionLayer((2, 4, 6), 2))
        with pytest.raises(InputError, match="layer 'layer': expected a Layer"):
            ResidualNetwork([DenseLayer((2,), 2)], 2)
        with pytest.raises(InputError, match="layer 'first': expected layers whose results can be added"):
            DoubleHamiltonian(DenseLayer((4,), 2), DenseLayer((2,), 2), 1)
        with pytest.raises(InputError, match="layer 'layer': expected layers whose results can be added"):
            ResidualNetwork(DenseLayer((4,), 2), 1)
        with pytest.raises(InputError, match="names: expected 2 different names"):
            Chain([DenseLayer((2,), 2), DenseLayer((2,), 2)], names=["a", "b", "b"])

    def test_times(self):
        layer = DenseLayer((2,), 2)
        for times in (3, [0.0], [0, 0], "ab"):
            with pytest.raises(InputError, match="times: expected two or more increasing times"):
                RungeKutta4(layer, times)
        with pytest.raises(InputError, match=r"times\[0\]: expected a finite number, got 'a'"):
            RungeKutta4(layer, ["a", "b"])
        for matrix, message in (
            (np.ones((2, 3)), r"coefficients: expected an array of shape \(K, 2\)"),
            (np.full((1, 2), np.nan), "coefficients: expected finite numbers"),
            (np.ones((0, 2)), "coefficients: expected at least one row, got none"),
        ):
            with pytest.raises(InputError, match=message):
                ResidualNetwork(layer, 2, coefficients=matrix)

    def test_other_shapes(self):
        with pytest.raises(InputError, match="domain_shape: expected a first axis that 2 parts share"):
            NETWORKS["double hamiltonian"]().resized((3, 4, 6))
        with pytest.raises(InputError, match="network: expected one whose range doubles with its images"):
            prolongate(ConvolutionLayer((1, 5, 5), 2, stride=2), np.ones(18), np.ones(3 * 19))
        layer = SymmetricLayer(CirculantConvolution(np.zeros((2, 1, 3, 3)), (5, 5), stride=2))
        assert layer.resized((1, 5, 5)).range_shape == (1, 5, 5)
        bias = Broadcast((2, 4, 6))
        assert Hamiltonian(stencils(), 2, bias=bias).resized((2, 8, 12)).domain_shape == (2, 8, 12)

    def test_refinement(self):
        network = NETWORKS["residual"]()
        with pytest.raises(InputError, match="theta: expected an array of shape"):
            network.refined_in_time(np.ones(5))
        inside = Reparametrised(network, Matrix(np.eye(network.parameters.size)))
        with pytest.raises(InputError, match="network: expected time steps around weights in a basis"):
            inside.refined_in_time(np.ones(network.parameters.size))

    def test_fixed_operators_keep_to_their_dtype(self):
        x = np.ones((2, 4), np.float32)
        fixed = Diagonal(np.ones(4))
        for layer in (LinearLayer(fixed), BiasLayer((4,), fixed)):
            with pytest.raises(InputError, match="x: expected float64, the dtype of the fixed operator"):
                layer(np.zeros(layer.parameters.size, np.float32), x)
        with pytest.raises(InputError, match="x: expected float64, the dtype of the fixed operator"):
            LeastSquares(fixed).value(x, x)
        assert LinearLayer(Matrix(np.eye(4)))(np.zeros(0, np.float32), x).dtype == np.float32


def test_time_steps_without_weights():
    network = ResidualNetwork(ActivationLayer((2, 4, 4)), 2, 0.5)
    x = RNG.standard_normal((3, 2, 4, 4))
    once = x + 0.5 * np.tanh(x)
    np.testing.assert_allclose(network(np.zeros(0), x), once + 0.5 * np.tanh(once))
    check_layer(network)
    assert prolongate(network, np.zeros(0), np.ones(3 * 33)).theta.size == 0


def test_networks_in_time_move_to_another_backend(backend):
    """Their coefficients are numbers of the host wherever the network is."""
    with use_backend("numpy"):
        network = NETWORKS["in time"]()
    network = network.to(backend)
    theta = backend.asarray(np.random.default_rng(0).standard_normal(network.parameters.size))
    finer, theta2 = network.refined_in_time(theta)
    assert finer.coefficients.shape == (2, 6) and theta2.shape == theta.shape
    assert network.resized((2, 8, 12)).backend is network.backend


def test_outputs_are_those_of_every_layer(backend, dtype, rng):
    net = Chain([ConvolutionLayer((1, 6, 4), 2), ConvolutionLayer((2, 6, 4), 3)])
    theta, x = he_normal(net, rng, dtype), backend.asarray(rng.standard_normal((2, 1, 6, 4)), dtype)
    first, second = net.outputs(theta, x)
    np.testing.assert_array_equal(to_host(first), to_host(net.layers[0](theta[:18], x)))
    np.testing.assert_array_equal(to_host(second), to_host(net(theta, x)))
    (same,) = net.layers[0].outputs(theta[:18], x)
    np.testing.assert_array_equal(to_host(same), to_host(first))
