"""Training runs on few examples: repeatable, resumable, stored."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, execute, quadrants, results

from meganet.backend import get_backend
from meganet.datasets import ImageSet
from meganet.experiments import ResultsError, ResultsFolder, tables_of
from meganet.experiments.report.results import result_of
from meganet.experiments.report.tables import description
from meganet.experiments.runs import training
from meganet.experiments.runs.folder import read_setup, settings_of
from meganet.optim import Momentum
from meganet.store import settings as stored_settings

ROWS = ("new", "transfer", "multigrid")


@pytest.fixture(scope="module")
def data():
    return quadrants()


def of_network(path, setup, data, **options):
    """Run table 4.1 or 4.2."""
    names = ["4.1" if setup.model.network == "A" else "4.2"]
    return execute(path, setup, data, names, **options)


@pytest.mark.parametrize("network", ["A", "B"])
def test_same_seed_same_files(tmp_path, data, backend, dtype, network):
    setup = TINY.changed(network=network, dtype=str(dtype), seed=1, trials=1)
    for name in ("first", "second"):
        of_network(tmp_path / name, setup, data)
    first, second = results(tmp_path / "first"), results(tmp_path / "second")
    assert first == second and {f"trial-000/{row}.npz" for row in ROWS} <= set(first)
    with np.load(tmp_path / "first" / "trial-000" / "multigrid.npz") as stored:
        assert stored["x"].dtype == dtype
    of_network(tmp_path / "other", setup.changed(seed=2), data)
    assert results(tmp_path / "other")["trial-000/new.csv"] != first["trial-000/new.csv"]


class Stop(Exception):
    pass


@pytest.mark.parametrize(("momentum", "together"), [(0.0, False), (0.9, False), (0.9, True)])
def test_an_interrupted_run_continues_to_the_bit(tmp_path, data, momentum, together, monkeypatch):
    """Trials that run together also end as those that run one by one."""
    setup = TINY.changed(momentum=momentum)
    execute(tmp_path / "whole", setup, data, together=False)
    usual, saved = ResultsFolder.save, []

    def save_and_stop(self, trial, run, state, after=None):
        usual(self, trial, run, state, after)
        saved.append((trial, run, state.epoch))
        raise Stop

    monkeypatch.setattr(ResultsFolder, "save", save_and_stop)
    while True:
        try:
            execute(tmp_path / "parts", setup, data, together=together)
            break
        except Stop:
            pass
    epochs = setup.descent.coarse_epochs + 3 * setup.descent.fine_epochs
    assert len(saved) == setup.run.trials * epochs == len(set(saved))
    assert results(tmp_path / "parts") == results(tmp_path / "whole")
    for trial in range(setup.run.trials):
        timings = (tmp_path / "parts" / f"trial-{trial:03d}" / "timings.csv").read_text().split()
        assert len(timings) == 1 + len(saved) / 2 and all(float(line.split(",")[-1]) > 0 for line in timings[1:])


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np
from tiny import TINY, execute
from meganet.datasets import ImageSet
rng = np.random.default_rng(0)
data = ImageSet("noise", rng.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), rng.integers(0, 4, 60), "drawn")
execute(sys.argv[1], TINY.changed(coarse_epochs=40, fine_epochs=20), data)
"""


def test_a_killed_run_continues_to_the_bit(tmp_path):
    """SIGKILL in the middle, as soon as some epochs are stored."""
    here = str(Path(__file__).parent)

    def start(name):
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / name), here])

    assert start("whole").wait(120) == 0
    for stage in ("coarse.csv", "transfer.csv"):
        process = start("killed")
        deadline = time.monotonic() + 60
        while not list((tmp_path / "killed").glob(f"trial-00?/{stage}")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        process.wait()
    assert not list((tmp_path / "killed").glob("trial-001/multigrid.npz"))
    assert start("killed").wait(120) == 0
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("*.tmp"))


def test_what_is_complete_is_not_run_again_and_trials_can_be_added(tmp_path, data):
    execute(tmp_path / "run", TINY.changed(trials=1), data)
    first = results(tmp_path / "run")["trial-000/new.npz"]
    lines = []
    execute(tmp_path / "run", TINY, data, log=lines.append)
    assert all(line.startswith("trial 2/2") for line in lines) and len(lines) == 4
    assert results(tmp_path / "run")["trial-000/new.npz"] == first


def test_folder_errors(tmp_path, data):
    backend = get_backend()

    def open_folder(path, setup=TINY, images=data):
        stages = tables_of("4.1")[0].stages()
        with ResultsFolder(path, setup, stages, backend, images) as folder:
            return folder.load(0, "new")

    execute(tmp_path / "run", TINY.changed(trials=1), data)
    with pytest.raises(ResultsError, match=r"a folder made with the same settings.*momentum = 0.0 \(now 0.5\)"):
        execute(tmp_path / "run", TINY.changed(momentum=0.5), data)
    other = ImageSet("other", 255 - data.images, data.labels, "drawn")
    with pytest.raises(ResultsError, match=r"\(now 0.0\); to continue it, add --set theta_alpha=0.125 --out \S+$"):
        execute(tmp_path / "run", TINY.changed(theta_alpha=0.0), data)
    with pytest.raises(ResultsError, match=r"theta_alpha = 0.125 \(now 0.0\), momentum = 0.0 \(now 0.5\)$"):
        execute(tmp_path / "run", TINY.changed(theta_alpha=0.0, momentum=0.5), data)
    with pytest.raises(ResultsError, match="a folder made with the same settings.*with data = "):
        execute(tmp_path / "run", TINY, other)
    with (
        ResultsFolder(tmp_path / "run", TINY, (), backend, data),
        pytest.raises(ResultsError, match="out: expected a folder in which no other process works"),
    ):
        open_folder(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".settings.json.x.tmp").write_text("left by a kill in the first write")
    assert open_folder(tmp_path / "other") is None
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(ResultsError, match="out: expected an empty or new folder, or one with results"):
        open_folder(tmp_path / "full")
    with pytest.raises(ResultsError, match=r"out: expected a folder that can be written.*Not a directory"):
        open_folder(tmp_path / "full" / "letter.txt" / "x")

    def load_again():
        return execute(tmp_path / "run", TINY.changed(trials=1), data).own.load(0, "new")

    (tmp_path / "run" / "trial-000" / "timings.csv").write_text("run,epoch,seconds\nnew,1,")
    with pytest.raises(ResultsError, match="out: expected timings that can be read"):
        load_again()
    (tmp_path / "run" / "trial-000" / "timings.csv").unlink()
    assert load_again().epoch == 2
    (tmp_path / "run" / "trial-000" / "new.npz").write_bytes(b"damaged")
    with pytest.raises(ResultsError, match="out: expected states that can be read"):
        load_again()
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(ResultsError, match="which cannot be read"):
        load_again()


def test_a_disk_that_fails_is_one_clear_error(tmp_path, data, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    execute(tmp_path / "run", TINY.changed(trials=1), data)
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ResultsError, match=r"that can be written.*coarse.*\(No space left on device\)|timings"):
        execute(tmp_path / "run", TINY, data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_that_diverges_says_so(tmp_path, data, dtype):
    lines = []
    setup = TINY.changed(learning_rate=1e300 if dtype == "float64" else 1e30, trials=1, dtype=dtype)
    case = execute(tmp_path / "run", setup, data, log=lines.append)
    assert len(lines) == 4 and all(re.search(r": diverged (in epoch 1|at the start), .*layer ", line) for line in lines)
    assert np.isnan(case.histories()["new"][0][-1]["accuracy"])
    assert np.isnan(result_of(case, *tables_of("4.1"), "4.1").cells["new"][2].mean)
    stored = {name: case.own.load(0, name).divergence for name in ("coarse", *ROWS)}
    assert stored["new"].epoch == 1 and stored["transfer"].epoch == 0 and all(d.where for d in stored.values())
    # it is as it is: the same command trains nothing and says nothing
    before, again = results(tmp_path), []
    execute(tmp_path / "run", setup, data, log=again.append)
    assert not again and results(tmp_path) == before


def test_a_run_that_diverged_has_no_epochs_behind_that(tmp_path, data):
    """The rows that are left hold nan; what was trained before counts, and an interrupted run ends the same."""
    case = execute(tmp_path / "run", TINY.changed(learning_rate=1e5, fine_epochs=6, trials=1), data)
    (history,), epoch = case.histories()["new"], case.own.load(0, "new").divergence.epoch
    assert 0 < epoch < 6 and history.column("epoch") == [*range(7)]
    assert np.isfinite(history[epoch - 1]["loss"]) and np.isnan(history.column("loss")[epoch:]).all()
    assert len(case.own.seconds(0)["new"]) == epoch
    assert np.isnan(case.seconds(0, "new")).all() and len(case.seconds(0, "new")) == 6


def test_what_is_missing_is_named(tmp_path, data):
    case = execute(tmp_path / "run", TINY.changed(trials=1), data)
    names = ["coarse", *ROWS]
    assert case.missing(0) == [] and case.is_stored(0) and not case.is_stored(1)
    assert case.missing(1) == [stage.name for stage in case.stages] == names
    assert len(case.seconds(0, "coarse")) == 2 and min(case.seconds(0, "coarse")) > 0
    with pytest.raises(ResultsError, match="expected a folder with the run new of trial 2, net A, at its end"):
        case.weights(1, "new")


@pytest.mark.parametrize("run", ["coarse", *ROWS])
def test_a_run_starts_where_the_case_says(tmp_path, data, run):
    """Its first row is what the weights there give."""
    case = execute(tmp_path / "run", TINY.changed(trials=1), data)
    (stage,) = (stage for stage in case.stages if stage.name == run)
    level = case.problems(0).level_of(stage)
    objective, loss, accuracy = level.training.evaluate(case.start(0, run))
    row = case.histories()[run][0][0]
    assert (row["objective"], row["loss"], row["accuracy"]) == (objective, loss, accuracy)
    last = level.training.evaluate(case.weights(0, run))
    assert case.histories()[run][0][-1]["objective"] == last.objective


@pytest.mark.parametrize(
    "change",
    [
        {"theta_alpha": 1.0},
        {"W_smoothing": 10.0},
        {"W_std": 0.01},
        {"W_clip": 0.01},
        {"interpolation": "constant"},
        {"classifier_scaling": "thesis"},
        {"data_scaling": "standardize"},
        {"batch_size": 4},
        {"momentum": 0.9},
        {"learning_rate": 0.001},
        {"network": "B"},
        {"theta_init": "he"},
        {"training_images": "original"},
        {"validation_images": "constant"},
        {"W_neighbours": "vec"},
        {"W_transfer": "vec"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_setting_changes_the_numbers(change, data, tmp_path):
    short = TINY.changed(trials=1, coarse_epochs=1, fine_epochs=1)
    before, after = (
        of_network(tmp_path / "before", short, data),
        of_network(tmp_path / "after", short.changed(**change), data),
    )
    assert before.histories()["multigrid"][0].to_csv() != after.histories()["multigrid"][0].to_csv()
    ((name, value),) = change.items()
    if name != "network":
        assert f", {name} = {value}" in description(result_of(after, *tables_of("4.1"), "4.1"))


def test_training_uses_the_rate_the_rule_and_a_new_order_each_epoch(data, tmp_path, monkeypatch):
    calls = []
    usual = training.sgd

    def recorded(*arguments, **options):
        calls.append(options)
        return usual(*arguments, **options)

    monkeypatch.setattr(training, "sgd", recorded)
    case = execute(tmp_path / "run", TINY.changed(momentum=0.5, trials=1), data)
    assert [call["rule"] for call in calls] == [Momentum(0.5, nesterov=True)] * 4
    assert [call["batch_size"] for call in calls] == [8] * 4 and [call["epochs"] for call in calls] == [2] * 4
    orders = [[call["order"](epoch).tolist() for epoch in (1, 2)] for call in calls]
    assert orders[0][0] != orders[0][1] and orders[1] == orders[2] == orders[3] and orders[1][0] != orders[1][1]
    rates = case.histories()["new"][0].column("learning_rate")[1:]
    assert rates == pytest.approx([0.003 / 0.5**0.5, 0.003])


def test_results_older_than_a_setting_were_made_with_its_default(tmp_path, data):
    older = settings_of(TINY, "numpy", data.digest)
    del older["setup"]["newton"]["trust_radius"], older["setup"]["readings"]
    path = tmp_path / "run"
    path.mkdir()
    (path / "settings.json").write_text(stored_settings.to_text(older))
    execute(path, TINY, data)
    before = results(path)
    lines = []
    execute(path, TINY, data, log=lines.append)
    assert not lines and results(path) == before and "trust_radius" not in before["settings.json"].decode()
    assert read_setup(path) == TINY
    with pytest.raises(ResultsError, match=r"with trust_radius = 1.0 \(now 2.0\)"):
        execute(path, TINY.changed(trust_radius=2.0), data)


@pytest.mark.parametrize(("version", "message"), [(1, "of runs that validated on images drawn"), (4, "in format 4")])
def test_results_of_another_format_are_refused(tmp_path, data, version, message):
    """Those of format 1 have no digest, and their validation images were drawn otherwise."""
    path = tmp_path / "run"
    execute(path, TINY.changed(trials=1), data)
    stored = json.loads((path / "settings.json").read_text())
    del stored["sha256"]
    if version == 1:
        del stored["format"]
        stored["protocol"] = stored.pop("setup")
        (path / "settings.json").write_text(json.dumps(stored, indent=1) + "\n")
    else:
        (path / "settings.json").write_text(stored_settings.to_text({**stored, "format": version}))
    before = results(tmp_path)
    for use in (lambda: execute(path, TINY, data), lambda: read_setup(path)):
        with pytest.raises(ResultsError, match=f"out: expected results in format 3, got .*{message}.*choose another"):
            use()
    assert results(tmp_path) == before
