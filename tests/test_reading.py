"""The second reading: how it is fitted, on a tiny problem."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from test_questions import SIZES
from tiny import quadrants

from meganet.backend import get_backend
from meganet.experiments import Setup, Workers, tables_of
from meganet.experiments.questions import fitting, newton_steps, reading
from meganet.experiments.questions.base import Context, cost, question_of
from meganet.experiments.setup.fields import parsed
from meganet.experiments.setup.settings import DEFAULTS, FITTED
from meganet.experiments.setup.tables import distance

(TABLE,) = tables_of("4.1")


@pytest.fixture
def asked(tmp_path):
    lines = []
    sizes = {**SIZES, "fine_epochs": 2}
    return Context(tmp_path, "one", "printed", sizes, get_backend(), quadrants(), Workers(), False, lines.append), lines


def test_the_nearest_of_each_step_is_kept(asked, monkeypatch):
    monkeypatch.setattr(reading, "MARGIN", 1000.0)
    monkeypatch.setattr(reading, "FINALISTS", 2)
    context, lines = asked
    question = reading.Fit(
        ({"theta_alpha": (0.0, 1.0), "interpolation": ("linear", "constant")}, {"W_std": (0.1, 0.3)})
    )
    found = question.ask(context)
    rows = found.rows
    assert [row["step"] for row in rows] == [1, 1, 1, 1, 2, 2]
    for step, candidates in ((1, 4), (2, 2)):
        of_step = [row for row in rows if row["step"] == step]
        full = [row["distance"] for row in of_step[:2]]
        assert full == sorted(full) and np.isfinite(full).all()
        nearest = sorted(row["screened"] for row in of_step)[:2]
        assert sorted(row["screened"] for row in of_step[:2]) == nearest, "those nearest after one epoch are finalists"
        assert len(of_step) == candidates and all(np.isnan(row["distance"]) for row in of_step[2:])
    best = rows[0]
    assert {(row["theta_alpha"], row["interpolation"]) for row in rows[4:]} == {
        (best["theta_alpha"], best["interpolation"])
    }
    chosen = rows[4]
    assert f"W_std = {chosen['W_std']}" in found.notes[2]
    lines.clear()
    assert str(question.ask(context).rows) == str(rows) and not lines, "all is stored"


def test_the_distances_are_those_of_the_table_that_the_same_settings_give(asked):
    context, _ = asked
    (row,) = reading.Fit(({"interpolation": ("constant",)},)).ask(context).rows
    variant = reading._variants({"interpolation": "constant"}, screened=False)
    study = context.runs([variant["new"], variant["transfer"]])
    histories = {arm: study.cases[variant[arm].name].histories()[arm] for arm in TABLE.rows}
    ours = {
        arm: [np.mean([100 * h[c.epoch][c.quantity] for h in histories[arm]]) for c in TABLE.columns]
        for arm in TABLE.rows
    }
    thesis = [value for arm in TABLE.rows for value in TABLE.thesis[arm]]
    assert row["distance"] == pytest.approx(distance([value for arm in TABLE.rows for value in ours[arm]], thesis))
    assert row["Multigrid: ReTrain validation"] == pytest.approx(ours["multigrid"][-1])
    # after one epoch, whose rate and random numbers are those of the first of two
    first = [ours[arm][k] for arm in TABLE.rows for k in (0, 1)]
    of_first = [TABLE.thesis[arm][k] for arm in TABLE.rows for k in (0, 1)]
    assert row["screened"] == pytest.approx(distance(first, of_first))


def test_those_far_behind_after_one_epoch_are_not_retrained(asked, monkeypatch):
    monkeypatch.setattr(reading, "MARGIN", 0.0)
    context, _ = asked
    rows = reading.Fit(({"W_std": (0.1, 0.3, 0.5)},)).ask(context).rows
    assert sum(np.isfinite(row["distance"]) for row in rows) == 1


def test_choices_that_differ_in_the_transfer_share_row_new():
    question = question_of("reading")
    variants = question.variants(Setup())
    new = [variant for variant in variants if variant.rows == ("new",)]
    first = reading.STEPS[0]
    one_epoch = [variant for variant in new if variant.name.endswith("one-epoch")]
    assert len(one_epoch) == len(first["theta_alpha"]) * len(first["training_images"]) + 2
    assert cost(question, "small").runs == 3 * sum(len(v.rows) for v in variants) + 3 * (len(first["theta_alpha"]) + 2)
    for variant in variants:
        assert variant.protocol == "4.1", "no other table plays a part"


def test_the_steps_of_an_epoch_are_fitted_to_the_classifiers_alone(asked, monkeypatch):
    """What a number of steps says is what a run with as many steps in an epoch gives."""
    monkeypatch.setattr(newton_steps, "MOST", 3)
    context, lines = asked
    found = newton_steps.NewtonSteps().ask(context)
    assert [row["steps"] for row in found.rows] == [1, 2, 3]
    assert not any("sgd" in line for line in lines), "nothing is trained after the classifiers"
    nearest = min(found.rows, key=lambda row: row["distance"])
    assert found.notes[1] == f"Chosen: newton_steps = {nearest['steps']}."
    changes = {"newton_steps": 2}
    variant = newton_steps.Classifiers("two", changes, "4.3", ("new", "transfer", "multigrid"))
    histories = context.runs([variant]).cases["two"].histories()
    row, thesis, ours = found.rows[1], [], []
    for arm in ("new", "transfer", "multigrid"):
        of_arm = histories[f"{arm}-classifier-steihaug"]
        for name, epoch, quantity in (
            ("initial training", 1, "accuracy"),
            ("initial val.", 1, "validation_accuracy"),
            ("after val.", -1, "validation_accuracy"),
        ):
            ours.append(100 * np.mean([history[epoch][quantity] for history in of_arm]))
            assert row[f"{arm.capitalize()}: {name}"] == pytest.approx(ours[-1])
        thesis += newton_steps.TABLE.thesis[arm][:3]
    assert row["distance"] == pytest.approx(distance(ours, thesis))


def test_the_fitted_settings_are_those_that_the_record_chose():
    """From the stored answers: the nearest of the last step, which has what all steps kept, and of the Newton steps."""
    folder = Path(__file__).parent.parent / "docs" / "results" / "experiments"
    fit, steps = (
        list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines())) for name in ("reading", "newton-steps")
    )
    last = [row for row in fit if row["step"] == str(len(reading.STEPS)) and math.isfinite(float(row["distance"]))]
    nearest = min(last, key=lambda row: float(row["distance"]))
    chosen = {name: parsed(name, nearest[name], DEFAULTS[name]) for name in fitting.first(reading.STEPS)}
    chosen["newton_steps"] = int(min(steps, key=lambda row: float(row["distance"]))["steps"])
    assert {name: value for name, value in chosen.items() if value != DEFAULTS[name]} == FITTED
    names = [name for step in reading.STEPS for name in step]
    tried = {tuple(row[name] for name in names) for row in fit}
    candidates = itertools.product(*reading.STEPS[0].values())
    assert len(tried) >= len(list(candidates)), "the whole record is there"
