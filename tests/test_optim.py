"""SGD and its relatives on a least-squares problem; histories."""

import numpy as np
import pytest

from meganet import Adam, Momentum, sgd
from meganet.ground.validate import InputError
from meganet.optim import History, Run, SGDState, sgd_stacked

RULES = {
    "plain": Momentum(),
    "momentum": Momentum(0.9),
    "nesterov": Momentum(0.9, nesterov=True),
    "adam": Adam(),
    "meganet_adam": Adam(variant="meganet"),
}


def problem(backend, dtype):
    rng = np.random.default_rng(0)
    a, y = rng.standard_normal((40, 5)), rng.standard_normal(40)
    a_device, y_device = backend.asarray(a, dtype), backend.asarray(y, dtype)

    def fun(x, indices):
        rows = a_device[indices]
        residual = rows @ x - y_device[indices]
        return (residual * residual).sum() * 0.5, (rows.T @ residual) * (1 / len(rows))

    return fun, backend.asarray(np.ones(5), dtype), np.linalg.lstsq(a, y, rcond=None)[0]


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]


def test_converges_and_keeps_the_dtype(rule, backend, dtype):
    fun, x0, solution = problem(backend, dtype)
    rate = 0.05 if getattr(rule, "momentum", 0) else 0.3
    state = sgd(fun, x0, 40, epochs=60, learning_rate=lambda e: rate / e, batch_size=8, rule=rule, order=1)
    assert state.x.dtype == dtype
    assert np.linalg.norm(backend.to_host(state.x) - solution) < 0.15
    np.testing.assert_array_equal(backend.to_host(x0), 1)


def test_a_run_continued_from_a_state_is_the_same_to_the_bit(rule, backend, dtype):
    fun, x0, _ = problem(backend, dtype)
    arguments = {"learning_rate": 0.01, "batch_size": 8, "rule": rule, "order": 3}
    whole = sgd(fun, x0, 40, epochs=5, **arguments)
    half = sgd(fun, x0, 40, epochs=2, **arguments)
    stored = SGDState(half.x, half.memory, half.epoch, History.from_csv(half.history.to_csv()))
    rest = sgd(fun, x0, 40, epochs=5, state=stored, **arguments)
    np.testing.assert_array_equal(backend.to_host(rest.x), backend.to_host(whole.x))
    assert rest.history.to_csv() == whole.history.to_csv() and len(rest.history) == 6


def test_runs_together_give_what_each_gives_alone(rule, backend, dtype):
    fun, x0, _ = problem(backend, dtype)
    arguments = {"epochs": 4, "learning_rate": lambda e: 0.1 / e, "batch_size": 8, "rule": rule}

    def stack(funs):
        def stacked(x, indices):
            values, gradients = zip(*(f(x[t], indices[t]) for t, f in enumerate(funs)), strict=True)
            return backend.xp.stack(values), backend.xp.stack(gradients)

        return stacked

    def observe(x):
        return {"first": float(backend.to_host(x[0]))}

    # the second run has already done three epochs, so it waits for the others
    starts = [x0, 2 * x0, 3 * x0]
    ahead = sgd(fun, starts[1], 40, **{**arguments, "epochs": 3}, order=1, observe=observe)
    saved = []
    runs = [
        Run(
            fun,
            x,
            order=k,
            observe=observe,
            callback=lambda s, k=k: saved.append((k, s.epoch)),
            state=ahead if k == 1 else None,
        )
        for k, x in enumerate(starts)
    ]
    states = sgd_stacked(runs, 40, stack=stack, **arguments)
    assert saved == [(0, 1), (2, 1), (0, 2), (2, 2), (0, 3), (2, 3), (0, 4), (1, 4), (2, 4)]
    for k, state in enumerate(states):
        alone = sgd(fun, starts[k], 40, **arguments, order=k, observe=observe)
        np.testing.assert_array_equal(backend.to_host(state.x), backend.to_host(alone.x))
        assert state.history.to_csv() == alone.history.to_csv() and len(state.seconds) == 4
    assert sgd_stacked([], 40, stack=stack, **arguments) == []
    shapes = set()

    def project(x):
        shapes.add(x.ndim)
        return 0.5 * x

    states = sgd_stacked(iter(runs[:1]), 40, stack=stack, project=project, **arguments)
    alone = sgd(fun, starts[0], 40, project=project, **arguments)
    np.testing.assert_array_equal(backend.to_host(states[0].x), backend.to_host(alone.x))
    assert shapes == {1, 2}


def test_each_example_is_used_once_and_the_last_incomplete_batch_is_dropped():
    seen = []

    def fun(x, indices):
        seen.append(indices.tolist())
        return 0.0, np.zeros_like(x)

    sgd(fun, np.zeros(1), 10, epochs=1, learning_rate=1.0, batch_size=3, order=lambda epoch: np.arange(10)[::-1])
    assert seen == [[9, 8, 7], [6, 5, 4], [3, 2, 1]]


def test_history_observer_callback_and_projection():
    epochs = []
    state = sgd(
        lambda x, i: (0.0, np.ones(2)),
        np.array([5.0, 5.0]),
        4,
        epochs=3,
        learning_rate=lambda epoch: 1 / epoch,
        batch_size=2,
        project=lambda x: np.maximum(x, 2.5),
        observe=lambda x: {"sum": float(x.sum())},
        callback=lambda state: epochs.append(state.epoch),
    )
    assert epochs == [1, 2, 3] and state.history.columns == ("epoch", "learning_rate", "step", "sum")
    assert state.history.column("sum") == [10.0, 6.0, 5.0, 5.0]
    assert state.history.column("step") == pytest.approx([0.0, 8**0.5, 0.5**0.5, 0.0])
    assert len(state.seconds) == 3


def test_progress_bar_is_quiet_unless_asked(capsys):
    for label in (None, "train"):
        sgd(lambda x, i: (0.0, x), np.ones(1), 4, epochs=1, learning_rate=1.0, batch_size=2, progress=label)
        assert ("train" in capsys.readouterr().err) == (label is not None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 5}, "batch_size: expected at most the number of examples, 4, got 5"),
        ({"epochs": 0}, "epochs: expected an integer of at least 1, got 0"),
        ({"learning_rate": lambda epoch: 1 - epoch}, "learning_rate: expected a finite number above 0, got 0"),
    ],
)
def test_errors(change, message):
    arguments = {"epochs": 1, "learning_rate": 1.0, "batch_size": 2, **change}
    with pytest.raises(InputError, match=message):
        sgd(lambda x, i: (0.0, x), np.ones(1), 4, **arguments)


def test_what_does_not_fit_is_refused():
    def run(x0=None, gradient=None, rule=None, state=None, order=0):
        g = np.ones(2) if gradient is None else gradient
        return sgd(
            lambda x, i: (0.0, g),
            np.ones(2) if x0 is None else x0,
            4,
            epochs=2,
            learning_rate=1.0,
            batch_size=2,
            rule=rule,
            state=state,
            order=order,
        )

    stored = SGDState(np.ones(2), (), 1, History([{"epoch": 0}]))
    for arguments, message in (
        ({"x0": np.array([1, 2])}, "dtype of x0: expected float32 or float64, got int64"),
        ({"gradient": np.ones(1)}, r"gradient: expected an array of shape \(2,\), got shape \(1,\)"),
        ({"x0": np.ones(2, "float32")}, "gradient: expected float32, the dtype of x0, got float64"),
        ({"rule": Momentum(0.9), "state": stored}, "state.memory: expected 1 arrays, as the rule remembers, got 0"),
        ({"x0": np.ones(3), "state": stored}, "state.x: expected an array of shape"),
        ({"order": lambda epoch: np.array([0, 1, 1, 2])}, "order: expected a permutation of 0 to 3 for epoch 1"),
        ({"order": lambda epoch: np.array([0, 1])}, "order: expected a permutation of 0 to 3 for epoch 1"),
    ):
        with pytest.raises(InputError, match=message):
            run(**arguments)
    kept = run()
    again = sgd(lambda x, i: (0.0, np.ones(2)), kept.x, 4, epochs=3, learning_rate=1.0, batch_size=2, state=kept)
    assert kept.epoch == 2 and again.epoch == 3 and len(kept.history) == 3 and len(again.history) == 4


def test_rule_errors():
    for make in (lambda: Momentum(1.0), lambda: Momentum(-0.1), lambda: Adam(beta1=1.0), lambda: Adam(variant="x")):
        with pytest.raises(InputError, match="expected"):
            make()


def test_history_table_and_exact_csv():
    history = History([{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": float("nan")}])
    again = History.from_csv(history.to_csv())
    history.append({"epoch": np.int64(3), "loss": np.float32(0.5)})
    assert History.from_csv(history.to_csv())[2] == {"epoch": 3, "loss": 0.5}
    assert again[0] == history[0] and np.isnan(again[1]["loss"]) and isinstance(again[0]["epoch"], int)
    assert str(history).splitlines()[0].split() == ["epoch", "loss"]
    with pytest.raises(InputError, match="row: expected the columns"):
        history.append({"epoch": 3})


def test_a_state_with_other_observed_columns_is_refused_by_name():
    fun, x0 = (lambda x, indices: (0.0, x)), np.ones(2)
    observe = lambda x: {"sum": float(x.sum())}  # noqa: E731
    state = sgd(fun, x0, 8, epochs=1, learning_rate=0.1, batch_size=4, observe=observe)
    with pytest.raises(InputError, match="observe: expected the columns sum of state.history, got none"):
        sgd(fun, x0, 8, epochs=2, learning_rate=0.1, batch_size=4, state=state)
    assert state.epoch == 1 and len(state.history) == 2


def test_the_label_of_the_progress_bar_is_text():
    with pytest.raises(InputError, match="progress: expected a label or None, got True"):
        sgd(lambda x, i: (x @ x, 2 * x), np.ones(3), 4, epochs=1, learning_rate=0.1, batch_size=2, progress=True)


def test_a_history_asked_for_a_row_by_name_says_how_a_column_is_had():
    with pytest.raises(InputError, match=r"column\('loss'\) returns a column, got 'loss'"):
        History([{"epoch": 1, "loss": 0.5}])["loss"]
