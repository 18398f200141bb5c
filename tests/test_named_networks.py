"""Every network that has a name: derivatives, grids, time steps, files, and the experiment."""

import numpy as np
import pytest
from tiny import TINY, execute, quadrants

from meganet import DenseLayer, InputError, Model, Objective, SoftmaxCrossEntropy, he_normal, load, prolongate, restrict
from meganet.experiments import build_network
from meganet.experiments.models import denoiser, time_steps
from meganet.losses import MeanSquares
from meganet.model.outputs import Images, head_of
from meganet.multigrid import prolongate_images
from meganet.networks.work import step_flop

NAMES = list(time_steps.NETWORKS)
EVERY = [*NAMES, *denoiser.NETWORKS]


@pytest.mark.parametrize("shape", [(1, 8, 12), (3, 8, 8), (1, 1, 16)])
@pytest.mark.parametrize("name", EVERY)
def test_derivatives(name, shape, rng):
    network = build_network(name, shape)
    theta, dtheta = he_normal(network, rng), rng.standard_normal(network.parameters.size)
    x, dx = (rng.standard_normal((2, *shape)) for _ in range(2))
    y, tape = network.forward(theta, x)
    slope = network.jvp(dtheta, dx, tape)
    # so short a step that hardly a pixel passes the kink of its ReLU
    h = 1e-8
    difference = (network(theta + h * dtheta, x + h * dx) - network(theta - h * dtheta, x - h * dx)) / (2 * h)
    np.testing.assert_allclose(slope, difference, atol=1e-4 * abs(slope).max())
    dy = rng.standard_normal(y.shape)
    in_theta, in_x = network.vjp(dy, tape)
    expected = in_theta @ dtheta + (in_x * dx).sum()
    scale = np.linalg.norm(in_theta) * np.linalg.norm(dtheta) + np.linalg.norm(in_x) * np.linalg.norm(dx)
    assert abs((dy * slope).sum() - expected) < 1e-12 * scale


@pytest.mark.parametrize("kernels", ["galerkin", "copy"])
@pytest.mark.parametrize("name", EVERY)
def test_there_and_back_in_space(name, kernels, rng):
    coarse = build_network(name, (1, 8, 12))
    theta = he_normal(coarse, rng)
    w = np.zeros(0) if name == "denoiser" else he_normal(DenseLayer(coarse.range_shape, 3), rng)
    fine = prolongate(coarse, theta, w, kernels=kernels, interpolation="constant")
    assert fine.network.domain_shape == (1, 16, 24)
    assert repr(fine.network) == repr(build_network(name, (1, 16, 24)))
    back = restrict(*fine, kernels=kernels, interpolation="constant")
    np.testing.assert_allclose(back.theta, theta, atol=1e-10)
    np.testing.assert_allclose(back.W, w, atol=1e-12)
    assert back.network.range_shape == coarse.range_shape
    if name in ("resnet", "hamiltonian", "leapfrog"):
        np.testing.assert_array_equal(fine.W, w)


@pytest.mark.parametrize("name", EVERY)
def test_refined_in_time_it_takes_twice_the_steps(name, rng):
    network = build_network(name, (1, 8, 8))
    theta, x = he_normal(network, rng), rng.standard_normal((3, 1, 8, 8))
    finer, refined = network.refined_in_time(theta)
    assert finer.range_shape == network.range_shape and refined.size == finer.parameters.size > theta.size
    assert step_flop(finer, 4) > 1.5 * step_flop(network, 4)
    assert np.isfinite(finer(refined, x)).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_trained_and_stored(name, tmp_path):
    data = quadrants(size=8)
    x, labels = data.images / 255, data.labels
    model = Model(build_network(name, (1, 8, 8)), classes=4).fit(x, labels, epochs=4, learning_rate=0.01, batch_size=10)
    losses = model.history.column("loss")
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    model.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(load(tmp_path / "net.npz").predict_proba(x), model.predict_proba(x))
    fine = model.prolongate().fit(prolongate_images(x), labels, epochs=1, learning_rate=0.01, batch_size=10)
    assert np.isfinite(fine.history.column("loss")).all()


@pytest.mark.parametrize("name", ["resnet", "hamiltonian", "leapfrog-flat"])
def test_the_experiment_takes_it(name, tmp_path):
    setup = TINY.changed(network=name, grids=(8, 16), trials=1)
    case = execute(tmp_path / "net", setup, quadrants(size=16), ("in-turn",))
    assert case.missing(0) == [] and all(np.isfinite(h[-1]["loss"]) for (h,) in case.histories().values())


def test_what_steps_cost_is_counted_with_every_use_of_a_weight():
    shape, pixels = (1, 8, 8), 64
    one = step_flop(build_network("resnet", shape), 4) / 3
    # the first layer's weights need two products, and biases count as weights
    convolutions = 16 * 9 + 16 * 16 * 9 * 4
    coarse = (16 * 32 * 9 + 32 * 32 * 9 * 4 + 32 * 64 * 9) / 4
    assert 0.95 < 2 * pixels * (convolutions + coarse) / one < 1.05
    assert step_flop(build_network("leapfrog", shape), 4) > 1.6 * step_flop(build_network("resnet", shape), 4)


def noisy_waves(rng, size, count=32):
    """Smooth periodic images, and the same with noise."""
    t = 2 * np.pi * (np.arange(size) + 0.5) / size
    phase, tilt = rng.uniform(0, 2 * np.pi, (2, count, 1, 1, 1))
    clean = np.sin(t[:, None] + phase) * np.cos(t[None, :] + tilt)
    return clean + 0.5 * rng.standard_normal(clean.shape), clean


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_the_denoiser_is_trained_on_two_grids(suffix, tmp_path, rng):
    noisy, clean = noisy_waves(rng, 8)
    model = Model(build_network("denoiser", (1, 8, 8)), outputs="image")
    model.fit(noisy, clean, validation=noisy_waves(rng, 8), epochs=30, learning_rate=0.5, batch_size=8)
    losses = model.history.column("validation_loss")
    assert losses[-1] < 0.6 * losses[0] and np.isnan(model.history.column("accuracy")).all()
    found = model.predict(noisy)
    assert found.shape == clean.shape and model.W.size == 0
    assert np.mean((found - clean) ** 2) < 0.5 * np.mean((noisy - clean) ** 2)
    np.testing.assert_allclose(model.score(noisy, clean), 1 - np.mean((found - clean) ** 2) / clean.var())
    model.save(tmp_path / f"net{suffix}")
    again = load(tmp_path / f"net{suffix}")
    np.testing.assert_array_equal(again.predict(noisy), found)
    assert "1x8x8 image" in repr(again) and isinstance(again.loss, MeanSquares)
    fine, (noisy, clean) = again.prolongate(kernels="copy"), noisy_waves(rng, 16)
    assert np.mean((fine.predict(noisy) - clean) ** 2) < 0.7 * np.mean((noisy - clean) ** 2)
    assert np.isfinite(fine.fit(noisy[:, 0], clean[:, 0], epochs=1).history.column("loss")).all()
    assert fine.restrict().network.domain_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "targets", "message"),
    [
        ({"outputs": "image"}, np.zeros((2, 1, 8, 9)), r"labels: expected an array of shape \(2, 1, 8, 8\)"),
        ({"outputs": "image"}, np.zeros((2, 1, 8, 8), np.uint8), "labels: expected .*float64, got .*uint8"),
        ({"outputs": "image"}, None, "labels: expected an array"),
        ({"outputs": "picture"}, None, "outputs: expected .*got .*picture"),
        ({"outputs": "image", "loss": SoftmaxCrossEntropy()}, None, "loss: expected one of a regression"),
        ({"outputs": "image", "classes": 3}, None, "outputs: expected none with classes"),
    ],
)
def test_wrong_images(arguments, targets, message):
    with pytest.raises(InputError, match=message):
        Model(build_network("denoiser", (1, 8, 8)), **arguments).fit(np.zeros((2, 1, 8, 8)), targets)


def test_vectors_are_no_images():
    with pytest.raises(InputError, match=r"layers: expected a network whose result is an image \(C, H, W\), got"):
        Model(DenseLayer((1, 4, 4), 3), outputs="image")


def test_there_is_no_classifier_to_train_alone(rng):
    network = build_network("denoiser", (1, 8, 8))
    head = head_of(Images(network.range_shape), network.range_shape, network.backend)
    fun = Objective(network, head, np.zeros((2, 1, 8, 8)), np.zeros((2, 64)), loss=MeanSquares())
    with pytest.raises(InputError, match="classifier: expected one with weights, to be trained alone"):
        fun.of_classifier(he_normal(network, rng))
