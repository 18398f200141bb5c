"""`Model.fit` over several grids."""

import numpy as np
import pytest

import meganet as mn
from meganet.multilevel import Phase, Schedule, Transfer, cycle, in_space, nested, train
from meganet.multilevel.state import COLUMNS

POOLED = mn.PoolingLayer((3, 16, 16))


def model(**settings):
    return mn.Model([mn.ConvolutionLayer((1, 16, 16), 3), mn.PoolingLayer(...)], classes=3, **settings)


@pytest.fixture
def data(rng):
    labels = np.arange(48) % 3
    return (rng.standard_normal((48, 1, 16, 16)) + labels[:, None, None, None] - 1.0), np.array(["a", "b", "c"])[labels]


def weights(model):
    return np.concatenate([model.theta, model.W])


def test_a_model_is_trained_from_coarse_to_fine(data):
    """By nested iteration with the same settings on every grid."""
    fitted = model().fit(*data, grids=(8, 16), epochs=2, learning_rate=0.05, batch_size=8, rng=5, W_regularizer=0.1)
    hierarchy = in_space(fitted.network, 3, (8, 16))
    x0 = hierarchy[0].initial(np.random.default_rng(5), np.float64)
    schedule = nested(2, 2, learning_rate=0.05, batch_size=8, W_alpha=0.1)
    labels = np.searchsorted(["a", "b", "c"], data[1])
    state = train(hierarchy, data[0], labels, schedule, x0=x0, evaluated=None, seed=5)
    assert np.array_equal(weights(fitted), state.x) and fitted.network.domain_shape == (1, 16, 16)
    for own, row in zip(fitted.level_history, state.history, strict=True):
        np.testing.assert_array_equal([*own.values()], [*row.values()])
    assert fitted.level_history.columns == COLUMNS
    assert fitted.epochs == 4 and fitted.history.column("epoch") == [0, 1, 2, 3, 4]
    assert fitted.history.column("loss") == [state.history[k]["loss"] for k in (0, 1, 2, 4, 5)]
    assert fitted.score(*data) > 0.9 and [*fitted.predict(data[0][:3])] == ["a", "b", "c"]


def test_fit_continues(data):
    """On one grid, and with a schedule that begins where the weights are carried to."""
    fitted = model().fit(*data, grids=(8, 16), epochs=1, learning_rate=0.05)
    before, rows = weights(fitted), len(fitted.history)
    fitted.fit(*data, epochs=2, learning_rate=0.01)
    assert fitted.epochs == 4 and len(fitted.history) == rows + 2
    before = weights(fitted)
    rates = []
    hierarchy = in_space(fitted.network, 3, (8, 16), Transfer(down="copy"))
    fitted.fit(*data, grids=hierarchy, epochs=1, learning_rate=lambda epoch: rates.append(epoch) or 0.01)
    assert rates == [5, 6] and fitted.history.column("epoch") == [*range(7)]
    labels = np.searchsorted(["a", "b", "c"], data[1])
    fun = mn.Objective(hierarchy[0].network, hierarchy[0].classifier, hierarchy.images(0, data[0]), labels)
    assert fitted.level_history[0]["loss"] == fun.evaluate(hierarchy.carry(before, 1, 0)).loss


def test_the_model_is_always_that_of_the_finest_grid(data):
    """Also in the middle, when it may be interrupted."""
    sizes = []

    def look(model):
        sizes.append((model.epochs, weights(model).size, model.score(*data) >= 0))
        return len(sizes) == 3

    schedule = cycle([0, 1], 1, every=0.25, batch_size=8)
    stopped = model().fit(*data, grids=(8, 16), schedule=schedule, callback=look)
    assert sizes == [(1, weights(stopped).size, True)] * 3
    assert stopped.history.column("epoch") == pytest.approx([0, 2 / 6, 3 / 6, 4 / 6])

    def interrupt(model):
        raise KeyboardInterrupt

    interrupted = model()
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(*data, grids=(8, 16), epochs=1, callback=interrupt)
    assert interrupted.epochs == 1 and interrupted.predict(data[0]).shape == (48,)


def test_validation_and_float32(data):
    images = data[0].astype(np.float32)
    fitted = model().fit(images, data[1], grids=(8, 16), epochs=1, validation=(images[:9], data[1][:9]))
    assert fitted.theta.dtype == np.float32 and np.isfinite(fitted.history.column("validation_accuracy")).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"grids": (8, 32)},
            r"grids: expected the model's own as the last, of images \(1, 16, 16\), got <Grids: 8x8, 32",
        ),
        ({"grids": (8, 12)}, "grids: expected widths"),
        ({"schedule": nested(2)}, "schedule: expected grids with it, got none"),
        ({"grids": (8, 16), "optimizer": mn.lbfgs}, 'optimizer: expected "sgd" with grids'),
        ({"grids": (8, 16), "schedule": nested(2), "epochs": 3}, "epochs: expected none with a schedule"),
        ({"grids": (8, 16), "schedule": nested(2), "learning_rate": 1}, "learning_rate: expected none with a schedule"),
        ({"grids": (8, 16), "schedule": nested(2), "W_regularizer": 1}, "W_regularizer: expected none with a schedule"),
        ({"grids": (8, 16), "schedule": Schedule((Phase(2),))}, r"schedule\[0\]: level: expected a level below 2"),
        ({"grids": (8, 16), "schedule": []}, "schedule: expected a Schedule, or one or more phases"),
        ({"grids": (8, 16), "schedule": "joint"}, "schedule: expected a Schedule, or one or more phases"),
        ({"grids": (8, 16), "schedule": Phase(0)}, "schedule: expected a Schedule, or one or more phases"),
        ({"grids": (8, 16), "schedule": 3}, "schedule: expected a Schedule, or one or more phases, got 3"),
        (
            {"grids": in_space(mn.Chain([mn.ConvolutionLayer((1, 16, 16), 3, activation="tanh"), POOLED]), 3, (8, 16))},
            "grids: expected the model's own as the last",
        ),
        ({"grids": (8, 16), "batch_size": 99}, r"schedule\[0\]: batch_size: expected at most"),
        (
            {"grids": (8, 16), "W_regularizer": mn.Tikhonov(mn.linop.Identity(579), 1.0)},
            "W_regularizer: expected a number with grids",
        ),
        ({"grids": (8, 16), "theta_regularizer": "much"}, "theta_regularizer: expected a Regularizer, a number"),
    ],
)
def test_arguments_that_do_not_fit(data, arguments, message):
    untouched = model()
    with pytest.raises(mn.InputError, match="^" + message):
        untouched.fit(*data, **arguments)
    assert untouched.epochs == 0


def test_a_regulariser_of_the_network_is_that_of_every_grid(data):
    penalty = mn.Tikhonov(mn.linop.Identity(27), 0.5)
    both = [weights(model().fit(*data, grids=(8, 16), epochs=1, theta_regularizer=given)) for given in (penalty, 0.5)]
    np.testing.assert_allclose(*both, rtol=1e-12)
