"""Progress on a terminal and off it."""

import contextlib
import os
import re
import sys
import threading

import pytest
from tiny import TINY, execute, quadrants, results, study_of

from meganet.backend import loops
from meganet.experiments import Workers
from meganet.experiments.runs.pilot import Pilot
from meganet.experiments.runs.tracked import Tracked, found

pty = pytest.importorskip("pty", reason="needs terminals as Unix has them")


@contextlib.contextmanager
def terminal(monkeypatch, rows=40, columns=100):
    """Standard output and error are one terminal of a size; what was written there."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    stream, parts = os.fdopen(theirs, "w", buffering=1), []

    def read():
        # the terminal is closed: no more input, or an error
        with contextlib.suppress(OSError):
            while part := os.read(ours, 2**16):
                parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)

    def written():
        stream.close()
        reader.join(60)
        return b"".join(parts).decode()

    try:
        yield written
    finally:
        monkeypatch.undo()
        written()
        os.close(ours)


def screen(text):
    """Return the lines that a terminal shows at the end: a carriage return goes back, what follows is written over."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_lines_do_not_collide_with_the_bar(tmp_path, monkeypatch):
    with terminal(monkeypatch) as written:
        execute(tmp_path, progress=True, log=print)
        text = written()
    assert " elapsed, " in text and " remaining, " in text and " of 8 runs" in text and "\x1b[A" not in text
    lines = [line for line in screen(text) if line]
    assert re.fullmatch(r"About \d+ s for 8 runs on \d+ threads? \(measured on a few steps\)", lines.pop(0))
    pattern = r"trial \d/2 \w+: train \d+\.\d %, val. \d+\.\d %; \d\d:\d\d elapsed, \d\d:\d\d remaining"
    assert len(lines) == 8 and all(re.fullmatch(pattern, line) and len(line) <= 80 for line in lines), lines


def test_a_terminal_that_does_not_know_its_size_has_a_bar_too(tmp_path, monkeypatch):
    with terminal(monkeypatch, rows=0, columns=0) as written:
        execute(tmp_path, progress=True, log=print)
        assert " elapsed, " in written()


def test_off_a_terminal_there_is_no_bar(tmp_path, capsys):
    lines = []
    execute(tmp_path / "shown", progress=True, log=lines.append)
    assert lines.pop(0).startswith("About ")
    assert len(lines) == 8 and all(re.search(r"; \d\d:\d\d elapsed, \d\d:\d\d remaining$", line) for line in lines)
    lines.clear()
    execute(tmp_path / "quiet", log=lines.append)
    assert len(lines) == 8 and not any("elapsed" in line for line in lines)
    assert capsys.readouterr() == ("", "")


def test_what_the_report_raises_ends_the_run(tmp_path):
    """As when nobody reads any more what is printed."""

    def broken(line):
        (tmp_path / "nowhere" / "file").read_text()

    with pytest.raises(FileNotFoundError):
        execute(tmp_path / "out", progress=True, log=broken)


def test_a_run_of_many_trials_starts_at_once(tmp_path):
    """And stops at once where it is stopped."""
    setup = TINY.changed(trials=10_000)

    class Stop(Exception):
        pass

    def stop(line):
        raise Stop

    with pytest.raises(Stop):
        execute(tmp_path, setup, progress=True, log=stop)
    assert len(list(tmp_path.glob("trial-*"))) < 1000


def test_a_continued_run_says_what_it_found(tmp_path):
    class Stop(Exception):
        pass

    def stop(line):
        if line.startswith("trial 1/2 transfer"):
            raise Stop

    with pytest.raises(Stop):
        execute(tmp_path, log=stop)
    after = [len(list(tmp_path.glob(f"trial-*/{name}.csv"))) for name in ("coarse", "new", "transfer")]
    (tmp_path / "trial-001").mkdir(exist_ok=True)
    lines = []
    execute(tmp_path, progress=True, log=lines.append)
    assert after[2] and re.match(r"Continues: [3-8] (of 8 )?runs", lines[0].replace("all ", "")), lines
    lines.clear()
    execute(tmp_path, progress=True, log=lines.append)
    assert lines == ["Continues: all 8 runs are done"]


def test_what_was_found_is_named(tmp_path):
    (case,) = study_of(tmp_path, TINY).cases.values()
    runs = [Tracked(case, trial, stage) for trial in range(2) for stage in case.stages]
    assert found(runs, [0] * 8) is None
    assert found(runs, [2, 2, 2, 1, 0, 0, 0, 0]) == ("Continues: 3 of 8 runs done, trial 1's multigrid at epoch 1 of 2")
    assert found(runs, [1] * 8).endswith("trial 1's new at epoch 1 of 2, 6 more have begun")
    assert found(runs, [2] * 8) == "Continues: all 8 runs are done"


@pytest.mark.parametrize("together", [False, True])
def test_the_pilot_changes_nothing(together, tmp_path):
    """Neither a bit of the results nor what the folder holds."""
    for name, progress in (("with", True), ("without", False)):
        execute(tmp_path / name, progress=progress, together=together)
    assert results(tmp_path / "with") == results(tmp_path / "without")


@pytest.mark.parametrize("grids", [(6, 12), (6, 12, 24)])
def test_the_pilot_knows_every_kind_of_run(tmp_path, grids):
    setup, names = TINY.changed(network="B", grids=grids), ("4.2", "4.3", "4.4")
    (case,) = study_of(tmp_path, setup, quadrants(size=grids[-1]), names).cases.values()
    runs = [Tracked(case, 0, stage) for stage in case.stages]
    pilot = Pilot(case.own.backend, Workers(), 1, [case])
    known = pilot.measured(runs)
    assert set(known) == {run.kind for run in runs} and all(0 < seconds < 10 for seconds in known.values())
    assert pilot.measured(runs) == known, "measured once"
    assert re.fullmatch(
        r"About 2 min for 7 runs on \d+ threads?, then \d+ \w+ for the landscapes .*", pilot.estimate(123, 7)
    )
    assert os.listdir(tmp_path) == []


def test_a_time_in_which_loops_are_compiled_is_not_taken(tmp_path, monkeypatch):
    (case,) = study_of(tmp_path, TINY).cases.values()
    pilot, times = Pilot(case.own.backend, Workers(), 1, []), iter([1000.0, 0.5])

    def measure(what, setup, level):
        seconds = next(times)
        if seconds == 1000:
            loops.note_form()
        return seconds

    monkeypatch.setattr(pilot, "_measure", measure)
    assert pilot._once(case, 0, "coarse", "step") == 0.5
