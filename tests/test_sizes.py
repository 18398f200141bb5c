"""Images of any sizes, and hierarchies of them."""

import numpy as np
import pytest

import meganet as mn
from meganet.multigrid import prolongation, resample_images, resampling, restriction
from meganet.multilevel import growing, in_sizes, train


@pytest.mark.parametrize("shape", [(8, 8), (4, 6), (1, 8)])
def test_halves_and_doubles_are_those_of_multigrid(shape):
    half = tuple(max(n // 2, 1) for n in shape)
    assert abs(resampling(shape, half) - restriction(shape)).max() < 1e-15
    for interpolation in ("linear", "constant"):
        assert abs(resampling(half, shape, interpolation) - prolongation(shape, interpolation)).max() < 1e-15


@pytest.mark.parametrize(
    ("old", "new"), [((28, 28), (18, 20)), ((18, 20), (28, 28)), ((5, 7), (7, 5)), ((3, 3), (3, 3))]
)
def test_means_and_constants_are_kept(old, new, rng):
    images = rng.standard_normal((2, 3, *old))
    found = resample_images(images, new)
    assert found.shape == (2, 3, *new) and np.allclose(resampling(old, new).sum(axis=1), 1)
    if new[0] <= old[0] and new[1] <= old[1]:
        assert np.allclose(found.mean(axis=(2, 3)), images.mean(axis=(2, 3)))
    assert resample_images(images.astype(np.float32), new).dtype == np.float32


def test_levels_have_the_same_stencils_and_logits(rng):
    net = mn.Chain([mn.ConvolutionLayer((1, 28, 28), 2), mn.PoolingLayer(...)])
    hierarchy = in_sizes(net, classes=3, sizes=(14, 20, 28))
    x = hierarchy[0].initial(rng, np.float64)
    for level in (0, 1):
        mn.checks.check_adjoint(hierarchy.prolongation(level))
        mn.checks.check_adjoint(hierarchy.sharing(level + 1))
    fine = hierarchy.carry(x, 0, 2)
    assert np.array_equal(fine[:18], x[:18])
    features = rng.standard_normal((1, *hierarchy[2].network.range_shape))
    logits = hierarchy[2].classifier(fine[18:], features)
    seen = resample_images(resample_images(features, (10, 10)), (7, 7))
    assert np.allclose(hierarchy[0].classifier(x[18:], seen), logits)
    back = hierarchy.carry(fine, 2, 0)
    constant = rng.standard_normal((1, 2, 1, 1)) * np.ones((1, 2, 7, 7))
    assert np.allclose(*(hierarchy[0].classifier(weights[18:], constant) for weights in (x, back)))
    same = np.ones((1, 1, 28, 28))
    assert hierarchy.images(2, same) is same


def test_progressive_resizing(rng):
    labels = np.arange(48) % 2
    images = rng.standard_normal((48, 1, 16, 16)) + labels[:, None, None, None]
    hierarchy = in_sizes(mn.ConvolutionLayer((1, 16, 16), 2), classes=2, sizes=(8, 12, 16))
    state = train(hierarchy, images, labels, growing(hierarchy, 20, batch_size=8, learning_rate=0.05))
    assert state.epochs == 20 and state.history.column("level")[-1] == 2
    assert [phase.epochs for phase in growing(3, 20)] == [8, 8, 4] and state.history[-1]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: in_sizes(net, 3, (16, 8)), "sizes: expected increasing sizes"),
        (lambda net: in_sizes(net, 3, ()), "sizes: expected one or more sizes"),
        (lambda net: in_sizes(net, 3, (2, 16)), r"sizes\[0\]: kernel_shape: expected one no larger"),
        (lambda net: in_sizes(net, 3, ("a",)), r"sizes\[0\]: expected"),
        (lambda net: in_sizes(mn.DenseLayer((3,), 2), 3, (8,)), r"network: expected images \(C, H, W\)"),
        (lambda net: growing(1), "last: expected a part of the passes"),
        (lambda net: growing(3, last=1.0), "last: expected a part of the passes"),
        (lambda net: growing(3, epochs=0), "epochs: expected a finite number above 0"),
        (lambda net: resampling((4, 4), 0), r"new_shape\[0\]: expected"),
        (lambda net: resample_images(np.ones(3), 2), "images: expected at least two axes"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(mn.InputError, match="^" + message):
        make(mn.ConvolutionLayer((1, 16, 16), 2))
