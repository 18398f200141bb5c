"""The questions on a tiny problem: what they run, what they say."""

import csv
import dataclasses
import io
import itertools
import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, quadrants

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, PoolingLayer
from meganet.backend import get_backend, random_stream
from meganet.experiments import PRESETS, Problems, ResultsError, Setup, Workers, build_network, grid_shapes, tables_of
from meganet.experiments.questions import (
    amplification,
    base,
    calibration,
    causes,
    comparing,
    mgopt,
    multilevel_gradients,
    new_classifier,
)
from meganet.experiments.questions.base import Answer, Context, Variant, cost, question_of, questions
from meganet.experiments.questions.fitting import percent
from meganet.experiments.runs.problems import DIRECTIONS
from meganet.experiments.runs.study import SettingsError
from meganet.experiments.runs.work import epoch_flop
from meganet.experiments.setup.tables import distance
from meganet.ground.validate import InputError
from meganet.multigrid import restrict_images, weights_restriction
from meganet.networks.work import products, step_flop
from meganet.objective.landscape import filter_normalized
from meganet.optim import History

SIZES = {
    name: TINY.values()[name]
    for name in ("coarse_examples", "fine_examples", "validation_examples", "trials", "batch_size")
} | {"coarse_epochs": 1, "fine_epochs": 1}


@pytest.fixture
def asked(tmp_path):
    """What a question is given, and the lines that it says meanwhile."""
    lines = []
    return Context(tmp_path, "one", "small", SIZES, get_backend(), quadrants(), Workers(), False, lines.append), lines


def measured(row):
    """Return the numbers of a row of a comparison, but the effect size, which nan may be."""
    return list(row.values())[1:-1]


def by(found, *columns):
    """Return the rows of an answer by what stands in some columns."""
    return {tuple(row[column] for column in columns): row for row in found.rows}


def drawn_gaps(figure):
    """Return the points of a figure of gaps, of the trials of each bar, by axes."""
    return [[line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "."] for ax in figure.axes]


def test_calibration_keeps_the_best_of_every_step(asked):
    steps = ({"momentum": (0.0, 0.9), "data_scaling": ("standardize", "unit")}, {"W_std": (0.1, 0.2)})
    question = calibration.Calibration(steps)
    context, lines = asked
    found = question.ask(context)
    rows = found.rows
    assert [row["stage"] for row in rows] == [1] * 4 + [2] * 2 and len(lines) == 2 * 5
    names = {line.split(":")[0] for line in lines}
    assert "trial 1/2 new (data_scaling=unit, momentum=0.9)" in names and len(names) == len(lines)
    for stage in (1, 2):
        distances = [row["distance"] for row in rows if row["stage"] == stage]
        assert distances == sorted(distances)
    best = rows[0]
    assert {(row["momentum"], row["data_scaling"]) for row in rows[4:]} == {(best["momentum"], best["data_scaling"])}
    assert f"W_std = {rows[4]['W_std']}" in found.notes[1] and not list(context.path.glob("**/coarse.npz"))
    lines.clear()
    assert question.ask(context).rows == found.rows and not lines and found.figure is None
    for name, values in (item for step in calibration.STEPS for item in step.items()):
        assert Setup().values()[name] in values, "the defaults are one of the choices"


def test_the_distance_is_that_of_the_rule():
    rows = [dict.fromkeys(("accuracy", "validation_accuracy"), 0.5), {"accuracy": 0.884, "validation_accuracy": 0.85}]
    rows.append({"accuracy": 0.984, "validation_accuracy": 0.919})
    found = percent([History(rows), History(rows)], calibration.TABLE.columns).mean(axis=0)
    assert distance(found, calibration.TARGET) == pytest.approx(1.0)
    assert distance(np.full(4, np.nan), calibration.TARGET) == np.inf


def test_a_cause_compares_with_its_first_variant(asked):
    context, lines = asked
    found = question_of("interpolation").ask(context)
    rows = found.rows
    assert [(row["variant"], row["net"]) for row in rows] == [(v, n) for n in "AB" for v in ("linear", "constant")]
    for row in rows:
        assert row["gap Multigrid"] == pytest.approx(row["Multigrid train"] - row["Multigrid val."])
        assert row["gap difference"] == pytest.approx(row["gap Multigrid"] - row["gap Transfer"])
        assert row["trials"] == 2 and (row["variant"] != "linear" or row["change from first"] == 0)
    # the coarse training of a net is shared: two trials of two nets, then two arms of each variant
    assert sum("coarse" in line for line in lines) == 4 and len(lines) == 4 + 2 * 2 * 2 * 2
    assert found.to_csv().count("\n") == 5 and "Multigrid 36.3" in found.notes[0]
    canvas = found.figure
    points = drawn_gaps(canvas)
    for net, of_net in zip("AB", points, strict=True):
        means = [row[f"gap {arm}"] for arm in ("Transfer", "Multigrid") for row in rows if row["net"] == net]
        assert [np.mean(values) for values in of_net] == pytest.approx(means) and {*map(len, of_net)} == {2}
    for ax, net in zip(canvas.axes, "AB", strict=True):
        lengths = [bar.get_width() for bar in ax.patches]
        assert lengths == [row[f"gap {arm}"] for arm in ("Transfer", "Multigrid") for row in rows if row["net"] == net]
        assert ax.get_title() == f"net {net}" and len(ax.get_legend_handles_labels()[1]) == 4
        bottom, top = ax.get_ylim()
        assert bottom > top, "the first variant stands above"
    assert [label.get_text() for label in canvas.axes[0].get_yticklabels()] == ["linear", "constant"]


def test_gaps_are_compared_by_hand():
    transfer = np.array([[90.0, 88.0], [92.0, 91.0]])
    first = {"transfer": transfer, "multigrid": np.array([[95.0, 90.0], [97.0, 94.0]])}
    second = {"transfer": transfer, "multigrid": np.array([[95.0, 80.0], [97.0, 78.0]])}
    alone = {"transfer": transfer[:1], "multigrid": transfer[:1] - 1}
    found = {("a", "A"): first, ("b", "A"): second, ("a", "B"): alone}
    rows = comparing.table(found)
    assert [(row["variant"], row["net"], row["trials"]) for row in rows] == [
        ("a", "A", 2),
        ("b", "A", 2),
        ("a", "B", 1),
    ]
    # gaps 2 and 1 of Transfer; 5 and 3, then 15 and 19 of Multigrid
    assert [*rows[0].values()][3:] == pytest.approx((91, 89.5, 96, 92, 1.5, 4, 2.5, 0.5**0.5, 0, np.nan), nan_ok=True)
    assert [*rows[1].values()][3:] == pytest.approx((91, 89.5, 96, 79, 1.5, 17, 15.5, 12.5**0.5, 13, 13 / 18**0.5))
    assert [*rows[2].values()][7:] == pytest.approx((2, 2, 0, np.nan, 0, np.nan), nan_ok=True)
    drawn = comparing.gaps(found, "cause: ")
    assert [gap.values.tolist() for gap in drawn[2:4]] == [[2.0, 1.0], [15.0, 19.0]]
    assert drawn[2][:3] == ("cause: b", "A", "transfer")


def test_causes_share_the_runs_that_they_have_in_common(asked):
    context, lines = asked
    usual = question_of("interpolation").ask(context).rows[0]
    lines.clear()
    # two variants that the settings make the same are one run, and the one of the other question
    again = dataclasses.replace(context, settings={**SIZES, "momentum": 0.0})
    rows = comparing.Comparison({"0": {"momentum": 0.0}, "baseline": {}}).ask(again).rows
    assert not lines and measured(rows[0]) == measured(rows[1]) == measured(usual)
    two = comparing.Comparison({"baseline": {}, "0.5": {"momentum": 0.5}, "same": {}})
    rows = two.ask(dataclasses.replace(again, path=context.path / "fresh", workers=Workers(2))).rows
    assert measured(rows[0]) == measured(rows[2]) and len(lines) == 2 * 4 + 2 * 2 * 2 * 2


def test_all_causes_in_one_table(asked):
    context, lines = asked
    some = {name: causes.CAUSES[name] for name in ("interpolation", "classifier-factor")}
    found = causes.Causes(some).ask(context)
    made, rows = len(lines), by(found, "cause", "variant")
    for name, cause in some.items():
        for row in cause.ask(context).rows:
            assert rows[name, row["variant"]][f"net {row['net']}: gap Multigrid"] == row["gap Multigrid"]
    assert len(lines) == made and len(found.rows) == 5 and len(found.notes) == 2
    labels = [label.get_text() for label in found.figure.axes[0].get_yticklabels()]
    assert labels[0] == "interpolation: linear" and len(labels) == 5
    assert question_of("causes").causes == {**causes.CAUSES} and "validation-set" in causes.CAUSES


def test_settings_that_do_not_go_with_a_variant_are_named(asked):
    context = dataclasses.replace(
        asked[0], settings={**SIZES, "coarse_examples": 400, "fine_examples": 400, "batch_size": 400}
    )
    with pytest.raises(
        SettingsError, match=r"settings: expected some that go with {'fine_examples': 300}, got \(batch_size"
    ):
        comparing.Comparison({"300": {"fine_examples": 300}}).ask(context)


def test_a_question_is_one_file(asked, tmp_path, monkeypatch):
    text = """from meganet.experiments.questions.comparing import Comparison

TITLES = {"batches": "Are batches too large?"}
QUESTIONS = {"batches": Comparison({"baseline": {}, "4": {"batch_size": 4}})}
"""
    (tmp_path / "questions_of_mine").mkdir()
    (tmp_path / "questions_of_mine" / "batches.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(base, "PLACE", "questions_of_mine")
    assert questions() == {"batches": "Are batches too large?"} and cost(
        question_of("batches"), "small"
    ).runs == 3 * 2 * (2 + 4)
    context, _ = asked
    assert len(question_of("batches").ask(dataclasses.replace(context, path=tmp_path / "out")).rows) == 4
    with pytest.raises(InputError, match="name: expected one of 'batches', got 'starts'"):
        question_of("starts")


def test_runs_that_diverge_are_said_once(asked):
    context = dataclasses.replace(asked[0], settings={**SIZES, "learning_rate": 1e30})
    with np.errstate(all="ignore"):
        first = question_of("momentum").ask(context)
        said = list(context.diverged)
        question_of("momentum").ask(context)
    assert all(np.isnan(row["gap Multigrid"]) for row in first.rows)
    assert any(
        text.startswith("Diverged: coarse of 0.9-table-4.1 in 2 of 2, first in trial 1, epoch 1") for text in said
    )
    assert context.diverged == said and len(set(said)) == len(said) == 2 * 2 * 3


def test_a_csv_reads_back_whatever_the_names():
    made = Answer([{"line": "Multigrid, linear P", "a, b": 0.1}, {"line": 'so "called"', "a, b": float("nan")}])
    read = list(csv.reader(io.StringIO(made.to_csv())))
    assert read == [["line", "a, b"], ["Multigrid, linear P", "0.1"], ['so "called"', "nan"]]


@pytest.mark.parametrize("name", causes.SETTINGS)
def test_every_cause_has_variants_that_differ(name):
    changes = causes.SETTINGS[name]
    assert len(changes) > 1 and len({str(sorted(change.items())) for change in changes.values()}) == len(changes)
    assert question_of(name).changes is changes


def test_every_question_is_found_by_its_name():
    """In the order of the files; each has variants, no two of one name, or says itself what it trains."""
    found = questions()
    modules = [import_module(f"{base.PLACE}.{path.stem}") for path in Path(base.__file__).parent.glob("[!_]*.py")]
    asking = sorted((m.ORDER, m.__name__, [*m.TITLES]) for m in modules if hasattr(m, "TITLES"))
    assert [*found] == [name for *_, names in asking for name in names]
    assert all(line.endswith("?") for line in found.values())
    for name in found:
        question = question_of(name)
        variants = question.variants(TINY)
        names = {variant.name for variant in variants}
        assert len(names) == len(variants) or name in ("calibration", "causes")
        assert bool(variants) != (isinstance(question, base.OwnTrainings) or name == "mgopt"), name


def test_the_networks_are_validated_on_every_set(asked, monkeypatch):
    context, lines = asked
    black = {"black": lambda images, rng: 0 * images}
    monkeypatch.setattr(causes, "SETS", {**causes.SETS, **black})
    found = question_of("validation-set").ask(context)
    rows = by(found, "variant", "net")
    assert [*rows] == [(name, net) for net in "AB" for name in causes.SETS]
    made = len(lines)
    # the calibrated momentum is 0
    for kept in question_of("momentum").ask(context).rows:
        if kept["variant"] == "0":
            assert measured(rows["as it is", kept["net"]]) == measured(kept)
    assert len(lines) > made and len({row["Transfer val."] for row in rows.values()}) > 2
    for net in "AB":
        # of a black image the classifier sees its bias alone: one class for all
        shares = []
        for trial in range(2):
            problems = Problems(TINY.changed(**SIZES, network=net), context.data, trial, context.backend)
            labels = problems.level(-1, "fine").validation.labels
            shares.append(100 * np.bincount(labels, minlength=4) / len(labels))
        possible = [np.mean(pair) for pair in itertools.product(*shares)]
        assert any(rows["black", net]["Multigrid val."] == pytest.approx(share) for share in possible)


def test_the_sets_of_images_are_what_they_are_called():
    images = np.random.default_rng(1).random((1200, 1, 8, 8), dtype=np.float32)
    made = {name: change(images, np.random.default_rng(0)) for name, change in causes.SETS.items()}
    assert all(array.dtype == np.float32 for array in made.values())
    np.testing.assert_array_equal(made["as it is"], images)
    np.testing.assert_allclose(made["each image standardised"].mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(made["255 times as bright"], 255 * images, rtol=1e-6)
    np.testing.assert_array_equal(made["shifted by a pixel"][..., 1:], images[..., :-1])
    assert np.std(made["with noise of 0.1"] - images) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(made["each image standardised"].std(axis=(1, 2, 3), ddof=1), 1, rtol=1e-5)
    assert len(made["a tenth of it"]) == 120 and len(made["a hundredth of it"]) == 12
    assert len(causes.SETS["a hundredth of it"](images[:10], np.random.default_rng(0))) == 1


def test_the_classifier_of_new_by_both_methods(asked):
    context, lines = asked
    found = question_of("new-classifier").ask(context)
    rows = by(found, "variant", "solver")
    assert [*rows] == [(name, solver) for name in new_classifier.CHANGES for solver in ("steihaug", "meganet")]
    # fresh weights alone: the classifier and then all, by both methods, in both trials
    assert not any("coarse" in line for line in lines) and len(lines) == len(new_classifier.CHANGES) * 2 * 2 * 2
    assert "table 4.3: 32.5, 34.1, 75.3; table 4.4: 51.8, 50.3, 76.6" in found.notes[0]
    usual = rows["baseline", "steihaug"]
    assert rows["W_std 0.01", "steihaug"]["loss at the start"] < usual["loss at the start"]
    stored = {}
    folders = {path.parent: json.loads(path.read_text())["setup"] for path in context.path.glob("fine-*/settings.json")}
    for path, setup in folders.items():
        key = setup["newton"]["trust_radius"], setup["newton"]["classifier_epochs"], setup["model"]["W_std"]
        stored[key] = [
            History.from_csv((path / "trial-000" / f"new-classifier-{s}.csv").read_text())
            for s in ("steihaug", "meganet")
        ]
    for solver, history in zip(("steihaug", "meganet"), stored[1.0, 20, 0.1], strict=True):
        other = [
            History.from_csv((path / "trial-001" / f"new-classifier-{solver}.csv").read_text())
            for path, setup in folders.items()
            if setup["newton"]["classifier_epochs"] == 20
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


def test_sharpness_compares_the_arms_before_and_after(asked):
    context, _ = asked
    found = question_of("sharpness").ask(context)
    rows = by(found, "net", "moment")
    assert [*rows] == [(net, moment) for net in "AB" for moment in ("before retraining", "after")]
    for net, table in (("A", "4.1"), ("B", "4.2")):
        kept = by(question_of("momentum").ask(context), "variant", "net")["0", net]
        for arm in ("Transfer", "Multigrid"):
            assert rows[net, "after"][f"gap {arm}"] == pytest.approx(kept[f"gap {arm}"])
        variant = Variant("manual", {}, table, ("transfer", "multigrid"))
        case, curvatures = context.runs([variant]).cases["manual"], []
        for trial in range(2):
            fun = case.problems(trial).level(-1, "fine").training
            points = [case.start(trial, row) for row in variant.rows]
            points += [case.weights(trial, row) for row in variant.rows]
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


def test_gradients_of_several_grids_are_measured_while_networks_train(asked):
    context, lines = asked
    found = question_of("multilevel-gradients").ask(context)
    rows = by(found, "net", "transfer", "epochs", "grid")
    # pooling takes no images of 3x3 pixels
    grids = {"A": ("3x3", "6x6", "12x12"), "B": ("6x6", "12x12")}
    names, moments = [*multilevel_gradients.TRANSFERS], (0, 1, 2, 5)
    assert [*rows] == [(net, name, e, grid) for net in "AB" for name in names for e in moments for grid in grids[net]]
    assert len(lines) == 2 * 2 * 3 and not any("coarse" in line for line in lines)
    variant = question_of("multilevel-gradients").variants(TINY)[-1]
    case = context.runs([variant]).cases[variant.name]
    variances = []
    for trial in range(2):
        fine = case.problems(trial).level(-1, "fine").training
        network, classifier = build_network("B", (1, 6, 6)), DenseLayer((64, 3, 3), 4)
        coarse = Objective(network, classifier, restrict_images(fine.images), fine.labels)
        bare = Objective(fine.network, fine.classifier, fine.images, fine.labels)
        R, x = weights_restriction(fine.network, 4, kernels="copy"), case.weights(trial, "new")
        halves = np.arange(8), np.arange(8, 16)
        g, below = [bare(x, half)[1] for half in halves], [R.T @ coarse(R @ x, half)[1] for half in halves]
        parts = g[0] - g[1], below[0] - below[1]
        variances.append([np.sum(part**2) for part in (*parts, parts[0] - parts[1])])
    own, low, apart = np.mean(variances, axis=0)
    first, second = (rows["B", "copied", 5, grid] for grid in grids["B"])
    assert (first["V[h]"], second["V[h]"]) == pytest.approx((low / own, 1), rel=1e-3)
    assert (first["V[difference]"], second["V[difference]"]) == pytest.approx((low / own, apart / own), rel=1e-3)
    work = step_flop(network, 4) / step_flop(fine.network, 4)
    gain = own / (np.sqrt(low * work) + np.sqrt(apart * (1 + work))) ** 2
    assert first["work"] == pytest.approx(work) and first["gain"] == pytest.approx(gain, rel=1e-3)
    assert (
        "of 24 cases" in found.notes[1]
        and f"net B, copied: {rows['B', 'copied', 0, '6x6']['gain']:.2g}, " in found.notes[1]
    )
    with pytest.raises(SettingsError, match="fine_examples: expected 2 or more"):
        settings = {**SIZES, "fine_examples": 1, "batch_size": 1}
        question_of("multilevel-gradients").ask(dataclasses.replace(context, settings=settings))


def test_amplification_measures_every_start(asked):
    context, lines = asked
    found = question_of("amplification").ask(context)
    rows = by(found, "net", "start", "P")
    assert len(rows) == 6 and all("coarse" in line for line in lines) and len(lines) == 4
    for net in "AB":
        kept, linear, constant = (rows[net, *kind] for kind in amplification.KINDS)
        name = "norm of theta, in coarse norms"
        assert kept[name] == pytest.approx(1) and linear[name] > constant[name] > 1
        unseen = "features from the unseen part, %"
        assert linear[unseen] > constant[unseen] > kept[unseen] > 0


def test_starts_counts_all_the_work(asked):
    context, _ = asked
    found = question_of("starts").ask(context)
    lines = {}
    for row in found.rows:
        lines.setdefault((row["line"], row["fine examples"]), []).append(row)
    assert {line for line, _ in lines} == {
        "coarse network",
        "New",
        "Transfer",
        "Multigrid, linear P",
        "Multigrid, constant P",
    }
    tflop, seconds = (
        {key: [row[f"{what} in all"] for row in rows] for key, rows in lines.items()} for what in ("TFLOP", "seconds")
    )
    coarse, new, transfer = ("coarse network", 0), ("New", 16), ("Transfer", 16)
    setup, shapes = TINY.changed(**SIZES), ((1, 6, 6), (1, 12, 12))
    (stage,) = tables_of("4.1")[0].before
    assert tflop[coarse][-1] == pytest.approx(epoch_flop(setup, stage, shapes, 4) / 1e12)
    assert tflop[transfer][0] == tflop[coarse][-1] and len(tflop[new]) == 4 and tflop[new][0] == 0
    assert tflop[transfer][-1] - tflop[transfer][0] == pytest.approx(tflop[new][1])
    assert seconds[transfer][0] == seconds[coarse][-1] < seconds[transfer][-1]
    assert len(found.figure.axes) == 2 * len({examples for _, examples in lines if examples})
    for path in context.path.glob("coarse-*/trial-000/timings.csv"):
        path.unlink()
    untimed = question_of("starts").ask(context).rows
    for row, timed in zip(untimed, found.rows, strict=True):
        known = row["line"] == "New" or (row["line"] == "coarse network" and row["epoch"] == 0)
        assert np.isnan(row["seconds in all"]) != known and row["TFLOP in all"] == timed["TFLOP in all"]


def test_work_before_a_row_on_three_grids(asked):
    """Each grid on the way counts, with the epochs that it is trained."""
    context = dataclasses.replace(asked[0], settings={**SIZES, "grids": (3, 6, 12)})
    rows = by(question_of("starts").ask(context), "line", "fine examples", "epoch")
    setup = TINY.changed(**context.settings)
    shapes = grid_shapes(setup, (1, 12, 12))
    (coarse,) = tables_of("4.1")[0].before
    spent = [epoch_flop(setup, dataclasses.replace(coarse, grid=grid), shapes, 4) / 1e12 for grid in range(2)]
    assert rows["coarse network", 0, 1]["TFLOP in all"] == pytest.approx(spent[0])
    assert rows["Transfer", 16, 0]["TFLOP in all"] == pytest.approx(sum(spent))


def test_the_arithmetic_of_a_step():
    """By hand: 3x3 kernels, 1 to 2 channels on 8x8 (two products), 2 to 3 on 4x4 (three), a classifier of 5."""
    net = Chain([ConvolutionLayer((1, 8, 8), 2), PoolingLayer((2, 8, 8)), ConvolutionLayer((2, 4, 4), 3)])
    assert step_flop(net, 5) == 2 * 2 * 18 * 64 + 3 * 2 * 54 * 16 + 3 * 2 * 5 * 48
    assert products(net, 5) == [2 * 18 * 64, 0, 2 * 54 * 16, 2 * 5 * 48]


def test_the_arithmetic_of_newton_steps():
    """By hand: gradient, each product forward and back, and the loss; the first layer has no input to differentiate."""
    setup = TINY.changed(network="B")
    classifier, whole = tables_of("4.4")[0].rows["new"]
    first, pooling, second, last = 2 * 288 * 144, 0, 2 * 18432 * 36, 2 * 4 * 64 * 36
    assert products(build_network("B", (1, 12, 12)), 4) == [first, pooling, second, last]
    shapes = ((1, 6, 6), (1, 12, 12))
    assert epoch_flop(setup, classifier, shapes, 4) == 16 * last * (2 + 3 * 2 + 1)
    assert epoch_flop(setup, whole, shapes, 4) == 16 * (first * (2 + 3 * 2 + 1) + (second + last) * (3 + 3 * 4 + 1))
    for stage in (classifier, whole):
        more = setup.changed(newton_steps=3)
        assert epoch_flop(more, stage, shapes, 4) == 3 * epoch_flop(setup, stage, shapes, 4)


def test_runs_that_variants_share_cost_once(asked):
    """What is counted is what a folder without runs makes, stage by stage."""
    context, lines = asked
    for name in ("interpolation", "amplification", "calibration-theta-alpha"):
        fresh = dataclasses.replace(context, path=context.path / name, settings={**SIZES, "trials": 3})
        question_of(name).ask(fresh)
        assert len(lines) == cost(question_of(name), "small").runs
        lines.clear()
    found = {name: cost(question_of(name), "small") for name in questions()}
    assert [*found] == [*questions()] and found["causes"].runs < sum(found[name].runs for name in causes.CAUSES)
    assert found["validation-set"] == found["sharpness"] and found["calibration"].runs == 3 * (12 + 1 + 1 + 2 + 1)
    for preset in PRESETS:
        assert all(cost(question_of(name), preset).runs >= 0 for name in questions()) and preset in mgopt.SIZES
    thesis = cost(question_of("starts"), "thesis")
    assert thesis.tflop > 10 * found["starts"].tflop and thesis.runs == 20 * 13


def test_coarse_training_that_was_lost_is_named_not_made_again(asked):
    """The arms say which coarse weights they started from, whichever folder those are in."""
    context, lines = asked
    question = question_of("interpolation")
    rows = question.ask(context).rows
    (coarse, *_) = sorted(context.path.glob("coarse-*"))
    kept = context.path.parent / "kept"
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
            question.ask(context)
        shutil.rmtree(coarse)
        shutil.copytree(kept, coarse)
    assert not lines and repr(question.ask(context).rows) == repr(rows) and not lines
    # a folder of another trial in its place
    shutil.rmtree(coarse / "trial-000")
    shutil.copytree(coarse / "trial-001", coarse / "trial-000")
    with pytest.raises(ResultsError, match=r"which is the run coarse of trial 2"):
        question.ask(context)
