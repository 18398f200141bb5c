"""Hierarchies: their levels, what goes between them, and what they say of themselves."""

import numpy as np
import pytest

import meganet as mn
from meganet.linop import CirculantConvolution
from meganet.multigrid import prolongate, restrict, restrict_images
from meganet.multilevel import Transfer, in_depth, in_space


def net():
    return mn.Chain([mn.ConvolutionLayer((1, 32, 32), 3), mn.PoolingLayer(...), mn.ConvolutionLayer(..., 4)])


def test_levels_are_the_network_on_each_grid():
    hierarchy = in_space(net(), classes=5, grids=(8, 16, 64))
    assert [level.name for level in hierarchy] == ["8x8", "16x16", "64x64"] and len(hierarchy) == 3
    assert [level.network.domain_shape for level in hierarchy] == [(1, 8, 8), (1, 16, 16), (1, 64, 64)]
    assert hierarchy[-1] is hierarchy[2] and hierarchy[0].classifier.range_shape == (5,)
    assert [level.flop / hierarchy[2].flop for level in hierarchy] == [1 / 64, 1 / 16, 1]


def test_images_are_averaged(rng):
    images = rng.standard_normal((3, 1, 32, 32))
    hierarchy = in_space(net(), classes=5, grids=(8, 32))
    assert hierarchy.images(1, images) is images
    assert np.array_equal(hierarchy.images(0, images), restrict_images(restrict_images(images)))


@pytest.mark.parametrize("transfer", [Transfer(), Transfer("galerkin", "copy", "linear", "none")])
def test_weights_go_grid_by_grid(rng, transfer):
    hierarchy = in_space(net(), classes=5, grids=(8, 16, 32), transfer=transfer)
    options = {"interpolation": transfer.interpolation, "classifier_scaling": transfer.classifier_scaling}
    coarse, fine = (hierarchy[k].initial(rng, np.float64) for k in (0, -1))
    size = hierarchy[0].network.parameters.size
    found = hierarchy[0].network, coarse[:size], coarse[size:]
    for _ in range(2):
        found = prolongate(*found, kernels=transfer.up, **options)
    assert np.allclose(hierarchy.carry(coarse, 0, -1), np.concatenate(found[1:]), rtol=1e-12, atol=1e-12)
    found = hierarchy[-1].network, fine[:size], fine[size:]
    for _ in range(2):
        found = restrict(*found, kernels=transfer.down, **options)
    assert np.allclose(hierarchy.carry(fine, -1, 0), np.concatenate(found[1:]), rtol=1e-12, atol=1e-12)
    assert np.array_equal(hierarchy.carry(fine, 2, 2), fine)
    assert hierarchy.carry(fine.astype(np.float32), 2, 1).dtype == np.float32


def test_weights_that_are_shared_keep_the_logits(rng):
    """Features that are constant on blocks have the same logits with either classifier."""
    hierarchy = in_space(mn.ConvolutionLayer((1, 8, 8), 3), classes=5, grids=(4, 8))
    fine, coarse = hierarchy[1], hierarchy[0]
    x = fine.initial(rng, np.float64)
    shared = hierarchy.sharing(1) @ x
    size = fine.network.parameters.size
    features = rng.standard_normal((2, 3, 4, 4))
    assert np.array_equal(shared[:size], x[:size])
    copied = features.repeat(2, axis=2).repeat(2, axis=3)
    assert np.allclose(coarse.classifier(shared[size:], features), fine.classifier(x[size:], copied))
    for operator in (hierarchy.sharing(1), hierarchy.restriction(1), hierarchy.prolongation(0)):
        mn.checks.check_adjoint(operator)
    assert hierarchy.sharing(1) is hierarchy.sharing(-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grids": (8, 12)}, "grids: expected widths of which each is the one before doubled"),
        ({"grids": (16, 8)}, "grids: expected widths of which each is the one before doubled"),
        ({"grids": (8, 8)}, "grids: expected widths of which each is the one before doubled"),
        ({"grids": ()}, "grids: expected one or more widths"),
        ({"grids": (4, 8)}, r"grids\[0\]: kernel_shape: expected one no larger"),
        ({"classes": 0}, "classes: expected"),
        ({"network": mn.DenseLayer((3,), 2)}, r"network: expected images \(C, H, W\)"),
        ({"transfer": "copy"}, "transfer: expected a Transfer"),
    ],
)
def test_what_is_no_hierarchy(arguments, message):
    with pytest.raises(mn.InputError, match=message):
        in_space(**{"network": net(), "classes": 5, "grids": (8, 16), **arguments})


def test_levels_that_are_not_there():
    hierarchy = in_space(net(), classes=5, grids=(8, 16))
    for number in (2, -3):
        with pytest.raises(mn.InputError, match="level: expected"):
            hierarchy[number]
    for way, level in ((hierarchy.prolongation, 1), (hierarchy.restriction, 0), (hierarchy.sharing, -2)):
        with pytest.raises(mn.InputError, match=r"level: expected one that has a (finer|coarser) one"):
            way(level)
    with pytest.raises(mn.InputError, match=r"x: expected .*shape"):
        hierarchy.carry(np.zeros(3), 0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"up": "best"}, "up: kernels: expected"),
        ({"down": 3}, "down: kernels: expected"),
        ({"interpolation": "cubic"}, "interpolation: expected"),
        ({"classifier_scaling": "all"}, "classifier_scaling: expected"),
    ],
)
def test_what_is_no_transfer(settings, message):
    with pytest.raises(mn.InputError, match=f"^{message}"):
        Transfer(**settings)


def in_time():
    """A network with a pooling between two parts in time."""
    part = mn.networks.DoubleLayer(
        CirculantConvolution(np.zeros((2, 2, 3, 3)), (8, 8)), CirculantConvolution(np.zeros((2, 2, 3, 3)), (8, 8))
    )
    first = mn.ResidualNetwork(part, steps=4, h=0.25)
    return mn.Chain([mn.ConvolutionLayer((1, 8, 8), 2), first, mn.PoolingLayer(...), first.resized((2, 4, 4))])


def test_levels_in_depth_have_the_same_time():
    hierarchy = in_depth(in_time(), classes=3, steps=(2, 4, 8))
    for level, steps in zip(hierarchy, (2, 4, 8), strict=True):
        assert level.name == f"{steps} steps" and level.network.layers[1].steps == steps
        assert level.network.layers[3].h * steps == 1
    images = np.ones((2, 1, 8, 8))
    assert hierarchy.images(0, images) is images


def test_weights_in_time(rng):
    hierarchy = in_depth(in_time(), classes=3, steps=(2, 4, 8))
    coarse, size = hierarchy[0].initial(rng, np.float64), hierarchy[0].network.parameters.size
    fine = hierarchy.carry(coarse, 0, 1)
    network, theta = hierarchy[0].network.refined_in_time(coarse[:size])
    assert network.parameters == hierarchy[1].network.parameters
    assert np.array_equal(fine, np.concatenate([theta, coarse[size:]]))
    assert np.array_equal(hierarchy.carry(hierarchy.carry(coarse, 0, 2), 2, 0), coarse)
    for operator in (hierarchy.prolongation(0), hierarchy.restriction(2), hierarchy.sharing(1)):
        mn.checks.check_adjoint(operator)
    for way, level in ((hierarchy.prolongation, -1), (hierarchy.restriction, 0)):
        with pytest.raises(mn.InputError, match=r"level: expected one that has a (finer|coarser) one"):
            way(level)


@pytest.mark.parametrize("coefficients", [None, np.arange(1.0, 11.0).reshape(2, 5)])
def test_runge_kutta_joins_intervals(coefficients, rng):
    network = mn.networks.RungeKutta4(
        mn.DenseLayer((2,), 2, activation="tanh"), [0.0, 0.5, 2.0], coefficients=coefficients
    )
    hierarchy = in_depth(network, classes=3, steps=(1, 2, 4))
    assert [level.network.nodes for level in hierarchy][:2] == [(0.0, 2.0), (0.0, 0.5, 2.0)]
    x = hierarchy[1].initial(rng, np.float64)
    assert np.array_equal(hierarchy.carry(hierarchy.carry(x, 1, 2), 2, 1), x)
    mn.checks.check_adjoint(hierarchy.restriction(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": (2, 6)}, "steps: expected numbers of which each is double the one before"),
        ({"steps": ()}, "steps: expected one or more numbers"),
        ({"steps": (3, 6)}, "network: expected 3 time steps, or those doubled or halved, got 4"),
        ({"network": mn.DenseLayer((3,), 2)}, "network: expected parts with one number of time steps, got none"),
        ({"classes": 0}, "classes: expected"),
    ],
)
def test_what_is_no_hierarchy_in_depth(arguments, message):
    with pytest.raises(mn.InputError, match="^" + message):
        in_depth(**{"network": in_time(), "classes": 3, "steps": (2, 4), **arguments})
