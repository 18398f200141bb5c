"""The named experiments on a tiny problem: what they run, what they say."""

import csv
import dataclasses
import io
import itertools
import json
import shutil

import numpy as np
import pytest
from meganet.experiments.named import (
    EXPERIMENTS,
    Findings,
    Lab,
    all_causes,
    amplification,
    calibration,
    gaps,
    new_classifier,
    validation_set,
)
from meganet.experiments.named.causes import CAUSES
from meganet.experiments.problems import DIRECTIONS, build_levels, starting_point
from meganet.experiments.titles import QUESTIONS
from meganet.experiments.variants import SettingsError, Variant
from meganet.experiments.work import epoch_flop, step_flop
from tiny import TINY, quadrants

from meganet import Chain, ConvolutionLayer, Objective, PoolingLayer
from meganet.backend import get_backend, random_stream
from meganet.experiments import Protocol, ResultsError, Workers
from meganet.objective.landscape import filter_normalized
from meganet.optim import History
from meganet.plotting import findings_figure

SIZES = {
    name: getattr(TINY, name)
    for name in ("coarse_examples", "fine_examples", "validation_examples", "trials", "batch_size")
} | {"coarse_epochs": 1, "fine_epochs": 1}


@pytest.fixture
def lab(tmp_path):
    lines = []
    made = Lab(tmp_path, "one", "small", SIZES, get_backend(), quadrants(), Workers(), False, lines.append)
    return dataclasses.replace(made), lines


def test_calibration_keeps_the_best_of_every_stage(lab):
    stages = ({"momentum": (0.0, 0.9), "data_scaling": ("standardize", "unit")}, {"W_std": (0.1, 0.2)})
    experiment = dataclasses.replace(EXPERIMENTS["calibration"], stages=stages)
    room, lines = lab
    found = experiment.run(room)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert [row["stage"] for row in rows] == [1] * 4 + [2] * 2 and len(lines) == 2 * 5
    names = {line.split(":")[0] for line in lines}
    assert "trial 1/2 new (data_scaling=unit, momentum=0.9)" in names and len(names) == len(lines)
    for stage in (1, 2):
        distances = [row["distance"] for row in rows if row["stage"] == stage]
        assert distances == sorted(distances)
    best = rows[0]
    assert {(row["momentum"], row["data_scaling"]) for row in rows[4:]} == {(best["momentum"], best["data_scaling"])}
    assert f"W_std = {rows[4]['W_std']}" in found.notes[1] and not list(room.path.glob("**/coarse.npz"))
    lines.clear()
    assert experiment.run(room).rows == found.rows and not lines and findings_figure(found) is None
    for name, values in (item for stage in calibration.STAGES for item in stage.items()):
        assert getattr(Protocol(), name) in values, "the defaults are one of the choices"


def test_the_distance_is_that_of_the_rule():
    rows = [dict.fromkeys(("accuracy", "validation_accuracy"), 0.5), {"accuracy": 0.884, "validation_accuracy": 0.85}]
    rows.append({"accuracy": 0.984, "validation_accuracy": 0.919})
    found = calibration.numbers([History(rows), History(rows)])
    assert calibration.distance(found) == pytest.approx(1.0)
    assert calibration.distance(np.full(4, np.nan)) == np.inf


def test_a_cause_compares_with_its_first_variant(lab):
    room, lines = lab
    found = EXPERIMENTS["interpolation"].run(room)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert [(row["variant"], row["net"]) for row in rows] == [(v, n) for n in "AB" for v in ("linear", "constant")]
    for row in rows:
        assert row["gap Multigrid"] == pytest.approx(row["Multigrid train"] - row["Multigrid val."])
        assert row["gap difference"] == pytest.approx(row["gap Multigrid"] - row["gap Transfer"])
        assert row["trials"] == 2 and (row["variant"] != "linear" or row["change from first"] == 0)
    # the coarse training of a net is shared: two trials of two nets, then two arms of each variant
    assert sum("coarse" in line for line in lines) == 4 and len(lines) == 4 + 2 * 2 * 2 * 2
    assert found.to_csv().count("\n") == 5 and "Multigrid 36.3" in found.notes[0]
    gaps_drawn = {(g.variant, g.table, g.arm): g.values for g in found.drawn}
    for row in rows:
        table = {"A": "4.1", "B": "4.2"}[row["net"]]
        assert gaps_drawn[row["variant"], table, "multigrid"].mean() == pytest.approx(row["gap Multigrid"])
    canvas = findings_figure(found)
    for ax, net in zip(canvas.axes, "AB", strict=True):
        lengths = [bar.get_width() for bar in ax.patches]
        assert lengths == [row[f"gap {arm}"] for arm in ("Transfer", "Multigrid") for row in rows if row["net"] == net]
        bottom, top = ax.get_ylim()
        assert bottom > top, "the first variant stands above"
    assert [label.get_text() for label in canvas.axes[0].get_yticklabels()] == ["linear", "constant"]


def test_gaps_are_compared_by_hand():
    transfer = np.array([[90.0, 88.0], [92.0, 91.0]])
    first = {"transfer": transfer, "multigrid": np.array([[95.0, 90.0], [97.0, 94.0]])}
    second = {"transfer": transfer, "multigrid": np.array([[95.0, 80.0], [97.0, 78.0]])}
    alone = {"transfer": transfer[:1], "multigrid": transfer[:1] - 1}
    found = gaps.compare({("a", "4.1"): first, ("b", "4.1"): second, ("a", "4.2"): alone})
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert [(row["variant"], row["net"], row["trials"]) for row in rows] == [
        ("a", "A", 2),
        ("b", "A", 2),
        ("a", "B", 1),
    ]
    # gaps 2 and 1 of Transfer; 5 and 3, then 15 and 19 of Multigrid
    assert found.rows[0][3:] == pytest.approx((91, 89.5, 96, 92, 1.5, 4, 2.5, 0.5**0.5, 0, np.nan), nan_ok=True)
    assert found.rows[1][3:] == pytest.approx((91, 89.5, 96, 79, 1.5, 17, 15.5, 12.5**0.5, 13, 13 / 18**0.5))
    assert found.rows[2][7:] == pytest.approx((2, 2, 0, np.nan, 0, np.nan), nan_ok=True)
    assert [gap.values.tolist() for gap in found.drawn[2:4]] == [[2.0, 1.0], [15.0, 19.0]]


def test_causes_share_the_runs_that_they_have_in_common(lab):
    room, lines = lab
    base = EXPERIMENTS["interpolation"].run(room).rows[0]
    lines.clear()
    # two variants that the settings make the same are one run, and the one of the other experiment
    room = dataclasses.replace(room, settings={**SIZES, "momentum": 0.0})
    cause = dataclasses.replace(EXPERIMENTS["momentum"], changes={"0": {"momentum": 0.0}, "as set": {}})
    rows = cause.run(room).rows
    assert not lines and rows[0][1:-1] == rows[1][1:-1] == base[1:-1]
    two = dataclasses.replace(EXPERIMENTS["momentum"], changes={"as set": {}, "0.5": {"momentum": 0.5}, "same": {}})
    fresh = dataclasses.replace(room, path=room.path / "fresh", workers=Workers(2))
    rows = two.run(fresh).rows
    assert rows[0][1:-1] == rows[2][1:-1] and len(lines) == 2 * 4 + 2 * 2 * 2 * 2


def test_all_causes_in_one_table(lab, monkeypatch):
    room, lines = lab
    chosen = [cause for cause in CAUSES if cause.name in ("interpolation", "classifier-factor")]
    monkeypatch.setattr(all_causes, "CANDIDATES", chosen)
    found = EXPERIMENTS["causes"].run(room)
    made = len(lines)
    for cause in chosen:
        single = cause.run(room)
        for row in single.rows:
            values = dict(zip(single.columns, row, strict=True))
            (together,) = (r for r in found.rows if r[:2] == (cause.name, values["variant"]))
            of_net = dict(zip(found.columns, together, strict=True))
            assert of_net[f"net {values['net']}: gap Multigrid"] == values["gap Multigrid"]
    assert len(lines) == made and len(found.rows) == 5 and len(found.notes) == 2
    labels = [label.get_text() for label in findings_figure(found).axes[0].get_yticklabels()]
    assert labels[0] == "interpolation: linear" and len(labels) == 5


def test_settings_that_do_not_go_with_a_variant_are_named(lab):
    room = dataclasses.replace(lab[0], settings={**SIZES, "coarse_examples": 400, "batch_size": 400})
    with pytest.raises(
        SettingsError, match=r"settings: expected some that go with {'fine_examples': 300}, got \(batch_size"
    ):
        dataclasses.replace(CAUSES[0], changes={"300": {"fine_examples": 300}}).run(room)


def test_a_csv_reads_back_whatever_the_names():
    made = Findings(("line", "a, b"), [("Multigrid, linear P", 0.1), ('so "called"', float("nan"))])
    read = list(csv.reader(io.StringIO(made.to_csv())))
    assert read == [["line", "a, b"], ["Multigrid, linear P", "0.1"], ['so "called"', "nan"]]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_every_cause_has_variants_that_differ(cause):
    changes = cause.changes
    assert len(changes) > 1 and len({str(sorted(change.items())) for change in changes.values()}) == len(changes)
    assert EXPERIMENTS[cause.name] is cause and QUESTIONS[cause.name].endswith("?")


def test_the_networks_are_validated_on_every_set(lab, monkeypatch):
    room, lines = lab
    black = {"black": lambda images, rng: 0 * images}
    monkeypatch.setattr(validation_set, "SETS", {**validation_set.SETS, **black})
    found = EXPERIMENTS["validation-set"].run(room)
    rows = {row[:2]: dict(zip(found.columns, row, strict=True)) for row in found.rows}
    assert [*rows] == [(name, net) for net in "AB" for name in validation_set.SETS]
    made = len(lines)
    # the calibrated momentum is 0
    for kept in EXPERIMENTS["momentum"].run(room).rows:
        if kept[0] == "0":
            assert tuple(rows["as it is", kept[1]].values())[2:-1] == kept[2:-1]
    assert len(lines) > made and len({row["Transfer val."] for row in rows.values()}) > 2
    for net in "AB":
        # of a black image the classifier sees its bias alone: one class for all
        shares = []
        for trial in range(2):
            protocol = dataclasses.replace(TINY, **SIZES, network=net)
            labels = build_levels(protocol, room.data, trial, room.backend)[1].validation.labels
            shares.append(100 * np.bincount(labels, minlength=4) / len(labels))
        possible = [np.mean(pair) for pair in itertools.product(*shares)]
        assert any(rows["black", net]["Multigrid val."] == pytest.approx(share) for share in possible)


def test_the_sets_of_images_are_what_they_are_called():
    images = np.random.default_rng(1).random((1200, 1, 8, 8), dtype=np.float32)
    made = {name: change(images, np.random.default_rng(0)) for name, change in validation_set.SETS.items()}
    assert all(array.dtype == np.float32 for array in made.values())
    np.testing.assert_array_equal(made["as it is"], images)
    np.testing.assert_allclose(made["each image standardised"].mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(made["255 times as bright"], 255 * images, rtol=1e-6)
    np.testing.assert_array_equal(made["shifted by a pixel"][..., 1:], images[..., :-1])
    assert np.std(made["with noise of 0.1"] - images) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(made["each image standardised"].std(axis=(1, 2, 3), ddof=1), 1, rtol=1e-5)
    assert len(made["a tenth of it"]) == 120 and len(made["a hundredth of it"]) == 12
    assert len(validation_set.SETS["a hundredth of it"](images[:10], np.random.default_rng(0))) == 1


def test_the_classifier_of_new_by_both_methods(lab):
    room, lines = lab
    found = EXPERIMENTS["new-classifier"].run(room)
    rows = {row[:2]: dict(zip(found.columns, row, strict=True)) for row in found.rows}
    assert [*rows] == [(name, solver) for name in new_classifier.CHANGES for solver in ("steihaug", "meganet")]
    # fresh weights alone: the classifier and then all, by both methods, in both trials
    assert not any("coarse" in line for line in lines) and len(lines) == len(new_classifier.CHANGES) * 2 * 2 * 2
    assert "table 4.3: 32.5, 34.1, 75.3; table 4.4: 51.8, 50.3, 76.6" in found.notes[0]
    usual = rows["as set", "steihaug"]
    assert rows["W_std 0.01", "steihaug"]["loss at the start"] < usual["loss at the start"]
    stored = {}
    for path in room.path.glob("fine-*/settings.json"):
        protocol = json.loads(path.read_text())["protocol"]
        key = tuple(protocol[name] for name in ("trust_radius", "classifier_epochs", "W_std"))
        trial = path.parent / "trial-000"
        stored[key] = [
            History.from_csv((trial / f"new-classifier-{s}.csv").read_text()) for s in ("steihaug", "meganet")
        ]
    for solver, history in zip(("steihaug", "meganet"), stored[1.0, 20, 0.1], strict=True):
        other = [
            History.from_csv((path.parent / "trial-001" / f"new-classifier-{solver}.csv").read_text())
            for path in room.path.glob("fine-*/settings.json")
            if json.loads(path.read_text())["protocol"]["classifier_epochs"] == 20
        ]
        both, row = [history, *other], rows["20 steps", solver]
        after = [100 * h[-1]["validation_accuracy"] for h in both]
        assert row["loss at the start"] == pytest.approx(np.mean([h[0]["loss"] for h in both]))
        assert row["initial training"] == pytest.approx(100 * np.mean([h[1]["accuracy"] for h in both]))
        assert row["initial val."] == pytest.approx(100 * np.mean([h[1]["validation_accuracy"] for h in both]))
        assert (row["after val."], row["std of after val."]) == pytest.approx((np.mean(after), np.std(after, ddof=1)))
    usual, small, large = (stored[radius, 5, 0.1] for radius in (1.0, 0.25, 4.0))
    for radius, (own, other) in ((1.0, usual), (0.25, small), (4.0, large)):
        # a first step that is not taken has length 0
        assert own[1]["step"] <= radius * (1 + 1e-6) and other.to_csv() == usual[1].to_csv()
    assert small[0].to_csv() != usual[0].to_csv() != large[0].to_csv()
    assert [list(h)[:6] for h in stored[1.0, 20, 0.1]] == [list(h) for h in usual]


def test_sharpness_compares_the_arms_before_and_after(lab):
    room, _ = lab
    found = EXPERIMENTS["sharpness"].run(room)
    rows = {row[:2]: dict(zip(found.columns, row, strict=True)) for row in found.rows}
    assert [*rows] == [(net, moment) for net in "AB" for moment in ("before retraining", "after")]
    for net, table in (("A", "4.1"), ("B", "4.2")):
        (kept,) = (r for r in EXPERIMENTS["momentum"].run(room).rows if r[:2] == ("0", net))
        assert (rows[net, "after"]["gap Transfer"], rows[net, "after"]["gap Multigrid"]) == pytest.approx(kept[7:9])
        variant = Variant("by hand", {}, table, ("transfer", "multigrid"))
        runs, curvatures = room.runs([variant]), []
        protocol = runs.protocols["by hand"]
        for trial in range(2):
            levels = build_levels(protocol, room.data, trial, room.backend)
            coarse, fun = runs.weights("by hand", trial, "coarse"), levels[1].training
            points = [starting_point(protocol, levels, arm, coarse, trial) for arm in variant.arms]
            points += [runs.weights("by hand", trial, arm) for arm in variant.arms]
            bare, values = Objective(fun.network, fun.classifier, fun.images, fun.labels), []
            for x in points:
                rng = random_stream(0, trial, DIRECTIONS)
                drawn = [filter_normalized(bare, x, rng) for _ in range(8)]
                values.append(np.mean([np.vdot(d, bare.hessian(x) @ d) for d in drawn]))
            curvatures.append(values)
        expected = np.mean(curvatures, axis=0)
        found_curvatures = [
            rows[net, moment][f"curvature {arm}"]
            for moment in ("before retraining", "after")
            for arm in ("Transfer", "Multigrid")
        ]
        assert found_curvatures == pytest.approx(expected, rel=1e-3, abs=1e-9) and expected[0] > 1e-6
        ratios = [first[1] / first[0] for first in curvatures]
        row = rows[net, "before retraining"]
        assert (row["lowest ratio"], row["highest ratio"]) == pytest.approx((min(ratios), max(ratios)), rel=1e-3)
        assert row["ratio"] == pytest.approx(np.median(ratios), rel=1e-3)


def test_amplification_measures_every_start(lab):
    room, lines = lab
    found = EXPERIMENTS["amplification"].run(room)
    rows = {row[:3]: dict(zip(found.columns, row, strict=True)) for row in found.rows}
    assert len(rows) == 6 and all("coarse" in line for line in lines) and len(lines) == 4
    for net in "AB":
        kept, linear, constant = (rows[net, *kind] for kind in amplification.KINDS)
        name = "norm of theta, in coarse norms"
        assert kept[name] == pytest.approx(1) and linear[name] > constant[name] > 1
        unseen = "features from the unseen part, %"
        assert linear[unseen] > constant[unseen] > kept[unseen] > 0


def test_worth_counts_all_the_work(lab):
    room, _ = lab
    found = EXPERIMENTS["worth"].run(room)
    curves = {(curve.line, curve.examples): curve for curve in found.drawn}
    assert {line for line, _ in curves} == {
        "coarse network",
        "New",
        "Transfer",
        "Multigrid, linear P",
        "Multigrid, constant P",
    }
    coarse, new, transfer = (curves[key] for key in (("coarse network", 0), ("New", 16), ("Transfer", 16)))
    protocol = dataclasses.replace(TINY, **SIZES)
    assert coarse.tflop[-1] == pytest.approx(epoch_flop(protocol, coarse=True) / 1e12)
    assert transfer.tflop[0] == coarse.tflop[-1] and len(new.tflop) == 4 and new.tflop[0] == 0
    assert transfer.tflop[-1] - transfer.tflop[0] == pytest.approx(new.tflop[1])
    assert transfer.seconds[0] == coarse.seconds[-1] < transfer.seconds[-1]
    canvas = findings_figure(found)
    assert len(canvas.axes) == 2 * len({curve.examples for curve in found.drawn if curve.examples})
    for path in room.path.glob("coarse-*/trial-000/timings.csv"):
        path.unlink()
    untimed = {(curve.line, curve.examples): curve for curve in EXPERIMENTS["worth"].run(room).drawn}
    for key, curve in untimed.items():
        assert np.isnan(curve.seconds[-1]) == (key[0] != "New") and (curve.tflop == curves[key].tflop).all()


def test_the_arithmetic_of_a_step():
    """By hand: 3x3 kernels, 1 to 2 channels on 8x8 (two products), 2 to 3 on 4x4 (three), a classifier of 5."""
    net = Chain([ConvolutionLayer((1, 8, 8), 2), PoolingLayer((2, 8, 8)), ConvolutionLayer((2, 4, 4), 3)])
    assert step_flop(net, 5) == 2 * 2 * 18 * 64 + 3 * 2 * 54 * 16 + 3 * 2 * 5 * 48


def test_coarse_training_that_was_lost_is_named_not_made_again(lab):
    """The arms say which coarse weights they started from, whichever folder those are in."""
    room, lines = lab
    experiment = EXPERIMENTS["interpolation"]
    rows = experiment.run(room).rows
    (coarse, *_) = sorted(room.path.glob("coarse-*"))
    kept = room.path.parent / "kept"
    shutil.copytree(coarse, kept)
    lines.clear()
    for damage in (
        lambda: (coarse / "trial-000" / "coarse.npz").unlink(),
        lambda: [path.unlink() for path in (coarse / "trial-000").glob("coarse.*")],
        lambda: shutil.rmtree(coarse / "trial-000"),
        lambda: shutil.rmtree(coarse),
    ):
        damage()
        with pytest.raises(
            ResultsError, match=r"out: expected results that belong together, got .*coarse.npz' missing"
        ):
            experiment.run(room)
        shutil.rmtree(coarse)
        shutil.copytree(kept, coarse)
    assert not lines and repr(experiment.run(room).rows) == repr(rows) and not lines
    # a folder of another trial in its place
    shutil.rmtree(coarse / "trial-000")
    shutil.copytree(coarse / "trial-001", coarse / "trial-000")
    with pytest.raises(ResultsError, match=r"which is the run coarse of trial 2"):
        experiment.run(room)
