"""What somebody adds to the experiments is one file; nothing else has to know of it."""

import csv
import itertools
import json
import os
import subprocess
import sys

import matplotlib.image
import pytest
from dropped import FILES, STRIPES, drop, extend

from meganet import cli

START = """
import sys
from importlib import import_module

for name, place in {places}.items():
    import_module(name).__path__.append(place)
from meganet.cli import main

sys.exit(main())
"""


NUMBERS = itertools.count()


def shell(places, *words, **environment):
    """Run the command in a process of its own."""
    code = START.format(places={name: str(place) for name, place in places.items()})
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return drop(tmp_path_factory.mktemp("own"), FILES)


@pytest.fixture
def added(places, monkeypatch):
    extend(monkeypatch, places)


def test_the_page_shows_a_file_of_each_kind():
    assert {path.rpartition("/")[0].split("/", 1)[1] for path in FILES} == {
        "datasets/sets",
        "experiments/models",
        "experiments/protocols",
        "experiments/report/figures",
    }


def test_help_lists_it(places):
    shown = {
        "reproduce": "  short           one epoch of coarse training, then the fine grid\n",
        "figure": "  gain  validation accuracy that a short coarse training gains\n",
        "data": "  stripes        a broad stripe, level or upright, in coloured noise\n",
    }
    for command, line in shown.items():
        done = shell(places, command, "--help")
        assert done.returncode == 0 and line in done.stdout, done.stdout + done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("reproduce s", "short"),
        ("figure g", "gain"),
        ("data list st", "stripes"),
        ("reproduce 4.1 --set network=r", "network=residual"),
        ("reproduce 4.1 --set dataset=str", "dataset=stripes"),
    ],
)
def test_the_shell_completes_it(places, tmp_path, line, word):
    given = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\v", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer")}
    given |= {"COMP_LINE": f"meganet {line}", "COMP_POINT": str(len(f"meganet {line}"))}
    done = shell(places, **given)
    assert (done.returncode, done.stderr) == (0, "")
    assert word in [found.strip() for found in (tmp_path / "answer").read_text().split("\v")]


def test_it_is_run_and_reported(added, tmp_path, capsys):
    out = tmp_path / "out"
    line = ["reproduce", "short", "--trials", "2", "--set=network=residual", "--set=grids=4,8,16", *STRIPES]
    assert cli.main([*line, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "Data: 120 images of Stripes (drawn)\nTable short: net residual, 2 trials, numpy\n" in text
    assert (
        "A short coarse training (own sizes): accuracy" in text
        and "Short start" in text
        and "thesis' value" not in text
    )
    with open(out / "tables" / "table-short.csv") as file:
        assert [(row["arm"], row["moment"]) for row in csv.DictReader(file)] == [
            (arm, moment) for arm in ("new", "short start") for moment in ("start", "end")
        ]
    stored = {path.name for path in (out / "net-residual" / "trial-001").glob("*.npz")}
    assert stored == {"short.npz", "from-short-grid-2.npz", "from-short.npz", "new.npz"}
    again = json.loads((out / "tables" / "table-short.json").read_text())["command"]
    for word in ("reproduce short", "network=residual", "dataset=stripes", "grids=4,8,16", "--trials 2"):
        assert word in again
    page = (out / "report.md").read_text()
    assert page.startswith("# Multiresolution convolutional networks: short\n"), "it is none of the thesis"
    assert "Figure gain: validation accuracy that a short coarse training gains" in page and "at the end" in page
    assert page.count("![") == 1 and "Convergence" not in page and "Net residual" in page and "grids | 4,8,16" in page
    assert matplotlib.image.imread(out / "figures" / "figure-gain.png").std() > 0.02
    assert (out / "figures" / "figure-gain.svg").exists()
    for words in (["report"], ["figure", "gain", "--trial", "2", "--save", str(tmp_path / "a.png")]):
        assert cli.main([*words, "--results", str(out)]) == 0
        assert "Figure gain" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "report.md").read_text().count("![") == 1


def test_its_network_goes_with_protocols_that_leave_it_open(added, tmp_path, capsys):
    line = ["--trials", "1", "--set=network=residual", *STRIPES, "--out", str(tmp_path / "out")]
    assert cli.main(["reproduce", "fine-to-coarse", *line]) == 0
    assert cli.main(["reproduce", "4.1", *line]) == 2
    assert "a setting that the command leaves open, network is A" in capsys.readouterr().err


def test_a_file_alone_is_enough(tmp_path, monkeypatch, capsys):
    """Each without the three others, on what the package has."""
    for path, text in FILES.items():
        with monkeypatch.context() as patch:
            extend(patch, drop(tmp_path / path.replace("/", "-"), {path: text}))
            for words in (["reproduce", "--help"], ["data", "list"]):
                try:
                    assert cli.main(words) == 0
                except SystemExit as end:
                    assert end.code == 0
    assert "stripes" in capsys.readouterr().out


def test_a_stage_that_another_protocol_calls_by_the_same_name_is_refused(tmp_path, monkeypatch, capsys):
    (path,) = (path for path in FILES if "/protocols/" in path)
    text = FILES[path].replace('Stage("new")', 'Stage("new", epochs=3)')
    extend(monkeypatch, drop(tmp_path / "a", {path.replace("short", "clash"): text.replace('"short": ', '"clash": ')}))
    (data,) = (path for path in FILES if "/sets/" in path)
    extend(monkeypatch, drop(tmp_path / "b", {data: FILES[data]}))
    assert cli.main(["reproduce", "clash", *STRIPES, "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "expected one stage of each name" in captured.err and "'new'" in captured.err and "clash" in captured.err


MINE = """
from meganet.experiments import Column, Stage, Table
TITLES = {"mine": "my own"}
def table(name="mine", stage=None, **more):
    return Table(name, "Mine", {"row": (stage or Stage("new"),)}, (Column("a", -1, -1, "accuracy"),), **more)
PROTOCOLS = {"mine": %s}
"""
TABLES = "PROTOCOLS, a dict with one or more tables of one network for 'mine'"


@pytest.mark.parametrize(
    ("path", "text", "line", "message"),
    [
        ("protocols", "TITLES = {", ["reproduce", "4.1"], "expected a file of Python, got SyntaxError"),
        ("protocols", "TITLES = {'all': 'mine'}", ["reproduce", "4.1"], "expected names other than 'all'"),
        ("protocols", "TITLES = {'4.1': 'mine'}", ["--help"], "expected names that no other file registers"),
        (
            "questions",
            "TITLES = {'mine': 'why?'}",
            ["experiment", "mine"],
            "expected QUESTIONS, a dict with a Question",
        ),
        (
            "models",
            "TITLES = {'C': 'c'}",
            ["reproduce", "in-turn", "--set=network=C"],
            "expected NETWORKS, a dict with",
        ),
        (
            "models",
            "TITLES = {'C': 'c'}\nNETWORKS = {'C': lambda shape, backend: 3}",
            ["reproduce", "in-turn", "--set=network=C"],
            "expected a function that returns a Chain as net C, got 3",
        ),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, monkeypatch, capsys, path, text, line, message):
    extend(monkeypatch, drop(tmp_path, {f"meganet/experiments/{path}/wrong_{next(NUMBERS)}.py": text}))
    monkeypatch.chdir(tmp_path)
    try:
        assert cli.main(line) == 2
    except SystemExit as end:
        assert end.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("meganet: error: ") and message in captured.err
    assert not (tmp_path / "meganet-results").exists()
