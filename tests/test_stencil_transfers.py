"""How stencils go between grids: what each transfer keeps, and the penalty on what they become."""

import numpy as np
import pytest

from meganet import Chain, ConvolutionLayer, Model, PoolingLayer, prolongate, restrict
from meganet.ground.validate import InputError
from meganet.layers import AffineLayer, BiasLayer
from meganet.linop import CirculantConvolution, DepthwiseConvolution, Matrix
from meganet.multigrid import (
    Copied,
    DampedGalerkin,
    Enlarged,
    Galerkin,
    Rediscretised,
    StencilTransfer,
    TruncatedGalerkin,
    galerkin_matrix,
    prolongate_images,
    prolongate_kernels,
    prolongation,
    prolongation_penalty,
    restrict_images,
    restrict_kernels,
    restriction,
    weights_prolongation,
    weights_restriction,
)
from meganet.networks import DoubleLayer, Hamiltonian, Leapfrog, Reparametrised, ResidualNetwork, SymmetricLayer
from meganet.stencils import derivative_basis, from_derivatives, to_derivatives

INTERPOLATIONS = ["constant", "linear"]
ALL = [Copied(), Galerkin(), DampedGalerkin(damping=0.1), TruncatedGalerkin(cutoff=0.3), Rediscretised(), Enlarged()]


def stencil(*shape):
    """A convolution of images of 8x12 pixels."""
    return CirculantConvolution(np.zeros(shape), (8, 12))


def inside(images, cells):
    return images[..., cells:-cells, cells:-cells]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_enlarged_stencils_do_on_prolonged_images_what_the_coarse_ones_do(interpolation, rng):
    images = rng.standard_normal((2, 3, 8, 12))
    coarse, deeper = ConvolutionLayer((3, 8, 12), 4, activation="identity"), Enlarged()
    theta, w = rng.standard_normal(108), np.zeros(4 * 96 + 1)
    fine = prolongate(coarse, theta, w, kernels=deeper)
    assert fine.network.kernel_shape == (5, 5) and fine.theta.shape == (300,)
    result = fine.network(fine.theta, prolongate_images(images, interpolation))
    expected = prolongate_images(coarse(theta, images), interpolation)
    if interpolation == "constant":
        np.testing.assert_allclose(result, expected, atol=1e-13)
    else:
        np.testing.assert_allclose(inside(result, 4), inside(expected, 4), atol=1e-13)
        assert abs(result - expected).max() > 0.1, "at the edge P copies, and no stencil can follow"
    finest = prolongate(*fine, kernels=deeper)
    assert finest.network.kernel_shape == (9, 9)
    twice = finest.network(finest.theta, prolongate_images(prolongate_images(images, "constant"), "constant"))
    expected = prolongate_images(prolongate_images(coarse(theta, images), "constant"), "constant")
    np.testing.assert_allclose(twice, expected, atol=1e-13)
    # back again, and the coarse stencil of any other one is R K P
    back = restrict(*finest, kernels=deeper)
    np.testing.assert_allclose(back.theta, fine.theta, atol=1e-14)
    np.testing.assert_allclose(restrict(*back, kernels=deeper).theta, theta, atol=1e-14)
    any_theta = rng.standard_normal(300)
    smaller = restrict(fine.network, any_theta, fine.W, kernels=deeper)
    result = restrict_images(fine.network(any_theta, prolongate_images(images, "constant")))
    np.testing.assert_allclose(smaller.network(smaller.theta, images), result, atol=1e-13)


def test_a_whole_model_keeps_its_outputs_with_enlarged_stencils(rng):
    network = Chain([ConvolutionLayer((1, 8, 8), 3, bias=True), ConvolutionLayer(..., 2, activation="tanh")])
    theta, w = rng.standard_normal(network.parameters.size), rng.standard_normal(4 * 129)
    coarse = Model(network, 4, theta=theta, W=w)
    fine = coarse.prolongate(kernels=Enlarged(), interpolation="constant")
    images = rng.standard_normal((5, 1, 8, 8))
    expected = coarse.classifier(w, network(theta, images))
    result = fine.classifier(fine.W, fine.network(fine.theta, prolongate_images(images, "constant")))
    np.testing.assert_allclose(result, expected, atol=1e-12)
    back = fine.restrict(kernels=Enlarged())
    np.testing.assert_allclose(back.theta, theta, atol=1e-14)
    np.testing.assert_allclose(back.W, w, atol=1e-14)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("axes", [None, -1])
def test_galerkin_s_stencils_make_the_coarse_operator(interpolation, axes, rng):
    fine, transfer = (12, 16), Galerkin(interpolation)
    kernel = rng.standard_normal((1, 1, 3, 3))
    for theta in (kernel, (transfer.finer(3, axes) @ kernel.ravel()).reshape(kernel.shape)):
        r, p = restriction(fine, axes=axes), prolongation(fine, interpolation, axes=axes)
        product = (r @ CirculantConvolution(theta, fine).tosparse() @ p).toarray()
        coarse = (6 if axes is None else 12, 8)
        found = (transfer.coarser(3, axes) @ theta.ravel()).reshape(kernel.shape)
        matrix, kept = CirculantConvolution(found, coarse).tosparse().toarray(), np.zeros(coarse, dtype=bool)
        inside(kept, 2)[...] = True
        rows = slice(None) if interpolation == "constant" else kept.ravel()
        np.testing.assert_allclose(product[rows], matrix[rows], atol=1e-13)
    np.testing.assert_allclose(found, kernel, atol=1e-12)


def test_the_names_are_transfers(rng):
    network = Chain([ConvolutionLayer((1, 8, 8), 3, bias=True)])
    x = rng.standard_normal(30), rng.standard_normal(2 * (3 * 64 + 1))
    for transfer in (prolongate, restrict):
        for interpolation in INTERPOLATIONS:
            named = transfer(network, *x, interpolation=interpolation)
            given = transfer(network, *x, interpolation=interpolation, kernels=Galerkin(interpolation))
            np.testing.assert_array_equal(named.theta, given.theta)
            np.testing.assert_array_equal(named.W, given.W)
        np.testing.assert_array_equal(transfer(network, *x, kernels="copy").theta, x[0])
        np.testing.assert_array_equal(transfer(network, *x, kernels=Copied()).theta, x[0])
    kernels = rng.standard_normal((4, 2, 3, 3))
    flat = kernels.reshape(8, 9)
    for interpolation in INTERPOLATIONS:
        transfer = Galerkin(interpolation)
        expected = prolongate_kernels(kernels, interpolation).reshape(8, 9)
        np.testing.assert_allclose(flat @ transfer.finer(3).T, expected, atol=1e-12)
        np.testing.assert_allclose(
            flat @ transfer.coarser(3).T, restrict_kernels(kernels, interpolation).reshape(8, 9), atol=1e-14
        )


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_damped_stencils_minimise_what_they_say_and_lie_between(interpolation, rng):
    a, s, damping = galerkin_matrix(3, interpolation), rng.standard_normal(9), 0.05
    t = DampedGalerkin(interpolation, damping).finer(3) @ s

    def value(t):
        return ((a @ t - s) ** 2).sum() + damping * ((t - s) ** 2).sum()

    for _ in range(20):
        assert value(t + 1e-3 * rng.standard_normal(9)) > value(t)
    near, far = (DampedGalerkin(interpolation, damping).finer(3) for damping in (1e-12, 1e12))
    np.testing.assert_allclose(near, Galerkin(interpolation).finer(3), atol=1e-6)
    np.testing.assert_allclose(far, np.eye(9), atol=1e-6)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_truncated_stencils_agree_with_galerkin_s_where_a_is_not_small(interpolation, rng):
    values = np.linalg.svd(galerkin_matrix(3, interpolation), compute_uv=False)
    kept = int((values >= 0.9 * values[4]).sum())
    cutoff = 0.9 * values[4]
    matrix, a = TruncatedGalerkin(interpolation, cutoff).finer(3), galerkin_matrix(3, interpolation)
    assert np.linalg.matrix_rank(matrix) == kept < 9
    np.testing.assert_allclose(np.linalg.norm(matrix, 2), 1 / values[kept - 1])
    projection = a @ matrix
    np.testing.assert_allclose(projection @ projection, projection, atol=1e-12)
    everything = TruncatedGalerkin(interpolation, 0).finer(3)
    np.testing.assert_allclose(everything, Galerkin(interpolation).finer(3), atol=1e-12)
    # also where A cannot be inverted, of which the rest is left out
    assert np.linalg.matrix_rank(TruncatedGalerkin("constant", 0).finer(5)) == 9


def test_rediscretised_stencils_are_the_same_differential_operators(rng):
    kernels = rng.standard_normal((4, 2, 3, 3))
    for h in (1.0, 0.3):
        expected = from_derivatives(to_derivatives(kernels, h), h / 2)
        result = (kernels.reshape(-1, 9) @ Rediscretised().finer(3).T).reshape(kernels.shape)
        np.testing.assert_allclose(result, expected, atol=1e-12)
        expected = from_derivatives(to_derivatives(kernels, (h, h)), (h, h / 2))
        result = (kernels.reshape(-1, 9) @ Rediscretised().finer(3, axes=-1).T).reshape(kernels.shape)
        np.testing.assert_allclose(result, expected, atol=1e-12)
    for shape in ((3, 3), (5, 5), (1, 3), (3, 5)):
        transfer = Rediscretised()
        np.testing.assert_allclose(transfer.coarser(shape) @ transfer.finer(shape), np.eye(np.prod(shape)), atol=1e-11)


@pytest.mark.parametrize("transfer", ALL, ids=lambda transfer: type(transfer).__name__)
def test_constant_images_keep_their_results_with_every_transfer(transfer):
    """A stencil's sum is that of the operator on a constant, which every transfer keeps but one that cuts it off."""
    for axes in (None, -1):
        shape = transfer.finer_shape((3, 3), axes)
        sums = transfer.finer((3, 3), axes).sum(axis=0)
        if not isinstance(transfer, (TruncatedGalerkin, DampedGalerkin)):
            np.testing.assert_allclose(sums, 1, atol=1e-12)
        assert transfer.finer((3, 3), axes).shape == (np.prod(shape), 9)
        assert transfer.coarser(shape, axes).shape == (np.prod(transfer.coarser_shape(shape, axes)), np.prod(shape))


CONVOLUTIONS = {
    "chain": lambda: Chain([ConvolutionLayer((1, 8, 12), 3, bias=True), Chain([ConvolutionLayer((3, 8, 12), 2)])]),
    "affine": lambda: AffineLayer(stencil(3, 2, 3, 3), bias=True, activation="tanh"),
    "depthwise": lambda: AffineLayer(DepthwiseConvolution(np.zeros((2, 3, 3)), (8, 12))),
    "double": lambda: DoubleLayer(stencil(3, 2, 3, 3), stencil(2, 3, 3, 3), bias1=True, bias_out=True),
    "symmetric": lambda: SymmetricLayer(stencil(3, 2, 3, 3), bias_in=True, normalisation2=BiasLayer((2, 8, 12))),
    "residual": lambda: ResidualNetwork(SymmetricLayer(stencil(2, 2, 3, 3)), 3, 0.3),
    "in time": lambda: Leapfrog(SymmetricLayer(stencil(2, 2, 3, 3)), 3, 0.3, coefficients=np.ones((2, 3))),
    "hamiltonian": lambda: Hamiltonian(stencil(2, 2, 3, 3), 3, 0.4, bias=True),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_kind_of_network_takes_larger_stencils(name, rng):
    network = CONVOLUTIONS[name]()
    theta, images = (
        0.3 * rng.standard_normal(network.parameters.size),
        rng.standard_normal((2, network.domain_shape[0], 8, 12)),
    )
    w = rng.standard_normal(2 * (np.prod(network.range_shape) + 1))
    fine = prolongate(network, theta, w, kernels=Enlarged())
    assert type(fine.network) is type(network) and fine.theta.size == fine.network.parameters.size > theta.size
    result = fine.network(fine.theta, prolongate_images(images, "constant"))
    np.testing.assert_allclose(result, prolongate_images(network(theta, images), "constant"), atol=1e-12)
    back = restrict(*fine, kernels=Enlarged())
    assert back.network.parameters == network.parameters
    np.testing.assert_allclose(back.theta, theta, atol=1e-13)
    p = weights_prolongation(network, 2, kernels=Enlarged())
    np.testing.assert_allclose(p @ np.concatenate([theta, w]), np.concatenate([fine.theta, fine.W]), atol=1e-13)
    assert weights_restriction(fine.network, 2, kernels=Enlarged()).shape == p.shape[::-1]


def test_a_network_without_stencils_is_as_it_is():
    class Own(PoolingLayer):
        def __init__(self, shape, unknown=None):
            super().__init__(shape)

        def resized(self, domain_shape):
            return Own(domain_shape)

    network = Chain([Own((1, 8, 8))])
    assert type(prolongate(network, np.zeros(0), np.zeros(17), kernels=Enlarged()).network.layers[0]) is Own


PENALISED = {
    **CONVOLUTIONS,
    "basis": lambda: Reparametrised(ConvolutionLayer((1, 8, 12), 3), derivative_basis((3, 1, 3, 3))),
}


@pytest.mark.parametrize("name", PENALISED)
@pytest.mark.parametrize(
    "transfer", [Galerkin("constant"), Enlarged(), DampedGalerkin()], ids=lambda t: type(t).__name__
)
def test_the_penalty_is_the_norm_of_the_stencils_on_finer_grids(name, transfer, rng):
    network = PENALISED[name]()
    if name == "basis" and transfer == Enlarged():
        with pytest.raises(InputError, match="network: basis: expected an operator from a vector to 75 weights"):
            prolongation_penalty(network, 0.3, kernels=transfer)
        return
    theta = rng.standard_normal(network.parameters.size)
    penalty = prolongation_penalty(network, 0.3, kernels=transfer, levels=2)
    views = {"kernel": network.weights(theta)} if name == "basis" else network.parameters.view(theta)
    stencils = [views[p.name].reshape(-1, 9) for p in network.parameters if p.role == "stencil"]
    stencils = stencils or [views["kernel"].reshape(-1, 9)]
    if name == "in time":
        assert len(stencils) == 2, "coefficients count as stencils do"
    first = transfer.finer_shape(3)
    expected = sum(((s @ transfer.finer(3).T @ transfer.finer(first).T) ** 2).sum() for s in stencils)
    assert float(penalty.value(theta)) == pytest.approx(0.15 * expected)


def test_the_penalty_leaves_out_what_is_no_stencil(backend, dtype, rng):
    layers = [ConvolutionLayer((1, 4, 4), 2, bias=True), BiasLayer((2, 4, 4))]
    penalty = prolongation_penalty(Chain(layers), 2.0)
    theta = rng.standard_normal(22)
    value, gradient = penalty.value_and_gradient(backend.asarray(theta, dtype))
    inverse = np.linalg.inv(galerkin_matrix(3))
    kernels = theta[:18].reshape(2, 9) @ inverse.T
    assert float(backend.to_host(value)) == pytest.approx((kernels**2).sum(), rel=1e-5)
    expected = np.concatenate([2 * (kernels @ inverse).ravel(), np.zeros(4)])
    assert gradient.dtype == dtype
    np.testing.assert_allclose(backend.to_host(gradient), expected, rtol=1e-5, atol=1e-4)


class Wrong(StencilTransfer):
    def finer(self, kernel_shape, axes=None):
        return np.ones((4, 4))

    coarser = finer


NETWORK, THETA, W = ConvolutionLayer((1, 8, 8), 1), np.ones(9), np.ones(65)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: prolongate(NETWORK, THETA, W, kernels="mean"),
            "kernels: expected one of 'copy', 'galerkin', got 'mean'",
        ),
        (
            lambda: prolongate(NETWORK, THETA, W, kernels=3),
            "kernels: expected 'galerkin', 'copy' or a StencilTransfer, got 3",
        ),
        (lambda: prolongate(NETWORK, THETA, W, kernels=Wrong()), r"kernels: expected matrices of shape \(9, 9\) for"),
        (
            lambda: restrict(NETWORK, THETA, W, kernels=Enlarged()),
            "network: kernel_shape: expected 1, 5, 9, ... points",
        ),
        (lambda: Galerkin("constant").finer(5), "kernels: expected stencils whose Galerkin matrix can be inverted"),
        (lambda: Galerkin("cubic"), "interpolation: expected one of"),
        (lambda: DampedGalerkin(damping=0), "damping: expected a finite number above 0, got 0"),
        (lambda: TruncatedGalerkin(cutoff=-1), "cutoff: expected a finite number of at least 0"),
        (lambda: Rediscretised().finer(7), "kernel_shape: expected stencils of 1, 3 or 5 points"),
        (lambda: prolongation_penalty(PoolingLayer((1, 8, 8)), 1.0), "network: expected one with weights"),
        (lambda: prolongation_penalty(NETWORK, 1.0, levels=0), "levels: expected an integer of at least 1"),
        (
            lambda: prolongate(Reparametrised(NETWORK, Matrix(np.eye(9))), THETA, W, kernels=Enlarged()),
            "network: basis: expected an operator from a vector to 25 weights",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
