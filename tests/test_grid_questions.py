"""The questions about networks that are carried from grid to grid, on a tiny problem."""

import dataclasses

import numpy as np
import pytest
from tiny import quadrants

from meganet import ConvolutionLayer
from meganet.backend import get_backend
from meganet.experiments import Setup, Workers
from meganet.experiments.questions import coarsening, transfers
from meganet.experiments.questions.base import Context, cost, question_of
from meganet.experiments.questions.carrying import grids_of
from meganet.experiments.runs.arms import Arm, Arms, Sizes
from meganet.experiments.runs.study import SettingsError
from meganet.ground.validate import InputError
from meganet.multigrid import Galerkin, prolongation_penalty
from meganet.multilevel import Phase, Schedule, in_space

SIZES = {"coarse_examples": 64, "validation_examples": 12, "trials": 2, "batch_size": 8, "fine_examples": 64}


@pytest.fixture
def asked(tmp_path):
    """What a question is given, and the lines that it says meanwhile."""
    lines = []
    return Context(
        tmp_path, "one", "small", SIZES, get_backend(), quadrants(count=80), Workers(), False, lines.append
    ), lines


def test_networks_of_the_fine_grid_on_coarser_ones(asked, monkeypatch):
    monkeypatch.setattr(coarsening, "RATES", {"A": (0.01,), "B": (0.003, 0.01)})
    context, lines = asked
    question = question_of("coarsening")
    found = question.ask(context)
    rows = {tuple(row[name] for name in ("net", "grid", "stencils", "training there")): row for row in found.rows}
    # pooling takes no images of 3x3 pixels
    places = [("A", "6x6"), ("A", "3x3"), ("B", "6x6")]
    trainings = ("none", *coarsening.SHARES)
    assert [*rows] == [(*place, way, training) for place in places for way in coarsening.WAYS for training in trainings]
    base = context.base
    assert len(lines) == question.cost(base, (1, 12, 12), 4).runs
    for (_, _, way, training), row in rows.items():
        assert row["trials"] == 2 and (training == "none") == (row["work, %"] == 0)
        assert 0 <= row["accuracy"] <= 100 and (way != "copied" or row["above copied"] == 0)
    # the classifier alone on 6x6: features once, then five passes forward and back, against three passes of it all
    first, second, last = 2 * 288 * 36, 2 * 18432 * 36, 2 * 4 * 64 * 36
    whole = 3 * 64 * (2 * first + 3 * (second + last))
    for name, share in coarsening.SHARES.items():
        n = round(share * 64)
        alone = n * (first + second) + 5 * (n // 8 * 8) * 2 * last
        assert rows["A", "6x6", "copied", name]["work, %"] == pytest.approx(100 * alone / whole)
    assert "of 3 cases" in found.notes[-1] and "of 3 cases" in found.notes[-2]
    assert [ax.get_title() for ax in found.figure.axes] == [f"net {net}, {grid}" for net, grid in places]
    lines.clear()
    assert repr(question.ask(context).rows) == repr(found.rows) and not lines


def test_transfers_to_the_fine_grid(asked, monkeypatch):
    ways = [*transfers.WAYS[:6], *transfers.WAYS[9:12:2], *transfers.WAYS[-4:]]
    coarse = {way.coarse: transfers.COARSE[way.coarse] for way in ways}
    for name, value in {"NETS": ("B",), "WAYS": ways, "COARSE": coarse, "FINE_RATES": (0.001,)}.items():
        monkeypatch.setattr(transfers, name, value)
    context, lines = asked
    question = question_of("transfers")
    found = question.ask(context)
    rows = {tuple(row[name] for name in ("net", "coarse training", "transfer")): row for row in found.rows}
    assert len(rows) == len(found.rows) == len(ways)
    assert len(lines) == question.cost(context.base, (1, 12, 12), 4).runs
    copied = rows["B", "plain", "copied"]
    exact = [rows["B", "plain", f"{name}, constant P for W"] for name in ("enlarged", "dilated")]
    linear, constant = (rows["B", "plain", f"Galerkin, {p} P"] for p in ("linear", "constant"))
    assert (copied["growth"], copied["above copied"], copied["stable rate"]) == pytest.approx((1, 0, 1))
    assert linear["growth"] > constant["growth"] > 1
    growths = [linear["growth"], *(rows["B", "plain", f"damped {d}, linear P"]["growth"] for d in (0.01, 0.1))]
    assert growths == sorted(growths, reverse=True)
    penalised = [rows["B", name, "Galerkin, linear P"]["growth"] for name in ("plain", "penalty 1e-3")]
    assert penalised[0] > penalised[1]
    # both do the same, one of them with weights where the other has none
    assert exact[0]["before"] == exact[1]["before"] and exact[0]["angle"] == pytest.approx(exact[1]["angle"], rel=1e-3)
    assert exact[0]["growth"] == exact[1]["growth"] == 1 and exact[0]["work"] > exact[1]["work"] == 1
    assert all(0 <= row["angle"] <= 180 and row["stable rate"] > 0 for row in rows.values())
    assert [ax.get_title() for ax in found.figure.axes] == ["net B"]
    assert found.notes[1].startswith("Net B: ") and "The difference from copied is" in found.notes[1]
    lines.clear()
    assert repr(question.ask(context).rows) == repr(found.rows) and not lines


def test_the_penalty_of_a_level_is_that_of_its_network():
    level = in_space(coarsening.hierarchy_of("B", (1, 12, 12), 4, (6, 12))[1].network, 4, (6, 12))[0]
    theta = np.random.default_rng(0).standard_normal(level.network.parameters.size)
    expected = prolongation_penalty(level.network, 0.1, kernels=Galerkin("linear"))
    assert transfers.Penalised(0.1)(level).value(theta) == expected.value(theta)


def test_grids_that_a_net_goes_to():
    assert grids_of("resnet", (1, 28, 28)) == (14, 28) and grids_of("A", (1, 56, 56)) == (14, 28, 56)
    with pytest.raises(InputError, match="dataset: expected images that net A takes at half their width, got 1x27x27"):
        grids_of("A", (1, 27, 27))


def test_too_few_images_are_named(asked):
    context = dataclasses.replace(asked[0], settings={**SIZES, "coarse_examples": 24})
    with pytest.raises(
        SettingsError, match="coarse_examples and fine_examples: expected at least 64, 8 mini-batches, got 24"
    ):
        question_of("coarsening").ask(context)


def test_an_arm_takes_a_share_of_the_images():
    hierarchy = in_space(coarsening.hierarchy_of("B", (1, 12, 12), 4, (6, 12))[1].network, 4, (6, 12))
    arm = Arm("some", hierarchy, Schedule((Phase(0, 2.0),)), share=0.25)
    assert arm.examples(40) == 10 and arm.work(40) == 20 * hierarchy[0].flop
    assert arm.text() != dataclasses.replace(arm, share=1.0).text()
    for share in (0, 1.5):
        with pytest.raises(InputError, match="share: expected"):
            dataclasses.replace(arm, share=share)


def test_an_arm_on_coarser_grids_than_the_images(tmp_path):
    data = quadrants(count=40)
    hierarchy = in_space(ConvolutionLayer((1, 12, 12), 2), data.classes, (6,))
    setup = Setup.of(dtype="float64")
    arms = Arms(tmp_path, data, Sizes(24, 8), setup, get_backend())
    ((outcome,),) = arms.run([Arm("coarse", hierarchy, Schedule((Phase(0, batch_size=8),)))], 1)
    assert outcome.x.shape == (hierarchy[0].unknowns,) and np.isfinite(outcome.loss)


def test_what_the_questions_cost():
    for name in ("coarsening", "transfers"):
        small, thesis = (cost(question_of(name), preset) for preset in ("small", "thesis"))
        assert thesis.runs > small.runs and thesis.tflop > 10 * small.tflop and np.isfinite(thesis.tflop)
