"""The problems of a trial: images, networks, penalties, and the weights from which each stage starts."""

import numpy as np
import pytest
from tiny import TINY, quadrants, stages_of

from meganet.backend import get_backend
from meganet.datasets import scale_images
from meganet.experiments import Problems, build_network
from meganet.experiments.protocols.chapter4 import STARTS
from meganet.experiments.setup.stages import chain, planned
from meganet.multigrid import galerkin_matrix, prolongate_images, restrict_images
from meganet.multigrid.vec_order import vec_as_images
from meganet.objective import observer

STAGES = planned(stages_of(["4.1"]), 2)


@pytest.fixture(scope="module")
def data():
    return quadrants()


def trial_of(setup, data, number=0):
    return Problems(setup, data, number, get_backend())


def levels_of(setup, data, number=0):
    """Return the problems on the coarse grid and on the fine one, each with its own images."""
    trial = trial_of(setup, data, number)
    return trial.level(0, "coarse"), trial.level(-1, "fine")


def starts_from(trial, x):
    """Return the weights that the fine stages start from after coarse ones."""
    coarse, *_ = STAGES
    return {name: trial.start(chain(STAGES, name)[-1], coarse, x) for name in STARTS}


def test_levels_and_rows_are_what_the_thesis_says(data):
    trial = trial_of(TINY, data)
    coarse, fine = levels_of(TINY, data)
    assert coarse.training.images.shape == (24, 1, 6, 6) and fine.training.images.shape == (16, 1, 12, 12)
    assert coarse.training.W_regularizer.alpha == 4 * fine.training.W_regularizer.alpha == 0.125
    used = [fine.validation.images, fine.training.images]
    assert len({image.tobytes() for part in used for image in part}) == 26
    np.testing.assert_allclose(
        coarse.validation.images, fine.validation.images.reshape(10, 1, 6, 2, 6, 2).mean(axis=(3, 5)), atol=1e-6
    )
    x = coarse.initial(np.random.default_rng(3), TINY)
    points = starts_from(trial, x)
    theta, _ = coarse.training.split(x)
    parts = {row: fine.training.split(point) for row, point in points.items()}
    np.testing.assert_array_equal(parts["transfer"][0], theta)
    np.testing.assert_array_equal(parts["transfer"][1], parts["multigrid"][1])
    stencils = parts["multigrid"][0].reshape(-1, 9).astype(float)
    np.testing.assert_allclose(stencils @ galerkin_matrix(3).T, theta.reshape(-1, 9), atol=1e-5)
    assert points["new"].dtype == np.float32 and not np.array_equal(parts["new"][0], theta)
    assert TINY.descent.rate(1) == pytest.approx(0.003 / 0.5**0.5) and TINY.descent.rate(8) == pytest.approx(0.0015)


def sets_of(data, setup, trial=0):
    """Return which images each part of a trial has: validation coarse and fine, training coarse and fine."""
    coarse, fine = levels_of(setup, data, trial)

    def keys(images):
        small = images if images.shape[-1] == 6 else restrict_images(images)
        return [tuple(np.rint(4 * 255 * image)) for image in small.reshape(len(small), -1)]

    known = {key: number for number, key in enumerate(keys(scale_images(data.images, "unit")))}
    parts = (coarse.validation, fine.validation, coarse.training, fine.training)
    return [[known[key] for key in keys(part.images)] for part in parts]


SMALLER = {"fine_examples": 8, "coarse_examples": 12, "validation_examples": 4}


@pytest.mark.parametrize(
    "change",
    [{}, *({name: size} for name, size in SMALLER.items()), SMALLER, {"network": "B"}, {"seed": 0}],
)
def test_runs_of_a_seed_validate_on_the_same_images_whatever_they_train_on(data, change):
    usual = TINY.changed(training_images="original")
    base, other = sets_of(data, usual), sets_of(data, usual.changed(**change))
    for validation, again, coarse, fine in (base, other):
        assert validation == again, "both grids of a trial validate on the same images"
        assert len({*validation, *coarse, *fine}) == len(validation) + len(coarse) + len(fine)
    if "validation_examples" not in change:
        assert base[0] == other[0]
        assert other[2] == base[2][: len(other[2])]
    assert other[0] == base[0][: len(other[0])]
    if set(change) <= {"fine_examples", "network", "seed"}:
        assert base[2] == other[2] and other[3] == base[3][: len(other[3])]


@pytest.mark.parametrize("change", [{"trial": 1}, {"seed": 1}])
def test_another_trial_and_another_seed_validate_on_other_images(data, change):
    usual = TINY.changed(training_images="original")
    other = usual.changed(**{name: value for name, value in change.items() if name != "trial"})
    assert set(sets_of(data, usual)[0]) != set(sets_of(data, other, change.get("trial", 0))[0])


def test_every_grid_can_be_trained_on_either_set(data):
    """The sets are the trial's, whichever grid they are seen on."""
    trial = trial_of(TINY.changed(training_images="original"), data)
    for images, count in (("coarse", 24), ("fine", 16)):
        coarse, fine = (trial.level(grid, images).training for grid in (0, -1))
        assert coarse.images.shape == (count, 1, 6, 6) and fine.images.shape == (count, 1, 12, 12)
        np.testing.assert_allclose(coarse.images, restrict_images(fine.images), atol=1e-6)
        np.testing.assert_array_equal(coarse.labels, fine.labels)
    assert trial.level(1, "fine") is trial.level(-1, "fine"), "each is made once"


def test_trials_share_what_they_have_in_common(data):
    levels = [levels_of(TINY, data, trial) for trial in (0, 1)]
    for first, second in zip(*levels, strict=True):
        for name in ("network", "classifier", "theta_regularizer", "W_regularizer"):
            assert getattr(first.training, name) is getattr(second.training, name)


def test_networks_of_the_thesis():
    a, b = build_network("A", (1, 28, 28)), build_network("B", (1, 28, 28))
    assert a.range_shape == (64, 28, 28) and b.range_shape == (64, 14, 14)
    assert a.parameters.size == b.parameters.size == 9 * 32 + 9 * 32 * 64


def test_the_order_of_vec_is_that_of_the_original():
    """W is a matrix, classes by features; its columns one below the other, taken for images of rows x columns."""
    classes, channels, height, width = shape = (2, 3, 2, 4)
    weights = np.arange(np.prod(shape), dtype=float).reshape(shape)
    # MATLAB's features: rows run fastest, then columns, then channels
    matrix = weights.transpose(0, 1, 3, 2).reshape(classes, -1)
    images = matrix.reshape(-1, order="F").reshape((height, width, channels * classes), order="F")
    order = vec_as_images(shape, np.float64, get_backend())
    np.testing.assert_array_equal((order @ weights).reshape(-1, height, width), np.moveaxis(images, 2, 0))
    np.testing.assert_array_equal(order.T @ (order @ weights), weights)


def test_the_slip_in_the_transfer_moves_the_kernel_alone(data):
    coarse, fine = levels_of(TINY, data)
    x = coarse.initial(np.random.default_rng(3), TINY)
    starts = [starts_from(trial_of(TINY.changed(W_transfer=order), data), x) for order in ("pixels", "vec")]
    views = [fine.training.parameters.view(start["transfer"]) for start in starts]
    for name in views[0]:
        assert np.array_equal(views[0][name], views[1][name]) == (name != "W.kernel")
    # by hand: coarse weights to images, P, back
    kernel = coarse.training.parameters.view(x)["W.kernel"]
    there, back = (vec_as_images(k.shape, np.float32, get_backend()) for k in (kernel, views[1]["W.kernel"]))
    expected = back.T @ (0.25 * prolongate_images(there @ kernel, "linear"))
    np.testing.assert_allclose(views[1]["W.kernel"], expected, rtol=1e-5, atol=1e-7)


PLACES = {
    "theta_alpha": (0.5, lambda c, f: f.training.theta_regularizer.alpha),
    "W_alpha": (0.5, lambda c, f: f.training.W_regularizer.alpha),
    "W_alpha_coarse": (0.5, lambda c, f: c.training.W_regularizer.alpha),
    "mesh_width": (0.5, lambda c, f: f.training.W_regularizer.operator.h[1]),
    "coarse_examples": (16, lambda c, f: c.training.examples),
    "fine_examples": (24, lambda c, f: f.training.examples),
    "validation_examples": (5, lambda c, f: f.validation.examples),
    "dtype": ("float64", lambda c, f: str(f.training.dtype)),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_setting_reaches_its_place(name, data):
    value, read = PLACES[name]
    assert read(*levels_of(TINY.changed(**{name: value}), data)) == value


def test_validation_columns_are_those_of_the_validation_data(data):
    _, fine = levels_of(TINY, data)
    x = fine.initial(np.random.default_rng(0), TINY)
    row = observer(fine.training, fine.validation)(x)
    assert (row["objective"], row["loss"], row["accuracy"]) == fine.training.evaluate(x)
    assert (row["validation_loss"], row["validation_accuracy"]) == fine.validation.evaluate(x)[1:]
    assert row["loss"] != row["validation_loss"]


def test_fresh_weights_depend_on_trial_seed_and_grid_alone(data):
    """Not on the stage that asks: whatever starts afresh on a grid starts from the same weights."""
    first, new = chain(STAGES, "coarse")[-1], chain(STAGES, "new")[-1]
    trial = trial_of(TINY, data)
    np.testing.assert_array_equal(trial.start(new), trial_of(TINY.changed(fine_epochs=7), data).start(new))
    others = [trial_of(TINY, data, 1), trial_of(TINY.changed(seed=1), data)]
    assert not any(np.array_equal(trial.start(stage), other.start(stage)) for other in others for stage in (first, new))
    size = trial.level_of(new).training.network.parameters.size
    assert not np.array_equal(trial.start(first)[:size], trial.start(new)[:size])
