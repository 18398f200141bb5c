"""R, P, the Galerkin equations, and whole networks between grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet import Chain, ConvolutionLayer, DenseLayer, PoolingLayer, prolongate, restrict
from meganet.ground.validate import InputError
from meganet.linop import CirculantConvolution
from meganet.multigrid import (
    galerkin_condition,
    galerkin_matrix,
    prolongate_classifier,
    prolongate_images,
    prolongate_kernels,
    prolongation,
    restrict_classifier,
    restrict_images,
    restrict_kernels,
    restriction,
)

INTERPOLATIONS = ["constant", "linear"]
EVEN = st.integers(1, 8).map(lambda n: 2 * n)


@settings(max_examples=30, deadline=None)
@given(EVEN, EVEN, st.sampled_from(INTERPOLATIONS))
def test_rows_sum_to_one_and_constants_survive(height, width, interpolation):
    r, p = restriction((height, width)), prolongation((height, width), interpolation)
    for matrix in (r, p):
        assert matrix.has_canonical_format
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
    if interpolation == "constant":
        np.testing.assert_array_equal(p.toarray(), 4 * r.T.toarray())
        np.testing.assert_allclose((r @ p).toarray(), np.eye(height * width // 4))


def test_linear_interpolation_is_exact_for_planes_inside():
    i, j = np.meshgrid(np.arange(6.0), np.arange(8.0), indexing="ij")
    fine = prolongate_images((2 * i + 3 * j)[None, None])[0, 0]
    fi, fj = np.meshgrid((np.arange(12) - 0.5) / 2, (np.arange(16) - 0.5) / 2, indexing="ij")
    np.testing.assert_allclose(fine[1:-1, 1:-1], (2 * fi + 3 * fj)[1:-1, 1:-1])


def test_images_keep_dtype_and_backend(backend, dtype, rng):
    x = backend.asarray(rng.standard_normal((3, 2, 4, 6)), dtype)
    coarse, fine = restrict_images(x), prolongate_images(x)
    assert (coarse.shape, coarse.dtype) == ((3, 2, 2, 3), dtype)
    assert (fine.shape, fine.dtype) == ((3, 2, 8, 12), dtype)
    host = backend.to_host(x)
    expected = host.reshape(3, 2, 2, 2, 3, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(backend.to_host(coarse), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("interpolation", "one"),
    [
        ("constant", np.array([[1, 0, 0], [1, 2, 1], [0, 0, 1]]) / 2),
        ("linear", np.array([[1, 1 / 4, 0], [1, 3 / 2, 1], [0, 1 / 4, 1]]) / 2),
    ],
)
def test_matrix_of_3x3_stencils(interpolation, one):
    np.testing.assert_allclose(galerkin_matrix((3, 3), interpolation), np.kron(one, one), atol=1e-15)
    assert galerkin_condition(3, interpolation) == pytest.approx(np.linalg.cond(one) ** 2)


def test_conditions():
    assert galerkin_condition(1, "constant") == 1
    assert galerkin_condition((5, 3), "linear") == pytest.approx(30.26 * 5.182, rel=1e-3)
    assert galerkin_condition(5, "linear") == pytest.approx(30.26**2, rel=1e-3)
    assert galerkin_condition(5, "constant") == float("inf")


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([(1, 1, "constant"), (3, 3, "constant"), (3, 3, "linear"), (1, 3, "constant"), (5, 3, "linear")]),
    st.integers(0, 10**6),
)
def test_restriction_of_the_prolongation_gives_the_weights_back(case, seed):
    k1, k2, interpolation = case
    kernels = np.random.default_rng(seed).standard_normal((4, 2, k1, k2))
    fine = prolongate_kernels(kernels, interpolation)
    np.testing.assert_allclose(restrict_kernels(fine, interpolation), kernels, rtol=0, atol=1e-12)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_galerkin_condition_holds_for_the_matrices(interpolation, rng):
    kernel, fine = rng.standard_normal((1, 1, 3, 3)), (12, 16)
    coarse_kernel = restrict_kernels(kernel, interpolation)
    product = restriction(fine) @ CirculantConvolution(kernel, fine).tosparse() @ prolongation(fine, interpolation)
    coarse = CirculantConvolution(coarse_kernel, (6, 8)).tosparse()
    inside = np.zeros((6, 8), dtype=bool)
    inside[2:-2, 2:-2] = True
    # with P = 4 R' it holds everywhere; linear interpolation copies at the edge, where the product differs
    rows = slice(None) if interpolation == "constant" else inside.ravel()
    np.testing.assert_allclose(product.toarray()[rows], coarse.toarray()[rows], atol=1e-14)


def test_kernels_keep_dtype_and_backend(backend, dtype, rng):
    kernels = backend.asarray(rng.standard_normal((3, 2, 3, 3)), dtype)
    for change in (restrict_kernels, prolongate_kernels):
        result = change(kernels)
        assert result.dtype == dtype and backend.owns(result) and result.shape == kernels.shape


@pytest.mark.parametrize(("scaling", "factor"), [("logits", 0.25), ("none", 1), ("thesis", 4)])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_classifier(scaling, factor, interpolation, backend, dtype, rng):
    w = backend.asarray(rng.standard_normal(3 * (2 * 4 * 6 + 1)), dtype)
    fine = prolongate_classifier(w, (2, 4, 6), interpolation=interpolation, scaling=scaling)
    assert fine.dtype == dtype and fine.shape == (3 * (2 * 8 * 12 + 1),)
    host_w, host_fine = backend.to_host(w), backend.to_host(fine)
    np.testing.assert_array_equal(host_fine[-3:], host_w[-3:])
    p = prolongation((8, 12), interpolation, backend="numpy").toarray()
    expected = factor * host_w[:-3].reshape(6, 24) @ p.T
    np.testing.assert_allclose(host_fine[:-3].reshape(6, 96), expected, rtol=1e-5, atol=1e-5)
    if interpolation == "constant":
        back = restrict_classifier(fine, (2, 8, 12), scaling=scaling)
        np.testing.assert_allclose(backend.to_host(back), host_w, rtol=1e-5, atol=1e-6)


def test_logits_scaling_keeps_the_logits_of_piecewise_constant_features(rng):
    features, w = rng.standard_normal((5, 2, 4, 6)), rng.standard_normal(3 * 49)
    coarse, fine = DenseLayer((2, 4, 6), 3), DenseLayer((2, 8, 12), 3)
    fine_w = prolongate_classifier(w, (2, 4, 6), interpolation="constant")
    result = fine.forward(fine_w, prolongate_images(features, "constant"))[0]
    np.testing.assert_allclose(result, coarse.forward(w, features)[0])
    # a linear P moves weight to the neighbours, whose sum stays inside: constant features keep their logits
    flat = np.ones((1, 2, 4, 6))
    inner = np.zeros(3 * 49)
    inner[: 3 * 48] = np.pad(w[: 3 * 48].reshape(3, 2, 4, 6)[..., 1:-1, 1:-1], ((0, 0), (0, 0), (1, 1), (1, 1))).ravel()
    fine_w = prolongate_classifier(inner, (2, 4, 6), interpolation="linear")
    result = fine.forward(fine_w, prolongate_images(flat, "constant"))[0]
    np.testing.assert_allclose(result, coarse.forward(inner, flat)[0])


def network(image, pool=False):
    layers = [ConvolutionLayer((1, *image), 3, bias=True)]
    if pool:
        layers.append(PoolingLayer(layers[-1].range_shape))
    return Chain([*layers, ConvolutionLayer(layers[-1].range_shape, 2)])


@pytest.mark.parametrize("pool", [False, True])
def test_network_there_and_back(pool, backend, dtype, rng):
    coarse = network((8, 12), pool)
    features = int(np.prod(coarse.range_shape))
    theta = backend.asarray(rng.standard_normal(coarse.parameters.size), dtype)
    w = backend.asarray(rng.standard_normal(4 * (features + 1)), dtype)
    fine = prolongate(coarse, theta, w, interpolation="constant")
    assert fine.network.domain_shape == (1, 16, 24) and fine.theta.dtype == fine.W.dtype == dtype
    views, before = fine.network.parameters.view(fine.theta), coarse.parameters.view(theta)
    np.testing.assert_array_equal(backend.to_host(views["0.bias"]), backend.to_host(before["0.bias"]))
    back = restrict(fine.network, fine.theta, fine.W, interpolation="constant")
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert back.network.domain_shape == coarse.domain_shape
    np.testing.assert_allclose(backend.to_host(back.theta), backend.to_host(theta), atol=tolerance)
    np.testing.assert_allclose(backend.to_host(back.W), backend.to_host(w), atol=tolerance)
    copied = prolongate(coarse, theta, w, kernels="copy")
    np.testing.assert_array_equal(backend.to_host(copied.theta), backend.to_host(theta))


def test_a_transferred_linear_network_answers_alike():
    """Galerkin stencils act on a prolongated image as the coarse ones do on the image, after restriction."""
    rng = np.random.default_rng(0)
    coarse = Chain([ConvolutionLayer((1, 10, 12), 2, activation="identity")])
    theta, w = rng.standard_normal(coarse.parameters.size), rng.standard_normal(3 * (2 * 120 + 1))
    x = rng.standard_normal((2, 1, 10, 12))
    fine = prolongate(coarse, theta, w, interpolation="constant")
    y = fine.network.forward(fine.theta, prolongate_images(x, "constant"))[0]
    np.testing.assert_allclose(restrict_images(y), coarse.forward(theta, x)[0], atol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: restriction((7, 8)), "fine_shape: expected even sizes, .*got 7x8"),
        (lambda: prolongation((4, 4), "cubic"), "interpolation: expected one of 'constant', 'linear', got 'cubic'"),
        (lambda: restrict_images(np.zeros((1, 1, 3, 4))), "images: expected even sizes"),
        (lambda: galerkin_matrix(1, "linear"), "kernel_shape: expected a stencil whose coarse version fits"),
        (lambda: galerkin_matrix(4), "kernel_shape: expected odd sizes"),
        (
            lambda: prolongate_kernels(np.zeros((1, 1, 5, 5)), "constant"),
            "kernels: expected stencils whose Galerkin matrix can be inverted with constant interpolation, got 5x5",
        ),
        (lambda: restrict_kernels(np.zeros((3, 3))), r"kernels: expected an array of shape \(O, I, k1, k2\)"),
        (lambda: prolongate_classifier(np.zeros(51), (2, 3, 4)), r"W: expected a vector of K \(24 \+ 1\) weights"),
        (lambda: prolongate_classifier(np.zeros(25), (2, 3, 4), scaling="4"), "scaling: expected one of"),
        (lambda: restrict(network((5, 6)), np.zeros(84), np.zeros(61)), "network's images: expected even sizes"),
        (lambda: prolongate(DenseLayer((6,), 2), np.zeros(14), np.zeros(3)), r"network: expected images \(C, H, W\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
