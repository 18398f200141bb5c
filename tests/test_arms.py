"""Runs of arms on a tiny problem: what is stored and made again, what tells them apart, what is chosen."""

import dataclasses
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from tiny import quadrants

from meganet import Chain, ConvolutionLayer
from meganet.backend import get_backend, random_stream
from meganet.datasets import scale_images
from meganet.experiments import Setup, Workers
from meganet.experiments.questions.arm_costs import cost_of_arms
from meganet.experiments.runs.arms import TRAINING, Arm, Arms, Outcome, Sizes
from meganet.experiments.runs.study import SettingsError
from meganet.experiments.runs.tuning import tuned
from meganet.ground.validate import InputError
from meganet.multigrid import DampedGalerkin
from meganet.multilevel import Phase, Schedule, Transfer, in_depth, in_space, nested, train
from meganet.networks import ResidualNetwork
from meganet.objective import Objective
from meganet.optim import LinearDecay, Momentum

NETWORK = Chain([ConvolutionLayer((1, 12, 12), 2, activation="tanh")])
GRIDS = in_space(NETWORK, 4, (6, 12))
NESTED = Arm("nested", GRIDS, nested(GRIDS, epochs=(2, 1), learning_rate=0.01, batch_size=8))
COARSE = Arm("coarse", GRIDS, Schedule((Phase(0, 2.0, LinearDecay(0.02, 0.01, 2), 8, rule=Momentum(0.9)),)))
AFTER = Arm("after", GRIDS, Schedule((Phase(1, 1.0, 0.01, 8),)), COARSE)
DATA, SETUP, SIZES = quadrants(count=80), Setup(), Sizes(32, 16)


def arms_in(folder, data=DATA, sizes=SIZES, setup=SETUP, **others):
    return Arms(folder, data, sizes, setup, get_backend("numpy"), **others)


def with_phase(**changes):
    return dataclasses.replace(COARSE, schedule=Schedule((dataclasses.replace(COARSE.schedule[0], **changes),)))


def same(found, expected, seconds=False):
    """Whether outcomes are the same to the bit, their seconds apart."""
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Outcome) and one.x.dtype == other.x.dtype
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one[:3], other[:3])
        assert one.seconds == other.seconds or not seconds
    return True


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.npz"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with two trials of two arms, which it also returns."""
    folder = tmp_path_factory.mktemp("made")
    return folder, arms_in(folder).run([NESTED, AFTER], 2)


def test_what_is_stored_is_not_made_again(made, tmp_path):
    folder, found = made
    lines = []
    before = {path: path.read_bytes() for path in folder.rglob("*.npz")}
    again = arms_in(folder).run([NESTED, AFTER], 2, log=lines.append)
    assert not lines and {path: path.read_bytes() for path in folder.rglob("*.npz")} == before and len(before) == 6
    fresh = arms_in(tmp_path).run([AFTER, NESTED], 2, log=lines.append)
    assert len(lines) == 6 and lines[0].startswith("trial 1 coarse ") and files(tmp_path) == files(folder)
    for k, arm in enumerate((NESTED, AFTER)):
        assert same(again[k], found[k], seconds=True) and same(fresh[1 - k], found[k])
        assert found[k][0].x.shape == (arm.level.unknowns,) and found[k][0].x.tolist() != found[k][1].x.tolist()
        assert all(one.seconds > 0 and 0 <= one.accuracy <= 100 for one in found[k])


def test_an_interrupted_comparison_goes_on(made, tmp_path):
    folder, found = made

    def interrupt(line):
        lines.append(line)
        if len(lines) == 4:
            raise KeyboardInterrupt

    lines = []
    with pytest.raises(KeyboardInterrupt):
        arms_in(tmp_path).run([NESTED, AFTER], 2, log=interrupt)
    kept = files(tmp_path)
    assert len(kept) == 4 and set(kept) < set(files(folder))
    for ends, expected in zip(arms_in(tmp_path).run([NESTED, AFTER], 2, log=lines.append), found, strict=True):
        assert same(ends, expected)
    assert len(lines) == 6


def test_two_processes_make_the_same(tmp_path):
    workers = Workers(2)
    with threadpool_limits(workers.threads):
        alone = arms_in(tmp_path / "alone").run([NESTED, AFTER], 2)
    lines = []
    several = arms_in(tmp_path / "several").run([NESTED, AFTER], 2, workers, log=lines.append)
    # what another one starts from is made in a round before it
    assert len(lines) == 6 and all(" after " in line for line in lines[4:])
    assert all(same(*pair) for pair in zip(several, alone, strict=True))


DAMAGES = {
    "cut": lambda path, other: path.write_bytes(path.read_bytes()[:-10]),
    "changed": lambda path, other: path.write_bytes(path.read_bytes()[:-10] + b"\0" + path.read_bytes()[-9:]),
    "empty": lambda path, other: path.write_bytes(b""),
    "of another trial": lambda path, other: shutil.copy(path.with_name("trial-001.npz"), path),
    "of another arm": lambda path, other: shutil.copy(other, path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_the_one_that_was_written_is_refused(made, tmp_path, damage):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder)
    (path,) = folder.glob("nested-*/trial-000.npz")
    (other,) = folder.glob("after-*/trial-000.npz")
    DAMAGES[damage](path, other)
    content = path.read_bytes()
    with pytest.raises(InputError) as caught:
        arms_in(folder).run([NESTED], 2)
    text = str(caught.value)
    assert text.startswith(f"{path}: expected ") and "\n" not in text and path.read_bytes() == content
    if damage.startswith("of another"):
        assert text == f"{path}: expected a run of nested, got one of something else"


def copied(size=12, **network):
    return in_space(Chain([ConvolutionLayer((1, size, size), 2, **{"activation": "tanh", **network})]), 4, (6, 12))


OTHERS = {
    "seed": ({"setup": SETUP.changed(seed=1)}, COARSE),
    "dtype": ({"setup": SETUP.changed(dtype="float64")}, COARSE),
    "data": ({"data": quadrants(count=81)}, COARSE),
    "training images": ({"sizes": Sizes(24, 16)}, COARSE),
    "validation images": ({"sizes": Sizes(32, 8)}, COARSE),
    "tuning": ({"tuning": True}, COARSE),
    "rate": ({}, with_phase(learning_rate=0.01)),
    "a rate in its last digits": ({}, with_phase(learning_rate=0.01 * (1 + 1e-12))),
    "end of the rate": ({}, with_phase(learning_rate=LinearDecay(0.02, 0.01, 1))),
    "passes": ({}, with_phase(epochs=2.25, every=0.5)),
    "mini-batches": ({}, with_phase(batch_size=4)),
    "rule": ({}, with_phase(rule=Momentum(0.8))),
    "penalty": ({}, with_phase(theta_alpha=1e-9)),
    "the classifier alone": ({}, with_phase(classifier_only=True)),
    "level": ({}, with_phase(level=1)),
    "another phase": ({}, dataclasses.replace(COARSE, schedule=COARSE.schedule + COARSE.schedule)),
    "share": ({}, dataclasses.replace(COARSE, share=0.5)),
    "start": ({}, dataclasses.replace(COARSE, after=NESTED)),
    "transfer": ({}, dataclasses.replace(COARSE, hierarchy=in_space(NETWORK, 4, (6, 12), Transfer(DampedGalerkin())))),
    "grids": ({}, dataclasses.replace(COARSE, hierarchy=in_space(NETWORK, 4, (3, 6, 12)))),
    "activation": ({}, dataclasses.replace(COARSE, hierarchy=copied(activation="relu"))),
    "bias": ({}, dataclasses.replace(COARSE, hierarchy=copied(bias=True))),
}


def test_whatever_differs_goes_to_a_file_of_its_own(tmp_path):
    arms_in(tmp_path).run([COARSE], 1)
    # a network that is made of other images is the same on the grids
    lines = []
    arms_in(tmp_path).run([dataclasses.replace(COARSE, hierarchy=copied(size=24))], 1, log=lines.append)
    assert not lines and len(files(tmp_path)) == 1
    for name, (how, arm) in OTHERS.items():
        before = set(files(tmp_path))
        (outcome,) = arms_in(tmp_path, **how).run([arm], 1)[0]
        assert len(set(files(tmp_path)) - before) == 1 + (arm.after is not None), name
        assert np.isfinite(outcome.accuracy), name


def test_files_are_called_alike_in_every_process(made):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_arms import AFTER, NESTED, arms_in
arms_in(Path({str(made[0])!r})).run([NESTED, AFTER], 2, log=sys.exit)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Nameless:
    """A rule, or a penalty, whose text is another one in every process."""

    def __call__(self, level):
        return 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": lambda passes: 0.1},
        {"learning_rate": partial(lambda a, b: a, 0.5)},
        {"theta_alpha": Nameless()},
        {"W_alpha": lambda level: None},
    ],
)
def test_settings_without_a_text_are_refused(changes):
    with pytest.raises(InputError) as caught:
        with_phase(**changes)
    text = str(caught.value)
    assert text.startswith("schedule: expected settings whose text says what they are") and "\n" not in text


def test_an_arm_goes_on_from_another(made):
    """On the level of the same name, with the work of both."""
    folder, (_, found) = made
    arms = arms_in(folder)
    for trial, outcome in enumerate(found):
        start = arms.outcome(COARSE, trial)
        images, labels, held, held_labels = arms.trial(trial)
        x0 = GRIDS.carry(start.x, 0, 1)
        seed = int(random_stream(SETUP.run.seed, trial, TRAINING, 0).integers(2**62))
        state = train(GRIDS, images, labels, AFTER.schedule, x0=x0, seed=seed)
        np.testing.assert_array_equal(outcome.x, state.x)
        level = GRIDS[1]
        assert (
            outcome.accuracy
            == 100 * Objective(level.network, level.classifier, held, held_labels).evaluate(state.x).accuracy
        )
        assert outcome.work == pytest.approx((32 * GRIDS[1].flop + 64 * GRIDS[0].flop) / 1e12)
        assert outcome.work * 1e12 == pytest.approx(AFTER.work(32)) and outcome.seconds > start.seconds
    with pytest.raises(InputError, match="after: expected an arm that ends on one of 6x6, got 12x12"):
        Arm("coarser", in_space(NETWORK, 4, (6,)), Schedule((Phase(0),)), NESTED)


def test_an_arm_without_the_finest_grid(made):
    """It sees the images of the others, coarsened."""
    alone = in_space(NETWORK, 4, (6,))
    arms = arms_in(made[0])
    outcome = arms.outcome(Arm("alone", alone, COARSE.schedule), 0)
    expected = arms.outcome(COARSE, 0)
    np.testing.assert_array_equal(outcome.x, expected.x)
    assert outcome.accuracy == expected.accuracy


def test_images_of_a_trial(tmp_path):
    """Each trial has images of its own, and tuning others again, with other first weights."""
    scaled = scale_images(DATA.images, "standardize").astype(np.float32)
    arms, tuning = (arms_in(tmp_path, tuning=tuning) for tuning in (False, True))
    used = []
    for one, trial in ((arms, 0), (arms, 1), (tuning, 0)):
        images, labels, held, held_labels = one.trial(trial)
        both = [[int((scaled == image).all((1, 2, 3)).argmax()) for image in part] for part in (images, held)]
        assert (len({*both[0]}), len({*both[1]}), len({*both[0], *both[1]})) == (32, 16, 48)
        assert [DATA.labels[part].tolist() for part in both] == [labels.tolist(), held_labels.tolist()]
        used.append({*both[0]})
    assert used[0] != used[1] != used[2] != used[0]
    short = with_phase(learning_rate=1e-12, epochs=1.0)
    assert np.abs(arms.outcome(short, 0).x - tuning.outcome(short, 0).x).max() > 0.01
    with pytest.raises(SettingsError, match="at most the 80 of quadrants, got 81"):
        arms_in(tmp_path, sizes=Sizes(64, 17))


def test_the_candidate_of_best_accuracy_is_chosen(tmp_path):
    arms = arms_in(tmp_path, tuning=True)
    good, still, wild = (with_phase(learning_rate=rate, epochs=8.0) for rate in (0.02, 1e-12, 1e300))
    numbers, rows = tuned(arms, {"a": [wild, good, still], "b": [still, wild, wild], "c": [wild, wild]})
    assert numbers == {"a": 1, "b": 0, "c": 0}
    assert [(row["arm"], row["candidate"]) for row in rows] == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 1),
        ("b", 2),
        ("b", 3),
        ("c", 1),
        ("c", 2),
    ]
    accuracies = [row["accuracy"] for row in rows]
    assert np.isnan([accuracies[k] for k in (0, 4, 5, 6, 7)]).all() and accuracies[1] > accuracies[2]
    assert rows[1]["schedule"] == str(good.schedule)


def test_what_diverges_is_an_outcome(tmp_path):
    """On whatever level, and so is what starts from it."""
    wild = with_phase(learning_rate=1e300)
    early = Arm("early", GRIDS, wild.schedule + AFTER.schedule)
    later = dataclasses.replace(AFTER, after=wild)
    alone = dataclasses.replace(later, schedule=Schedule((Phase(1, 1.0, 0.01, 8, classifier_only=True),)))
    lines = []
    for _ in range(2):
        found = arms_in(tmp_path).run([wild, early, later, alone], 1, log=lines.append)
        assert len(lines) == 4
        for (outcome,), arm in zip(found, (wild, early, later, alone), strict=True):
            assert np.isnan(outcome.accuracy) and outcome.x.shape == (arm.level.unknowns,)
            assert 0 < outcome.work < wild.work(32) / 1e12 * 1.01
    assert "nan % in validation" in lines[0]


def test_work_is_that_of_the_run(tmp_path):
    """Of levels that are trained together the mean; of the classifier alone its features once."""
    network = Chain([ConvolutionLayer((1, 12, 12), 2), ResidualNetwork(ConvolutionLayer((2, 12, 12), 2), 4, 0.25)])
    steps = in_depth(network, 4, (2, 4))
    some = [
        NESTED,
        Arm("together", GRIDS, Schedule((Phase((0, 1), 4.0, 0.01, 8, assignment="cyclic"),))),
        dataclasses.replace(AFTER, schedule=Schedule((Phase(1, 3.0, 0.01, 8, classifier_only=True),))),
        Arm("depth", steps, nested(steps, epochs=(2, 1), learning_rate=0.01, batch_size=8)),
        dataclasses.replace(NESTED, share=0.5),
    ]
    for arm, (outcome,) in zip(some, arms_in(tmp_path).run(some, 1), strict=True):
        assert outcome.work * 1e12 == pytest.approx(arm.work(32)), arm.name


def test_what_arms_cost(made):
    """What others start from is made once, in tuning apart from the trials."""
    nested_runs, after = made[1]
    found = cost_of_arms(32, 2, [AFTER, COARSE], [AFTER, NESTED])
    assert found.runs == 2 + 2 * 3 and cost_of_arms(32, 2, [], [AFTER]) == cost_of_arms(32, 2, [], [COARSE, AFTER])
    assert found.tflop == pytest.approx(after[0].work + sum(one.work for one in (*after, *nested_runs)))


@pytest.mark.parametrize("name", ["", "a/b", "..", "a" * 81, "two words"])
def test_names_that_no_folder_has(name):
    with pytest.raises(InputError, match="name: expected a name of at most 80"):
        Arm(name, GRIDS, NESTED.schedule)
