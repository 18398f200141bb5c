"""The question about training on videos, on a tiny problem; what questions with budgets share."""

import numpy as np
import pytest
from tiny import quadrants

from meganet.backend import get_backend
from meganet.experiments import Workers
from meganet.experiments.questions import video
from meganet.experiments.questions.base import Context, cost, question_of
from meganet.experiments.questions.budgets import SINGLE, Comparison
from meganet.experiments.runs.arms import Outcome

SIZES = {"fine_examples": 24, "validation_examples": 8, "trials": 2, "batch_size": 8}


@pytest.fixture
def asked(tmp_path):
    """What the question is given, and the lines that it says meanwhile."""
    lines = []
    given = tmp_path, "video", "small", SIZES, get_backend(), quadrants(), Workers(), False, lines.append
    return Context(*given), lines


def test_cycles_over_frames_and_sizes(asked):
    context, lines = asked
    question = video.Video(frames=12, size=12)
    found = question.ask(context)
    arms = [(name, budget) for name, budgets in video.BUDGETS.items() for budget in budgets]
    assert [(row["arm"], row["budget"]) for row in found.rows] == arms
    expected = question.cost(context.base, (1, 12, 12), 4)
    assert len(lines) == expected.runs and question.variants(context.base) == []
    by = {(row["arm"], row["budget"]): row for row in found.rows}
    for (name, budget), row in by.items():
        # every phase has a mini-batch, so that cycles take more than a tiny budget
        work = budget * by[SINGLE, 1]["TFLOP"]
        assert row["TFLOP"] == pytest.approx(work) if name == SINGLE else 0.5 * work < row["TFLOP"] < 3 * work
        assert 0 <= row["accuracy"] <= 100 and np.isnan(row["difference"]) == (name == SINGLE)
        further = row["difference at 3 times the work"]
        if name != SINGLE:
            assert further == pytest.approx(row["accuracy"] - by[SINGLE, 3 * budget]["accuracy"])
    assert sum("points" in note for note in found.notes) == len(video.BUDGETS) - 1
    assert [ax.get_xlabel() for ax in found.figure.axes] == ["Total work, TFLOP", "Total training time, s"]
    lines.clear()
    assert repr(question.ask(context).rows) == repr(found.rows) and not lines


def test_arms_have_as_many_candidates_and_the_budgets_work(asked):
    base = asked[0].base
    arms = video.schemes(base, 16, 16)
    assert [*arms] == [*video.BUDGETS] and {len(of_name) for of_name in arms.values()} == {len(video.RATES)}
    images = base.data.fine_examples
    for of_name in arms.values():
        whole = arms[SINGLE][0](30).work(images)
        assert [scheme(30).work(images) for scheme in of_name] == pytest.approx([whole] * len(of_name))


def test_the_rate_falls_with_the_work_and_grows_with_the_mini_batches(asked):
    long, scaled = (video.schemes(asked[0].base, 16, 16)[name] for name in ("long cycle", "long cycle, larger batches"))
    phases = long[0](30).schedule
    assert [phase.level for phase in phases] == [0, 1, 2, 3] * video.TURNS
    assert {phase.batch_size for phase in phases} == {8}
    rates = [(phase.rate(0), phase.rate(phase.epochs)) for phase in phases]
    assert rates[0][0] == video.RATES[1] and rates[-1][1] == pytest.approx(0.02 * video.RATES[1])
    assert [last for _, last in rates[:-1]] == pytest.approx([first for first, _ in rates[1:]])
    phases = scaled[0](30).schedule
    # at most all videos
    assert [phase.batch_size for phase in phases] == [24, 24, 16, 8] * video.TURNS
    assert phases[0].rate(0) == pytest.approx(3 * video.RATES[0])


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [((90, 91), "costs accuracy"), ((99, 99.5), "is enough"), ((94, 97), "cannot tell")],
)
def test_what_is_said_of_a_third_of_the_work(accuracies, said):
    def outcomes(*found):
        return [Outcome(accuracy, 0.1, 1.0, 1.0, np.zeros(0)) for accuracy in found]

    found = Comparison({(SINGLE, 9): outcomes(95, 96), ("cycle", 3): outcomes(*accuracies)}, {}, "")
    assert said in video._verdict(found, "cycle")


def test_what_the_question_costs():
    small, thesis = (cost(question_of("video"), preset) for preset in ("small", "thesis"))
    assert small.runs == 4 * 6 + 3 * 13 and thesis.runs == 4 * 6 + 20 * 13
    assert thesis.tflop > 10 * small.tflop > 0
