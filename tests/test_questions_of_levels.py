"""The questions that train over levels, on a tiny problem: what they run, what they say."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from tiny import TINY, quadrants

from meganet.backend import get_backend
from meganet.datasets import load_shapes
from meganet.experiments import Workers
from meganet.experiments.questions import joint, with_arms
from meganet.experiments.questions.base import Context, cost, question_of
from meganet.experiments.runs.arms import Outcome
from meganet.experiments.runs.study import SettingsError
from meganet.multigrid import restrict_images

SIZES = {
    name: TINY.values()[name] for name in ("coarse_examples", "fine_examples", "validation_examples", "batch_size")
}
SIZES |= {"coarse_epochs": 16, "trials": 2}


def asked(path, name):
    """Return what a question is given, and the lines that it says meanwhile."""
    lines = []
    return Context(path, name, "small", SIZES, get_backend(), quadrants(), Workers(), False, lines.append), lines


def outcomes(*accuracies, work=1.0):
    return [Outcome(accuracy, 0.1, work, 1.0, np.zeros(2)) for accuracy in accuracies]


def test_one_network_against_a_specialist_for_each_grid(tmp_path, monkeypatch):
    monkeypatch.setattr(joint, "RATES", (0.01, 0.05))
    monkeypatch.setattr(joint, "JOINT", ((0.01, "random"), (0.05, "cyclic")))
    context, lines = asked(tmp_path, "joint")
    question = question_of("joint")
    found = question.ask(context)
    made = question.cost(context.base, (1, 12, 12), 4)
    assert len(lines) == made.runs == 2 * (3 * 2 + 2 * 3 * 3)
    rows = {(row["net"], row["stencils"], row["pixels"], row["passes"]): row for row in found.rows}
    # pooling takes no images of 3x3 pixels
    grids = {"A": (3, 6, 12, 24), "pooled": (6, 12, 24)}
    trained = {(net, "copied", pixels, passes) for net in grids for pixels in (6, 12) for passes in (1, 2)}
    carried = {(net, how, pixels, 4) for net in grids for how in joint.TRANSFERS for pixels in grids[net]}
    assert {*rows} == trained | carried and len(rows) == len(found.rows)
    for net, own in itertools.product(grids, (6, 12)):
        at = rows[net, "copied", own, 4], rows[net, "Galerkin", own, 4]
        # a specialist is not carried to the grid that it was trained for
        assert at[0][f"{own} alone"] == at[1][f"{own} alone"]
        assert at[0][f"joint minus {own} alone"] == pytest.approx(at[0]["joint"] - at[0][f"{own} alone"])
    assert "of that of both specialists" in found.notes[2] and found.notes[2].count("unseen") == 2
    assert found.notes[4].count("unseen") == 1 and len(found.figure.axes) == 4
    for ax in found.figure.axes:
        assert ax.get_legend_handles_labels()[1] == ["specialist", "joint"]
    lines.clear()
    assert repr(question.ask(context).rows) == repr(found.rows) and not lines


def test_drawn_images_are_there_with_twice_as_many_pixels(monkeypatch):
    monkeypatch.setattr(joint, "load", lambda name: load_shapes(int(name.rpartition("-")[2]), 20))
    data = load_shapes(14, 20)
    finer = joint._finer(data, "shapes-14")
    means = restrict_images(finer.images.astype(np.float64))
    assert np.abs(means - data.images).max() <= 1
    # no set of twice the size, no size, other images
    assert [joint._finer(data, name) for name in ("shapes-224", "digits", "cifar-10")] == [None] * 3
    assert joint._finer(quadrants(), "shapes-14") is None


def test_nested_iteration_over_depth_against_all_steps(tmp_path):
    context, lines = asked(tmp_path, "depth")
    question = question_of("depth")
    found = question.ask(context)
    made = question.cost(context.base, (1, 12, 12), 4)
    assert len(lines) == made.runs == 2 * 6 + 2 * (4 + 4 + 3 + 3)
    arms = [row["arm"] for row in found.rows]
    assert arms == ["16 steps alone"] * 4 + ["nested"] * 4 + ["2 steps alone", "4 steps alone", "8 steps alone"]
    deep, nested = found.rows[:4], found.rows[4:8]
    for one, other in zip(deep, nested, strict=True):
        assert one["minus 16 steps alone"] == 0 and other["TFLOP"] == pytest.approx(one["TFLOP"], rel=0.2)
        assert other["minus 16 steps alone"] == pytest.approx(other["accuracy"] - one["accuracy"])
    assert found.notes[3].count("refined") == 3 and "the bar, 3 times less" in found.notes[2]
    assert found.figure.axes[0].get_xscale() == "log"
    assert f"16 steps {nested[-1]['accuracy']:.2f}" in found.notes[3]
    lines.clear()
    assert repr(question.ask(context).rows) == repr(found.rows) and not lines


def test_more_images_than_there_are_are_refused(tmp_path):
    context, _ = asked(tmp_path, "depth")
    settings = {**SIZES, "coarse_examples": 100}
    with pytest.raises(SettingsError, match="at most the 60 of quadrants"):
        question_of("depth").ask(dataclasses.replace(context, settings=settings))


def test_how_much_work_is_saved():
    usual = [outcomes(90.0, 91.0, work=1.0), outcomes(94.0, 96.0, work=2.0), outcomes(96.0, 96.2, work=4.0)]
    other = [outcomes(94.0, 95.0, work=0.5), outcomes(95.9, 96.1, work=1.0), outcomes(96.5, 96.5, work=2.0)]
    ratio, logarithm = with_arms.saved(usual, other, 0.1)
    # 96.1 - 0.1 is what the other arm has with its second budget
    own = 2 * 2 ** ((96.0 - 95.0) / (96.1 - 95.0))
    assert ratio == pytest.approx(own) and logarithm.half_width > 0
    same, spread = with_arms.saved(usual, usual, 0.1)
    assert same == 1 and spread.value == spread.half_width == 0
    assert math.isnan(with_arms.saved(usual, [outcomes(50.0, 51.0)] * 3, 0.1)[0])
    assert math.isnan(with_arms.saved([of[:1] for of in usual], [of[:1] for of in other], 0.1)[1].half_width)


def test_phases_have_a_mini_batch_and_rates_that_fall():
    phase = with_arms.decaying(0, 0.01, 0.1, batch_size=8, examples=24)
    assert phase.cuts(24) == (0, 1) and phase.rate(0) == 0.1
    phase = with_arms.decaying(0, 10, 0.1, batch_size=8, examples=24)
    assert len(phase.cuts(24)) == 17 and phase.rate(10) == pytest.approx(0.005)


def test_the_costs_of_the_presets_are_told():
    for name in ("joint", "depth"):
        small, thesis = (cost(question_of(name), preset) for preset in ("small", "thesis"))
        assert 0 < small.tflop < thesis.tflop and small.runs < thesis.runs
