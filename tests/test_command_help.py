"""Help, misprints, completion of the command line: what is shown before anything is done."""

import os
import re
import subprocess
import sys

import pytest

from meganet import cli
from meganet.backend import available_backends
from meganet.cli import arguments
from meganet.experiments.setup.settings import FIELDS, described
from meganet.ground.dropins import titles


def said(capsys, *words):
    """Return the exit status of a command line, and what it wrote to standard output and error."""
    try:
        status = cli.main(words)
    except SystemExit as end:
        status = end.code
    found = capsys.readouterr()
    return status, found.out, found.err


def test_the_command_alone_shows_the_help(capsys):
    status, out, err = said(capsys)
    assert (status, err) == (0, "") and out == said(capsys, "--help")[1]
    assert all(re.search(f"^  {name} +{title}$", out, re.MULTILINE) for name, title in arguments.COMMANDS.items())


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", ["fit", "reproduce", "experiment", "figure", "report", "info", "data"])
def test_help_is_a_line_for_each_name(command, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = said(capsys, command, "--help")
    lines = out.splitlines()
    assert out.startswith(f"usage: meganet {command} ") and max(map(len, lines)) <= width
    if command in ("reproduce", "experiment"):
        (start,) = (k for k, line in enumerate(lines) if line.startswith("settings for --set"))
        assert [line.split()[0] for line in lines[start + 2 :]] == [*FIELDS]
        assert "  trials               int    3/20          Times that all is run, on new images" in lines
    if command == "experiment":
        start, questions = lines.index("experiments:") + 1, titles(arguments.QUESTIONS)
        assert [line.split()[0] for line in lines[start : start + len(questions)]] == [*questions]


def test_each_setting_says_its_kind_its_default_and_what_it_means(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("reproduce", "experiment"):
        lines = said(capsys, command, "--help")[1].splitlines()
        for setting in described():
            cells = (setting.name, setting.kind, setting.default, setting.meaning)
            (line,) = (line for line in lines if line.split()[:1] == [setting.name] and setting.kind in line.split())
            assert line.split() == " ".join(cells).split() and len(line) <= 80


def test_a_narrow_terminal_wraps_the_last_column(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert "Neighbours in R(W):\n" in said(capsys, "reproduce", "--help")[1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("reproduc 4.1", "command: expected one of 'data', 'experiment', .*, got 'reproduc'; did you mean 'reproduce'"),
        ("reproduce 41", "table: expected one of '4.1', .*, got '41'; did you mean '4.1'"),
        ("reproduce 4.9", r"table: expected one of '4.1', .*, got '4.9' \(see 'meganet reproduce --help'\)"),
        ("fit digit A", "dataset: expected one of"),
        ("fit digits C", "network: expected one of"),
        ("fit digits A --rat 1", "option: expected one of .*, got '--rat'; did you mean '--rate'"),
        ("figure 4,2", "number: expected one of '2.1', .*, got '4,2'; did you mean '4.2'"),
        ("experiment momentun", "name: expected one of 'amplification', .*; did you mean 'momentum'"),
        (
            "reproduce 4.1 --set momentm=0",
            "--set: expected one of 'W_alpha', .*, got 'momentm'; did you mean 'momentum'",
        ),
        ("reproduce 4.1 --set dtype=float23", "--set dtype: expected one of .*; did you mean 'float32'"),
        ("reproduce 4.1 --set trials=0", "--set trials: expected an integer of at least 1, got 0"),
        ("reproduce 4.1 --set momentum=x", "--set momentum: expected a number, got 'x'"),
        ("reproduce --trails 3 4.1", "option: expected one of .*, got '--trails'; did you mean '--trials'"),
        ("reproduce -trials 3 4.1", "option: expected one of .*, got '-trials'; did you mean '--trials'"),
        ("reproduce 4.1 --trial 3", "option: expected one of .*, got '--trial'; did you mean '--trials'"),
        ("--vers", "option: expected one of '--help', '--version', got '--vers'; did you mean '--version'"),
        (
            "reproduce 4.1 --preset smal",
            "--preset: expected one of 'printed', 'small', 'thesis', got 'smal'; did you mean 'small'",
        ),
        ("reproduce 4.1 --backend nunpy", "--backend: expected one of .*; did you mean 'numpy'"),
        ("reproduce 4.1 --trials x", "--trials: expected an integer, got 'x'"),
        ("reproduce 4.1 --jobs 0", "--jobs: expected an integer of at least 1, got 0"),
        ("reproduce 4.1 --cluster here", "--cluster: expected an address"),
        ("reproduce 4.1 --trials", "--trials: expected one argument"),
        ("figure 4.1 --trial 0", "--trial: expected an integer of at least 1, got 0"),
    ],
)
def test_a_misprint_is_one_line(line, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = said(capsys, *line.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.match(f"meganet: error: {message}", err), err


def made(folder, *networks):
    for network in networks:
        (folder / f"net-{network}").mkdir(parents=True)
        (folder / f"net-{network}" / "settings.json").write_text("{}")


def test_an_error_names_the_folders_with_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = said(capsys, "report")
    usual = "--results: expected a folder with runs, got 'meganet-results/small-seed-0' (no such folder)"
    assert (status, err) == (2, f"meganet: error: {usual}; make one with 'meganet reproduce 4.1'\n")
    made(tmp_path / "meganet-results" / "thesis-seed-0", "A")
    made(tmp_path / "other" / "mine", "A", "B")
    (tmp_path / "other" / "empty").mkdir()
    assert "; stored here: 'meganet-results/thesis-seed-0'; or make one" in said(capsys, "report")[2]
    err = said(capsys, "figure", "4.2", "--results", "other/empty")[2]
    expected = "--results: expected a folder with runs of net A, got 'other/empty' (no runs); stored here: "
    assert f"{expected}'meganet-results/thesis-seed-0', 'other/mine'; or make one" in err
    assert err.endswith("or make one with 'meganet reproduce 4.1 --out other/empty'\n")
    err = said(capsys, "figure", "2.1", "--results", "meganet-results/thesis-seed-0")[2]
    assert "net B, got 'meganet-results/thesis-seed-0' (runs of net A); make one with 'meganet reproduce 4.2" in err
    # the folder above those with runs
    assert "'other/mine'" in said(capsys, "report", "--results", "other")[2]
    assert "--results: expected a folder that can be read" in said(capsys, "report", "--results", __file__)[2]


def completed(folder, line):
    """Return what a shell that argcomplete has registered shows for a line."""
    answer = folder / "answer"
    given = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\v",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "meganet"],
        env=os.environ | given,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and done.stdout == "" and "Traceback" not in done.stderr
    assert "scipy" not in done.stderr and "meganet.backend" not in done.stderr
    return answer.read_text().split("\v")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("meganet re", ["reproduce", "report"]),
        ("meganet reproduce ", ["4.1", "4.2", "4.3", "4.4", "fine-to-coarse", "in-turn", "all"]),
        ("meganet reproduce --tr", ["--trials "]),
        ("meganet fit digits narr", ["narrow", "narrow-pooled"]),
        ("meganet fit digits A --sch", ["--schedule "]),
        ("meganet fit digits A --schedule ", ["nested", "in-turn", "fine-to-coarse", "joint"]),
        ("meganet figure 4.", [f"4.{k}" for k in range(1, 7)]),
        ("meganet experiment cal", ["calibration", "calibration-theta-alpha"]),
        ("meganet reproduce 4.1 --set W_s", ["W_std=", "W_smoothing="]),
        ("meganet reproduce 4.1 --preset ", ["small", "thesis", "printed"]),
        ("meganet report --backend ", ["cupy", "numpy"]),
        ("meganet report --results ", ["meganet-results/here"]),
        ("meganet reproduce --trails 3 4.1 --pre", ["--preset "]),
        ("meganet reproduce 4.1 --set dataset=ci", ["dataset=cifar-10", "dataset=cifar-100"]),
        ("meganet data fetch --data . mni", ["mnist "]),
    ],
)
def test_the_shell_completes(line, expected, tmp_path):
    made(tmp_path / "meganet-results" / "here", "A")
    assert [word.rstrip() for word in completed(tmp_path, line)] == [word.rstrip() for word in expected]


def test_the_backends_that_are_completed_are_those_there_are():
    assert set(arguments.BACKENDS) == set(available_backends())
