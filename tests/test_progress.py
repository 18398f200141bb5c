"""Progress on a terminal and off it."""

import contextlib
import dataclasses
import os
import re
import sys
import threading

import pytest
from tiny import TINY, quadrants

from meganet.backend import get_backend
from meganet.experiments import ResultsFolder, run

pty = pytest.importorskip("pty", reason="needs terminals as Unix has them")


def execute(path, **options):
    data = quadrants()
    with ResultsFolder(path, TINY, get_backend(), data) as folder:
        run(TINY, data, folder, ("4.1",), **options)


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
        execute(tmp_path, report=print)
        text = written()
    assert " elapsed, " in text and " remaining, " in text and " of 8 runs" in text and "\x1b[A" not in text
    lines = [line for line in screen(text) if line]
    assert len(lines) == 8 and all(re.fullmatch(r"trial \d/2 \w+: .*s per epoch", line) for line in lines), lines


def test_a_terminal_that_does_not_know_its_size_has_a_bar_too(tmp_path, monkeypatch):
    with terminal(monkeypatch, rows=0, columns=0) as written:
        execute(tmp_path, report=print)
        assert " elapsed, " in written()


def test_off_a_terminal_there_is_no_bar(tmp_path, capsys):
    lines = []
    execute(tmp_path / "shown", report=lines.append)
    assert len(lines) == 8 and all(re.search(r"; 0:\d\d:\d\d elapsed, .*remain", line) for line in lines)
    lines.clear()
    execute(tmp_path / "quiet", report=lines.append, progress=False)
    assert len(lines) == 8 and not any("elapsed" in line for line in lines)
    assert capsys.readouterr() == ("", "")


def test_what_the_report_raises_ends_the_run(tmp_path):
    """As when nobody reads any more what is printed."""

    def broken(line):
        (tmp_path / "nowhere" / "file").read_text()

    with pytest.raises(FileNotFoundError):
        execute(tmp_path / "out", report=broken)


def test_a_run_of_many_trials_starts_at_once(tmp_path):
    """And stops at once where it is stopped."""
    data, protocol = quadrants(), dataclasses.replace(TINY, trials=10_000)

    class Stop(Exception):
        pass

    def stop(line):
        raise Stop

    with pytest.raises(Stop), ResultsFolder(tmp_path, protocol, get_backend(), data) as folder:
        run(protocol, data, folder, ("4.1",), report=stop)
    assert len(list(tmp_path.glob("trial-*"))) < 1000
