"""Damaged, edited, exchanged and deleted files of a results folder are named, and never believed."""

import itertools
import json
import random
import shutil
import tracemalloc

import numpy as np
import pytest
from stored_runs import RUNS, assert_continues, case_of, copied, data, execute, read
from tiny import TINY, results

from meganet.backend import get_backend
from meganet.experiments import ResultsError, ResultsFolder
from meganet.experiments.runs.folder import read_setup
from meganet.ground.npz import write_npz, write_sealed
from meganet.optim import SGDState
from meganet.store import settings

ONE = TINY.changed(trials=1)


@pytest.fixture
def place(whole, tmp_path):
    return copied(whole, tmp_path / "place")


def refused(place, name):
    """The message about a folder that cannot be used: one line, which names the file and what to do."""
    with pytest.raises(ResultsError) as caught:
        read(place)
    text = str(caught.value)
    assert name in text and "\n" not in text and ("delete" in text or "choose another folder" in text)
    # and nothing is trained in its place
    before = results(place)
    with pytest.raises(ResultsError):
        execute(place)
    assert results(place) == before
    return text


def damaged(content, rng):
    """Return the bytes of a file with a small fault."""
    at, other = rng.randrange(len(content)), rng.randrange(len(content))
    first, last = sorted((at, other))
    return rng.choice(
        [
            lambda: content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :],
            lambda: content[:at],
            lambda: content[:first] + content[last:],
            lambda: content[:at] + bytes([rng.randrange(256)]) + content[at:],
            lambda: content[:first] + bytes(last - first) + content[last:],
            lambda: content + content[at : at + 64],
            lambda: content[:first] + content[last:] + content[first:last],
        ]
    )()


FILES = ["settings.json", *(f"trial-000/{name}" for name in ("new.npz", "coarse.npz", "new.csv", "timings.csv"))]


@pytest.mark.parametrize("name", FILES)
def test_every_small_fault_of_a_file_is_noticed(whole, tmp_path, trials, name):
    place = tmp_path / "place"
    shutil.copytree(whole, place)
    path, rng = place / name, random.Random(name)
    content, images = path.read_bytes(), data()
    case = case_of(place, ONE, images)
    plan = [stage for stage in case.stages if name.endswith("coarse.npz") or stage.name == "new"]
    behind = content[: content.rindex(b"\n", 0, -1) + 1]
    for _ in range(trials(200)):
        fault = damaged(content, rng)
        if fault == content or (name.endswith(".csv") and fault == behind):
            continue
        path.write_bytes(fault)
        with pytest.raises(ResultsError) as caught:
            case_of(place, ONE, images) if name == FILES[0] else case.ends(0, plan, weights=True)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(content)
    assert read(place) == read(whole)


def replaced(path, change):
    """Rewrite a JSON file by a function of its content, laid out as before."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=1) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["setup"]["run"].update(seed=7),
        lambda s: s["setup"]["descent"].update(learning_rate=0.3),
        lambda s: s["setup"]["descent"].pop("momentum"),
        lambda s: s["setup"]["run"].update(speed=1),
        lambda s: s["environment"].update(numpy="9.9"),
        lambda s: s.update(data="0" * 64),
        lambda s: s.update(backend="cupy"),
        lambda s: s.update(format=2),
        lambda s: s.pop("sha256"),
        lambda s: s.pop("setup"),
        lambda s: s.update(sha256=None),
    ],
)
def test_edited_settings_are_not_believed(place, change):
    replaced(place / "settings.json", change)
    refused(place, "settings.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("format", "setup", "backend", "data", "environment")),
        *((name, value) for name in ("format", "setup", "environment") for value in ([1], "text")),
    ],
)
def test_settings_that_another_version_has_sealed(place, name, value):
    """They are whole, and lack something or hold it in another form."""
    path = place / "settings.json"
    content = json.loads(path.read_text())
    del content["sha256"], content[name]
    path.write_text(settings.to_text(content if value is None else {**content, name: value}))
    refused(place, "settings.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100_000, "\ud800", '{"setup": NaN}', "1" * 5000])
def test_settings_that_are_something_else(place, text):
    (place / "settings.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(place, "settings.json")


def test_settings_of_other_runs(place, tmp_path):
    """They are whole, but the states were made with others."""
    execute(tmp_path / "other", TINY.changed(seed=1))
    shutil.copy(tmp_path / "other" / "settings.json", place / "settings.json")
    with pytest.raises(ResultsError, match=r"seed = 1 \(now 0\)"):
        execute(place)
    with pytest.raises(ResultsError, match=r"npz', which was made with other settings"):
        read(place, TINY.changed(seed=1))


def test_a_missing_settings_file(place):
    (place / "settings.json").unlink()
    with pytest.raises(ResultsError, match=r"without settings.json"):
        execute(place)
    with pytest.raises(ResultsError, match=r"without settings.json"):
        read_setup(place)


@pytest.mark.parametrize("suffix", ["npz", "csv"])
@pytest.mark.parametrize("run", RUNS)
def test_a_deleted_file_is_named(place, run, suffix):
    (place / "trial-001" / f"{run}.{suffix}").unlink()
    text = refused(place, f"{run}.{suffix}")
    assert "missing" in text and str(place / "trial-001") in text
    shutil.rmtree(place / "trial-001")
    assert len(read(place)) == 3
    execute(place)


def test_what_the_message_says_helps(place, whole):
    (place / "trial-001" / "coarse.npz").unlink()
    refused(place, "coarse.npz")
    shutil.rmtree(place / "trial-001")
    assert_continues(place, whole)


def test_any_files_that_are_deleted(whole, tmp_path, trials):
    """Either it is noticed, or the same command leaves what it would have left."""
    rng = random.Random(0)
    names = [f"trial-000/{run}.{suffix}" for run in RUNS for suffix in ("npz", "csv")] + ["trial-000/timings.csv"]
    sets = [set(rng.sample(names, rng.randrange(1, len(names) + 1))) for _ in range(trials(12))]
    everything_of = [{f"trial-000/{run}.{s}" for s in ("npz", "csv")} for run in RUNS]
    for gone in [*sets, *everything_of, set(names[1::2]), {names[-1]}, set(names)]:
        place = copied(whole, tmp_path / "place")
        for name in gone:
            (place / name).unlink()
        try:
            execute(place)
        except ResultsError as error:
            assert any(name.split("/")[1] in str(error) for name in gone)
        else:
            assert results(place) == results(whole)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations([*RUNS[1:], "trial"], 2)))
def test_exchanged_files_are_named(place, first, second):
    """States of the same shape of other runs, and of another trial."""
    paths = [place / "trial-000" / f"{run}.npz" for run in (first, second)]
    if second == "trial":
        paths[1] = place / "trial-001" / f"{first}.npz"
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    refused(place, f"which is the run {first if second == 'trial' else ''}")


@pytest.mark.parametrize("run", RUNS)
def test_a_state_of_another_seed_is_named(place, tmp_path, run):
    other = tmp_path / "other"
    execute(other, TINY.changed(seed=1, trials=1))
    for suffix in ("npz", "csv"):
        shutil.copy(other / "trial-000" / f"{run}.{suffix}", place / "trial-000")
    assert "which was made with other settings" in refused(place, f"{run}.npz")


def resealed(path, **changes):
    """Write other arrays into a state, as a program would that knows how."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files} | changes
    path.write_bytes(write_sealed({name: array for name, array in arrays.items() if array is not None}))


def test_coarse_weights_that_the_arms_did_not_start_from(place):
    path = place / "trial-000" / "coarse.npz"
    with np.load(path) as stored:
        x = stored["x"] + np.float32(1e-3)
    resealed(path, x=x)
    assert "did not start from the weights in" in refused(place, "coarse.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"x": np.zeros(5, np.float32)},
        {"x": np.zeros((2, 3), np.float32)},
        {"x": None},
        {"y": np.zeros(3)},
        {"epoch": np.array(3)},
        {"epoch": np.array(2.0)},
        {"epoch": np.array([2])},
        {"history": np.array("")},
        {"history": np.array("epoch\n0\n1\n²\n")},
        {"history": np.array('epoch\n0\n1\n"')},
        {"history": np.array("epoch,loss\n0\n1,2,3\n2,4\n")},
        {"origin": np.array("{}")},
        {"origin": np.array("[" * 900)},
        {"memory0": np.zeros(3, np.float32)},
        {"memory0": np.zeros(1)},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_state_that_is_whole_and_holds_something_else(place, changes):
    path = place / "trial-000" / "new.npz"
    resealed(path, **changes)
    refused(place, "new.npz")


def test_a_state_without_its_digest_and_one_with_a_bit_of_a_name_changed(place):
    path = place / "trial-000" / "new.npz"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"memory0.npy", b"memory1.npy").replace(b"epoch.npy", b"epnch.npy"))
    refused(place, "new.npz")
    with np.load(place / "trial-001" / "new.npz") as stored:
        path.write_bytes(write_npz(dict(stored)))
    refused(place, "new.npz")


@pytest.mark.parametrize("sealed", [False, True])
def test_no_more_weights_are_taken_than_the_network_has(place, sealed):
    """4e8 zeros in 1.6 MB, which a compressed file may hold."""
    path, true = place / "trial-000" / "new.npz", 4 * 35_000
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["x"] = np.broadcast_to(np.float32(0), 4 * 10**7)
    path.write_bytes(write_sealed(arrays) if sealed else write_npz(arrays, compressed=True))
    del arrays
    folder = case_of(place).own
    tracemalloc.start()
    try:
        with pytest.raises(ResultsError, match=r"states that can be read, got .*new.npz"):
            folder.load(0, "new")
        assert tracemalloc.get_traced_memory()[1] < 2 * true + 2**19
    finally:
        tracemalloc.stop()


def test_a_file_that_is_too_large_is_not_read(place):
    for name in ("settings.json", "trial-000/timings.csv", "trial-000/new.csv", "trial-000/new.npz"):
        content = (place / name).read_bytes()
        with open(place / name, "r+b") as file:
            file.truncate(2**36)
        tracemalloc.start()
        try:
            with pytest.raises(ResultsError, match=name.split("/")[-1]):
                read(place)
            assert tracemalloc.get_traced_memory()[1] < 2**23
        finally:
            tracemalloc.stop()
            (place / name).write_bytes(content)


def test_states_and_timings_of_an_earlier_moment(place):
    """The history in the state is the copy's, but the timings know more epochs."""
    folder = case_of(place).own
    state = folder.load(0, "new")
    state.history = type(state.history)(list(state.history)[:1])
    path = place / "trial-000" / "new.npz"
    resealed(path, epoch=np.array(0), history=np.array(state.history.to_csv()))
    (place / "trial-000" / "new.csv").write_text(state.history.to_csv())
    assert "timings.csv" in refused(place, "new.npz")


def test_histories_that_are_not_finite_are_tied_too(tmp_path):
    setup = ONE.changed(learning_rate=1e30)
    execute(tmp_path, setup)
    assert "nan" in (tmp_path / "trial-000" / "new.csv").read_text()
    before = results(tmp_path)
    found = read(tmp_path, setup)
    assert len(found[0]) == 4
    execute(tmp_path, setup)
    assert results(tmp_path) == before
    path = tmp_path / "trial-000" / "new.csv"
    path.write_text(path.read_text().replace("nan", "inf", 1))
    with pytest.raises(ResultsError, match="which is not the history in"):
        read(tmp_path, setup)


def test_a_run_that_goes_on_while_it_is_read(place):
    """What a reader sees between two writes of a living run is not taken for damage."""
    case = case_of(place)
    writer = case.own
    usual, state = writer._copy, writer.load(0, "new")
    epochs = iter(range(3, 6))

    class Reader(ResultsFolder):
        def _copy(self, trial, run):
            epoch = next(epochs, None)
            if epoch is not None:
                state.history.append({**state.history[-1], "epoch": epoch})
                writer.save(0, "new", SGDState(state.x, state.memory, epoch, state.history, [0.1] * epoch))
            return usual(trial, run)

    found = Reader(place, TINY, case.stages, get_backend(), data()).load(0, "new")
    assert found.epoch == len(found.history) - 1 >= 4
