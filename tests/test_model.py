"""`Model.fit` is `sgd` on an `Objective`: what it computes, how it continues, what it leaves when it fails."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest

import meganet as mn
from meganet.ground.validate import InputError
from meganet.model.training import COLUMNS


def layers():
    return [mn.ConvolutionLayer((1, 4, 4), 2), mn.ConvolutionLayer((2, 4, 4), 3)]


def data(count=24, dtype=np.float64, shape=(1, 4, 4), seed=1):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.standard_normal((count, *shape)) + labels[:, None, None, None]
    return images.astype(dtype), labels


def same(one, other):
    """Whether two models are the same to the bit, and tell the same of their training."""
    for name in ("theta", "W", "classes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.epochs == other.epochs
    assert one.history.to_csv() == other.history.to_csv()


def left(model):
    """What a failed fit must not change."""
    weights = None if model._x is None else model._x.tobytes()
    classes = None if model.classes is None else model.classes.tolist()
    return weights, classes, model.epochs, model.history.to_csv(), pickle.dumps(model._memory), model.state().seed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_is_sgd_on_an_objective(dtype):
    images, labels = data(dtype=dtype)
    held_out = data(9, dtype, seed=2)
    start = mn.Model(layers(), 3).fit(images, labels, epochs=1)
    model = mn.Model(layers(), 3, theta=start.theta, W=start.W)
    model.fit(
        images,
        labels,
        validation=held_out,
        epochs=3,
        learning_rate=0.02,
        batch_size=8,
        rule=mn.Momentum(0.9),
        theta_regularizer=1e-2,
        W_regularizer=1e-3,
        rng=5,
    )
    network, classifier = model.network, model.classifier
    penalties = {
        f"{name}_regularizer": mn.Tikhonov(mn.linop.Identity((part.parameters.size,), dtype), alpha)
        for name, part, alpha in (("theta", network, 1e-2), ("W", classifier, 1e-3))
    }
    fun = mn.Objective(network, classifier, images, labels, **penalties)
    observe = mn.objective.observer(fun, mn.Objective(network, classifier, *held_out))
    state = mn.sgd(
        fun,
        np.concatenate([start.theta, start.W]),
        24,
        epochs=3,
        learning_rate=0.02,
        batch_size=8,
        rule=mn.Momentum(0.9),
        order=5,
        observe=observe,
    )
    np.testing.assert_array_equal(np.concatenate([model.theta, model.W]), state.x)
    assert model.theta.dtype == model.predict_proba(images).dtype == dtype
    assert model.history.columns == COLUMNS
    for name in COLUMNS:
        assert model.history.column(name) == state.history.column(name)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0.05},
        {"rule": mn.Momentum(0.9, nesterov=True)},
        {"rule": mn.Adam(), "batch_size": 5},
        {"rule": mn.Adam(variant="meganet")},
        {"learning_rate": lambda epoch: 0.1 / epoch, "rng": 3},
        {"optimizer": mn.optim.newton_cg},
        {"optimizer": mn.trust_region},
        {"optimizer": "partial"},
    ],
)
def test_fit_continues_to_the_bit(options):
    images, labels = data()

    def made(epochs):
        # a partial function is another one each time
        again = {"optimizer": partial(mn.trust_region, radius=0.05)} if "partial" in options.values() else {}
        return {**options, **again, "epochs": epochs}

    whole = mn.Model(layers(), 3).fit(images, labels, **made(4))
    parts = mn.Model(layers(), 3).fit(images, labels, **made(1)).fit(images, labels, **made(3))
    np.testing.assert_array_equal(whole.theta, parts.theta)
    same(whole, parts)
    assert parts.history.column("epoch") == [0, 1, 2, 3, 4]


def test_what_changes_in_between_keeps_one_history():
    images, labels = data()
    other, more = data(30, seed=4)
    model = mn.Model(layers(), 3).fit(images, labels, epochs=2, rule=mn.Adam())
    model.fit(images, labels, epochs=1, rule=mn.Momentum(0.5))
    model.fit(other, more, validation=(images, labels), epochs=1, batch_size=7)
    model.fit(images, labels, epochs=2, optimizer=mn.lbfgs)
    model.fit(images.astype(np.float32), labels, epochs=1, learning_rate=lambda epoch: 1e-3 * epoch)
    history = model.history
    assert history.columns == COLUMNS and history.column("epoch") == list(range(8)) and model.epochs == 7
    assert history[-1]["learning_rate"] == 7e-3 and np.isnan(history[5]["learning_rate"])
    known = [not np.isnan(value) for value in history.column("validation_accuracy")]
    assert known == [False] * 4 + [True] + [False] * 3
    assert model.theta.dtype == np.float64
    assert history[-1]["objective"] < history[0]["objective"]


def test_a_rule_begins_anew_after_another_one():
    images, labels = data()
    model = mn.Model(layers(), 3).fit(images, labels, epochs=1, rule=mn.Adam())
    again = mn.Model(layers(), 3, theta=model.theta, W=model.W)
    model.fit(images, labels, epochs=1, optimizer=mn.optim.newton_cg)
    again.fit(images, labels, epochs=1, optimizer=mn.optim.newton_cg)
    np.testing.assert_array_equal(model.theta, again.theta)


def test_an_optimiser_that_is_there_already_leaves_a_model_that_predicts():
    images, labels = np.zeros((6, 1, 4, 4)), np.arange(6) % 3
    still = partial(mn.lbfgs, control=mn.optim.Control(atol=1e9))
    model = mn.Model(layers(), ["a", "b", "c"]).fit(images, np.array(["a", "b", "c"])[labels], optimizer=still)
    assert model.epochs == 0 and set(model.predict(images)) <= {"a", "b", "c"}


WRONG = [
    {"batch_size": 25},
    {"batch_size": 0},
    {"epochs": 0},
    {"epochs": 1.5},
    {"learning_rate": -1},
    {"learning_rate": "fast"},
    {"rule": mn.Adam},
    {"rule": 3},
    {"optimizer": "lbfgs"},
    {"optimizer": mn.sgd},
    {"optimizer": mn.Adam},
    {"optimizer": min},
    {"optimizer": None},
    {"optimizer": mn.lbfgs, "learning_rate": 0.1},
    {"optimizer": mn.lbfgs, "rule": mn.Adam()},
    {"optimizer": partial(mn.lbfgs, control=mn.optim.Control(callback=print))},
    {"optimizer": mn.lbfgs, "on_divergence": "halt"},
    {"on_divergence": "halt"},
    {"theta_regularizer": -1.0},
    {"theta_regularizer": True},
    {"W_regularizer": "l2"},
    {"W_regularizer": mn.Tikhonov(mn.linop.Identity((5,)), 1.0)},
    {"rng": -1},
    {"rng": True},
    {"rng": np.random.RandomState(0)},
    {"callback": 3},
    {"progress": "yes"},
    {"validation": 3},
    {"validation": (np.zeros((2, 1, 4, 4)),)},
    {"optimizer": mn.optim.proximal_gradient},
]


@pytest.mark.parametrize("options", WRONG, ids=lambda options: "-".join(options))
@pytest.mark.parametrize("fitted", [False, True])
def test_a_failed_fit_changes_nothing(options, fitted):
    images, labels = data()
    model = mn.Model(layers(), 3)
    if fitted:
        model.fit(images, labels, epochs=1, rule=mn.Adam())
    before = left(model)
    with pytest.raises(InputError) as error:
        model.fit(images, labels + 1, **options) if not fitted else model.fit(images, labels, **options)
    names = {name for name in options if str(error.value).startswith(name)}
    assert names and "\n" not in str(error.value)
    assert left(model) == before


def test_a_failed_fit_draws_nothing_from_the_generator():
    images, labels = data()
    rng = np.random.default_rng(0)
    before = copy.deepcopy(rng.bit_generator.state)
    with pytest.raises(InputError, match="batch_size"):
        mn.Model(layers(), 3).fit(images, labels, rng=rng, batch_size=99)
    assert rng.bit_generator.state == before


def test_generators_seeds_and_none():
    images, labels = data()

    def weights(rng):
        return mn.Model(layers(), 3).fit(images, labels, epochs=1, rng=rng).theta

    np.testing.assert_array_equal(weights(None), weights(0))
    np.testing.assert_array_equal(weights(np.random.default_rng(3)), weights(np.random.default_rng(3)))
    assert (weights(1) != weights(0)).all()


def test_copies_and_models_on_one_network_are_independent():
    images, labels = data()
    network = mn.Chain(layers())
    model = mn.Model(network, 3).fit(images, labels, epochs=1, rule=mn.Adam())
    whole = mn.Model(network, 3).fit(images, labels, epochs=3, rule=mn.Adam())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        same(model, other)
        other.fit(images, labels, epochs=2, rule=mn.Adam())
        same(other, whole)
    assert model.epochs == 1


def test_arrays_have_one_owner():
    images, labels = data()
    model = mn.Model(layers(), 3).fit(images, labels, epochs=1)
    theta, w = model.theta, model.W
    other = mn.Model(layers(), list("abc"), theta=theta, W=w)
    expected, history = other.predict_proba(images), model.history
    rows = history.to_csv()
    for array in (theta, w, model.theta, model.W, model.classes, other.classes, model.predict(images)):
        array[:] = array[::-1].copy()
    np.testing.assert_array_equal(other.predict_proba(images), expected)
    np.testing.assert_array_equal(model.predict_proba(images), expected)
    assert other.classes.tolist() == ["a", "b", "c"] and model.classes.tolist() == [0, 1, 2]
    model.fit(images, labels, epochs=1)
    assert history.to_csv() == rows
    np.testing.assert_array_equal(images, data()[0])
    np.testing.assert_array_equal(labels, data()[1])


@pytest.mark.parametrize("given", ["theta", "W"])
def test_both_weights_or_neither(given):
    model = mn.Model(layers(), 3)
    with pytest.raises(InputError, match="both theta and W"):
        mn.Model(layers(), 3, **{given: np.zeros(model.network.parameters.size)})
    with pytest.raises(InputError, match="call fit"):
        model.predict(data()[0])


@pytest.mark.parametrize("on_divergence", ["warn", "continue", "stop"])
def test_divergence(on_divergence):
    images, labels = data(dtype=np.float32)
    model = mn.Model(layers(), 3)

    def run():
        model.fit(images, labels, epochs=3, learning_rate=1e30, on_divergence=on_divergence)

    with np.errstate(all="ignore"):
        if on_divergence == "warn":
            with pytest.warns(mn.optim.DivergenceWarning, match="diverged"):
                run()
        else:
            run()
    assert model.epochs == (1 if on_divergence == "stop" else 3)
    for ask in (model.predict, model.predict_proba, lambda x: model.score(x, labels)):
        with np.errstate(all="ignore"), pytest.raises(InputError, match="model: expected finite"):
            ask(images)
    if on_divergence == "stop":
        return  # with weights that are finite, though too large
    before = left(model)
    with pytest.raises(InputError, match="model: expected finite weights"):
        model.fit(images, labels)
    assert left(model) == before
