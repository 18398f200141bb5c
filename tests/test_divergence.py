"""Runs that diverge: noticed, located, stopped where that is wanted."""

import re
import warnings

import numpy as np
import pytest
from registry import OBJECTIVES, small_objective

from meganet import Adam, Chain, ConvolutionLayer, DenseLayer, Momentum, Objective, PoolingLayer, sgd
from meganet.ground.validate import InputError
from meganet.objective import StackedObjective
from meganet.optim import Divergence, DivergenceWarning, Run, SGDState, lbfgs, sgd_stacked

SETTINGS = {"epochs": 5, "learning_rate": 1.0, "batch_size": 2}


def diverging(epoch=3, batches=2):
    """A function whose gradient is not a number in one epoch."""
    calls = []

    def fun(x, indices):
        calls.append(x)
        return 0.0, np.full(2, np.nan if len(calls) == batches * (epoch - 1) + 1 else 0.5)

    return fun


def test_the_epoch_is_named_and_by_default_warned_of():
    with pytest.warns(DivergenceWarning, match="the run has diverged; epoch 3: x is not finite") as caught:
        state = sgd(diverging(), np.zeros(2), 4, **SETTINGS)
    assert caught[0].filename == __file__
    assert state.epoch == 5 and state.divergence == Divergence(3, "x is not finite")
    with pytest.warns(DivergenceWarning, match="the run has diverged; epoch 3: x is not finite") as caught:
        sgd(diverging(), np.zeros(2), 4, state=state, **SETTINGS)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("on_divergence", "epochs"), [("continue", 5), ("stop", 3)])
def test_it_goes_on_or_stops_silently(on_divergence, epochs):
    seen = []
    state = sgd(
        diverging(),
        np.zeros(2),
        4,
        on_divergence=on_divergence,
        callback=lambda s: seen.append((s.epoch, s.divergence and s.divergence.epoch)),
        **SETTINGS,
    )
    assert state.epoch == epochs == len(state.history) - 1 and state.divergence.epoch == 3
    assert seen == [(1, None), (2, None), (3, 3), (4, 3), (5, 3)][:epochs]
    with pytest.raises(InputError, match="on_divergence: expected one of 'continue', 'stop', 'warn', got 'halt'"):
        sgd(diverging(), np.zeros(2), 4, on_divergence="halt", **SETTINGS)


def test_an_observed_value_that_is_not_finite():
    """Of other columns it says nothing: an accuracy may have no value, another column only every few epochs."""
    rows = iter([1.0, 2.0, np.inf, 3.0, 3.0, 3.0])

    def observe(x):
        return {"loss": next(rows), "accuracy": np.nan, "seldom": np.nan if x[0] else 0.0}

    state = sgd(lambda x, i: (0.0, 0 * x + 1), np.zeros(2), 4, on_divergence="stop", observe=observe, **SETTINGS)
    assert state.epoch == 2 and str(state.divergence) == "epoch 2: the value is not finite"
    quiet = sgd(lambda x, i: (0.0, 0 * x + 1), np.zeros(2), 4, observe=lambda x: {"accuracy": np.nan}, **SETTINGS)
    assert quiet.divergence is None


@pytest.mark.parametrize("start", [np.nan, np.inf])
def test_a_start_that_is_not_finite(start):
    fun, calls = diverging(), []
    state = sgd(lambda x, i: calls.append(0) or fun(x, i), np.array([0.0, start]), 4, on_divergence="stop", **SETTINGS)
    assert str(state.divergence) == "start: x is not finite" and state.epoch == 0 and not calls


def test_a_stored_state_that_has_diverged():
    """Stored with what was said of it, or before that was stored."""
    first = sgd(diverging(), np.zeros(2), 4, on_divergence="continue", **SETTINGS)
    for stored in (first, SGDState(first.x, first.memory, first.epoch, first.history)):
        again = sgd(diverging(), np.zeros(2), 4, state=stored, on_divergence="stop", **{**SETTINGS, "epochs": 9})
        assert again.epoch == 5 and again.divergence == first.divergence


def test_the_others_of_several_runs_go_on():
    def stack(funs):
        def stacked(x, indices):
            values, gradients = zip(*(f(x[t], indices[t]) for t, f in enumerate(funs)), strict=True)
            return np.array(values), np.stack(gradients)

        return stacked

    def made():
        return [Run(diverging(epoch), np.zeros(2)) for epoch in (2, 9, 4)]

    states = sgd_stacked(made(), 4, stack=stack, on_divergence="stop", **SETTINGS)
    assert [s.epoch for s in states] == [2, 5, 4]
    assert [s.divergence and s.divergence.epoch for s in states] == [2, None, 4]
    with pytest.warns(DivergenceWarning) as caught:
        states = sgd_stacked(made(), 4, stack=stack, **SETTINGS)
    assert [s.epoch for s in states] == [5, 5, 5] and len(caught) == 2
    alone = sgd(diverging(9), np.zeros(2), 4, **SETTINGS)
    np.testing.assert_array_equal(states[1].x, alone.x)


class TestLayers:
    def test_weights_outputs_and_gradients(self, backend, dtype):
        objective, x = small_objective(backend, dtype)
        assert objective.first_non_finite(x) is None
        host = backend.to_host(x).copy()
        n = objective.network.parameters.size
        largest = float(np.finfo(dtype).max)
        for place, value, where in (
            (slice(0, 1), np.nan, r"layer theta\.0 \(ConvolutionLayer, .* not finite \(theta\.0\.kernel\)"),
            (slice(n - 1, n), np.inf, r"layer theta\.2 \(ResidualNetwork, .* weights .* \(theta\.2\.1\.K\.kernel\)"),
            (slice(n, None), largest, r"layer W \(DenseLayer, .* gives the first number that is not finite, from"),
            (slice(n - 1, None), np.nan, r"layer theta\.2 "),
            (slice(18, n), largest, r"layer theta\.2 .* gives the first"),
            (slice(18), largest**0.6, r"the regulariser of theta \(Tikhonov"),
        ):
            changed = host.copy()
            changed[place] = value
            with np.errstate(all="ignore"):
                found = objective.first_non_finite(backend.asarray(changed))
                some = objective.first_non_finite(backend.asarray(changed), backend.asarray(np.array([3, 1])))
            for text in (found, some):
                assert text is not None and re.match(where, text), text

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_weights_of_every_objective(self, backend, name):
        """The array that is named is the first in the order of the forward pass."""
        objective, x = OBJECTIVES[name](backend)
        assert objective.first_non_finite(x) is None
        host = backend.to_host(x)
        for parameter, view in objective.parameters.view(np.arange(len(host))).items():
            spoilt = host.copy()
            spoilt[view.reshape(-1)[-1]] = np.nan
            found = objective.first_non_finite(backend.asarray(spoilt))
            assert found.endswith(f"has weights that are not finite ({parameter})")
            everything = objective.first_non_finite(backend.asarray(host * np.nan))
            assert "has weights that are not finite" in everything

    def test_any_batches(self, backend):
        """The layer is the first of all batches, whatever their size."""
        first, second = DenseLayer((2,), 2, activation="identity", bias=False), DenseLayer((2,), 2, activation="relu")
        images = backend.asarray(np.array([[1e-3, 0.0], [1e150, 0.0], [1.0, 0.0], [0.0, 1e200]]))
        objective = Objective(Chain([first, second]), DenseLayer((2,), 2), images, [0, 1, 0, 1])
        x = np.zeros(objective.parameters.size)
        x[0], x[3], x[4:8] = 1.0, 1e120, 1e200
        for batch_size in (1, 2, 4, 100):
            with np.errstate(over="ignore", invalid="ignore"):
                found = objective.first_non_finite(backend.asarray(x), batch_size=batch_size)
            assert found.startswith("layer theta.0 (DenseLayer")

    @pytest.mark.parametrize("rule", [Momentum(), Momentum(0.9, nesterov=True), Adam()], ids=repr)
    def test_the_step_in_which_it_began(self, backend, dtype, rule):
        """At the end of the epoch all weights are NaN; the layer named is that of the first overflow."""
        network = Chain([ConvolutionLayer((1, 4, 4), 2, activation="relu"), PoolingLayer((2, 4, 4))])
        rng = np.random.default_rng(0)
        images = backend.asarray(rng.standard_normal((8, 1, 4, 4)), dtype)
        fun = Objective(network, DenseLayer(network.range_shape, 2), images, np.arange(8) % 2)
        x0 = backend.asarray(rng.standard_normal(fun.parameters.size), dtype)
        rate = float(np.finfo(dtype).max) ** 0.7
        with np.errstate(over="ignore", invalid="ignore"):
            state = sgd(
                fun, x0, 8, epochs=3, learning_rate=rate, batch_size=2, rule=rule, on_divergence="stop", order=1
            )
            runs = [Run(fun, x0, order=1), Run(fun, x0, order=2)]
            states = sgd_stacked(
                runs, 8, stack=StackedObjective, epochs=3, learning_rate=rate, batch_size=2, rule=rule,
                on_divergence="continue",
            )  # fmt: skip
        assert state.epoch == state.divergence.epoch == 1
        assert state.divergence.where.startswith("step ") and ("layer " in state.divergence.where)
        assert "has weights that are not finite" not in state.divergence.where
        assert states[0].divergence.epoch == 1 and states[0].epoch == 3

    def test_nothing_is_lost_where_nothing_diverges(self, backend):
        images = backend.asarray(np.random.default_rng(0).standard_normal((7, 2)))
        objective = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), images, np.arange(7) % 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x = backend.xp.zeros(objective.parameters.size)
            state = sgd(objective, x, 7, epochs=2, learning_rate=0.01, batch_size=3)
        assert state.divergence is None


def test_a_value_beyond_float64_is_infinite():
    assert lbfgs(lambda x: (10**400, x), np.ones(2)).reason == "not finite"
