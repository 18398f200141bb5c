"""Tables of trials that were made apart, joined from the numbers of each."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from tiny import TINY, quadrants, stages_of

from meganet import cli
from meganet.backend import get_backend
from meganet.experiments import Study
from meganet.experiments.report.page import write_table
from meganet.experiments.report.results import results
from meganet.ground import machine
from meganet.ground.validate import InputError
from meganet.store.settings import environment
from meganet.workers import Workers

NAMES = ("4.1",)


@pytest.fixture
def join_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    return importlib.import_module("join_tables")


def made(path, trials, first_trial=1, **changes):
    """Run some trials and return the table with its folder."""
    plans = {"net-A": (TINY.changed(trials=trials, **changes), stages_of(NAMES))}
    with Study(path, plans, get_backend(), quadrants(), first_trial=first_trial) as study:
        lines = []
        study.run(Workers(), progress=False, log=lines.append)
    (result,) = results(study, NAMES)
    (path / "tables").mkdir()
    write_table(path / "tables", result)
    return result, lines


def content_of(path):
    return json.loads((path / "tables" / "table-4.1.json").read_text())


def test_trials_that_were_made_apart_make_the_table_of_all(tmp_path, join_tables, monkeypatch, capsys):
    whole, _ = made(tmp_path / "whole", 3)
    one, _ = made(tmp_path / "one", 1)
    rest, lines = made(tmp_path / "rest", 3, first_trial=2)
    assert one.trials == 1 and rest.trials == 2
    assert sorted({line.split()[1] for line in lines}) == ["2/3", "3/3"], "the first trial is not run"
    assert rest.lacking == ("trial 1 lacks coarse, new, transfer, multigrid",)
    assert rest.command.endswith("--trials 3 --first-trial 2 --seed 0" + rest.command.partition("--seed 0")[2])
    files = [str(tmp_path / name / "tables" / "table-4.1.json") for name in ("rest", "one", "rest")]
    monkeypatch.setattr(sys, "argv", ["join_tables.py", *files, "--out", str(tmp_path / "all" / "tables")])
    join_tables.main()
    assert "3 trials" in capsys.readouterr().out
    joined = content_of(tmp_path / "all")
    for name in ("percent", "distance", "differences", "settings", "columns", "command", "lacking"):
        assert joined[name] == content_of(tmp_path / "whole")[name], name
    assert [one["trial"] for one in joined["values"]] == [1, 2, 3]
    assert joined["seconds"] == pytest.approx(sum(one["seconds"] for one in joined["values"]))
    text = (tmp_path / "all" / "tables" / "table-4.1.md").read_text()
    assert "of 3 trials" in text and "--trials 3 --seed 0" in text
    assert f"Trials made with meganet {whole.values[0].environment['meganet']}, python " in text


def test_trials_of_another_machine_are_copied_beside_the_own(tmp_path):
    whole, _ = made(tmp_path / "whole", 3)
    made(tmp_path / "one", 1)
    made(tmp_path / "rest", 3, first_trial=2)
    for trial in ("trial-001", "trial-002"):
        shutil.copytree(tmp_path / "rest" / "net-A" / trial, tmp_path / "one" / "net-A" / trial)
    plans = {"net-A": (TINY.changed(trials=3), stages_of(NAMES))}
    (found,) = results(Study(tmp_path / "one", plans, get_backend(), quadrants()), NAMES)
    assert found.cells == whole.cells and found.trials == 3


def test_tables_of_other_settings_are_not_joined(tmp_path, join_tables):
    made(tmp_path / "one", 1)
    made(tmp_path / "other", 2, first_trial=2, momentum=0.5)
    contents = [content_of(tmp_path / name) for name in ("one", "other")]
    with pytest.raises(InputError, match="tables: expected tables like that of 'meganet reproduce 4.1 .*momentum=0.5"):
        join_tables.joined(contents)
    del contents[0]["values"]
    with pytest.raises(InputError, match="tables: expected tables with the numbers of their trials, got one without"):
        join_tables.joined(contents[:1])


def test_each_machine_is_named_with_its_trials(tmp_path, join_tables):
    made(tmp_path / "one", 1)
    made(tmp_path / "rest", 3, first_trial=2)
    contents = [content_of(tmp_path / name) for name in ("one", "rest")]
    for one in contents[1]["values"]:
        one["environment"]["processor"] = "Difference Engine"
    (tmp_path / "all").mkdir()
    write_table(tmp_path / "all", join_tables.joined(contents))
    text = (tmp_path / "all" / "table-4.1.md").read_text()
    assert "Trial 1 made with meganet " in text
    (line,) = (line for line in text.splitlines() if line.startswith("Trials 2 and 3 made with meganet "))
    assert "processor Difference Engine" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--first-trial", "3"], "--first-trial: expected at most the number of trials, 2, got 3"),
        (["--first-trial", "0"], "--first-trial: expected an integer of at least 1, got 0"),
    ],
)
def test_a_first_trial_that_there_is_not(words, message, tmp_path, capsys):
    given = ["reproduce", "4.1", "--trials", "2", "--set", "dataset=shapes-14", "--out", str(tmp_path / "out"), *words]
    assert cli.main(given) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_record_names_processor_and_libraries(monkeypatch, tmp_path):
    found = environment("numpy")
    assert found["processor"] and "openblas" in found["BLAS and threads"]
    assert "BLAS and threads" not in environment("cupy"), "where it has no part in the results"
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.processor(), "the system has a name for it everywhere"
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Abacus 9\n\nmodel name : Abacus 8\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor() == "Abacus 9"
