"""Statistics over examples, fixed: a prediction does not depend on who else is asked about."""

import numpy as np
import pytest
from registry import LAYERS

import meganet as mn
from meganet.ground.validate import InputError
from meganet.layers import Layer, NormalisationLayer
from meganet.linop import CirculantConvolution, Dense
from meganet.networks import DoubleLayer, ResidualNetwork, SingleLayer, SymmetricLayer


def over_examples(shape):
    return NormalisationLayer(shape, ("examples", "pixels"), eps=0.1)


def stencil(backend):
    return CirculantConvolution(backend.asarray(np.zeros((2, 2, 3, 3))), (4, 4), backend=backend)


def networks(backend):
    shape = (2, 4, 4)
    with mn.use_backend(backend):
        single = SingleLayer(stencil(backend), "tanh", bias_in=True, normalisation=over_examples(shape))
        double = DoubleLayer(stencil(backend), stencil(backend), "tanh", normalisation1=over_examples(shape))
        symmetric = SymmetricLayer(stencil(backend), "tanh", normalisation1=over_examples(shape))
        yield over_examples(shape)
        yield NormalisationLayer(shape, ("examples",), eps=0.1)
        yield mn.Chain([mn.ConvolutionLayer(shape, 3, activation="tanh"), over_examples((3, 4, 4))])
        yield mn.Chain([mn.Chain([single]), double])
        yield ResidualNetwork(single, 3, 0.5)
        yield ResidualNetwork(double, 2, 0.5, coefficients=[[1.0, 0.5]])
        yield ResidualNetwork(symmetric, 2, 0.5)


def test_each_example_has_the_result_that_it_has_in_the_batch(backend, dtype):
    rng = np.random.default_rng(3)
    for network in networks(backend):
        theta = backend.asarray(0.5 * rng.standard_normal(network.parameters.size), dtype)
        x = backend.asarray(2 + 3 * rng.standard_normal((6, *network.domain_shape)), dtype)
        together = backend.to_host(network(theta, x))
        frozen = network.frozen_on(theta, x)
        assert network.couples_examples and not frozen.couples_examples
        assert frozen.parameters.size == network.parameters.size and frozen(theta, x).dtype == dtype
        for rows in (slice(0, 6), slice(2, 3), slice(1, 4)):
            found = backend.to_host(frozen(theta, x[rows]))
            np.testing.assert_allclose(found, together[rows], rtol=0, atol=2e-5 if dtype == np.float32 else 1e-13)
        assert frozen.frozen_on(theta, x[:1]) is frozen


def test_layers_without_such_statistics_are_returned_as_they_are(backend):
    rng = np.random.default_rng(0)
    with mn.use_backend(backend):
        for makers in LAYERS.values():
            for make in makers:
                layer = make()
                if not layer.couples_examples:
                    theta = backend.asarray(rng.standard_normal(layer.parameters.size))
                    assert layer.frozen_on(theta, backend.asarray(np.ones((1, *layer.domain_shape)))) is layer


def test_a_frozen_network_goes_to_another_grid_with_the_statistics_of_channels():
    rng = np.random.default_rng(0)
    network = ResidualNetwork(over_examples((2, 4, 4)), 2)
    frozen = network.frozen_on(np.zeros(0), rng.standard_normal((3, 2, 4, 4)))
    x = rng.standard_normal((1, 2, 4, 4))
    fine = frozen.resized((2, 8, 8))
    assert fine.range_shape == (2, 8, 8) and "FixedNormalisationLayer" in repr(fine)
    np.testing.assert_allclose(
        fine(np.zeros(0), np.kron(x, np.ones((2, 2)))), np.kron(frozen(np.zeros(0), x), np.ones((2, 2))), rtol=1e-13
    )
    with pytest.raises(InputError, match="network: expected statistics that are not fixed"):
        frozen.refined_in_time(np.zeros(0))
    of_pixels = NormalisationLayer((2, 4, 4), ("examples",)).frozen_on(np.zeros(0), x)
    with pytest.raises(InputError, match="statistics: expected arrays that broadcast against"):
        of_pixels.resized((2, 8, 8))


def test_a_layer_of_the_users_that_couples_examples_must_say_how():
    class Centred(Layer):
        couples_examples = True

        def __init__(self):
            super().__init__((2,), (2,), mn.DenseLayer((2,), 2).parameters)

        def forward_unchecked(self, theta, x):
            return x - x.mean(axis=0), None

        def jvp_unchecked(self, dtheta, dx, record):
            return dx - dx.mean(axis=0)

        def vjp_unchecked(self, dy, record):
            return self._no_weights(dy), dy - dy.mean(axis=0)

        def resized(self, domain_shape):
            return self

    layer = Centred()
    with pytest.raises(InputError, match="layer: expected one that defines frozen_on_unchecked"):
        layer.frozen_on(np.zeros(layer.parameters.size), np.ones((3, 2)))


@pytest.mark.parametrize("solver", ["lbfgs", "adam", "trust_region"])
@pytest.mark.parametrize("over", [("examples",), ("examples", "pixels")])
def test_an_estimator_predicts_row_by_row_what_it_predicts_for_all(solver, over):
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    from meganet.interop.sklearn import MeganetClassifier

    def network(shape):
        return mn.Chain([SingleLayer(Dense(np.zeros((6, 5))), "tanh", normalisation=NormalisationLayer((6,), over))])

    rng = np.random.default_rng(1)
    y = np.arange(60) % 3
    x = 10 + rng.standard_normal((60, 5)) + 3 * np.eye(3, 5)[y]
    model = MeganetClassifier(network=network, solver=solver, max_iter=20, random_state=0).fit(x, y)
    together = model.predict_proba(x)
    alone = np.concatenate([model.predict_proba(row[None]) for row in x])
    np.testing.assert_allclose(alone, together, atol=1e-12)
    assert model.score(x, y) > 0.8
