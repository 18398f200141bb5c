"""Training over levels: it is what it is made of, can be continued to the bit, and says what it cost."""

import math
from dataclasses import replace

import numpy as np
import pytest

import meganet as mn
from meganet.backend import random_stream
from meganet.ground.npz import write_sealed
from meganet.linop import Identity
from meganet.multigrid import restrict_images
from meganet.multilevel import (
    Phase,
    Schedule,
    TrainingState,
    cycle,
    in_depth,
    in_sizes,
    in_space,
    joint,
    load_state,
    nested,
    save_state,
    train,
)
from meganet.multilevel.rounds import ORDER, Rounds
from meganet.multilevel.state import COLUMNS
from meganet.multilevel.together import Through, Together, shared
from meganet.optim import Divergence, DivergenceWarning, History, sgd

CLASSES = 3


@pytest.fixture
def hierarchy():
    net = mn.Chain([mn.ConvolutionLayer((1, 16, 16), 2), mn.PoolingLayer(...), mn.ConvolutionLayer(..., 3)])
    return in_space(net, CLASSES, grids=(8, 16))


@pytest.fixture
def data(rng):
    labels = np.arange(48) % CLASSES
    return rng.standard_normal((48, 1, 16, 16)) + labels[:, None, None, None] - 1.0, labels


@pytest.fixture
def validation(rng):
    labels = np.arange(15) % CLASSES
    return rng.standard_normal((15, 1, 16, 16)) + labels[:, None, None, None] - 1.0, labels


def objective(hierarchy, level, images, labels, **penalties):
    at = hierarchy[level]
    while images.shape[-1] > at.network.domain_shape[-1]:
        images = restrict_images(images)
    return mn.Objective(at.network, at.classifier, images, labels, **penalties)


def same(first, second):
    assert first.history.columns == second.history.columns == COLUMNS
    for one, other in zip(first.history, second.history, strict=True):
        np.testing.assert_array_equal([*one.values()], [*other.values()])
    np.testing.assert_array_equal(first.x, second.x)
    assert first.divergence == second.divergence
    where = [(state.level, state.phase, state.rounds) for state in (first, second)]
    assert where[0] == where[1] and len(first.seconds) == len(second.seconds) == len(first.history)


def test_a_phase_is_sgd(hierarchy, data, validation):
    """One phase makes the steps of `sgd` with the same order of the images."""
    x0 = hierarchy[0].initial(np.random.default_rng(1), np.float64)
    rule, size = mn.Momentum(0.9), hierarchy[0].network.parameters.size
    phase = Phase(0, 3, 0.02, 8, theta_alpha=0.1, rule=rule)
    state = train(hierarchy, *data, [phase], x0=x0, validation=validation, evaluated=None, seed=5)
    fun = objective(hierarchy, 0, *data, theta_regularizer=mn.Tikhonov(Identity(size), 0.1))
    held_out = objective(hierarchy, 0, *validation)
    alone = sgd(
        fun,
        x0,
        48,
        epochs=3,
        learning_rate=0.02,
        batch_size=8,
        rule=rule,
        order=lambda epoch: random_stream(5, ORDER, 0, epoch).permutation(48),
        observe=mn.objective.observer(fun, held_out),
    )
    assert np.array_equal(state.x, alone.x) and np.array_equal(state.memory, alone.memory)
    for name in alone.history.columns:
        assert state.history.column(name) == alone.history.column(name)
    assert state.work == 3 * 48 * hierarchy[0].flop


@pytest.mark.parametrize("rule", [None, mn.Adam()])
def test_rounds_cut_a_pass_without_changing_it(hierarchy, data, rule):
    settings = {"learning_rate": 0.02, "batch_size": 5, "rule": rule}
    whole = train(hierarchy, *data, cycle([1], 1.5, **settings))
    parts = train(hierarchy, *data, cycle([1], 1.5, every=0.25, **settings))
    assert np.array_equal(whole.x, parts.x)
    # nine mini-batches of a pass, 14 in all
    assert parts.history.column("epoch") == [cut / 9 for cut in (0, 2, 4, 7, 9, 11, 14)]
    assert [row["work"] for row in parts.history] == [cut * 5 * hierarchy[1].flop for cut in (0, 2, 4, 7, 9, 11, 14)]


def test_each_pass_sees_every_image_once(hierarchy):
    rounds = Rounds(hierarchy, Phase(0, 2, batch_size=8, every=0.5), 1, 48, seed=3, on_divergence="warn")
    seen = [rounds.indices(rounds.order, number).ravel() for number in (1, 2, 3, 4)]
    for first, second in (seen[:2], seen[2:]):
        assert sorted([*first, *second]) == list(range(48))
    assert not np.array_equal(seen[0], seen[2])


def test_rates_are_asked_for_before_each_round(hierarchy, data):
    asked = []

    def rate(passes):
        asked.append(passes)
        return 0.1 / (1 + passes)

    state = train(hierarchy, *data, [Phase(0, 1, rate, 8, every=0.5)])
    assert asked == [0.0, 0.5] and state.history.column("learning_rate") == [0.0, 0.1, 0.1 / 1.5]


SCHEDULES = {
    "nested": nested(2, (1, 0.5), learning_rate=0.05, batch_size=8, every=0.25, rule=mn.Momentum(0.9)),
    "joint": joint(2, 1, learning_rate=0.05, batch_size=8, every=0.25, rule=mn.Adam()) + cycle([0]),
    "classifier": cycle([1, 0], [0.5, 1], learning_rate=0.05, batch_size=8, every=0.25, classifier_only=[False, True]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_stored_states_continue_to_the_bit(hierarchy, data, validation, name):
    states = []
    schedule = SCHEDULES[name]
    end = train(hierarchy, *data, schedule, validation=validation, callback=states.append, seed=2)
    same(states[-1], end)
    for state in states:
        before = state.copy()
        same(train(hierarchy, *data, schedule, validation=validation, state=state, seed=2), end)
        same(state, before)


def test_a_callback_stops_the_training(hierarchy, data):
    states = []

    def third(state):
        states.append(state)
        return len(states) == 3

    schedule = SCHEDULES["nested"]
    stopped = train(hierarchy, *data, schedule, callback=third)
    assert (stopped.phase, stopped.rounds) == (0, 3)
    same(train(hierarchy, *data, schedule, state=stopped), train(hierarchy, *data, schedule))


def test_weights_are_carried_between_phases(hierarchy, data):
    ends = {}
    state = train(
        hierarchy, *data, cycle([1, 0, 1], 1, learning_rate=0.05), callback=lambda s: ends.update({s.phase: s})
    )
    starts = [row for row in state.history if row["step"] == 0 and row["learning_rate"] == 0]
    assert [row["level"] for row in starts] == [1, 0, 1] and [row["epoch"] for row in starts] == [0, 1, 2]
    for phase, level in ((1, 0), (2, 1)):
        x = hierarchy.carry(ends[phase - 1].x, ends[phase - 1].level, level)
        assert starts[phase]["loss"] == objective(hierarchy, level, *data).evaluate(x).loss
    rise = [cost * 32 for cost in (hierarchy[1].flop, hierarchy[0].flop, hierarchy[1].flop)]
    assert [ends[k].work for k in range(3)] == list(np.cumsum(rise))


@pytest.mark.parametrize("factors", [None, (2.0, 0.5)])
def test_levels_that_are_trained_together_share_weights(hierarchy, data, factors):
    """A joint phase makes, by hand, plain steps on one level after the other."""
    x = x0 = hierarchy[1].initial(np.random.default_rng(1), np.float64)
    schedule = joint(2, 1, learning_rate=0.05, batch_size=8, assignment="cyclic", W_alpha=0.1, rate_factors=factors)
    state = train(hierarchy, *data, schedule, x0=x0, seed=4)
    coarse, fine = (
        objective(
            hierarchy, k, *data, W_regularizer=mn.Tikhonov(Identity(hierarchy[k].classifier.parameters.size), 0.1)
        )
        for k in (0, 1)
    )
    operator = hierarchy.sharing(1)
    order = random_stream(4, ORDER, 0, 1).permutation(48).reshape(-1, 8)
    for number, indices in enumerate(order):
        if number % 2:
            gradient = fine(x, indices)[1]
        else:
            gradient = operator.tosparse().T @ coarse(operator.tosparse() @ x, indices)[1]
        x = x - 0.05 * (factors or (1, 1))[number % 2] * gradient
    np.testing.assert_allclose(state.x, x, rtol=1e-12, atol=1e-14)
    assert state.work == 3 * 8 * (hierarchy[0].flop + hierarchy[1].flop) and state.level == 1


def test_random_levels_come_from_the_seed(hierarchy, data):
    schedule = joint(2, 4, learning_rate=0.05, batch_size=8)
    first, again, other = (train(hierarchy, *data, schedule, seed=seed) for seed in (0, 0, 1))
    same(first, again)
    assert first.work != other.work
    steps = (first.work / 8 - 24 * hierarchy[0].flop) / (hierarchy[1].flop - hierarchy[0].flop)
    assert 0 < steps < 24 and math.isclose(steps, round(steps))


def test_gradients_through_a_coarser_level(data, rng):
    hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 2, activation="tanh"), CLASSES, grids=(4, 8, 16))
    operator = shared(hierarchy, 2, 0)
    mn.checks.check_adjoint(operator)
    coarse, fine = objective(hierarchy, 0, *data), objective(hierarchy, 2, *data)
    together = Together([Through(coarse, operator), fine])
    x, indices = 0.1 * rng.standard_normal(hierarchy[2].unknowns), np.arange(12)
    value, _ = together(x, indices)
    assert np.isclose(value, 0.5 * (coarse(operator @ x, indices)[0] + fine(x, indices)[0]))
    _, gradient = together(x, indices)
    direction = rng.standard_normal(x.shape)
    mn.checks.check_derivative(lambda x: together(x, indices)[0], lambda d: gradient @ d, x, direction)


def test_a_phase_ends_on_a_plateau(hierarchy, data, validation):
    """With rates that change nothing the validation never gets better."""
    schedule = nested(2, 9, learning_rate=1e-12, patience=2)
    state = train(hierarchy, *data, schedule, validation=validation)
    assert state.history.column("phase") == [0, 0, 0, 1, 1, 1] and state.epochs == 4
    same(train(hierarchy, *data, schedule, validation=validation, state=state), state)
    with pytest.raises(mn.InputError, match=r"^schedule\[0\]: patience: expected None where there is no validation"):
        train(hierarchy, *data, schedule)


def test_what_is_not_a_number_is_no_gain():
    rows = [(0, math.nan, loss) for loss in (1.0, 0.5, math.nan, math.nan)]
    history = History(dict(zip(("phase", "validation_accuracy", "validation_loss"), row, strict=True)) for row in rows)
    assert TrainingState(np.zeros(1), 0, history=history).rounds_without_gain() == 2


def test_only_the_classifier_moves(hierarchy, data, validation):
    x0 = hierarchy[1].initial(np.random.default_rng(1), np.float64)
    size = hierarchy[1].network.parameters.size
    state = train(hierarchy, *data, [Phase(1, 2, 0.1, 8, classifier_only=True)], x0=x0, validation=validation)
    assert np.array_equal(state.x[:size], x0[:size]) and not np.array_equal(state.x[size:], x0[size:])
    found = objective(hierarchy, 1, *data).evaluate(state.x)
    assert math.isclose(state.history[-1]["loss"], found.loss) and state.work < 0.5 * 2 * 48 * hierarchy[1].flop


def test_some_of_the_images_are_evaluated(hierarchy, data):
    x0 = hierarchy[0].initial(np.random.default_rng(1), np.float64)
    rows = [train(hierarchy, *data, [Phase(0)], x0=x0, evaluated=n).history[0] for n in (7, 48, 1024, None)]
    assert rows[1] == rows[2] == rows[3] != rows[0]
    assert rows[3]["loss"] == objective(hierarchy, 0, *data).evaluate(x0).loss


@pytest.mark.filterwarnings("ignore:overflow|invalid")
def test_a_training_that_diverges(hierarchy, data):
    schedule = nested(2, 2, learning_rate=1e308, batch_size=8)
    with np.errstate(all="ignore"):
        state = train(hierarchy, *data, schedule, on_divergence="stop")
        assert (state.phase, state.rounds) == (0, 1) and state.divergence.epoch == 1
        with pytest.warns(DivergenceWarning, match="the run has diverged; epoch 1: step"):
            end = train(hierarchy, *data, schedule)
        assert (end.phase, end.rounds) == (0, 2)
        same(train(hierarchy, *data, schedule, state=end, on_divergence="continue"), end)
        # in the last round of a phase, with weights that are finite
        short = replace(train(hierarchy, *data, cycle([0])), divergence=Divergence(1, "step 1"))
        same(train(hierarchy, *data, nested(2), state=short, on_divergence="stop"), short)
        together = train(hierarchy, *data, joint(2, learning_rate=1e308), on_divergence="stop")
    assert together.divergence.epoch == 1 and together.divergence.where


def test_weights_are_drawn_on_the_first_level(hierarchy, data):
    images, labels = data
    first = train(hierarchy, images.astype(np.float32), labels, nested(2))
    assert first.x.dtype == np.float32
    x0 = hierarchy[0].initial(random_stream(0, 3), np.float32)
    same(train(hierarchy, images.astype(np.float32), labels, nested(2), x0=x0), first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": []}, "schedule: expected a Schedule, or one or more phases, got none"),
        ({"schedule": None}, "schedule: expected a Schedule, or one or more phases, got None"),
        ({"schedule": Phase(0)}, "schedule: expected a Schedule, or one or more phases, got Phase"),
        (
            {"schedule": [Phase(0), Phase(0, W_alpha=lambda level: "x")]},
            r"schedule\[1\]: W_alpha: expected a Regularizer",
        ),
        ({"images": np.zeros((48, 1, 16, 16), np.uint8)}, r"images: expected float32 or float64 \(scale_images"),
        (
            {"validation": (np.zeros((3, 1, 16, 16), np.float32), [0, 1, 2])},
            r"validation\[0\]: expected float64, the dtype of the images, got float32",
        ),
        ({"state": TrainingState(np.zeros(3), 0, phase=0.5)}, r"state\.phase: expected an integer"),
        ({"state": TrainingState(np.zeros(3), 0, rounds=-1)}, r"state\.rounds: expected an integer"),
        ({"schedule": [Phase(2)]}, r"schedule\[0\]: level: expected a level below 2"),
        ({"schedule": [Phase((1, -1))]}, r"schedule\[0\]: level: expected different levels, got \(1, -1\)"),
        ({"schedule": [Phase(0), Phase(0, batch_size=99)]}, r"schedule\[1\]: batch_size: expected at most"),
        ({"x0": np.zeros(3)}, "x0: expected an array of shape"),
        ({"validation": 3}, r"validation: expected a pair \(images, labels\)"),
        ({"images": np.zeros((48, 1, 8, 8))}, "images: expected an array of shape"),
        ({"evaluated": 0}, "evaluated: expected an integer"),
        ({"callback": 3}, "callback: expected a function"),
        ({"on_divergence": "no"}, "on_divergence: expected"),
        ({"hierarchy": None}, "hierarchy: expected a Hierarchy"),
        ({"state": TrainingState(np.zeros(3), 1)}, "state: expected one of phases 0 to 0 on its level"),
        ({"state": TrainingState(np.zeros(3), 0)}, r"state\.x: expected"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_arguments_that_do_not_fit(hierarchy, data, arguments, message):
    given = {"hierarchy": hierarchy, "images": data[0], "labels": data[1], "schedule": Schedule((Phase(0),))}
    with pytest.raises(mn.InputError, match=message):
        train(**{**given, **arguments})


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_backend_trains_alike(backend, data, validation, name):
    """From the same first weights, in the same order."""
    states = []
    for home in ("numpy", backend):
        with mn.use_backend(home):
            net = mn.Chain([mn.ConvolutionLayer((1, 16, 16), 2), mn.PoolingLayer(...), mn.ConvolutionLayer(..., 3)])
            own = in_space(net, CLASSES, grids=(8, 16))
            images, held_out = (mn.get_backend(home).asarray(part[0]) for part in (data, validation))
            states.append(train(own, images, data[1], SCHEDULES[name], validation=(held_out, validation[1])))
    assert backend.owns(states[1].x)
    np.testing.assert_allclose(backend.to_host(states[1].x), states[0].x, rtol=1e-6, atol=1e-9)
    for one, other in zip(states[0].history, states[1].history, strict=True):
        np.testing.assert_allclose([*one.values()], [*other.values()], rtol=1e-6, atol=1e-9)


def test_time_steps_are_trained_on_every_level(rng):
    layer = mn.DenseLayer((4,), 4, activation="tanh")
    hierarchy = in_depth(mn.networks.ResidualNetwork(layer, steps=8, h=0.25), CLASSES, steps=(2, 4, 8))
    labels = np.arange(60) % CLASSES
    points = rng.standard_normal((60, 4)) + 2 * np.eye(4)[labels]
    schedule = nested(hierarchy, (20, 5, 5), learning_rate=0.2, batch_size=12)
    schedule += joint(hierarchy, 5, learning_rate=0.2, batch_size=12)
    state = train(hierarchy, points, labels, schedule, seed=1)
    assert state.level == 2 and state.history[-1]["accuracy"] > 0.8


def test_states_are_stored(hierarchy, data, validation, tmp_path):
    states, path = [], tmp_path / "state.npz"
    schedule = SCHEDULES["nested"]
    end = train(hierarchy, *data, schedule, validation=validation, callback=states.append)
    for state in states:
        save_state(path, state, "seed 0")
        found = load_state(path, hierarchy, "seed 0", np.float64)
        same(found, state)
        same(train(hierarchy, *data, schedule, validation=validation, state=found), end)
    with np.errstate(all="ignore"):
        diverged = train(hierarchy, *data, nested(2, 2, learning_rate=1e308, batch_size=8), on_divergence="stop")
    save_state(path, diverged)
    same(load_state(path, hierarchy, dtype=np.float64), diverged)


def test_a_stored_state_that_cannot_be_used(hierarchy, data, tmp_path):
    path = tmp_path / "state.npz"
    with pytest.raises(mn.InputError, match=r"state\.npz"):
        load_state(path, hierarchy)
    save_state(path, TrainingState(np.zeros(hierarchy[0].unknowns), 0), "seed 0")
    with pytest.raises(mn.InputError, match=r"state\.npz: expected a training with seed 1, got seed 0"):
        load_state(path, hierarchy, "seed 1", np.float64)
    for text, expected in (("phase,level\n0,x\n", "a history as it was written"), ("a,b\n1,2\n", "a history of phase")):
        stored = {name: array if array.dtype.kind != "U" else str(array) for name, array in np.load(path).items()}
        (tmp_path / "other.npz").write_bytes(write_sealed({**stored, "history": text}))
        with pytest.raises(mn.InputError, match=rf"other\.npz: expected {expected}"):
            load_state(tmp_path / "other.npz", hierarchy, "seed 0", np.float64)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(mn.InputError, match=r"state\.npz"):
        load_state(path, hierarchy, "seed 0", np.float64)


def test_networks_from_images_to_images(rng):
    """Their targets are carried like their images, and they have no classifier."""
    clean = rng.standard_normal((24, 1, 4, 4)).repeat(4, axis=2).repeat(4, axis=3)
    noisy = clean + 0.3 * rng.standard_normal(clean.shape)
    net = mn.Chain([mn.ConvolutionLayer((1, 16, 16), 4), mn.ConvolutionLayer(..., 1, activation="identity")])
    for hierarchy in (in_space(net, None, grids=(8, 16)), in_sizes(net, None, sizes=(8, 12, 16))):
        assert np.array_equal(hierarchy.targets(-1, clean), clean.reshape(24, -1))
        assert np.array_equal(hierarchy.targets(0, clean), restrict_images(clean).reshape(24, -1))
        assert hierarchy[0].unknowns == hierarchy[-1].unknowns == net.parameters.size
        schedule = nested(hierarchy, 6, learning_rate=0.2, batch_size=4) + joint(hierarchy, 2, batch_size=4)
        state = train(hierarchy, noisy, clean, schedule, validation=(noisy, clean))
        rows = [*state.history]
        assert rows[-1]["loss"] < 0.3 * rows[0]["loss"] and math.isclose(rows[-1]["validation_loss"], rows[-1]["loss"])
        assert math.isnan(rows[-1]["accuracy"])
    model = mn.Model(net, outputs="image").fit(noisy, clean, grids=(8, 16), epochs=4, learning_rate=0.2, batch_size=4)
    assert model.predict(noisy).shape == clean.shape and model.score(noisy, clean) > 0.5
    with pytest.raises(mn.InputError, match=r"schedule\[1\]: classifier_only: expected False where the results are"):
        train(hierarchy, noisy, clean, [Phase(0, batch_size=4), Phase(0, batch_size=4, classifier_only=True)])
    with pytest.raises(mn.InputError, match="network: expected images as large as its own as results"):
        in_space(mn.Chain([net, mn.PoolingLayer(...)]), None, grids=(8, 16))
