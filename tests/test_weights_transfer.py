"""All weights between grids as linear operators, and the classes of transfers of stencils."""

import numpy as np
import pytest

from meganet import Chain, ConvolutionLayer, DenseLayer, PoolingLayer, prolongate, restrict
from meganet.backend import get_backend
from meganet.checks import check_adjoint
from meganet.ground.validate import InputError
from meganet.layers import ActivationLayer, AffineLayer, BiasLayer, LinearLayer, NormalisationLayer, ScalingLayer
from meganet.linop import CirculantConvolution, DepthwiseConvolution, Matrix
from meganet.multigrid import prolongate_kernels, weights_prolongation, weights_restriction
from meganet.networks import (
    DoubleHamiltonian,
    Hamiltonian,
    Leapfrog,
    Reparametrised,
    ResidualNetwork,
    SingleLayer,
    SymmetricLayer,
)
from meganet.stencils import derivative_basis


def stencil(*shape):
    """A convolution of images of 8x12 pixels on the active backend."""
    return CirculantConvolution(get_backend().asarray(np.zeros(shape)), (8, 12))


def in_basis():
    return Reparametrised(ConvolutionLayer((1, 8, 12), 3), derivative_basis((3, 1, 3, 3)))


def normalised():
    layers = [ConvolutionLayer((1, 8, 12), 3, bias=True), NormalisationLayer((3, 8, 12)), ScalingLayer((3, 8, 12))]
    return Chain([*layers, BiasLayer((3, 8, 12)), ActivationLayer((3, 8, 12))])


def nested():
    inner = Chain([ConvolutionLayer((2, 8, 12), 2), SingleLayer(stencil(2, 2, 3, 3), bias_in=True, bias_out=True)])
    return Chain([AffineLayer(stencil(2, 1, 3, 3), bias=True), Chain([inner]), PoolingLayer((2, 8, 12))])


IN_TIME = np.random.default_rng(3).standard_normal((2, 4))
NETWORKS = {
    "convolution": lambda: ConvolutionLayer((1, 8, 12), 3, bias=True),
    "nested": nested,
    "normalised": normalised,
    "depthwise": lambda: AffineLayer(DepthwiseConvolution(get_backend().asarray(np.zeros((2, 3, 3))), (8, 12))),
    "symmetric": lambda: SymmetricLayer(stencil(2, 2, 3, 3), bias_in=True, normalisation1=BiasLayer((2, 8, 12))),
    "derivatives": in_basis,
    "residual": lambda: ResidualNetwork(SymmetricLayer(stencil(2, 2, 3, 3), bias_in=True), 3, 0.3),
    "coefficients": lambda: Leapfrog(SymmetricLayer(stencil(3, 2, 3, 3)), 4, 0.3, coefficients=IN_TIME),
    "shared": lambda: Hamiltonian(stencil(2, 2, 3, 3), 3, 0.4, bias=True),
    "two layers": lambda: DoubleHamiltonian(
        SingleLayer(stencil(2, 2, 3, 3), bias_in=True), SymmetricLayer(stencil(2, 2, 3, 3)), 2, 0.3
    ),
    "weightless": lambda: PoolingLayer((2, 8, 12)),
}
OPTIONS = {"linear": {}, "constant": {"interpolation": "constant", "classifier_scaling": "none"}}
OPTIONS |= {"copy": {"kernels": "copy"}, "one axis": {"axes": -1}}
TRANSFERS = {"finer": (weights_prolongation, prolongate), "coarser": (weights_restriction, restrict)}


def weights(network, dtype=np.float64, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    size = network.parameters.size + classes * (int(np.prod(network.range_shape)) + 1)
    return network.backend.asarray(rng.standard_normal(size), dtype)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("direction", TRANSFERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_operators_do_what_transfers_do(name, direction, options, backend, dtype):
    network, (operator_of, transfer) = NETWORKS[name](), TRANSFERS[direction]
    operator = operator_of(network, 2, **OPTIONS[options])
    x, n = weights(network, dtype), network.parameters.size
    found = transfer(network, x[:n], x[n:], **OPTIONS[options])
    expected = np.concatenate([backend.to_host(found.theta), backend.to_host(found.W)])
    assert found.theta.size == found.network.parameters.size and expected.dtype == dtype
    assert found.W.size == DenseLayer(found.network.range_shape, 2).parameters.size
    result = operator @ x
    assert result.dtype == dtype and backend.owns(result)
    tolerance = 4 * np.finfo(dtype).eps * abs(expected).max()
    np.testing.assert_allclose(backend.to_host(result), expected, rtol=0, atol=tolerance)
    check_adjoint(operator)
    matrix = operator.tosparse()
    assert matrix.shape == operator.shape
    np.testing.assert_allclose(backend.to_host(matrix @ x), expected, rtol=0, atol=10 * tolerance)


def test_stencils_of_several_sizes(rng):
    network = Chain([ConvolutionLayer((1, 1, 12), 2, (1, 3)), ConvolutionLayer(..., 3, (1, 5), bias=True)])
    x, n = weights(network), network.parameters.size
    fine = prolongate(network, x[:n], x[n:])
    np.testing.assert_allclose(weights_prolongation(network, 2) @ x, np.concatenate([fine.theta, fine.W]), rtol=1e-14)
    for name, axes in (("0.kernel", 3), ("1.kernel", 5)):
        kernel = network.parameters.view(x[:n])[name].reshape(-1, 1, 1, axes)
        result = fine.network.parameters.view(fine.theta)[name].reshape(kernel.shape)
        np.testing.assert_allclose(result, prolongate_kernels(kernel, axes=-1), rtol=1e-10)


def test_operators_take_many_vectors_and_other_backends(rng):
    network = NETWORKS["nested"]()
    operator = weights_prolongation(network, 2)
    x = rng.standard_normal((3, operator.shape[1]))
    np.testing.assert_allclose(operator @ x, [operator @ one for one in x], rtol=1e-14)
    assert (operator.to("numpy") @ x).shape == (3, operator.shape[0])


def test_a_gradient_comes_back_by_the_adjoint(rng):
    network, fine = NETWORKS["normalised"](), NETWORKS["normalised"]().resized((1, 16, 24))
    p, n = weights_prolongation(network, 2), network.parameters.size
    classifier = DenseLayer(fine.range_shape, 2)
    images, targets = rng.standard_normal((5, 1, 16, 24)), rng.standard_normal((5, 2))

    def objective(x):
        theta, w = (p @ x)[:n], (p @ x)[n:]
        features, tape = fine.forward(theta, images)
        outputs, outer = classifier.forward(w, features)
        in_w, in_features = classifier.vjp(outputs - targets, outer)
        return 0.5 * ((outputs - targets) ** 2).sum(), np.concatenate([fine.vjp(in_features, tape)[0], in_w])

    x, v = weights(network), weights(network, seed=1)
    (above, _), (below, _) = objective(x + 1e-6 * v), objective(x - 1e-6 * v)
    assert (p.T @ objective(x)[1]) @ v == pytest.approx((above - below) / 2e-6, rel=1e-6)


def averaged(pixels):
    """A network that ends with the mean over its images, whatever their size."""

    class Average(LinearLayer):
        def resized(self, domain_shape):
            return averaging(domain_shape)

    def averaging(shape):
        size = shape[1] * shape[2]
        return Average(Matrix(np.kron(np.eye(shape[0]), np.full((1, size), 1 / size)), shape, (shape[0], 1, 1)))

    return Chain([ConvolutionLayer((1, *pixels), 3), averaging((3, *pixels))])


@pytest.mark.parametrize("direction", TRANSFERS)
def test_the_classifier_behind_a_global_average_stays(direction):
    operator_of, transfer = TRANSFERS[direction]
    network = averaged((8, 12))
    x = weights(network, classes=5)
    found = transfer(network, x[:27], x[27:])
    assert found.network.range_shape == (3, 1, 1)
    np.testing.assert_array_equal(found.W, x[27:])
    np.testing.assert_allclose(operator_of(network, 5) @ x, np.concatenate([found.theta, found.W]), rtol=1e-14)


def test_fixed_statistics_at_every_time_are_carried():
    layer = Chain([ConvolutionLayer((2, 8, 12), 2), NormalisationLayer((2, 8, 12), ("examples", "pixels"))])
    network = ResidualNetwork(layer, 3, 0.5)
    x = weights(network)
    frozen = network.frozen_on(x[: network.parameters.size], np.random.default_rng(0).standard_normal((4, 2, 8, 12)))
    expected = weights_prolongation(network, 2) @ x
    np.testing.assert_allclose(weights_prolongation(frozen, 2) @ x, expected, rtol=1e-14)


def test_one_small_matrix_for_all_stencils():
    network = Chain([ConvolutionLayer((1, 28, 28), 32), ConvolutionLayer(..., 64)])
    first, kernel, bias = weights_prolongation(network, 10).operators
    assert first.right.matrix.shape == (9, 9) and first.left.shape == (2080, 2080)
    assert kernel.right.matrix.shape == (56 * 56, 28 * 28) and bias.shape == (10, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weights_prolongation(NETWORKS["nested"](), 0), "classes: expected an integer of at least 1, got 0"),
        (lambda: weights_restriction(ConvolutionLayer((1, 5, 6), 2), 3), "network's images: expected even sizes"),
        (
            lambda: weights_prolongation(ConvolutionLayer((1, 5, 5), 2, stride=2), 3),
            "network: expected one whose range doubles with its images, .* or stays the same, got",
        ),
        (
            lambda: weights_prolongation(
                Chain([BiasLayer((1, 4, 4), Matrix(np.ones((16, 2)), range_shape=(1, 4, 4)))]), 3
            ),
            "domain_shape: expected .*, where the bias. operator maps, got",
        ),
        (
            lambda: weights_prolongation(Reparametrised(ConvolutionLayer((1, 4, 4), 1), Matrix(np.ones((9, 2)))), 3),
            "network: expected a basis with independent columns",
        ),
        (
            lambda: weights_prolongation(Reparametrised(ConvolutionLayer((1, 4, 4), 1), Matrix(np.eye(9)[:, :2])), 3),
            "network: expected a basis that holds the transferred stencils",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
