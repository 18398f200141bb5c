"""Why Multigrid falls on validation: what the question measures, on a tiny problem."""

import numpy as np
import pytest
from scipy import stats
from test_questions import SIZES
from tiny import quadrants

from meganet.backend import get_backend
from meganet.experiments import Workers
from meganet.experiments.questions import gap
from meganet.experiments.questions.base import Context, question_of
from meganet.experiments.runs.paired import probability
from meganet.ground.validate import InputError
from meganet.multigrid import prolongate_images, restrict_images
from meganet.objective import Objective
from meganet.plotting import plot_unseen, unseen_figure


@pytest.fixture
def asked(tmp_path):
    return Context(tmp_path, "gap", "small", SIZES, get_backend(), quadrants(), Workers(), False, lambda line: None)


def test_the_same_networks_are_validated_with_more_and_less_of_the_unseen_part(asked):
    found = question_of("gap").ask(asked)
    rows = {(row["row"], row["variant"], row["validated on"]): row for row in found.rows}
    assert len(rows) == 2 * len(gap.LINES)
    case = asked.runs(gap.Explained().variants(asked.base)).cases[gap.INTERPOLATED]
    history = case.histories()["multigrid"]
    whole = rows["Multigrid", gap.INTERPOLATED, "x"]
    assert whole["validation"] == pytest.approx(100 * np.mean([h[-1]["validation_accuracy"] for h in history]))
    assert whole["gap"] == pytest.approx(whole["training"] - whole["validation"])
    assert whole["smaller by"] == 0 and whole["p"] == 1
    of_trials = []
    for trial in (0, 1):
        fun = case.problems(trial).level(-1, "fine").validation
        images = prolongate_images(restrict_images(fun.images), "linear")
        smooth = Objective(fun.network, fun.classifier, images, fun.backend.to_host(fun.labels))
        of_trials.append(100 * smooth.evaluate(case.weights(trial, "multigrid")).accuracy)
    seen = rows["Multigrid", gap.INTERPOLATED, "P R x"]
    assert seen["validation"] == pytest.approx(np.mean(of_trials))
    change = np.array(of_trials) - [100 * h[-1]["validation_accuracy"] for h in history]
    assert seen["smaller by"] == pytest.approx(change.mean())
    if change.std() > 0:
        assert seen["p"] == pytest.approx(stats.ttest_1samp(change, 0).pvalue)


def test_each_variant_runs_the_rows_that_are_drawn():
    found = {variant.name: variant for variant in gap.Explained().variants(None)}
    assert {name: variant.rows for name, variant in found.items()} == {
        gap.INTERPOLATED: ("transfer", "multigrid"),
        gap.ORIGINAL: ("multigrid",),
        gap.CONSTANT: ("multigrid",),
    }
    for variant in found.values():
        assert variant.changes["validation_images"] == "original", "whatever the user has set"


def test_the_figure_has_the_image_its_parts_and_the_curves():
    image, seen = np.eye(6), np.full((6, 6), 0.25)
    curves = {"transfer": np.array([[96.0, 94.0], [95.0, 93.0]]), "own": np.array([[96.0, 60.0]])}
    figure = unseen_figure(image, seen, curves, (0.0, 1.0))
    *parts, below = figure.axes
    shown = [np.asarray(ax.images[0].get_array()) for ax in parts]
    np.testing.assert_array_equal(shown[0], image)
    np.testing.assert_array_equal(shown[1] + shown[2], image)
    low, high = parts[2].images[0].get_clim()
    assert low == -high, "zero is the middle of the colours"
    assert [line.get_label() for line in below.lines] == ["Transfer", "own"]
    assert below.lines[0].get_ydata().tolist() == [95.5, 93.5]
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["Transfer", "own"]
    assert unseen_figure(seen, seen, curves, (0.0, 1.0)).axes, "an image without an unseen part"


def test_curves_go_with_the_shares():
    with pytest.raises(
        InputError,
        match=r"^curves: expected \(trials, 3\) accuracies of each, of one trial or more, got \(1, 2\) of 'own'",
    ):
        plot_unseen({"own": np.ones((1, 2))}, (0.0, 0.5, 1.0))
    with pytest.raises(
        InputError, match=r"^curves: expected \(trials, 2\) accuracies of each, of one trial or more, got"
    ):
        plot_unseen({"own": np.ones((0, 2))}, (0.0, 1.0))


def test_an_image_of_whole_numbers_has_an_unseen_part_of_both_signs():
    image, seen = np.array([[0, 200]], np.uint8), np.array([[100, 100]], np.uint8)
    figure = unseen_figure(image, seen, {"own": np.array([[96.0, 60.0]])}, (0.0, 1.0))
    assert np.asarray(figure.axes[2].images[0].get_array()).tolist() == [[-100.0, 100.0]]


def test_a_trial_counts_where_its_networks_did_not_diverge():
    nan, validation = np.nan, np.array([[96.0, 60.0], [95.0, 62.0], [94.0, 61.0]])
    whole = gap.Measured(np.array([100.0, 99.0, 98.0]), validation)
    broken = gap.Measured(np.array([100.0, nan, 98.0]), np.where([[False], [True], [False]], nan, validation + 30))
    found = dict.fromkeys((name for name, *_ in gap.LINES), whole) | {"transfer": broken}
    rows = {(row["row"], row["variant"], row["validated on"]): row for row in gap._table(found)}
    transfer = rows["Transfer", gap.INTERPOLATED, "x"]
    assert transfer["trials"] == 2 and transfer["validation"] == 90.5 and transfer["gap"] == 8.5
    assert transfer["smaller by"] == 30 and np.isnan(transfer["p"]), "over the two trials that both have"
    assert rows["Multigrid", gap.INTERPOLATED, "x"]["trials"] == 3
    none = gap.Measured(np.full(3, nan), np.full((3, 2), nan))
    (row, *_) = gap._table(dict.fromkeys(found, none))
    assert row["trials"] == 0 and np.isnan(row["gap"])


def test_round_off_is_no_difference():
    assert probability([5.5e-17, 0.0, 0.0]) == 1 and np.isnan(probability([1.0, 1.0 + 1e-14]))
    assert np.isnan(probability([1.0])) and probability([1.0, 2.0, 1.5]) < 0.05
