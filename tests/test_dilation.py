"""Dilated convolutions: the explicit matrix, the enlarged kernel and exactness on prolongated images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meganet as mn
from meganet.checks import check_adjoint, check_layer
from meganet.linop import CirculantConvolution
from meganet.multigrid import Copied, Dilated, Enlarged, Galerkin, prolongate_images, weights_prolongation
from meganet.networks import ResidualNetwork, SingleLayer


def enlarged(kernel, dilation):
    """The kernel with zeros between its numbers."""
    (k1, k2), (d1, d2) = kernel.shape[2:], dilation
    large = np.zeros((*kernel.shape[:2], (k1 - 1) * d1 + 1, (k2 - 1) * d2 + 1), kernel.dtype)
    large[:, :, ::d1, ::d2] = kernel
    return large


@st.composite
def problems(draw):
    d, k = (draw(st.tuples(*[st.sampled_from(sizes)] * 2)) for sizes in ([1, 2, 3], [1, 3, 5]))
    image = tuple(step * draw(st.integers(size, 6)) for step, size in zip(d, k, strict=True))
    channels = draw(st.sampled_from([(1, 2), (8, 9), (3, 1)]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kernel = rng.standard_normal((*channels, *k))
    shapes = ((3, channels[1], *image), (3, channels[0], *image))
    return CirculantConvolution(kernel, image, dilation=d), *(rng.standard_normal(shape) for shape in shapes)


@given(problems())
@settings(max_examples=30, deadline=None)
def test_the_matrix_and_the_enlarged_kernel_say_the_same(problem):
    K, x, y = problem
    flat = (K.tosparse() @ x.reshape(3, -1).T).T.reshape(y.shape)
    same = CirculantConvolution(enlarged(K.kernel, K.dilation), K.image_shape)
    np.testing.assert_allclose(K @ x, flat, atol=1e-11)
    np.testing.assert_allclose(same @ x, flat, atol=1e-11)
    np.testing.assert_allclose(K.T @ y, (K.tosparse().T @ y.reshape(3, -1).T).T.reshape(x.shape), atol=1e-11)
    gradient = same.kernel_adjoint(x, y)[:, :, :: K.dilation[0], :: K.dilation[1]]
    np.testing.assert_allclose(K.kernel_adjoint(x, y), gradient, atol=1e-10)
    np.testing.assert_allclose(K.symbol(), same.symbol(), atol=1e-11)
    check_adjoint(K)


@pytest.mark.loops
@pytest.mark.parametrize("engine", ["auto", "winograd", "direct", "sparse"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_layers_of_every_engine(engine, activation):
    check_layer(mn.ConvolutionLayer((8, 6, 8), 9, dilation=(1, 2), engine=engine, activation=activation, bias=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_on_prolongated_images(dtype):
    rng = np.random.default_rng(0)
    kernel, x = rng.standard_normal((4, 3, 3, 3)).astype(dtype), rng.standard_normal((2, 3, 6, 8)).astype(dtype)
    coarse, fine = CirculantConvolution(kernel, (6, 8)), CirculantConvolution(kernel, (12, 16), dilation=2)
    expected = prolongate_images(coarse @ x, "constant")
    found = fine @ prolongate_images(x, "constant")
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=1e-5 if dtype == "float32" else 1e-13)


def test_stacks_of_kernels():
    rng = np.random.default_rng(0)
    kernels, x = rng.standard_normal((2, 9, 8, 3, 3)), rng.standard_normal((2, 5, 8, 6, 6))
    one = CirculantConvolution(kernels[0], (6, 6), dilation=2)
    found = one.with_kernel(kernels) @ x
    for t in range(2):
        np.testing.assert_allclose(found[t], one.with_kernel(kernels[t]) @ x[t], atol=1e-12)


def test_resized_and_described(tmp_path):
    layer = mn.ConvolutionLayer((1, 8, 8), 4, dilation=2)
    assert layer.resized((1, 16, 16)).dilation == (2, 2)
    model = mn.Model([layer], classes=2)
    images = np.random.default_rng(0).standard_normal((8, 1, 8, 8))
    model.fit(images, np.arange(8) % 2, epochs=1, batch_size=4)
    model.save(tmp_path / "net.npz")
    loaded = mn.load(tmp_path / "net.npz")
    assert loaded.network.layers[0].dilation == (2, 2)
    np.testing.assert_array_equal(loaded.predict_proba(images), model.predict_proba(images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dilation": 3}, "dilation: expected one that divides the 8x8 image, got 3x3"),
        ({"dilation": 4}, "kernel: expected a kernel no larger than the 2x2 image, got 3x3"),
        ({"dilation": 2, "stride": 2}, r"dilation: expected 1 beside a stride of \(2, 2\), got \(2, 2\)"),
        ({"dilation": 0}, r"dilation\[0\]: expected an integer of at least 1, got 0"),
    ],
)
def test_what_cannot_be_dilated(arguments, message):
    with pytest.raises(mn.InputError, match=message):
        CirculantConvolution(np.zeros((1, 1, 3, 3)), (8, 8), **arguments)


def networks():
    K = CirculantConvolution(np.zeros((4, 4, 3, 3)), (8, 8))
    plain = [mn.ConvolutionLayer((1, 8, 8), 4, bias=True), mn.ConvolutionLayer(..., 3)]
    steps = [mn.ConvolutionLayer((1, 8, 8), 4), ResidualNetwork(SingleLayer(K, activation="tanh"), 2, 0.5)]
    return {"plain": mn.Chain(plain), "residual": mn.Chain(steps)}


@pytest.mark.parametrize("name", networks())
def test_a_dilated_network_does_on_prolongated_images_what_it_did(name):
    network, rng = networks()[name], np.random.default_rng(0)
    theta, images = rng.standard_normal(network.parameters.size), rng.standard_normal((3, 1, 8, 8))
    classifier = mn.DenseLayer(network.range_shape, 5)
    W = rng.standard_normal(classifier.parameters.size)
    fine = mn.prolongate(network, theta, W, kernels=Dilated(), interpolation="constant")
    features = fine.network(fine.theta, prolongate_images(images, "constant"))
    np.testing.assert_allclose(features, prolongate_images(network(theta, images), "constant"), atol=1e-12)
    logits = mn.DenseLayer(fine.network.range_shape, 5)(fine.W, features)
    np.testing.assert_allclose(logits, classifier(W, network(theta, images)), atol=1e-10)
    back = mn.restrict(*fine, kernels=Dilated(), interpolation="constant")
    np.testing.assert_array_equal(back.theta, theta)
    np.testing.assert_allclose(back.W, W, atol=1e-13)
    assert back.network.domain_shape == network.domain_shape
    assert back.network.parameters == network.parameters
    operator = weights_prolongation(network, 5, kernels=Dilated(), interpolation="constant")
    np.testing.assert_allclose(operator @ np.concatenate([theta, W]), np.concatenate([fine.theta, fine.W]))


def test_dilations_go_on_and_along_one_axis():
    layer = mn.ConvolutionLayer((1, 4, 8), 2, (1, 3))
    W = np.zeros(2 * (2 * 32 + 1))
    once = mn.prolongate(layer, np.ones(6), W, kernels=Dilated())
    assert once.network.dilation == (1, 2)
    assert mn.prolongate(*once, kernels=Dilated()).network.dilation == (1, 4)
    assert mn.prolongate(*once, kernels=Copied()).network.dilation == (1, 2)


@pytest.mark.parametrize("kernels", [Galerkin("constant"), Enlarged()])
def test_other_transfers_know_neighbours_only(kernels):
    layer = mn.ConvolutionLayer((1, 16, 16), 2, dilation=2)
    with pytest.raises(mn.InputError, match=r"kernels: expected Copied\(\) or Dilated\(\) for dilated stencils, got "):
        mn.restrict(layer, np.zeros(18), np.zeros(2 * (2 * 256 + 1)), kernels=kernels)


def test_neighbours_are_no_dilated_stencils():
    layer = mn.ConvolutionLayer((1, 8, 8), 2)
    with pytest.raises(mn.InputError, match="an even dilation"):
        mn.restrict(layer, np.zeros(18), np.zeros(2 * (2 * 64 + 1)), kernels=Dilated())
