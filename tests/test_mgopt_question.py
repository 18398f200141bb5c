"""The question of MG/OPT on tiny networks: the levels, what is counted, what it says."""

import numpy as np
import pytest
from tiny import quadrants

from meganet.backend import get_backend
from meganet.experiments import Workers
from meganet.experiments.questions.base import Context, cost, question_of
from meganet.experiments.questions.full_batch import Trace, in_depth, in_space
from meganet.experiments.questions.mgopt import CANDIDATES, WAYS, MGOpt, Size, run

SETTINGS = {"fine_examples": 16, "validation_examples": 10, "trials": 2, "coarse_examples": 16, "batch_size": 8}


@pytest.mark.parametrize("make", [in_space, in_depth])
def test_the_levels_fit_together(make):
    family = make(quadrants(), get_backend("numpy"), (16, 10), (0, 0))
    for level, (p, r) in enumerate(zip(family.prolongations, family.restrictions, strict=True)):
        coarse, fine = (family.training[k].parameters.size for k in (level, level + 1))
        assert p.shape == (fine, coarse) and r.shape == (coarse, fine)
        x = np.random.default_rng(0).standard_normal(coarse)
        theta = family.training[level].network.parameters.size
        np.testing.assert_allclose((r @ (p @ x))[:theta], x[:theta])
    assert family.works[-1] == 1 and family.works == sorted(family.works)
    assert len(family.coarse()) == len(family.works) - 1


def test_weights_in_time_are_those_of_the_refined_network():
    family = in_depth(quadrants(), get_backend("numpy"), (16, 10), (0, 0))
    x = np.random.default_rng(0).standard_normal(family.training[0].parameters.size)
    first, residual = family.training[0].network.layers
    fine = family.prolongations[0] @ x
    n = first.parameters.size
    expected = residual.refined_in_time(x[n : n + residual.parameters.size])[1]
    np.testing.assert_allclose(fine[n : n + len(expected)], expected)
    np.testing.assert_array_equal(fine[n + len(expected) :], x[n + residual.parameters.size :])


@pytest.mark.parametrize("smoother", CANDIDATES)
@pytest.mark.parametrize("way", WAYS)
def test_runs_stop_at_their_budget(smoother, way):
    family = in_depth(quadrants(), get_backend("numpy"), (16, 10), (0, 0))
    settings = CANDIDATES[smoother]["MG/OPT" if way == "MG/OPT" else "alone"][0]
    trace = run(smoother, way, settings, family, 12)
    work = [row["work"] for row in trace.rows]
    assert work[0] == 0 and work == sorted(work) and work[-2] < 12 and trace.at(12)["work"] <= 12
    assert [row["seconds"] for row in trace.rows] == sorted(row["seconds"] for row in trace.rows)
    assert trace.rows[-1]["objective"] < trace.rows[0]["objective"]


def test_a_trace_counts_what_is_spent_on_a_level():
    family = in_depth(quadrants(), get_backend("numpy"), (16, 10), (0, 0))
    trace = Trace(family, 10)
    x = family.restrictions[0] @ (family.restrictions[1] @ family.x0)
    assert not trace.note(x, 1.0, level=0)
    fine = family.prolongations[1] @ (family.prolongations[0] @ x)
    assert trace.rows[0]["objective"] == float(family.training[-1].evaluate(fine).objective)


def test_the_answer(tmp_path):
    lines = []
    question = MGOpt({"small": Size(16, 10, 2, 4.0)})
    context = Context(tmp_path, "mgopt", "small", SETTINGS, get_backend(), quadrants(), Workers(), False, lines.append)
    with np.errstate(all="ignore"):
        answer = question.ask(context)
    assert len(answer.rows) == len(lines) == 2 * 3 * 3 and {row["trials"] for row in answer.rows} == {2}
    assert [row["way"] for row in answer.rows[:3]] == list(WAYS)
    alone = answer.rows[3]
    assert alone["objective"] == pytest.approx(alone["objective at equal seconds"])
    assert len(answer.notes) == 1 + 2 * 3 and "of 2 trials" in answer.notes[1]
    assert len(answer.figure.axes) == 4 * 3 and question_of("mgopt").variants(context.base) == []
    assert cost(question_of("mgopt"), "small").runs == 0
