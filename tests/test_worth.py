"""The question of whether multigrid is worth it, on a tiny problem; curves over budgets, and means with intervals."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from tiny import quadrants

from meganet.backend import get_backend
from meganet.experiments import Setup, Workers
from meganet.experiments.questions import worth
from meganet.experiments.questions.base import Context, question_of
from meganet.experiments.questions.budgets import Curve, reached, sentence
from meganet.experiments.runs.arms import Outcome
from meganet.experiments.runs.paired import Mean, mean_of
from meganet.experiments.runs.study import SettingsError
from meganet.ground.validate import InputError
from meganet.optim import LinearDecay

SETTINGS = {"coarse_examples": 16, "validation_examples": 10, "trials": 2, "batch_size": 8}
FEW = {name: budgets[:1] for name, budgets in worth.BUDGETS.items()} | {worth.SINGLE: (0.25, 1)}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What the question is given, with few budgets, and the lines that it says meanwhile."""
    monkeypatch.setattr(worth, "BUDGETS", FEW)
    lines = []
    context = Context(
        tmp_path, "one", "small", SETTINGS, get_backend("numpy"), quadrants(), Workers(), False, lines.append
    )
    return context, lines


def test_all_arms_are_tuned_and_compared(asked):
    context, lines = asked
    found = question_of("worth").ask(context)
    rows = {(row["arm"], row["budget"]): row for row in found.rows}
    assert [*rows] == [(name, budget) for name, budgets in FEW.items() for budget in budgets]
    assert len(lines) == question_of("worth").cost(context.base, (1, 12, 12), 4).runs
    assert len([*context.path.rglob("*.npz")]) == len(lines)
    for (name, budget), row in rows.items():
        assert 0 <= row["accuracy"] <= 100 and row["seconds"] > 0 and row["TFLOP"] > 0
        paired = name != worth.SINGLE and budget in FEW[worth.SINGLE]
        assert np.isnan(row["difference"]) != paired
        if paired:
            single = rows[worth.SINGLE, budget]
            assert row["difference"] == pytest.approx(row["accuracy"] - single["accuracy"])
    told = found.notes[1].partition("taken: ")[2].split("; ")
    assert len(told) == len(FEW) and all(f" of {len(worth.RATES)} (rate " in part for part in told)
    assert len(found.notes) == 3 + len(FEW) and len(found.figure.axes) == 2
    lines.clear()
    assert repr(question_of("worth").ask(context).rows) == repr(found.rows) and not lines


def test_every_arm_has_as_many_candidates_and_spends_its_budget():
    base = Setup.of(coarse_examples=800, batch_size=8)
    arms = worth.schemes(base, (1, 28, 28), 10)
    assert [*arms] == [*worth.BUDGETS] and {len(of_name) for of_name in arms.values()} == {len(worth.RATES)}
    single = arms[worth.SINGLE][0](1.0).work(800)
    assert single == pytest.approx(800 * arms[worth.SINGLE][0](1.0).hierarchy[-1].flop)
    for name, of_name in arms.items():
        for scheme in of_name:
            for budget in worth.BUDGETS[name]:
                spent = scheme(budget).work(800) / single
                slack = 0.35 if "classifier" in name else 0.02
                assert spent == pytest.approx(budget, abs=slack), (name, budget)


def test_rates_fall_to_nearly_nothing_and_are_lower_on_wider_images():
    for image_shape, slower in (((1, 28, 28), 1.0), ((1, 56, 56), 0.5)):
        arms = worth.schemes(Setup(), image_shape, 10)
        for rate, scheme in zip(worth.RATES, arms[worth.SINGLE], strict=True):
            (phase,) = scheme(2.0).schedule
            assert phase.learning_rate == LinearDecay(slower * rate, slower * worth.LAST * rate, phase.epochs)
        grown = arms["nested, copied"][0](2.0).schedule
        rates = [(phase.rate(0), phase.rate(phase.epochs)) for phase in grown]
        factors = [min(1, 28 / level.network.domain_shape[-1]) for level in arms["nested, copied"][0](2.0).hierarchy]
        # one phase begins where the one before ended, but for the width of the images
        for k in range(len(rates) - 1):
            assert rates[k][1] / factors[k] == pytest.approx(rates[k + 1][0] / factors[k + 1])
        assert rates[-1][1] == pytest.approx(worth.LAST * rates[0][0] / factors[0] * factors[-1])


def test_the_grids_are_those_of_the_settings():
    arms = worth.schemes(Setup.of(grids=(14, 28)), (1, 28, 28), 10)
    assert [level.name for level in arms["random grids"][0](1.0).hierarchy] == ["14x14", "28x28"]
    with pytest.raises(InputError, match="dataset: expected images that net A takes at half their width"):
        worth.schemes(Setup(), (1, 27, 27), 10)


def test_too_few_images_are_named(asked):
    context = dataclasses.replace(asked[0], settings={**SETTINGS, "coarse_examples": 56})
    with pytest.raises(SettingsError, match=r"coarse_examples \+ validation_examples: expected at most the 60 of "):
        question_of("worth").ask(context)


def outcomes(*accuracies, work=1.0, seconds=1.0):
    return [Outcome(value, 0.5, work, seconds * (k + 1), np.zeros(0)) for k, value in enumerate(accuracies)]


def test_a_curve_is_of_means_and_in_the_order_of_the_budgets():
    curve = Curve.of({2: outcomes(90, 92, 97, work=3.0), 0.5: outcomes(80, 80, 83, work=1.0, seconds=0.25)})
    assert curve.work == (1.0, 3.0) and curve.seconds == (0.5, 2.0)
    assert curve.accuracy == pytest.approx((81, 93))
    assert curve.half_width == pytest.approx([mean_of(v).half_width for v in ([80, 80, 83], [90, 92, 97])])


def test_where_a_curve_comes_to_an_accuracy():
    curve = Curve((1.0, 4.0, 16.0), (1.0, 2.0, 8.0), (80.0, 90.0, 85.0), (0.0,) * 3)
    assert reached(curve, 70) == reached(curve, 80) == (1.0, 1.0) and reached(curve, 90) == pytest.approx((4.0, 2.0))
    assert reached(curve, 85) == pytest.approx((2.0, 2**0.5)) and reached(curve, 90.1) is None
    assert reached(dataclasses.replace(curve, accuracy=(float("nan"),) * 3), 10) is None
    text = sentence("nested", curve, None, 85)
    assert text == "nested comes to 85.00 % with 2 TFLOP and 1.41 s."
    assert "4.0 times less work and 0.7 times less time" in sentence("nested", curve, (8.0, 1.0), 85)
    assert sentence("nested", curve, (8.0, 1.0), 95).endswith("its best is 90.00 %.")


def test_curves_of_runs_that_diverged():
    diverged = Curve.of({1: outcomes(float("nan"), 90.0), 2: outcomes(91.0, 93.0, work=2.0)})
    assert np.isnan(diverged.accuracy[0]) and reached(diverged, 92) == (2.0, 1.5)
    assert diverged.best == 92 and "its best is 92.00 %" in sentence("nested", diverged, None, 95)
    both = Curve((1.0, 2.0, 4.0), (1.0, 2.0, 4.0), (80.0, float("nan"), 90.0), (0.0,) * 3)
    assert reached(both, 85) == pytest.approx((2.0, 2.0)) and reached(both, 91) is None
    assert np.isnan(Curve.of({1: outcomes(float("nan"))}).best)


def test_means_are_those_of_students_t():
    values = np.random.default_rng(0).normal(3, 2, 9)
    mean = mean_of(values)
    low, high = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert (mean.value - mean.half_width, mean.value + mean.half_width) == pytest.approx((low, high))
    assert mean.above(low - 1e-9) and not mean.above(low + 1e-9)
    assert str(Mean(1.0, float("nan"))) == "1.00" and not mean_of([5.0]).above(0)
    assert mean_of([2.0, 2.0]) == Mean(2.0, 0.0)
    assert np.isnan(mean_of([1.0, float("nan")]).value)
