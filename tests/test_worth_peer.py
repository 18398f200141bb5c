"""PyTorch beside the single grid of `worth`: the file that a script writes, and the script."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import quadrants

from meganet.backend import get_backend
from meganet.experiments import Workers
from meganet.experiments.questions import peer
from meganet.experiments.questions.base import Context, question_of
from meganet.experiments.questions.peer import Pair
from meganet.experiments.questions.worth import BUDGETS, SINGLE
from meganet.experiments.runs.arms import Outcome
from meganet.ground.validate import InputError, UserError

FOLDER = Path(__file__).parent.parent / "benchmarks"
SIZES = {
    "network": "narrow",
    "coarse_examples": 64,
    "fine_examples": 8,
    "validation_examples": 24,
    "trials": 2,
    "batch_size": 8,
}
PAIR = Pair("single-0/trial-000", 0.5, 1, 90.0, 3.0, 90.5, 2.0, "PyTorch 2, two threads")


@pytest.fixture
def asked(tmp_path):
    """What the question is given."""
    data = quadrants(count=100)
    return Context(tmp_path, "worth", "small", SIZES, get_backend(), data, Workers(), False, lambda line: None)


@pytest.fixture
def script(monkeypatch):
    """The script, with PyTorch."""
    pytest.importorskip("torch", reason="the extra bench is not installed")
    monkeypatch.syspath_prepend(str(FOLDER))
    import worth_peer

    return worth_peer


def row(**changed):
    return ",".join(f'"{value}"' for value in PAIR._replace(**changed))


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "got the columns none"),
        (b"arm,budget\nsingle,1\n", "got the columns arm,budget"),
        (",".join(Pair._fields).encode(), "got one without rows"),
        (b"\xff\xfe", "got 'utf-8' codec can't decode"),
        (b'"run', "got unexpected end of data"),
        ("a,b", "got the row a,b"),
        (row(budget="half"), "got the row single-0/trial-000,half,"),
        (row(seconds=0), "got the row single-0/"),
        (row(own_seconds="inf"), "got the row single-0/"),
        (row(accuracy=101), "got the row single-0/"),
    ],
)
def test_a_damaged_file_is_one_line_before_anything_is_trained(asked, content, got):
    whole = content if isinstance(content, bytes) else f"{','.join(Pair._fields)}\n{content}\n".encode()
    (asked.path / peer.FILE).write_bytes(whole)
    with pytest.raises(UserError) as error:
        question_of("worth").ask(asked)
    message = str(error.value)
    assert message.startswith(f"{asked.path / peer.FILE}: expected the table that benchmarks/worth_peer.py writes, got")
    assert got in message and "\n" not in message
    assert [path.name for path in asked.path.iterdir()] == [peer.FILE]


def test_a_run_that_diverged_is_read(tmp_path):
    pair = PAIR._replace(accuracy=float("nan"), own_accuracy=float("nan"))
    peer.write(tmp_path, [pair])
    (found,) = peer.read(tmp_path)
    assert np.isnan(found.accuracy) and found._replace(accuracy=90.0, own_accuracy=90.5) == PAIR


def test_seconds_are_ours_times_the_ratio_of_the_budget():
    pairs = [PAIR._replace(run=f"single-0/trial-{k}", seconds=seconds) for k, seconds in enumerate([2.0, 3.0, 40.0])]
    own = {0.5: {pair.run: Outcome(90.0, 0.1, 5.0, 1.0 + k, np.zeros(2)) for k, pair in enumerate(pairs)}}
    (twins,) = peer.outcomes(Path(), pairs, own).values()
    assert [one.seconds for one in twins] == [1.5, 3.0, 4.5]
    assert [one.work for one in twins] == [5.0] * 3
    assert peer.outcomes(Path(), [], own) == {} and peer.note([]) == []


def test_a_file_of_other_runs_is_one_line(tmp_path):
    own = {1.0: {"single-1/trial-000": Outcome(90.0, 0.1, 5.0, 1.0, np.zeros(2))}}
    with pytest.raises(
        UserError, match=r"worth-pytorch.csv: expected PyTorch's twins of all runs .* got none of single-1"
    ):
        peer.outcomes(tmp_path, [PAIR], own)


def test_pytorch_is_beside_the_single_grid(script, asked):
    pairs = script.made(asked, threads=1, rounds=1)
    assert [(pair.budget, pair.trial) for pair in pairs] == [(b, t) for t in (1, 2) for b in BUDGETS[SINGLE]]
    assert all(pair.made_with.startswith("PyTorch") and "torch 2" in pair.made_with for pair in pairs)
    peer.write(asked.path, pairs)
    answer = question_of("worth").ask(asked)
    arms = {name: [one for one in answer.rows if one["arm"] == name] for name in (SINGLE, peer.NAME)}
    for own, other in zip(arms[SINGLE], arms[peer.NAME], strict=True):
        assert own["budget"] == other["budget"] and own["TFLOP"] == other["TFLOP"]
        ratio = np.median([one.seconds / one.own_seconds for one in pairs if one.budget == own["budget"]])
        assert np.isclose(other["seconds"], ratio * own["seconds"])
        assert np.isclose(other["difference"], other["accuracy"] - own["accuracy"])
    assert answer.notes[-1] == peer.note(pairs)[0]
    for ax in answer.figure.axes:
        assert peer.NAME in ax.get_legend_handles_labels()[1]
    # of other runs, as more are asked for
    more = question_of("worth"), Context(**{**vars(asked), "settings": {**SIZES, "trials": 3}})
    with pytest.raises(UserError, match="trial-002; benchmarks/worth_peer.py with the settings of the experiment"):
        more[0].ask(more[1])


def test_another_training_is_refused(script, asked):
    from peers import library

    arms, of_budget = script.single_grid(asked)
    start = script.start_of(arms, of_budget[2], 0)
    torch = library("torch")
    batches = np.arange(48).reshape(6, 8)
    ways = []
    for momentum in (0.9, 0.9, 0.5):
        twin = torch.Descent(start, torch.FORMATS["PyTorch"], momentum)
        assert twin.train(batches[:3], 0.01) > 0 and twin.train(batches[3:], 0.002) > 0
        ways.append(twin.x())
    script.check_way("run", start.x, *ways[:2])
    with pytest.raises(InputError, match="run: expected the same weights on both sides after a round, got ways that"):
        script.check_way("run", start.x, *ways[1:])
    script.check_accuracy("run", 90.0, 91.0, images=1000)
    script.check_accuracy("run", float("nan"), float("nan"), images=1000)
    for accuracy in (80.0, float("nan")):
        with pytest.raises(InputError, match=r"run: expected an accuracy of PyTorch within .* points of ours"):
            script.check_accuracy("run", accuracy, 91.0, images=1000)


def test_options_of_the_script_and_of_the_experiment(script, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["worth_peer.py", "--threads", "1", "--preset", "small", "--set", "network=narrow"]
    )
    options, rest = script.arguments()
    assert options.threads == 1 and rest == ["--preset", "small", "--set", "network=narrow"]
