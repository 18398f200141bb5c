"""Landscapes: the directions, the values, the curvature."""

import numpy as np
import pytest

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, PoolingLayer, Tikhonov
from meganet.backend import to_host
from meganet.ground.validate import InputError
from meganet.linop import Identity
from meganet.objective.landscape import filter_normalized, landscape


@pytest.fixture
def problem(backend, rng):
    layers = [ConvolutionLayer((1, 6, 4), 2, activation="tanh", bias=True), PoolingLayer((2, 6, 4))]
    network = Chain(layers)
    classifier = DenseLayer(network.range_shape, 3)
    images = backend.asarray(rng.standard_normal((7, 1, 6, 4)))
    penalty = Tikhonov(Identity(network.parameters.size), 0.1)
    fun = Objective(network, classifier, images, np.arange(7) % 3, theta_regularizer=penalty)
    return fun, backend.asarray(rng.standard_normal(fun.parameters.size))


def test_every_filter_of_a_direction_is_as_long_as_that_of_the_weights(problem, rng):
    fun, x = problem
    direction = filter_normalized(fun, x, rng)
    views = [fun.parameters.view(to_host(vector)) for vector in (direction, x)]
    for name in ("theta.0.kernel", "W.kernel"):
        lengths = [np.linalg.norm(view[name].reshape(len(view[name]), -1), axis=1) for view in views]
        np.testing.assert_allclose(*lengths)
    assert not views[0]["theta.0.bias"].any() and not views[0]["W.bias"].any()
    assert abs(float(np.vdot(*map(to_host, (direction, filter_normalized(fun, x, rng)))))) < 0.9 * np.vdot(
        to_host(x), to_host(x)
    )


def test_values_are_those_of_the_objective_on_the_plane(problem):
    fun, x = problem
    found = landscape(fun, x, np.random.default_rng(1), extent=0.5, points=5)
    rng = np.random.default_rng(1)
    first, second = filter_normalized(fun, x, rng), filter_normalized(fun, x, rng)
    metrics = fun.evaluate(x - 0.5 * first + 0.25 * second)
    assert found.objective[0, 3] == pytest.approx(metrics.objective) and found.loss[0, 3] == pytest.approx(metrics.loss)
    assert found.center == pytest.approx(fun.evaluate(x).objective) == found.objective[2, 2]
    assert found.rise == pytest.approx(found.loss.mean() - found.loss[2, 2])
    products = [float(to_host((d * (fun.hessian(x) @ d)).sum())) for d in (first, second)]
    assert found.curvature == pytest.approx(np.mean(products))
    penalty = [0.1 * float(to_host((d[:20] * d[:20]).sum())) for d in (first, second)]
    assert found.curvature - found.loss_curvature == pytest.approx(np.mean(penalty))


def test_few_examples_stand_for_all(problem):
    fun, x = problem
    few = Objective(fun.network, fun.classifier, fun.images[:3], [0, 1, 2])
    found = landscape(fun, x, np.random.default_rng(1), points=3, examples=3)
    assert found.loss[1, 1] == pytest.approx(few.evaluate(x).loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 4}, "points: expected an odd number, so that the point itself is among them, got 4"),
        ({"points": 1}, "points: expected an integer of at least 3"),
        ({"extent": 0.0}, "extent: expected a finite number above 0"),
        ({"examples": 0}, "examples: expected an integer of at least 1, got 0"),
    ],
)
def test_errors(problem, options, message):
    fun, x = problem
    with pytest.raises(InputError, match=message):
        landscape(fun, x, np.random.default_rng(0), **options)
