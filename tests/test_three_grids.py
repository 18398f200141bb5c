"""Any number of grids, colour, and orders of stages that the thesis does not have, through the command."""

import csv
import json
import re

import matplotlib.image
import numpy as np
import pytest
from dropped import FILES, STRIPES, drop, extend

from meganet import cli
from meganet.experiments.report.figure import figure_of, figures
from meganet.experiments.report.figures import landscapes
from meganet.experiments.setup.tables import protocols
from meganet.objective.landscape import landscape

OF_A = [number for number in figures() if figure_of(number).protocol == "4.1"]


@pytest.fixture(autouse=True)
def stripes(tmp_path_factory, monkeypatch):
    """Coloured images of 16x16 pixels, and landscapes of few points."""
    (path,) = (path for path in FILES if "/sets/" in path)
    extend(monkeypatch, drop(tmp_path_factory.mktemp("own"), {path: FILES[path]}))
    monkeypatch.setattr(landscapes, "landscape", lambda *given: landscape(*given, points=3, examples=4))


def reproduce(out, protocol, *more):
    return cli.main(["reproduce", protocol, "--out", str(out), *STRIPES, *more])


def column(path, name):
    with open(path) as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_three_grids_are_a_setting(tmp_path, capsys):
    out = tmp_path / "out"
    assert reproduce(out, "4.1", "--trials", "1", "--set", "grids=4,8,16") == 0
    text = capsys.readouterr().out
    assert "Table 4.1 (own sizes): accuracy in percent, one trial" in text and "Multigrid" in text
    trial = out / "net-A" / "trial-000"
    stages = ("coarse", "new", *(f"{row}{grid}" for row in ("transfer", "multigrid") for grid in ("-grid-2", "")))
    assert {path.stem for path in trial.glob("*.npz")} == {*stages}
    # the grid between is trained as the coarsest one, on its images
    assert all(len(column(trial / f"{stage}.csv", "epoch")) == 3 for stage in stages)
    weights = {stage: np.load(trial / f"{stage}.npz")["x"].size for stage in ("coarse", "transfer-grid-2", "transfer")}
    classifier = {size: 2 * 64 * size**2 for size in (4, 8, 16)}
    assert weights["transfer"] - weights["transfer-grid-2"] == classifier[16] - classifier[8]
    assert weights["transfer-grid-2"] - weights["coarse"] == classifier[8] - classifier[4]
    settings = json.loads((out / "net-A" / "settings.json").read_text())
    assert settings["format"] == 3 and settings["setup"]["levels"]["grids"] == [4, 8, 16]
    page = (out / "report.md").read_text()
    assert "grids = 4,8,16" in page and "--set grids=4,8,16" in page
    for number in OF_A:
        shown = figures()[number] in page
        assert shown == figure_of(number).quick

    for number in OF_A:
        picture = tmp_path / f"{number}.png"
        assert cli.main(["figure", number, "--results", str(out), "--save", str(picture)]) == 0
        assert matplotlib.image.imread(picture).std() > 0.02
    capsys.readouterr()
    before = (out / "tables" / "table-4.1.json").read_bytes()
    assert cli.main(["report", "--results", str(out)]) == 0
    assert all(figures()[number] in (out / "report.md").read_text() for number in OF_A)
    assert (out / "tables" / "table-4.1.json").read_bytes() == before
    # again, and with one trial more
    assert reproduce(out, "4.1", "--trials", "1", "--set", "grids=4,8,16") == 0
    assert "trial 1/" not in capsys.readouterr().out
    assert reproduce(out, "4.1", "--trials", "2", "--set", "grids=4,8,16") == 0
    assert "trial 2/2 transfer-grid-2" in capsys.readouterr().out
    assert reproduce(out, "4.1", "--trials", "1", "--set", "grids=8,16") == 2
    assert "with grids = (4, 8, 16) (now (8, 16))" in capsys.readouterr().err


def test_the_usual_two_grids_by_name_are_the_same_runs(tmp_path, capsys):
    """Also where a grid is left out, the widths say which."""
    ends = {}
    for grids in ("", "8,16", "4,16"):
        out = tmp_path / (grids or "usual")
        assert reproduce(out, "4.1", "--trials", "1", f"--set=grids={grids}") == 0
        ends[grids] = column(out / "net-A" / "trial-000" / "multigrid.csv", "objective")
        assert len([*(out / "net-A" / "trial-000").glob("*.npz")]) == 4
    assert ends[""] == ends["8,16"] != ends["4,16"]


@pytest.mark.parametrize("protocol", ["fine-to-coarse", "in-turn"])
@pytest.mark.parametrize(("grids", "network"), [("4,8,16", "A"), ("", "B")])
def test_orders_that_the_thesis_does_not_have(protocol, grids, network, tmp_path, capsys):
    out = tmp_path / "out"
    assert reproduce(out, protocol, "--trials", "1", f"--set=network={network}", f"--set=grids={grids}") == 0
    assert f"Table {protocol}: net {network}, 1 trial, numpy\n" in capsys.readouterr().out
    trial = out / f"net-{network}" / "trial-000"
    last = {"fine-to-coarse": "multigrid-down", "in-turn": "multigrid-again"}[protocol]
    assert (trial / f"{last}.npz").exists()
    assert (trial / f"{last}-grid-2.npz").exists() == bool(grids)
    for words in ([], ["report"]):
        if words:
            assert cli.main([*words, "--results", str(out)]) == 0
        page = (out / "report.md").read_text()
        (picture,) = re.findall(r"!\[Convergence: .*\]\((.*)\)", page)
        assert matplotlib.image.imread(out / picture).std() > 0.02
        assert f"Net {network}" in page
    again = json.loads((out / "tables" / f"table-{protocol}.json").read_text())["command"]
    assert (f"--set network={network}" in again) == (network != "A") and f"reproduce {protocol} " in again


def test_runs_of_other_protocols_are_shared(tmp_path, capsys):
    out = tmp_path / "out"
    assert reproduce(out, "4.1", "--trials", "1") == 0
    before = (out / "net-A" / "trial-000" / "transfer.npz").read_bytes()
    capsys.readouterr()
    assert reproduce(out, "in-turn", "--trials", "1") == 0
    trained = re.findall(r"^trial 1/1 ([\w-]+)", capsys.readouterr().out, re.MULTILINE)
    assert trained == ["transfer-back", "multigrid-back", "transfer-again", "multigrid-again"]
    assert (out / "net-A" / "trial-000" / "transfer.npz").read_bytes() == before
    assert cli.main(["report", "--results", str(out)]) == 0
    assert {path.stem for path in (out / "tables").glob("*.csv")} == {"table-4.1", "table-in-turn"}


@pytest.mark.parametrize(
    ("protocol", "grids", "message"),
    [
        ("4.1", "all", "widths of images, such as 7,14,28, got 'all'"),
        ("4.1", "2,,8", "widths of images, such as 7,14,28, got '2,,8'"),
        ("4.1", "4.0,8.0", "widths of images, such as 7,14,28, got '4.0,8.0'"),
        ("4.1", "-4,8", "an integer of at least 1, got -4"),
        ("4.1", "0,8", "an integer of at least 1, got 0"),
        ("4.1", "4,6,8", "widths from coarse to fine, each 2, 4, 8, ... times the one before, got 4,6,8"),
        ("4.1", "8,4,2", "widths from coarse to fine, each 2, 4, 8, ... times the one before, got 8,4,2"),
        ("4.1", "4,4", "widths from coarse to fine, each 2, 4, 8, ... times the one before, got 4,4"),
        ("4.1", "16", "two or more, between which the stage 'transfer' carries weights, got one"),
        ("in-turn", "16", "two or more, between which the stage 'transfer' carries weights, got one"),
        ("4.1", "16,32", "got 16,32"),
        ("4.1", "6,12", "got 6,12"),
        ("4.1", "1,2,4,8,16", "got 1,2,4,8,16"),
        # the pooled images are too small for its second convolution
        ("4.2", "4,8,16", "got 4,8,16"),
        ("all", "4,8,16", "got 4,8,16"),
    ],
)
def test_grids_that_there_are_not_are_one_line(protocol, grids, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert reproduce(out, protocol, f"--set=grids={grids}") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("meganet: error: --set grids: expected ") and message in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1) and len(captured.err) < 300
    assert not out.exists()


def test_a_question_of_grids_that_there_are_not_is_one_line(tmp_path, capsys):
    for grids, message in (("16", "two or more, between which"), ("6,12", "got 6,12")):
        assert (
            cli.main(["experiment", "interpolation", "--out", str(tmp_path / "out"), *STRIPES, f"--set=grids={grids}"])
            == 2
        )
        captured = capsys.readouterr()
        assert captured.err.startswith("meganet: error: --set grids: expected ") and message in captured.err
        assert captured.err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_every_protocol_says_what_is_seen_of_it(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["reproduce", "--help"])
    out = capsys.readouterr().out
    assert all(re.search(f"^  {re.escape(name)} +{re.escape(line)}$", out, re.M) for name, line in protocols().items())
