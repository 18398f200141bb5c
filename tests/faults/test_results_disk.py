"""Disks that are full, read-only or slow to tell, and folders where files belong: a line each, and nothing is lost."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from stored_runs import assert_continues, copied, execute, read
from tiny import TINY, quadrants, results

from meganet import cli
from meganet.cli import options
from meganet.experiments import ResultsError, ResultsFolder
from meganet.experiments.report.figures import landscapes
from meganet.experiments.runs import study
from meganet.ground import files
from meganet.ground.validate import InputError, UserError
from meganet.store.disk import read_file, write_file

ONE = TINY.changed(trials=1)


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A folder in which the first trial was stopped in the middle."""

    class Stop(Exception):
        pass

    usual = ResultsFolder.save

    def save_and_stop(self, trial, run, state, after=None):
        usual(self, trial, run, state, after)
        if run == "transfer":
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(ResultsFolder, "save", save_and_stop)
        execute(tmp_path / "place")
    return tmp_path / "place"


def line_of(function):
    with pytest.raises(InputError) as caught:
        function()
    text = str(caught.value)
    assert "\n" not in text and text.startswith("out: expected ")
    return text


BLOCKED = [
    "settings.json",
    ".lock",
    "trial-000",
    *(f"trial-000/{name}" for name in (".lock", "coarse.npz", "transfer.npz", "coarse.csv", "timings.csv")),
    "trial-001",
]


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize("kind", ["folder", "file", "loop"])
def test_something_else_in_the_place_of_a_file(half, whole, name, kind):
    path, kept = half / name, half.with_name("kept")
    if kind == ("folder" if name in ("trial-000", "trial-001") else "file"):
        pytest.skip("as it should be")
    before = results(half)
    if path.exists():
        path.rename(kept)
    if kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")
    text = line_of(lambda: execute(half))
    assert Path(name).name in text
    path.rmdir() if kind == "folder" else path.unlink()
    if kept.exists():
        kept.rename(path)
    assert results(half) == before
    assert_continues(half, whole)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("file", "(a file)"),
        ("file/below", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("loop/below", "Too many levels of symbolic links"),
        (f"{'n' * 300}/below", "File name too long"),
        ("null\0/below", "without null characters"),
        ("\udcff/below", "a path in UTF-8"),
    ],
)
def test_paths_that_no_folder_can_have(tmp_path, path, reason):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert reason in line_of(lambda: execute(tmp_path / path))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def commands(monkeypatch):
    """The commands on tiny data, with figures that are quickly drawn."""
    usual = landscapes.landscape
    monkeypatch.setattr(landscapes, "landscape", lambda *arguments: usual(*arguments, points=3, examples=4))
    for module in (options, study):
        monkeypatch.setattr(module, "load_data", lambda *arguments, **named: quadrants())
    changed = [
        f"--set={n}={v}" for n, v in ONE.values().items() if n.endswith(("examples", "epochs")) or n == "batch_size"
    ]
    run = ["--preset", "small", "--trials", "1", "--quiet", *changed]
    return {
        "reproduce": lambda path: ["reproduce", "4.1", *run, "--out", path],
        "experiment": lambda path: ["experiment", "interpolation", *run, "--out", path],
        "report": lambda path: ["report", "--results", path],
        "figure": lambda path: ["figure", "4.1", "--results", path],
    }


@pytest.mark.parametrize("command", ["reproduce", "experiment", "report", "figure"])
@pytest.mark.parametrize("path", ["file", "file/x", "loop", "n" * 300, "null\0", "\udcff", "~nosuchuser/x"])
def test_commands_on_paths_that_no_folder_can_have(commands, command, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("loop").symlink_to("loop")
    assert cli.main(commands[command](path)) == 2
    text = capsys.readouterr().err
    option = "--results" if command in ("report", "figure") else "--out"
    assert text.startswith(f"meganet: error: {option}: expected ") and text.count("\n") == 1


def test_pictures_on_paths_that_no_file_can_have(commands, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(commands["reproduce"]("out")) == 0
    Path("file").write_text("mine")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    capsys.readouterr()
    for path in ("folder", "file/x.png", "loop/x.png", "n" * 300, "null\0", "~nosuchuser/x"):
        assert cli.main([*commands["figure"]("out"), "--save", path]) == 2
        text = capsys.readouterr().err
        assert text.startswith("meganet: error: --save: ") and text.count("\n") == 1


def test_something_else_in_the_place_of_a_report(commands, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(commands["reproduce"]("out")) == 0
    for name in ("report.html", "tables", ".lock"):
        path = tmp_path / "out" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_text("") if name == "tables" else path.mkdir()
        capsys.readouterr()
        assert cli.main(commands["report"]("out")) == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1 and name in text
        path.unlink() if name == "tables" else path.rmdir()
    assert cli.main(commands["reproduce"]("out")) == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB, and a function that changes its options."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(how):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(path)], capture_output=True)

    if shutil.which("mount") is None or mount("size=200k").returncode:
        pytest.skip("no disk can be mounted here")
    yield path, lambda how: mount(f"remount,{how}")
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk(small_disk, whole):
    disk, change = small_disk
    assert "(No space left on device)" in line_of(lambda: execute(disk / "out"))
    before = results(disk / "out")
    assert before and not list(disk.rglob("*.tmp"))
    assert "(No space left on device)" in line_of(lambda: execute(disk / "out"))
    assert results(disk / "out") == before
    change("size=64m")
    assert_continues(disk / "out", whole)


def test_a_read_only_disk(small_disk, whole, tmp_path, commands, capsys):
    disk, change = small_disk
    change("size=64m")
    copied(whole, disk / "out")
    assert cli.main(commands["reproduce"](str(disk / "study"))) == 0
    shutil.rmtree(disk / "out" / "trial-001")
    change("ro")
    assert "(Read-only file system)" in line_of(lambda: execute(disk / "out"))
    assert "(Read-only file system)" in line_of(lambda: execute(disk / "new"))
    assert len(read(disk / "out")) == 3
    capsys.readouterr()
    # what is read is read, and a picture goes elsewhere
    assert cli.main([*commands["figure"](str(disk / "study")), "--save", str(tmp_path / "a.png")]) == 0
    assert cli.main([*commands["figure"](str(disk / "study")), "--save", str(disk / "a.png")]) == 2
    for command in ("report", "reproduce"):
        assert cli.main(commands[command](str(disk / "study"))) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == text.count("(Read-only file system)") == 3
    change("rw")
    assert_continues(disk / "out", whole)


FAULTS = [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO, errno.EROFS, errno.EACCES]


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name in ("os.fsync", "os.replace") for number in FAULTS[:3]]
    + [("tempfile.mkstemp", number) for number in FAULTS[2:]],
)
def test_calls_that_fail(half, whole, monkeypatch, name, number):
    module, function = {"tempfile": tempfile, "os": os}[name.split(".")[0]], name.split(".")[1]
    usual, left = getattr(module, function), [4]
    before = results(half)

    def fail(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        return usual(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(module, function, fail)
        assert f"({os.strerror(number)})" in line_of(lambda: execute(half))
    after = results(half)
    assert set(before) <= set(after) and not list(half.rglob("*.tmp"))
    assert_continues(half, whole)


@pytest.mark.parametrize("what", [".", "trial-000", "trial-000/coarse.npz", "trial-000/timings.csv"])
@pytest.mark.parametrize("after", [("coarse", 1), ("new", 2)])
def test_what_is_deleted_in_the_run(tmp_path, whole, monkeypatch, what, after):
    place, usual = tmp_path / "place", ResultsFolder.save

    def save_and_delete(self, trial, run, state, after=None):
        usual(self, trial, run, state, after)
        if trial == 0 and (run, state.epoch) == after:
            path = place / what
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(ResultsFolder, "save", save_and_delete)
        try:
            execute(place)
        except ResultsError as error:
            assert "\n" not in str(error) and "place" in str(error)
    if place.exists() and any(place.iterdir()):
        assert (place / "settings.json").exists(), "a folder is never made without its settings"
    try:
        execute(place)
    except ResultsError as error:
        assert what == "trial-000/coarse.npz" and "delete the folder" in str(error)
        shutil.rmtree(place / "trial-000")
        execute(place)
    assert results(place) == results(whole)


def test_a_kill_at_any_write(tmp_path, whole, monkeypatch, trials):
    """Before and after each file takes its place."""

    class Kill(BaseException):
        pass

    usual, rng = os.replace, random.Random(0)
    for number in rng.sample(range(50), min(trials(4), 50)):
        place, left, behind = tmp_path / "place", [number], rng.random() < 0.5

        def replace(source, target, left=left, behind=behind):
            left[0] -= 1
            if left[0] < 0 and not behind:
                # nobody tidies up after a kill
                shutil.copy(source, f"{source[:-4]}x.tmp")
                raise Kill
            usual(source, target)
            if left[0] < 0:
                raise Kill

        shutil.rmtree(place, ignore_errors=True)
        with monkeypatch.context() as patch, pytest.raises(Kill):
            patch.setattr(files.os, "replace", replace)
            # every write is the last one of somebody who is killed there
            execute(place)
        if number > 10:
            read(place)
        assert_continues(place, whole)
        assert not list(place.rglob("*.tmp"))


SCRIPT = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from stored_runs import execute
execute(Path(sys.argv[1]))
"""


def test_a_kill_at_any_moment(tmp_path, whole, trials):
    here, rng = Path(__file__).parent, random.Random(1)

    def start(place):
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(place), str(here), str(here.parent)])

    for number in range(trials(1)):
        place = tmp_path / str(number)
        process = start(place)
        deadline = time.monotonic() + 60
        while not (place / "settings.json").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.5)
        process.kill()
        process.wait()
        assert_continues(place, whole)
        assert not list(place.rglob("*.tmp"))


def test_what_a_killed_process_left_is_cleared_everywhere(commands, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, folders in (
        ("reproduce", ("", "net-A", "tables", "figures", "net-A/trial-000")),
        ("experiment", ("",)),
    ):
        assert cli.main(commands[command](command)) == 0
        ours = [Path(command, folder, ".report.md.ab12_cd3.tmp") for folder in folders]
        foreign = [Path(command, name) for name in ("mine.tmp", ".mine.tmp", ".notes.ab12_cd3.txt")]
        for path in (*ours, *foreign):
            path.write_text("half")
        if command == "reproduce":
            Path(command, "net-A", "trial-000", "new.csv").write_text(
                "".join(Path(command, "net-A", "trial-000", "new.csv").read_text().splitlines(keepends=True)[:-1])
            )
        assert cli.main(commands[command](command)) == 0
        assert not any(path.exists() for path in ours) and all(path.exists() for path in foreign)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(os.devnull)], ids=["pipe", "device"])
def test_a_pipe_or_a_device_is_not_replaced(tmp_path, make):
    path = tmp_path / "a.png"
    make(path)

    def seen():
        # all but when it was read last
        found = path.lstat()
        return found.st_ino, found.st_mode, found.st_mtime_ns

    before = seen()
    with pytest.raises(UserError, match=r"a\.png: expected a file, got a pipe or a device"):
        write_file(path, "content")
    assert seen() == before and len(list(tmp_path.iterdir())) == 1


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = write_file(tmp_path / "a.json", json.dumps({"a": 1}))

    def fail(*arguments):
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        raise OSError(errno.EIO, "bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        patch.setattr(os, "unlink", fail)
        with pytest.raises(ResultsError, match=r"save: expected a folder that can be written, got .*\(bad disk\)"):
            write_file(path, "other", argument="save")
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_file_that_is_replaced_while_it_is_read_is_read_whole(tmp_path):
    """By another process, which moves a longer and a shorter one there in turn."""
    contents = [b"short", b"long" * 1000]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    path, over = tmp_path / "timings.csv", threading.Event()
    path.write_bytes(contents[0])

    def replace():
        turn = 0
        while not over.is_set():
            turn = 1 - turn
            os.link(tmp_path / str(turn), tmp_path / "next")
            os.replace(tmp_path / "next", path)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        found = {read_file(path, 2**20) for _ in range(5000)}
    finally:
        over.set()
        writer.join()
    assert found <= set(contents)
