"""Tables of trials that were made apart, joined from the numbers of each."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import TINY, quadrants, stages_of

from meganet import cli
from meganet._version import __version__
from meganet.backend import get_backend
from meganet.experiments import Study
from meganet.experiments.report import tables
from meganet.experiments.report.page import write_table
from meganet.experiments.report.results import results
from meganet.ground import machine
from meganet.ground.validate import InputError
from meganet.store.settings import environment
from meganet.workers import Workers

NAMES = ("4.1",)
TRIALS = {"whole": (3, 1), "one": (1, 1), "rest": (3, 2)}
"""Folder to the number of trials, and which is the first."""


@pytest.fixture
def join_tables(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    return importlib.import_module("join_tables")


def study_in(path, trials, first_trial=1):
    plans = {"net-A": (TINY.changed(trials=trials), stages_of(NAMES))}
    return Study(path, plans, get_backend(), quadrants(), first_trial=first_trial)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with those of all trials and of parts of them, the tables, and the lines that were told."""
    root, found, lines = tmp_path_factory.mktemp("trials"), {}, {}
    for name, (trials, first) in TRIALS.items():
        lines[name] = []
        with study_in(root / name, trials, first) as study:
            study.run(Workers(), progress=False, log=lines[name].append)
        (found[name],) = results(study, NAMES)
        (root / name / "tables").mkdir()
        write_table(root / name / "tables", found[name])
    return root, found, lines


@pytest.fixture
def files(made, tmp_path):
    """Copies of the tables of trial 1 and of trials 2 and 3."""
    for name in ("one", "rest"):
        shutil.copy(made[0] / name / "tables" / "table-4.1.json", tmp_path / f"{name}.json")
    return [str(tmp_path / name) for name in ("one.json", "rest.json")]


def edited(file, change):
    """Change the content of a JSON file in place."""
    content = json.loads(Path(file).read_text())
    change(content)
    Path(file).write_text(json.dumps(content))


def test_the_trials_before_the_first_are_not_run(made):
    _, found, lines = made
    assert sorted({line.split()[1] for line in lines["rest"]}) == ["2/3", "3/3"]
    assert [one.trial for one in found["rest"].values] == [2, 3]
    sentence = "2 of 3 trials are complete: trial 1 lacks coarse, new, transfer, multigrid."
    assert tables.incomplete(found["rest"]) == [sentence]
    assert " --trials 3 --first-trial 2 --seed 0" in found["rest"].command


def test_trials_that_were_made_apart_make_the_table_of_all(made, files, join_tables, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["join_tables.py", files[1], *files, "--out", str(tmp_path / "all" / "tables")])
    join_tables.main()
    assert "trials 1 to 3" in capsys.readouterr().out
    joined, whole = (
        json.loads((place / "tables" / "table-4.1.json").read_text()) for place in (tmp_path / "all", made[0] / "whole")
    )
    for name in ("percent", "distance", "noise", "differences", "settings", "columns", "command", "lacking"):
        assert joined[name] == whole[name], name
    assert [one["trial"] for one in joined["values"]] == [1, 2, 3]
    assert joined["seconds"] == pytest.approx(sum(one["seconds"] for one in joined["values"]))
    text = (tmp_path / "all" / "tables" / "table-4.1.md").read_text()
    assert "of 3 trials" in text and "--trials 3 --seed 0" in text
    assert f"All trials: the first run was made with backend numpy, meganet {__version__}, python " in text


def test_of_a_trial_in_two_files_the_first_counts(files, join_tables, tmp_path):
    shutil.copy(files[1], tmp_path / "again.json")
    edited(tmp_path / "again.json", lambda content: content["values"][0]["percent"]["new"].__setitem__(0, 1.0))
    again = str(tmp_path / "again.json")
    assert join_tables.joined([*files, again]).values[1].percent["new"][0] != 1.0
    assert join_tables.joined([again, *files]).values[1].percent["new"][0] == 1.0


def test_trials_of_another_machine_are_copied_beside_the_own(made, tmp_path):
    root, found, _ = made
    shutil.copytree(root / "one", tmp_path / "one")
    for trial in ("trial-001", "trial-002"):
        shutil.copytree(root / "rest" / "net-A" / trial, tmp_path / "one" / "net-A" / trial)
    (result,) = results(study_in(tmp_path / "one", 3), NAMES)
    assert result.cells == found["whole"].cells and result.trials == 3


def test_each_machine_is_named_with_its_trials(files, join_tables, tmp_path):
    def elsewhere(content):
        for one in content["values"]:
            one["environment"]["processor"] = "Difference Engine"

    edited(files[1], elsewhere)
    write_table(tmp_path, join_tables.joined(files))
    text = (tmp_path / "table-4.1.md").read_text()
    assert "Trial 1: the first run was made with backend numpy, meganet " in text
    (line,) = (line for line in text.splitlines() if line.startswith("Trials 2 and 3: the first run was made with"))
    assert "processor Difference Engine" in line


def test_a_trial_between_that_is_missing_is_named(files, join_tables):
    edited(files[1], lambda content: content["values"].pop(0))
    result = join_tables.joined(files)
    assert result.trials == 2 and " --trials 3 --seed 0" in result.command
    assert tables.incomplete(result) == ["2 of 3 trials are complete: trial 2 is missing."]


def test_two_trials_that_lack_the_same_count_as_two(made, tmp_path):
    shutil.copytree(made[0] / "rest", tmp_path / "rest")
    shutil.rmtree(tmp_path / "rest" / "net-A" / "trial-001")
    (result,) = results(study_in(tmp_path / "rest", 3), NAMES)
    sentence = "1 of 3 trials are complete: trials 1 and 2 lack coarse, new, transfer, multigrid."
    assert tables.incomplete(result) == [sentence] and sentence in tables.to_text(result, 200)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["settings"].update(momentum=0.5), "expected a table like that in .*, got momentum = 0.5, not 0.0"),
        (
            lambda c: c["values"][0]["environment"].update(data="00ff"),
            "expected a table like .*, got data = '00ff', not",
        ),
        (lambda c: c["values"][0]["environment"].update(backend="cupy"), "got backend = 'cupy', not 'numpy'"),
        (lambda c: c.update(table="4.2"), "got table = '4.2', not '4.1'"),
        (lambda c: c.pop("values"), "expected the JSON file of a table, with the numbers of its trials, got other"),
        (lambda c: c.update(values=[]), "with the numbers of its trials"),
    ],
)
def test_what_does_not_belong_together_is_not_joined(change, message, files, join_tables):
    edited(files[1], change)
    with pytest.raises(InputError, match=f"rest.json: .*{message}"):
        join_tables.joined(files)


def test_a_file_without_a_younger_setting_has_its_default(files, join_tables):
    edited(files[1], lambda content: content["settings"].pop("momentum"))
    assert join_tables.joined(files).trials == 3


def test_what_is_no_table_is_one_line(tmp_path, join_tables):
    with pytest.raises(InputError, match=r"none.json: expected a file that can be read, got No such file"):
        join_tables.joined([str(tmp_path / "none.json")])
    (tmp_path / "text.json").write_text("text")
    with pytest.raises(InputError, match=r"text.json: expected the JSON file of a table, got other content"):
        join_tables.joined([str(tmp_path / "text.json")])


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


def test_the_record_does_not_depend_on_what_else_is_loaded():
    script = "import json; from meganet.store.settings import environment; print(json.dumps(environment('numpy')))"
    found = [
        json.loads(subprocess.run([sys.executable, "-c", text], capture_output=True, check=True, text=True).stdout)
        for text in (script, f"import sklearn.utils; {script}")
    ]
    assert found[0] == found[1] and len(found[0]["libraries"].split()) == 2


def test_the_record_names_processor_and_libraries(monkeypatch, tmp_path):
    found = environment("numpy")
    assert found["processor"] and "openblas" in found["libraries"]
    assert "libraries" not in environment("cupy"), "where they have no part in the results"
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.processor(), "the system has a name for it everywhere"
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Abacus 9\n\nmodel name : Abacus 8\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor() == "Abacus 9"
