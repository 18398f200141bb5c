"""A study: its report, its figures, the commands on it."""

import dataclasses
import json
import shutil

import matplotlib.image
import numpy as np
import pytest
from meganet.experiments.study import Study
from meganet.reporting import write_report
from tiny import TINY, quadrants, results

from meganet import cli
from meganet._validate import InputError
from meganet.backend import get_backend
from meganet.experiments import TABLES, ResultsError, ResultsFolder, Workers, problems, report
from meganet.experiments import study as module
from meganet.plotting import FIGURES, plot_convergence, plot_landscape, plot_mosaic
from meganet.plotting import figures as drawing


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Every table of tiny networks on images of 12x12 pixels."""
    protocols = {network: dataclasses.replace(TINY, network=network) for network in "AB"}
    made = Study(tmp_path_factory.mktemp("study"), protocols, get_backend(), quadrants(count=120))
    with made:
        lines: list[str] = []
        made.run(sorted(TABLES), workers=Workers(), progress=False, line=lines.append)
    assert "Table 4.1: net A, 2 trials, numpy" in lines
    return made


@pytest.fixture
def quick(monkeypatch):
    """Landscapes of few points."""
    usual = drawing.landscape
    monkeypatch.setattr(drawing, "landscape", lambda *arguments: usual(*arguments, points=3, examples=4))


def test_the_report_has_every_table_and_figure(study, quick):
    lines = []
    page = write_report(study, sorted(TABLES), "meganet reproduce all", lines.append, landscapes=True)
    html, text = page.read_text(), (study.path / "report.md").read_text()
    for title in (*(f"Table {table}" for table in TABLES), *(figure.title for figure in FIGURES.values())):
        assert title in html and title in text
    assert (
        html.count("<img") == html.count("<figcaption") == text.count("![Figure") == len(FIGURES) == len(lines)
        and "://" not in html
    )
    assert "meganet reproduce all" in text and "batch_size | 8" in text and "numpy" in text
    for number in FIGURES:
        picture = matplotlib.image.imread(study.path / "figures" / f"figure-{number}.png")
        assert picture.std() > 0.02
    lines = [path.stem for path in (study.path / "figures").glob("*.svg")]
    assert lines == ["figure-4.1"] and html.count("data:image/svg+xml") == 1
    assert html.count("(own sizes)</figcaption>") == len(FIGURES)
    plain = json.loads((study.path / "tables" / "table-4.4-meganet.json").read_text())
    assert plain["protocol"]["trials"] == 2 and plain["solver"] == "meganet" and len(plain["percent"]["new"]) == 6


def test_figures_of_many_evaluations_are_drawn_where_they_are_wanted(study):
    text = write_report(study, ["4.1"], "meganet reproduce 4.1").with_suffix(".md").read_text()
    assert "Figure 4.1" in text and "Figure 4.3" not in text and "Figure 4.5" not in text and "Table 4.2" not in text


def test_a_study_is_opened_from_its_folder(study, monkeypatch):
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: study.data)
    again = Study.open(study.path, None, get_backend())
    assert again.folders["B"].protocol == study.folders["B"].protocol
    np.testing.assert_array_equal(again.weights("A", 1, "new"), study.weights("A", 1, "new"))
    (table,) = again.results(["4.1"])
    assert table.cells == study.results(["4.1"])[0].cells
    spent = [again.folders["A"].seconds(trial) for trial in range(2)]
    assert table.seconds == pytest.approx(sum(sum(sum(s) for s in runs.values()) for runs in spent))


def test_a_table_counts_from_its_first_complete_trial(study, tmp_path):
    assert study.complete() == tuple(sorted(TABLES))
    few = Study(tmp_path, {"B": dataclasses.replace(TINY, network="B")}, get_backend(), study.data)
    assert few.complete() == ()
    (tmp_path / "net-B" / "trial-000").mkdir()
    for file in (study.path / "net-B" / "trial-000").glob("*"):
        if "classifier" not in file.name and file.name != "timings.csv":
            (tmp_path / "net-B" / "trial-000" / file.name).write_bytes(file.read_bytes())
    assert few.complete() == ("4.2",) and few.results(["4.2"])[0].protocol.trials == 1


def test_what_is_not_there_is_named(study, tmp_path):
    with pytest.raises(ResultsError, match="expected a folder with the run new of trial 6, net A"):
        study.weights("A", 5, "new")
    with pytest.raises(ResultsError, match="expected a folder with results of 'meganet reproduce'"):
        Study.open(tmp_path, None, get_backend())
    alone = Study(tmp_path / "alone", {"A": TINY}, get_backend(), study.data)
    with pytest.raises(ResultsError, match="expected a folder with results of net B"):
        alone.levels("B", 0)


class Stop(Exception):
    pass


@pytest.fixture
def interrupted(study, tmp_path, monkeypatch):
    """A study of net A whose second trial is complete, and the first stopped after an epoch of New."""
    made = Study(tmp_path, {"A": TINY}, get_backend(), study.data)
    usual = ResultsFolder.save

    def save_and_stop(self, trial, run, state):
        usual(self, trial, run, state)
        if run == "new":
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop), made:
        patch.setattr(ResultsFolder, "save", save_and_stop)
        made.run(["4.1"], workers=Workers(), progress=False, line=lambda text: None)
    shutil.copytree(study.path / "net-A" / "trial-001", tmp_path / "net-A" / "trial-001")
    return made


def test_weights_are_those_of_the_end(study, interrupted):
    """An interrupted run has none yet, and the report draws the first trial that has all of them."""
    assert interrupted.first_trial("A") == 1
    np.testing.assert_array_equal(interrupted.weights("A", 0, "coarse"), study.weights("A", 0, "coarse"))
    with pytest.raises(ResultsError, match="expected a folder with the run new of trial 1, net A, at its end"):
        interrupted.weights("A", 0, "new")
    shutil.rmtree(interrupted.path / "net-A" / "trial-001")
    with pytest.raises(ResultsError, match="expected a folder with a trial that is complete"):
        interrupted.first_trial("A")


def test_trials_that_are_not_complete_are_named(study, interrupted, monkeypatch, capsys):
    sentence = "1 of 2 trials are complete: trial 1 lacks new, transfer, multigrid."
    lines = []
    page = write_report(interrupted, ["4.1"], "meganet report", lines.append)
    assert lines[0] == f"Table 4.1: {sentence}" and sentence in page.read_text()
    assert sentence in (interrupted.path / "tables" / "table-4.1.md").read_text()
    assert sentence in report.to_text(interrupted.results(["4.1"])[0])
    plain = json.loads((interrupted.path / "tables" / "table-4.1.json").read_text())
    assert plain["lacking"] == ["trial 1 lacks new, transfer, multigrid"]
    assert not any("complete:" in report.to_text(result) for result in study.results(["4.1", "4.3"]))

    shutil.rmtree(interrupted.path / "net-A" / "trial-001")
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: study.data)
    where = "where trial 1 lacks new, transfer, multigrid; trial 2 lacks coarse, new, transfer, multigrid"
    for use in (
        lambda: interrupted.results(["4.1"]),
        lambda: interrupted.histories("4.1"),
        lambda: FIGURES["4.1"].make(interrupted, 0),
        lambda: write_report(interrupted, ["4.1"], "meganet report"),
    ):
        with pytest.raises(ResultsError, match=f"out: expected a folder with a complete trial of table 4.1.*{where}"):
            use()
    for command in (["figure", "4.1"], ["report"]):
        assert cli.main([*command, "--results", str(interrupted.path)]) == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1 and "trial 1 lacks new, transfer, multigrid" in text


def test_a_trial_in_the_middle_that_was_deleted_is_named(study, tmp_path, monkeypatch):
    """And those after it are not lost."""
    shutil.copytree(study.path / "net-A", tmp_path / "net-A")
    shutil.rmtree(tmp_path / "net-A" / "trial-000")
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: study.data)
    (result,) = Study.open(tmp_path, None, get_backend()).results(["4.1"])
    assert result.lacking == ("trial 1 lacks coarse, new, transfer, multigrid",) and result.protocol.trials == 1


def test_a_time_that_is_not_known_is_not_taken_for_none(study, tmp_path, monkeypatch):
    shutil.copytree(study.path / "net-A", tmp_path / "net-A")
    (tmp_path / "net-A" / "trial-000" / "timings.csv").unlink()
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: study.data)
    copy = Study.open(tmp_path, None, get_backend())
    (result,) = copy.results(["4.1"])
    assert np.isnan(result.seconds) and result.cells == study.results(["4.1"])[0].cells
    assert "a time that is not known" in write_report(copy, ["4.1"], "meganet report").read_text()


def test_networks_that_changed_places_are_named(study, tmp_path):
    shutil.copytree(study.path / "net-A", tmp_path / "net-B")
    with pytest.raises(ResultsError, match="out: expected results of net B, got .*net-B' with those of net A"):
        Study.open(tmp_path, None, get_backend())


def test_figure_3_1_shows_the_classifier_that_training_starts_from(study):
    _, (line,) = FIGURES["3.1"].make(study, 1)
    coarse, _ = study.levels("A", 1)
    x = problems.coarse_start(study.folders["A"].protocol, coarse, 1)
    kernel = coarse.training.parameters.view(x)["W.kernel"].reshape(4, 64, -1)[:, :2]
    assert line.endswith(f"{kernel.std():.3g} after")


def test_plots_draw_on_axes_that_are_given(study):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plot_mosaic([[np.eye(3), np.eye(4)]], ax, row_labels=["a"], column_labels=["b", "c"]) is ax
    assert len(ax.images) == 2 and [label.get_text() for label in ax.get_xticklabels()] == ["b", "c"]
    assert len(plot_mosaic([[np.eye(3)]] * 2, common_scale=True).images) == 2
    with pytest.raises(InputError, match="rows: expected rows of the same number of images"):
        plot_mosaic([[np.eye(3)], []])
    histories = study.histories("4.1")
    ax = plot_convergence(histories, "validation_accuracy")
    assert [line.get_label() for line in ax.lines[:4]] == ["Coarse training", "New", "Transfer", "Multigrid"]
    assert ax.lines[1].get_xdata().tolist() == [2, 3, 4] and plot_convergence(histories, ax=ax) is ax


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_landscapes_are_drawn(study, kind):
    fine = study.levels("A", 0)[1]
    found = drawing.landscape(fine.training, study.weights("A", 0, "new"), np.random.default_rng(0), points=5)
    ax = plot_landscape(found, kind=kind, quantity="loss")
    assert "first direction" in ax.get_xlabel() and ax.collections
    with pytest.raises(InputError, match="kind: expected one of 'contour', 'surface', got 'map'"):
        plot_landscape(found, kind="map")


def test_a_study_that_diverged_is_reported(tmp_path, monkeypatch, quick, capsys):
    """Its figures of trained weights are not drawn; of a trial that did not diverge they are."""
    protocols = {network: dataclasses.replace(TINY, network=network, learning_rate=1e6) for network in "AB"}
    bad = Study(tmp_path, protocols, get_backend(), quadrants(count=120))
    lines = []
    with bad:
        bad.run(["4.1", "4.3"], workers=Workers(), progress=False, line=lines.append)
    assert any("trial 2/2 new (network=A): diverged in epoch 1, " in line for line in lines)
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: bad.data)
    before = results(tmp_path)
    for _ in range(2):
        assert cli.main(["report", "--results", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text()
    assert "Diverged: coarse in 2 of 2, first in trial 1, epoch 1" in text and "layer " in text
    assert text.count("Not drawn: in every trial a run that it shows diverged.") == 3 and "nan (" not in text
    assert (tmp_path / "figures" / "figure-4.1.png").exists() and "diverged (88.4)" in text
    for path in tmp_path.glob("tables/*.json"):
        json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert {name: before[name] for name in before} == {name: results(tmp_path)[name] for name in before}
    capsys.readouterr()
    for number in ("4.2", "4.3"):
        assert cli.main(["figure", number, "--results", str(tmp_path), "--save", str(tmp_path / "a.png")]) == 2
        assert "got trial 1, in which a run diverged" in capsys.readouterr().err
    assert bad.first_trial("A") is None and bad.first_trial("A", trained=False) == 0
