"""Networks for videos between grids in time and space, and training over them."""

import numpy as np
import pytest

import meganet as mn
from meganet.ground.validate import InputError
from meganet.layers import ConvolutionLayer, DenseLayer, PoolingLayer, he_normal
from meganet.linop import CirculantConvolution
from meganet.multigrid import (
    Copied,
    DampedGalerkin,
    Enlarged,
    Galerkin,
    Rediscretised,
    galerkin_matrix,
    prolongate_images,
    prolongation_penalty,
    restrict_images,
    weights_prolongation,
)
from meganet.multilevel import Transfer, cycle, in_video, long_cycle, nested, train
from meganet.networks import Chain, Hamiltonian, ResidualNetwork, SymmetricLayer

AXES = [(-3,), (-2, -1), (-3, -2, -1)]
SHAPES = [(4, 4, 4), (8, 4, 4), (8, 8, 8), (16, 8, 8)]


def network(frames=4, size=4, kernels=((1, 3, 3), (3, 1, 1))):
    return Chain(
        [ConvolutionLayer((1, frames, size, size), 3, kernels[0]), *(ConvolutionLayer(..., 3, k) for k in kernels[1:])]
    )


def weights(net, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    return he_normal(net, rng), rng.standard_normal(DenseLayer(net.range_shape, classes).parameters.size)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("transfer", [Copied(), Galerkin("constant"), DampedGalerkin("constant"), Rediscretised()])
def test_a_network_goes_to_finer_videos_and_back(axes, transfer):
    net = network()
    theta, w = weights(net)
    fine = mn.prolongate(net, theta, w, kernels=transfer, interpolation="constant", axes=axes)
    assert fine.network.domain_shape == (1, *(2 * n if k - 3 in axes else n for k, n in enumerate((4, 4, 4))))
    in_space, in_time = (fine.theta[:27].reshape(3, -1), fine.theta[27:].reshape(9, -1))
    np.testing.assert_allclose(in_space, theta[:27].reshape(3, -1) @ transfer.finer((1, 3, 3), axes).T)
    np.testing.assert_allclose(in_time, theta[27:].reshape(9, -1) @ transfer.finer((3, 1, 1), axes).T)
    operator = weights_prolongation(net, 2, kernels=transfer, interpolation="constant", axes=axes)
    np.testing.assert_allclose(operator @ np.concatenate([theta, w]), np.concatenate([fine.theta, fine.W]))
    back = mn.restrict(*fine, kernels=transfer, interpolation="constant", axes=axes)
    np.testing.assert_allclose(back.W, w, atol=1e-13)
    if not isinstance(transfer, DampedGalerkin):
        np.testing.assert_allclose(back.theta, theta, atol=1e-12)


@pytest.mark.parametrize("axes", AXES)
def test_enlarged_stencils_compute_the_same_on_prolongated_videos(axes):
    net = network(8, 8)
    theta, w = weights(net)
    fine = mn.prolongate(net, theta, w, kernels=Enlarged(), interpolation="constant", axes=axes)
    assert [layer.kernel_shape for layer in fine.network.layers] == [
        tuple(2 * k - 1 if n - 3 in axes else k for n, k in enumerate(shape)) for shape in ((1, 3, 3), (3, 1, 1))
    ]
    x = np.random.default_rng(1).standard_normal((2, 1, 8, 8, 8))
    coarse = prolongate_images(net(theta, x), "constant", axes=axes)
    result = fine.network(fine.theta, prolongate_images(x, "constant", axes=axes))
    np.testing.assert_allclose(result, coarse, atol=1e-12)
    logits = DenseLayer(net.range_shape, 2)(w, net(theta, x)), DenseLayer(fine.network.range_shape, 2)(fine.W, result)
    np.testing.assert_allclose(*logits, atol=1e-11)


def test_networks_made_of_operators_change_all_of_their_stencils():
    kernel = np.zeros((2, 2, 3, 3, 3))
    step = SymmetricLayer(CirculantConvolution(kernel, (4, 6, 6)))
    net = Chain([ResidualNetwork(step, 2, 0.3), Hamiltonian(CirculantConvolution(kernel, (4, 6, 6)), 2, 0.3)])
    theta, w = weights(net)
    axes = (-3, -2, -1)
    fine = mn.prolongate(net, theta, w, axes=axes)
    matrix = galerkin_matrix((3, 3, 3))
    np.testing.assert_allclose(fine.theta.reshape(-1, 27) @ matrix.T, theta.reshape(-1, 27), atol=1e-11)
    penalty = prolongation_penalty(net, 2.0, axes=axes)
    assert float(penalty.value(theta)) == pytest.approx(float((fine.theta**2).sum()))


def test_a_hierarchy_in_time_and_space():
    hierarchy = in_video(network(), 2, SHAPES)
    assert [level.name for level in hierarchy] == ["4x4x4", "8x4x4", "8x8x8", "16x8x8"]
    videos = np.random.default_rng(0).standard_normal((3, 1, 16, 8, 8))
    for number, shape in enumerate(SHAPES):
        assert hierarchy.images(number, videos).shape == (3, 1, *shape)
    halved = restrict_images(restrict_images(videos, axes=-3), axes=(-2, -1))
    np.testing.assert_allclose(hierarchy.images(1, videos), halved, atol=1e-15)
    x = hierarchy[0].initial(np.random.default_rng(0), "float64")
    up = hierarchy.carry(x, 0, 3)
    assert up.shape == (hierarchy[3].unknowns,)
    np.testing.assert_array_equal(up[:54], x[:54])
    # a kernel that does not feel the change, and logits that do not either
    np.testing.assert_allclose(hierarchy.carry(up, 3, 0)[54:], x[54:], atol=1e-13)
    jump = in_video(network(), 2, [SHAPES[0], SHAPES[3]], Transfer(up="galerkin"))
    step = in_video(network(), 2, [SHAPES[0], (8, 8, 8), SHAPES[3]], Transfer(up="galerkin"))
    np.testing.assert_allclose(jump.carry(x, 0, 1), step.carry(x, 0, 2), atol=1e-12)


def moving(count, frames=16, size=8, seed=0):
    """Dots that move to the left or to the right."""
    rng = np.random.default_rng(seed)
    labels, (start, row) = rng.integers(2, size=count), rng.integers(size, size=(2, count))
    t, columns = np.arange(frames)[:, None], np.arange(size)
    distance = (columns - start[:, None, None] - t * (2 * labels - 1)[:, None, None] + size / 2) % size - size / 2
    rows = np.exp(-(((columns - row[:, None] + size / 2) % size - size / 2) ** 2) / 2)
    return np.einsum("nh,ntw->nthw", rows, np.exp(-(distance**2) / 2))[:, None].astype(np.float32), labels


@pytest.mark.parametrize("how", ["long cycle", "short cycle"])
def test_training_over_the_levels(how):
    (images, labels), held_out = moving(192), moving(64, seed=1)
    net = Chain([*network(16, 8).layers, PoolingLayer((3, 16, 8, 8), (4, 4, 4))])
    hierarchy = in_video(net, 2, SHAPES)
    settings = {"rule": mn.Adam(), "learning_rate": 0.02}
    schedule = long_cycle(hierarchy, epochs=(8, 4, 2, 4), batch_size=8, **settings)
    assert [phase.batch_size for phase in schedule] == [128, 64, 16, 8]
    if how == "short cycle":
        schedule = nested(1, epochs=4, **settings) + cycle((-1,), epochs=3, batch_size=16, **settings)
        schedule = type(schedule)((*schedule.phases, *mn.multilevel.joint((1, 3), 3, batch_size=16, **settings).phases))
    state = train(hierarchy, images, labels, schedule, validation=held_out, seed=0)
    rows = list(state.history)
    assert rows[-1]["validation_accuracy"] > 0.9
    assert np.isfinite([row["loss"] for row in rows]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: in_video(ConvolutionLayer((1, 8, 8), 3), 2, SHAPES), r"network: expected videos \(C, T, H, W\)"),
        (lambda: in_video(network(), 2, [(4, 4)]), r"shapes\[0\]: expected a tuple of 3 positive integers"),
        (
            lambda: in_video(network(), 2, [(4, 4, 4), (4, 4, 4)]),
            "shapes: expected .* doubled, .* got 4x4x4 before 4x4x4",
        ),
        (lambda: in_video(network(), 2, [(4, 8, 8), (8, 4, 4)]), "shapes: expected .* got 4x8x8 before 8x4x4"),
        (lambda: in_video(network(), 2, [(2, 4, 4), (6, 4, 4)]), "shapes: expected .* got 2x4x4 before 6x4x4"),
        (lambda: in_video(network(), 2, []), "shapes: expected one or more shapes"),
        (
            lambda: mn.prolongate(network(), np.zeros(54), np.zeros(386), axes=-3),
            "kernel_shape: expected a stencil whose coarse version fits .* linear interpolation, got 1x3x3",
        ),
    ],
)
def test_messages(wrong, message):
    with pytest.raises(InputError, match=message):
        wrong()
