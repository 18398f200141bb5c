"""Transfers along one axis: signals (N, C, 1, L) and images that are coarsened in one direction alone."""

import numpy as np
import pytest

import meganet as mn
from meganet import multigrid as mg
from meganet.checks import check_adjoint
from meganet.ground.validate import InputError
from meganet.linop import Gradient
from meganet.multigrid import galerkin_matrix, prolongate_images, restrict_images

INTERPOLATIONS = ("constant", "linear")


@pytest.mark.parametrize("flat", [2, 3])
def test_a_signal_is_transferred_along_its_length(backend, dtype, rng, flat):
    shape = [4, 2, 8, 8]
    shape[flat] = 1
    x = backend.asarray(rng.standard_normal(shape), dtype)
    half, double = list(shape), list(shape)
    half[5 - flat], double[5 - flat] = 4, 16
    coarse = restrict_images(x)
    assert coarse.shape == tuple(half) and coarse.dtype == dtype
    pairs = backend.to_host(x).reshape(4, 2, 4, 2).mean(axis=-1).reshape(half)
    np.testing.assert_allclose(backend.to_host(coarse), pairs, rtol=1e-6 if dtype == np.float32 else 1e-14, atol=1e-7)
    for interpolation in INTERPOLATIONS:
        fine = prolongate_images(x, interpolation)
        assert fine.shape == tuple(double) and fine.dtype == dtype
    constant = backend.to_host(prolongate_images(x, "constant"))
    np.testing.assert_array_equal(constant, np.repeat(backend.to_host(x), 2, axis=5 - flat))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("axis", [0, 1])
def test_one_axis_after_the_other_is_both(rng, interpolation, axis):
    x = rng.standard_normal((2, 3, 8, 4))
    both = restrict_images(restrict_images(x, axes=axis), axes=1 - axis)
    np.testing.assert_allclose(both, restrict_images(x), rtol=1e-14)
    both = prolongate_images(prolongate_images(x, interpolation, axes=axis), interpolation, axes=1 - axis)
    np.testing.assert_allclose(both, prolongate_images(x, interpolation), rtol=1e-13)
    matrix = galerkin_matrix(3, interpolation, axes=axis) @ galerkin_matrix(3, interpolation, axes=1 - axis)
    np.testing.assert_allclose(matrix, galerkin_matrix(3, interpolation), atol=1e-14)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_galerkin_condition_holds_for_signals(rng, interpolation):
    coarse = rng.standard_normal((1, 1, 1, 3))
    fine = mg.prolongate_kernels(coarse, interpolation, axes=-1)
    np.testing.assert_allclose(mg.restrict_kernels(fine, interpolation, axes=-1), coarse, rtol=1e-12)
    r, p = mg.restriction((1, 24)), mg.prolongation((1, 24), interpolation)
    product = (r @ mn.linop.CirculantConvolution(fine, (1, 24)).tosparse() @ p).toarray()
    expected = mn.linop.CirculantConvolution(coarse, (1, 12)).tosparse().toarray()
    np.testing.assert_allclose(product[2:-2], expected[2:-2], atol=1e-12)


@pytest.mark.parametrize("kernels", ["galerkin", "copy"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("scaling", ["logits", "none", "thesis"])
def test_a_network_for_signals_is_carried_there_and_back(rng, kernels, interpolation, scaling):
    net = mn.Chain(
        [
            mn.ConvolutionLayer((1, 1, 8), 4, (1, 3), activation="tanh", bias=True),
            mn.PoolingLayer((4, 1, 8), (1, 2)),
            mn.ConvolutionLayer((4, 1, 4), 3, (1, 3), activation="tanh"),
        ]
    )
    theta, w = rng.standard_normal(net.parameters.size), rng.standard_normal(5 * (3 * 4 + 1))
    options = {"kernels": kernels, "interpolation": interpolation, "classifier_scaling": scaling}
    fine = mn.prolongate(net, theta, w, **options)
    assert fine.network.domain_shape == (1, 1, 16) and fine.network.range_shape == (3, 1, 8)
    assert fine.W.shape == (5 * (3 * 8 + 1),)
    factor = {"logits": 0.5, "none": 1.0, "thesis": 2.0}[scaling]
    blocks = w[:-5].reshape(5, 3, 1, 4)
    np.testing.assert_allclose(
        fine.W[:-5].reshape(5, 3, 1, 8), factor * prolongate_images(blocks, interpolation), rtol=1e-14
    )
    back = mg.restrict(*fine, **options)
    assert back.network.domain_shape == net.domain_shape
    np.testing.assert_allclose(back.theta, theta, rtol=1e-12)
    if interpolation == "constant":
        np.testing.assert_allclose(back.W, w, rtol=1e-13)
    if kernels == "copy":
        np.testing.assert_array_equal(fine.theta, theta)
    # the same network on images that are coarsened in one direction
    wide = mn.Chain([layer.resized((layer.domain_shape[0], 4, layer.domain_shape[2])) for layer in net.layers])
    w4 = rng.standard_normal(5 * (3 * 16 + 1))
    along = mn.prolongate(wide, theta, w4, axes=-1, **options)
    assert along.network.domain_shape == (1, 4, 16)
    np.testing.assert_array_equal(along.theta, fine.theta)


def test_logits_of_a_constant_signal_stay(rng):
    net = mn.ConvolutionLayer((1, 1, 8), 3, (1, 1))
    classifier, theta, w = mn.DenseLayer((3, 1, 8), 4), rng.standard_normal(3), rng.standard_normal(4 * 25)
    fine = mn.prolongate(net, theta, w, kernels="copy")
    finer = mn.DenseLayer(fine.network.range_shape, 4)
    x = np.full((1, 1, 1, 8), 0.7)
    before = classifier(w, net(theta, x))
    np.testing.assert_allclose(finer(fine.W, fine.network(fine.theta, prolongate_images(x))), before, rtol=1e-12)


def test_a_single_pixel_and_small_images_go_there_and_back():
    assert prolongate_images(restrict_images(np.ones((1, 2, 2)))).shape == (1, 2, 2)
    assert prolongate_images(np.ones((1, 1, 3)), axes=(0, 1)).shape == (1, 2, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: restrict_images(np.ones((1, 1, 7))), "images: expected even sizes"),
        (lambda: restrict_images(np.ones((1, 1, 8)), axes=0), "images: expected even sizes"),
        (lambda: restrict_images(np.ones((1, 8, 8)), axes=2), "axes: expected different axes of a tensor with 2"),
        (lambda: restrict_images(np.ones((1, 8, 8)), axes=()), "axes: expected different axes of a tensor with 2"),
        (lambda: restrict_images(np.ones((1, 8, 8)), axes=(0, -2)), "axes: expected different axes of a tensor with 2"),
        (lambda: galerkin_matrix((1, 3), "linear"), "kernel_shape: expected a stencil whose coarse version fits"),
        (lambda: mg.restriction((1, 7)), "fine_shape: expected even sizes"),
        (
            lambda: mg.restrict(mn.ConvolutionLayer((1, 1, 7), 2, (1, 3)), np.ones(6), np.ones(15)),
            "network's images: expected even sizes",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("shape", [(4, 3, 1, 16), (4, 3, 16, 1), (1, 5), (3, 4, 6)])
def test_the_gradient_of_signals(backend, rng, shape):
    gradient = Gradient(shape, (0.5, 2.0), backend=backend)
    check_adjoint(gradient)
    x = rng.standard_normal((2, *shape))
    found = backend.to_host(gradient @ backend.asarray(x))
    matrix = gradient.to("numpy").tosparse()
    np.testing.assert_allclose(found.reshape(2, -1), (matrix @ x.reshape(2, -1).T).T, atol=1e-12)
    y = backend.asarray(x)
    solution = gradient.solve_normal(y, 0.7, 0.2)
    residual = 0.7 * (gradient.T @ (gradient @ solution)) + 0.2 * solution - y
    assert float(abs(backend.to_host(residual)).max()) < 1e-11
    tikhonov = mn.Tikhonov(gradient, 0.3)
    v = y[0].reshape(-1)
    value, slope = tikhonov.value_and_gradient(v)
    expected = 0.3 * (matrix.T @ (matrix @ backend.to_host(v)))
    np.testing.assert_allclose(backend.to_host(slope), expected, atol=1e-11)
    assert float(backend.to_host(value)) == pytest.approx(0.5 * expected @ backend.to_host(v))


def test_one_pixel_has_no_gradient():
    with pytest.raises(InputError, match="domain_shape: expected images of more than one pixel"):
        Gradient((3, 1, 1))


def test_signals_train_with_a_smooth_classifier_and_go_on_with_twice_the_length(rng):
    signals = np.sin(np.arange(1, 41)[:, None, None, None] * np.linspace(0, 1, 16)) + 0.01 * rng.standard_normal(
        (40, 1, 1, 16)
    )
    labels = (np.arange(40) > 20).astype(int)
    net, start = mn.ConvolutionLayer((1, 1, 8), 4, (1, 3), activation="tanh"), np.random.default_rng(0)
    for _ in range(2):
        classifier = mn.DenseLayer(net.range_shape, 2)
        penalty = mn.Tikhonov(Gradient((2, *net.range_shape)), 1e-3)
        images = restrict_images(signals) if net.domain_shape[-1] == 8 else signals
        fun = mn.Objective(net, classifier, images, labels, W_regularizer=penalty)
        if net.domain_shape[-1] == 8:
            x = np.concatenate([mn.he_normal(net, start), mn.layers.smoothed_normal(classifier, start)])
        before = fun.evaluate(x).objective
        x = mn.sgd(fun, x, 40, epochs=10, learning_rate=0.05, batch_size=8).x
        assert fun.evaluate(x).objective < before
        if net.domain_shape[-1] == 8:
            net, theta, w = mn.prolongate(net, *fun.split(x))
            x = np.concatenate([theta, w])
    assert net.domain_shape == (1, 1, 16)
