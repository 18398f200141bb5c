"""The coarse-to-fine protocol on few examples: repeatable, resumable, reported."""

import dataclasses
import json
import math
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from meganet.experiments.plan import stages
from meganet.experiments.problems import build_levels, coarse_start, starting_point
from meganet.experiments.protocol import PRESETS
from meganet.experiments.store import json_text
from tiny import TINY, quadrants, results

from meganet._validate import InputError
from meganet.backend import get_backend
from meganet.datasets import ImageSet, scale_images
from meganet.document import Document
from meganet.experiments import (
    ARMS,
    Protocol,
    ResultsError,
    ResultsFolder,
    build_network,
    histories,
    problems,
    protocol_for,
    read_protocol,
    report,
    run,
    settings,
    training,
)
from meganet.multigrid import galerkin_matrix, prolongate_images, restrict_images
from meganet.objective import observer
from meganet.optim import History, Momentum


@pytest.fixture(scope="module")
def data():
    return quadrants()


def execute(path, protocol, data, **options):
    table = ("4.1" if protocol.network == "A" else "4.2",)
    with ResultsFolder(path, protocol, get_backend(), data) as folder:
        run(protocol, data, folder, table, progress=False, **options)
        return folder, histories(protocol, folder, table)


def table_of(folder, found):
    seconds = [folder.seconds(trial) for trial in range(folder.protocol.trials)]
    (result,) = report.results("4.1" if folder.protocol.network == "A" else "4.2", folder.protocol, found, seconds)
    return result


@pytest.mark.parametrize("network", ["A", "B"])
def test_same_seed_same_files(tmp_path, data, backend, dtype, network):
    protocol = dataclasses.replace(TINY, network=network, dtype=str(dtype), seed=1, trials=1)
    for name in ("first", "second"):
        execute(tmp_path / name, protocol, data)
    first, second = results(tmp_path / "first"), results(tmp_path / "second")
    assert first == second and {f"trial-000/{arm}.npz" for arm in ARMS} <= set(first)
    with np.load(tmp_path / "first" / "trial-000" / "multigrid.npz") as stored:
        assert stored["x"].dtype == dtype
    other = dataclasses.replace(protocol, seed=2)
    execute(tmp_path / "other", other, data)
    assert results(tmp_path / "other")["trial-000/new.csv"] != first["trial-000/new.csv"]


class Stop(Exception):
    pass


@pytest.mark.parametrize(("momentum", "together"), [(0.0, False), (0.9, False), (0.9, True)])
def test_an_interrupted_run_continues_to_the_bit(tmp_path, data, momentum, together, monkeypatch):
    """Trials that run together also end as those that run one by one."""
    protocol = dataclasses.replace(TINY, momentum=momentum)
    execute(tmp_path / "whole", protocol, data, together=False)
    usual, saved = ResultsFolder.save, []

    def save_and_stop(self, trial, arm, state):
        usual(self, trial, arm, state)
        saved.append((trial, arm, state.epoch))
        raise Stop

    monkeypatch.setattr(ResultsFolder, "save", save_and_stop)
    while True:
        try:
            execute(tmp_path / "parts", protocol, data, together=together)
            break
        except Stop:
            pass
    assert len(saved) == protocol.trials * (protocol.coarse_epochs + 3 * protocol.fine_epochs) == len(set(saved))
    assert results(tmp_path / "parts") == results(tmp_path / "whole")
    for trial in range(protocol.trials):
        timings = (tmp_path / "parts" / f"trial-{trial:03d}" / "timings.csv").read_text().split()
        assert len(timings) == 1 + len(saved) / 2 and all(float(line.split(",")[-1]) > 0 for line in timings[1:])


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
import numpy as np
from test_experiments import TINY, execute
from meganet.datasets import ImageSet, scale_images
rng = np.random.default_rng(0)
data = ImageSet("noise", rng.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), rng.integers(0, 4, 60), "drawn")
import dataclasses
execute(sys.argv[1], dataclasses.replace(TINY, coarse_epochs=40, fine_epochs=20), data)
"""


def test_a_killed_run_continues_to_the_bit(tmp_path):
    """SIGKILL in the middle, as soon as some epochs are stored."""
    from pathlib import Path

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
    execute(tmp_path, dataclasses.replace(TINY, trials=1), data)
    first = results(tmp_path)["trial-000/new.npz"]
    lines = []
    execute(tmp_path, TINY, data, report=lines.append)
    assert all(line.startswith("trial 2/2") for line in lines) and len(lines) == 4
    assert results(tmp_path)["trial-000/new.npz"] == first


def test_levels_and_arms_are_what_the_thesis_says(data):
    backend = get_backend()
    coarse, fine = build_levels(TINY, data, 0, backend)
    assert coarse.training.images.shape == (24, 1, 6, 6) and fine.training.images.shape == (16, 1, 12, 12)
    assert coarse.training.W_regularizer.alpha == 4 * fine.training.W_regularizer.alpha == 0.125
    used = [fine.validation.images, fine.training.images]
    assert len({image.tobytes() for part in used for image in part}) == 26
    np.testing.assert_allclose(
        coarse.validation.images, fine.validation.images.reshape(10, 1, 6, 2, 6, 2).mean(axis=(3, 5)), atol=1e-6
    )
    x = coarse.initial(np.random.default_rng(3), TINY)
    points = {arm: starting_point(TINY, (coarse, fine), arm, x, 0) for arm in ARMS}
    theta, _ = coarse.training.split(x)
    parts = {arm: fine.training.split(point) for arm, point in points.items()}
    np.testing.assert_array_equal(parts["transfer"][0], theta)
    np.testing.assert_array_equal(parts["transfer"][1], parts["multigrid"][1])
    stencils = parts["multigrid"][0].reshape(-1, 9).astype(float)
    np.testing.assert_allclose(stencils @ galerkin_matrix(3).T, theta.reshape(-1, 9), atol=1e-5)
    assert points["new"].dtype == np.float32 and not np.array_equal(parts["new"][0], theta)
    assert TINY.rate(1) == pytest.approx(0.003 / 0.5**0.5) and TINY.rate(8) == pytest.approx(0.0015)


def sets_of(data, protocol, trial=0):
    """Return which images each part of a trial has: validation coarse and fine, training coarse and fine."""
    coarse, fine = build_levels(protocol, data, trial, get_backend())

    def keys(images):
        small = images if images.shape[-1] == 6 else restrict_images(images)
        return [tuple(np.rint(4 * 255 * image)) for image in small.reshape(len(small), -1)]

    known = {key: number for number, key in enumerate(keys(scale_images(data.images, "unit")))}
    parts = (coarse.validation, fine.validation, coarse.training, fine.training)
    return [[known[key] for key in keys(part.images)] for part in parts]


SMALLER = {"fine_examples": 8, "coarse_examples": 12, "validation_examples": 4}


@pytest.mark.parametrize(
    "change",
    [{}, *({name: size} for name, size in SMALLER.items()), SMALLER, {"network": "B"}, {"seed": 0}],
)
def test_runs_of_a_seed_validate_on_the_same_images_whatever_they_train_on(data, change):
    usual = dataclasses.replace(TINY, training_images="original")
    base, other = sets_of(data, usual), sets_of(data, dataclasses.replace(usual, **change))
    for validation, again, coarse, fine in (base, other):
        assert validation == again, "both grids of a trial validate on the same images"
        assert len({*validation, *coarse, *fine}) == len(validation) + len(coarse) + len(fine)
    if "validation_examples" not in change:
        assert base[0] == other[0]
        assert other[2] == base[2][: len(other[2])]
    assert other[0] == base[0][: len(other[0])]
    if set(change) <= {"fine_examples", "network", "seed"}:
        assert base[2] == other[2] and other[3] == base[3][: len(other[3])]


def test_trials_share_what_they_have_in_common(data):
    levels = [build_levels(TINY, data, trial, get_backend()) for trial in (0, 1)]
    for first, second in zip(*levels, strict=True):
        for name in ("network", "classifier", "theta_regularizer", "W_regularizer"):
            assert getattr(first.training, name) is getattr(second.training, name)


def test_coarse_training_validates_on_the_images_of_the_arms(data):
    """Experiments store it with another number of fine examples, see `Protocol.coarse`."""
    (own, _), (shared, _) = (build_levels(p, data, 0, get_backend()) for p in (TINY, TINY.coarse()))
    for mine, other in zip(own, shared, strict=True):
        np.testing.assert_array_equal(mine.images, other.images)
        np.testing.assert_array_equal(mine.labels, other.labels)
    validation, _, _, fine = sets_of(data, dataclasses.replace(TINY, training_images="original"))
    assert not set(validation) & set(fine)
    for trial, seed in ((1, 0), (0, 1)):
        original = dataclasses.replace(TINY, training_images="original", seed=seed)
        assert set(sets_of(data, original, trial)[0]) != set(validation)


def test_networks_of_the_thesis():
    a, b = build_network("A", (28, 28)), build_network("B", (28, 28))
    assert a.range_shape == (64, 28, 28) and b.range_shape == (64, 14, 14)
    assert a.parameters.size == b.parameters.size == 9 * 32 + 9 * 32 * 64


def test_a_table_in_all_its_forms(tmp_path, data):
    folder, found = execute(tmp_path, TINY, data)
    result = table_of(folder, found)
    values = [100 * history[1]["validation_accuracy"] for history in found["transfer"]]
    cell = result.cells["transfer"][1]
    assert cell.mean == pytest.approx(np.mean(values))
    assert cell.std == pytest.approx(np.std(values, ddof=1)) and cell.thesis == 93.5
    assert result.protocol.trials == 2 and result.details["new"]["objective"] == pytest.approx(
        np.mean([history[-1]["objective"] for history in found["new"]])
    )
    text = report.to_text(result)
    assert "mean ± standard deviation of 2 trials" in text and "Multigrid" in text and "(63.6)" in text
    page = Document(report.to_document(result)).to_markdown()
    (note,) = report.other_sizes(result.protocol)
    assert f"> {note}\n\nTable 4.1: accuracy in percent, mean" in page
    assert page.count("|") == 60 and "Validation loss" in page
    plain = json.loads(json.dumps(report.to_json(result)))
    assert plain["percent"]["new"][0]["thesis"] == 88.4 and plain["protocol"]["batch_size"] == 8
    assert len(report.to_csv(result).splitlines()) == 13


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "trials: expected an integer of at least 1, got 0"),
        ({"seed": -1}, "seed: expected an integer of at least 0, got -1"),
        ({"network": "C"}, "network: expected one of 'A', 'B', got 'C'"),
        ({"momentum": 1.0}, r"momentum: expected a number in \[0, 1\), got 1.0"),
        ({"trust_radius": 2e3}, "trust_radius: expected at most 1000, the largest radius, got 2000.0"),
        ({"learning_rate": 0.0}, "learning_rate: expected a finite number above 0.0, got 0.0"),
        ({"dtype": "float16"}, "dtype: expected one of 'float32', 'float64', got 'float16'"),
        (
            {"fine_examples": 10, "batch_size": 16},
            "batch_size: expected at most the 10 training examples",
        ),
        ({"trials": 10**9}, "trials: expected an integer of at most 10000, got 1000000000"),
        ({"coarse_epochs": 10**400}, "coarse_epochs: expected an integer of at most 1000000000, got 1000"),
        ({"mesh_width": 1e-200}, "mesh_width: expected a number from 1e-150 to 1e150, got 1e-200"),
        ({"W_alpha": float("inf")}, "W_alpha: expected a finite number"),
        ({"fine_epochs": 1.5}, "fine_epochs: expected an integer of at least 1, got 1.5"),
    ],
)
def test_protocol_errors(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(TINY, **change)


def test_protocols_of_tables_and_settings_as_text():
    assert protocol_for("4.2", "thesis").network == "B" and protocol_for("4.1", "thesis") == Protocol()
    changed = protocol_for("4.1", "small", seed=3).replaced(
        {"momentum": "0.9", "interpolation": "constant", "seed": "4"}
    )
    assert (changed.momentum, changed.interpolation, changed.seed, changed.dataset) == (0.9, "constant", 4, "digits")
    for changes, message in (
        ({"speed": "1"}, "settings: expected one of .*got 'speed'"),
        ({"trials": "two"}, "trials: expected an integer, got 'two'"),
        ({"momentum": "x"}, "momentum: expected a number, got 'x'"),
    ):
        with pytest.raises(InputError, match=message):
            Protocol().replaced(changes)
    with pytest.raises(InputError, match="table: expected one of '4.1', '4.2', '4.3', '4.4', got '9.9'"):
        protocol_for("9.9", "small")


def test_folder_errors(tmp_path, data):
    backend = get_backend()

    def open_folder(path, protocol=TINY, images=data):
        with ResultsFolder(path, protocol, backend, images) as folder:
            return folder.load(0, "new")

    execute(tmp_path / "run", dataclasses.replace(TINY, trials=1), data)
    with pytest.raises(ResultsError, match=r"a folder made with the same settings.*momentum = 0.0 \(now 0.5\)"):
        open_folder(tmp_path / "run", dataclasses.replace(TINY, momentum=0.5))
    other = ImageSet("other", 255 - data.images, data.labels, "drawn")
    with pytest.raises(ResultsError, match="a folder made with the same settings.*with data = "):
        open_folder(tmp_path / "run", images=other)
    with (
        ResultsFolder(tmp_path / "run", TINY, backend, data),
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
    (tmp_path / "run" / "trial-000" / "timings.csv").write_text("run,epoch,seconds\nnew,1,")
    with pytest.raises(ResultsError, match="out: expected timings that can be read"):
        open_folder(tmp_path / "run")
    (tmp_path / "run" / "trial-000" / "timings.csv").unlink()
    assert open_folder(tmp_path / "run").epoch == 2
    (tmp_path / "run" / "trial-000" / "new.npz").write_bytes(b"damaged")
    with pytest.raises(ResultsError, match="out: expected states that can be read"):
        open_folder(tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(ResultsError, match="which cannot be read"):
        open_folder(tmp_path / "run")


def test_a_disk_that_fails_is_one_clear_error(tmp_path, data, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with ResultsFolder(tmp_path / "run", TINY, get_backend(), data) as folder:
        monkeypatch.setattr("os.fsync", fail)
        with pytest.raises(ResultsError, match=r"that can be written.*coarse.*\(No space left on device\)|timings"):
            run(TINY, data, folder, ("4.1",), progress=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_that_diverges_says_so(tmp_path, data, dtype):
    lines = []
    protocol = dataclasses.replace(TINY, learning_rate=1e300 if dtype == "float64" else 1e30, trials=1, dtype=dtype)
    folder, found = execute(tmp_path, protocol, data, report=lines.append)
    assert len(lines) == 4 and all(re.search(r": diverged (in epoch 1|at the start), .*layer ", line) for line in lines)
    assert np.isnan(found["new"][0][-1]["accuracy"]) and np.isnan(table_of(folder, found).cells["new"][2].mean)
    stored = {name: folder.load(0, name).divergence for name in ("coarse", *ARMS)}
    assert stored["new"].epoch == 1 and stored["transfer"].epoch == 0 and all(d.where for d in stored.values())
    # it is as it is: the same command trains nothing and says nothing
    before, again = results(tmp_path), []
    execute(tmp_path, protocol, data, report=again.append)
    assert not again and results(tmp_path) == before


def test_a_run_that_diverged_has_no_epochs_behind_that(tmp_path, data):
    """The rows that are left hold nan; what was trained before counts, and an interrupted run ends the same."""
    protocol = dataclasses.replace(TINY, learning_rate=1e5, fine_epochs=6, trials=1)
    folder, found = execute(tmp_path, protocol, data)
    (history,), epoch = found["new"], folder.load(0, "new").divergence.epoch
    assert 0 < epoch < 6 and history.column("epoch") == [*range(7)]
    assert np.isfinite(history[epoch - 1]["loss"]) and np.isnan(history.column("loss")[epoch:]).all()
    assert len(folder.seconds(0)["new"]) == epoch


def test_trials_that_diverged_are_counted_and_do_not_count():
    names = ("accuracy", "validation_accuracy", "objective", "loss", "validation_loss")

    def history(*values):
        return History({"epoch": e, **dict.fromkeys(names, v)} for e, v in enumerate(values))

    bad, good, other = history(0.1, 0.2, math.nan), history(0.1, 0.4, 0.5), history(0.1, 0.6, 0.9)
    found = {"new": [bad, good, other], "transfer": [bad] * 3, "multigrid": [good] * 3}
    diverged = [report.Diverged(trial, "transfer", 2, "layer W") for trial in (1, 2, 3)]
    diverged += [report.Diverged(1, "new", 2, ""), report.Diverged(1, "new-classifier-meganet", 0, "of another table")]
    (result,) = report.results("4.1", TINY, found, [], diverged)
    first, _, last, _ = result.cells["new"]
    assert (first.mean, first.std, first.diverged) == pytest.approx((40, 20, 0))
    assert (last.mean, last.std, last.diverged) == pytest.approx((70, 800**0.5, 1))
    assert result.details["new"]["loss"] == pytest.approx(0.7) and np.isnan(result.details["transfer"]["loss"])
    text, page = report.to_text(result, 200), Document(report.to_document(result)).to_markdown()
    for shown in (text, page):
        assert "70.0 ± 28.3, 1 diverged (96.4)" in shown and "diverged (99.4)" in shown
        assert "Diverged: transfer in 3 of 3, first in trial 1, epoch 2: layer W." in shown
        assert "Diverged: new in 1 of 3, first in trial 1, epoch 2" in shown and "another table" not in shown

    def refuse(constant):
        raise AssertionError(constant)

    plain = json.loads(json_text(report.to_json(result)), parse_constant=refuse)
    assert plain["percent"]["transfer"][2] == {"mean": None, "std": None, "thesis": 99.4, "diverged": 3}
    assert len(plain["diverged"]) == 4 and plain["diverged"][0]["where"] == "layer W"


def test_sizes_that_are_not_those_of_the_thesis_are_named_beside_the_numbers():
    small = Protocol(**PRESETS["small"])
    (sentence,) = report.other_sizes(small)
    assert sentence == (
        "Small preset, not the sizes of the thesis: digits instead of mnist, 3000 instead of 40000 coarse examples, "
        "1000 instead of 10000 fine examples, 1000 instead of 10000 validation examples, "
        "8 instead of 20 coarse epochs, 5 instead of 10 fine epochs."
    )
    assert report.other_sizes(dataclasses.replace(small, seed=3, trials=9, momentum=0.9)) == [sentence]
    (own,) = report.other_sizes(dataclasses.replace(small, fine_epochs=10))
    assert own.startswith("Own sizes, not the sizes of the thesis: digits") and "fine epochs" not in own
    assert report.other_sizes(Protocol(trials=1)) == [] and report.sizes_label(Protocol(network="B")) == ""


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_fits_the_terminal(width, tmp_path):
    row = dict.fromkeys(("accuracy", "validation_accuracy", "objective", "loss", "validation_loss"), 0.5)
    history = History({"epoch": e, **row} for e in range(3))
    for table in ("4.1", "4.3"):
        names = [stage.name for stage in stages((table,), dataclasses.replace(TINY, network="AB"[table == "4.3"]))]
        for result in report.results(table, TINY, {name: [history] * 2 for name in names}, []):
            text = report.to_text(result, width)
            assert all(len(line) <= width for line in text.splitlines())
            assert all(word in text for column in report.columns(table) for word in column.title.split())
            numbers = [f"({value:.1f})" for row in report.THESIS[table].values() for value in row]
            assert sorted(re.findall(r"\(\d+\.\d\)", text)) == sorted(numbers)
            assert max(map(len, text.splitlines())) > width / 2 or width > 100, "the width is used"


def test_results_older_than_a_setting_were_made_with_its_default(tmp_path, data):
    older = settings.settings_of(TINY, "numpy", data.digest)
    del older["protocol"]["trust_radius"]
    (tmp_path / "settings.json").write_text(settings.to_text(older))
    folder, _ = execute(tmp_path, TINY, data)
    before = results(folder.path)
    lines = []
    execute(tmp_path, TINY, data, report=lines.append)
    assert not lines and results(folder.path) == before and "trust_radius" not in before["settings.json"].decode()
    with pytest.raises(ResultsError, match=r"with trust_radius = 1.0 \(now 2.0\)"):
        execute(tmp_path, dataclasses.replace(TINY, trust_radius=2.0), data)


@pytest.mark.parametrize(("version", "message"), [(1, "of runs that validated on images drawn"), (3, "in format 3")])
def test_results_of_another_format_are_refused(tmp_path, data, version, message):
    """Those of format 1 have no digest, and their validation images were drawn otherwise."""
    execute(tmp_path, dataclasses.replace(TINY, trials=1), data)
    path = tmp_path / "settings.json"
    stored = json.loads(path.read_text())
    del stored["sha256"]
    if version == 1:
        del stored["format"]
        path.write_text(json.dumps(stored, indent=1) + "\n")
    else:
        path.write_text(settings.to_text({**stored, "format": version}))
    before = results(tmp_path)
    for use in (lambda: execute(tmp_path, TINY, data), lambda: read_protocol(tmp_path)):
        with pytest.raises(ResultsError, match=f"out: expected results in format 2, got .*{message}.*choose another"):
            use()
    assert results(tmp_path) == before


def test_the_order_of_vec_is_that_of_the_original():
    """W is a matrix, classes by features; its columns one below the other, taken for images of rows x columns."""
    classes, channels, height, width = shape = (2, 3, 2, 4)
    weights = np.arange(np.prod(shape), dtype=float).reshape(shape)
    # MATLAB's features: rows run fastest, then columns, then channels
    matrix = weights.transpose(0, 1, 3, 2).reshape(classes, -1)
    images = matrix.reshape(-1, order="F").reshape((height, width, channels * classes), order="F")
    order = problems._vec_as_images(shape, np.float64, get_backend())
    np.testing.assert_array_equal((order @ weights).reshape(-1, height, width), np.moveaxis(images, 2, 0))
    np.testing.assert_array_equal(order.T @ (order @ weights), weights)


def test_the_slip_in_the_transfer_moves_the_kernel_alone(data):
    levels = build_levels(TINY, data, 0, get_backend())
    x = coarse_start(TINY, levels[0], 0)
    usual, moved = (
        starting_point(dataclasses.replace(TINY, W_transfer=order), levels, "transfer", x, 0)
        for order in ("pixels", "vec")
    )
    views = [levels[1].training.parameters.view(start) for start in (usual, moved)]
    for name in views[0]:
        assert np.array_equal(views[0][name], views[1][name]) == (name != "W.kernel")
    # by hand: coarse weights to images, P, back
    coarse, fine = (problems._vec_as_images_of(level, TINY) for level in levels)
    w = levels[0].training.parameters.view(x)["W.kernel"]
    expected = fine.T @ (0.25 * prolongate_images((coarse @ w), "linear"))
    np.testing.assert_allclose(views[1]["W.kernel"], expected, rtol=1e-5, atol=1e-7)


SETTINGS = {
    "theta_alpha": (0.5, lambda c, f: f.training.theta_regularizer.alpha),
    "W_alpha": (0.5, lambda c, f: f.training.W_regularizer.alpha),
    "W_alpha_coarse": (0.5, lambda c, f: c.training.W_regularizer.alpha),
    "mesh_width": (0.5, lambda c, f: f.training.W_regularizer.operator.h[1]),
    "coarse_examples": (16, lambda c, f: c.training.examples),
    "fine_examples": (24, lambda c, f: f.training.examples),
    "validation_examples": (5, lambda c, f: f.validation.examples),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_reaches_its_place(name, data):
    value, read = SETTINGS[name]
    assert read(*build_levels(dataclasses.replace(TINY, **{name: value}), data, 0, get_backend())) == value


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
    short = dataclasses.replace(TINY, trials=1, coarse_epochs=1, fine_epochs=1)
    _, before = execute(tmp_path / "before", short, data)
    folder, after = execute(tmp_path / "after", dataclasses.replace(short, **change), data)
    assert before["multigrid"][0].to_csv() != after["multigrid"][0].to_csv()
    name, value = next(iter(change.items()))
    if name != "network":
        assert f", {name} = {value}" in report.description(table_of(folder, after))


def test_training_uses_the_rate_the_rule_and_a_new_order_each_epoch(data, tmp_path, monkeypatch):
    calls = []
    usual = training.sgd

    def recorded(*arguments, **options):
        calls.append(options)
        return usual(*arguments, **options)

    monkeypatch.setattr(training, "sgd", recorded)
    _, found = execute(tmp_path, dataclasses.replace(TINY, momentum=0.5, trials=1), data)
    assert [call["rule"] for call in calls] == [Momentum(0.5, nesterov=True)] * 4
    assert [call["batch_size"] for call in calls] == [8] * 4 and [call["epochs"] for call in calls] == [2] * 4
    orders = [[call["order"](epoch).tolist() for epoch in (1, 2)] for call in calls]
    assert orders[0][0] != orders[0][1] and orders[1] == orders[2] == orders[3] and orders[1][0] != orders[1][1]
    rates = found["new"][0].column("learning_rate")[1:]
    assert rates == pytest.approx([0.003 / 0.5**0.5, 0.003])


def test_validation_columns_are_those_of_the_validation_data(data):
    _, fine = build_levels(TINY, data, 0, get_backend())
    x = fine.initial(np.random.default_rng(0), TINY)
    row = observer(fine.training, fine.validation)(x)
    assert (row["objective"], row["loss"], row["accuracy"]) == fine.training.evaluate(x)
    assert (row["validation_loss"], row["validation_accuracy"]) == fine.validation.evaluate(x)[1:]
    assert row["loss"] != row["validation_loss"]


def test_the_table_holds_the_thesis_numbers_and_the_right_columns():
    rows = ("accuracy", "validation_accuracy", "objective", "loss", "validation_loss")
    history = History({"epoch": e, **dict(zip(rows, (0.1 * e, 0.01 * e, e, e, e), strict=True))} for e in range(4))
    seconds = [{"new": [1.0, 3.0, 2.0], "multigrid": [0.5]}]
    (result,) = report.results("4.2", TINY, {arm: [history] for arm in ARMS}, seconds)
    assert [cell.mean for cell in result.cells["transfer"]] == pytest.approx([10, 1, 30, 3])
    assert result.cells["transfer"][0].std is None
    thesis = {arm: tuple(cell.thesis for cell in row) for arm, row in result.cells.items()}
    assert thesis["new"] == (91.1, 89.0, 97.0, 93.2) and thesis["transfer"] == (96.7, 91.5, 98.3, 92.8)
    assert thesis["multigrid"] == (96.8, 84.1, 99.8, 88.0)
    assert [line.split()[-1] for line in report.to_text(result).splitlines()[-6:-3]] == ["2", "nan", "0.5"]
