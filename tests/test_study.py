"""A study: its report, its figures, the commands on it."""

import dataclasses
import json
import shutil

import matplotlib.image
import numpy as np
import pytest
from tiny import TINY, quadrants, results

from meganet import cli
from meganet.backend import get_backend
from meganet.cli import figure as command
from meganet.experiments import Column, ResultsError, ResultsFolder, Stage, Study, Table, Workers, tables_of
from meganet.experiments.report import results as found
from meganet.experiments.report import tables
from meganet.experiments.report.figure import Figure, check_figures, figure_of, figures
from meganet.experiments.report.figures import convergence, landscapes
from meganet.experiments.report.page import write_report
from meganet.experiments.report.results import case_of, complete, first_complete, lacking_in
from meganet.experiments.runs import study as module
from meganet.experiments.setup import tables as setup_tables
from meganet.experiments.setup.tables import protocols
from meganet.ground.validate import InputError
from meganet.objective.landscape import landscape
from meganet.plotting import plot_convergence, plot_landscape, plot_mosaic

THESIS = ("4.1", "4.2", "4.3", "4.4")


def plans(*names, **settings):
    """Return what `Study` takes for some protocols of the thesis."""
    made = {}
    for name in names:
        for table in tables_of(name):
            setup = TINY.changed(network=table.network, **settings)
            _, stages = made.get(f"net-{table.network}", (setup, ()))
            made[f"net-{table.network}"] = setup, (*stages, *table.stages())
    return made


def carried_out(study, line=lambda text: None):
    with study:
        study.run(Workers(), progress=False, log=line)
    return study


def first_of(study):
    """Return the case of table 4.1."""
    return case_of(study, tables_of("4.1")[0])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Every table of tiny networks on images of 12x12 pixels."""
    return carried_out(Study(tmp_path_factory.mktemp("study"), plans(*THESIS), get_backend(), quadrants(count=120)))


@pytest.fixture
def quick(monkeypatch):
    """Landscapes of few points."""
    monkeypatch.setattr(landscapes, "landscape", lambda *arguments: landscape(*arguments, points=3, examples=4))


def test_the_report_has_every_table_and_figure(study, quick):
    lines = []
    page = write_report(study, THESIS, "meganet reproduce all", lines.append, landscapes=True)
    html, text = page.read_text(), (study.path / "report.md").read_text()
    for title in (*(f"Table {table}" for table in THESIS), *figures().values()):
        assert title in html and title in text
    assert (
        html.count("<img") == html.count("<figcaption") == text.count("![Figure") == len(figures()) == len(lines)
        and "://" not in html
    )
    assert "meganet reproduce all" in text and "batch_size | 8" in text and "numpy" in text
    for number in figures():
        picture = matplotlib.image.imread(study.path / "figures" / f"figure-{number}.png")
        assert picture.std() > 0.02
    lines = [path.stem for path in (study.path / "figures").glob("*.svg")]
    assert lines == ["figure-4.1"] and html.count("data:image/svg+xml") == 1
    assert html.count("(own sizes)</figcaption>") == len(figures())
    plain = json.loads((study.path / "tables" / "table-4.4-meganet.json").read_text())
    assert plain["settings"]["trials"] == 2 and plain["table"] == "4.4-meganet" and len(plain["percent"]["new"]) == 6


def test_figures_of_many_evaluations_are_drawn_where_they_are_wanted(study):
    text = write_report(study, ["4.1"], "meganet reproduce 4.1").with_suffix(".md").read_text()
    assert "Figure 4.1" in text and "Figure 4.3" not in text and "Figure 4.5" not in text and "Table 4.2" not in text


@pytest.fixture
def without_files(study, monkeypatch):
    """The data of a study is that of this test's."""
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: study.data)


def test_a_study_is_opened_from_its_folder(study, without_files):
    again = Study.stored(study.path, None, get_backend())
    assert {name: case.setup for name, case in again.cases.items()} == {
        name: case.setup for name, case in study.cases.items()
    }
    np.testing.assert_array_equal(again.cases["net-A"].weights(1, "new"), study.cases["net-A"].weights(1, "new"))
    (table,) = found.results(again, ["4.1"])
    assert table.cells == found.results(study, ["4.1"])[0].cells
    spent = [again.cases["net-A"].own.seconds(trial) for trial in range(2)]
    assert table.seconds == pytest.approx(sum(sum(sum(s) for s in runs.values()) for runs in spent))


def test_a_table_counts_from_its_first_complete_trial(study, tmp_path):
    assert complete(study) == THESIS
    few = Study(tmp_path, plans("4.2", "4.3", "4.4"), get_backend(), study.data)
    assert complete(few) == ()
    with few:
        (tmp_path / "net-B" / "trial-000").mkdir()
        for file in (study.path / "net-B" / "trial-000").glob("*"):
            if "classifier" not in file.name and file.name != "timings.csv":
                (tmp_path / "net-B" / "trial-000" / file.name).write_bytes(file.read_bytes())
    assert complete(few) == ("4.2",) and found.results(few, ["4.2"])[0].trials == 1


def test_a_protocol_of_any_network_is_found_where_it_is_complete(study, tmp_path):
    made = {f"net-{network}": (TINY.changed(network=network, trials=1), ()) for network in "AB"}
    (few,) = tables_of("fine-to-coarse")
    both = Study(
        tmp_path, {name: (setup, few.stages()) for name, (setup, _) in made.items()}, get_backend(), study.data
    )
    assert case_of(both, few).setup.model.network == "A" and complete(both) == ()
    carried_out(Study(tmp_path, {"net-B": (made["net-B"][0], few.stages())}, get_backend(), study.data))
    assert complete(both) == ("fine-to-coarse",)
    assert found.results(both, ["fine-to-coarse"])[0].setup.model.network == "B"


def test_a_figure_may_show_all_tables_of_its_protocol(study, without_files, monkeypatch, tmp_path, capsys):
    def draw(case, trial, canvas):
        canvas.subplots().plot(range(len(case.stages)))
        return [f"{len(case.stages)} stages"]

    several = Figure("4.3", draw, (4, 3), "A line.", runs=("new-classifier-steihaug", "new-classifier-meganet"))
    monkeypatch.setattr(command, "figure_of", lambda number: several)
    given = ["figure", "4.1", "--results", str(study.path), "--save", str(tmp_path / "a.png")]
    assert cli.main(given) == 0 and "\n13 stages\n" in capsys.readouterr().out


def test_what_a_process_leaves_that_is_killed_at_once_is_no_network(study, tmp_path, without_files):
    """Nor is a file of somebody's notes; a folder with trials whose settings are gone is named."""
    shutil.copytree(study.path, tmp_path / "copy")
    (tmp_path / "copy" / "net-C").mkdir()
    (tmp_path / "copy" / "net-C" / ".lock").touch()
    (tmp_path / "copy" / "net-notes").touch()
    assert [*Study.stored(tmp_path / "copy", None, get_backend()).cases] == ["net-A", "net-B"]
    (tmp_path / "copy" / "net-C" / "trial-000").mkdir()
    with pytest.raises(ResultsError, match="expected a results folder, got .*net-C', without settings.json"):
        Study.stored(tmp_path / "copy", None, get_backend())


def test_protocols_of_other_numbers_of_grids_do_not_keep_a_folder_from_being_read(tmp_path, monkeypatch, capsys):
    """One that needs three grids beside the thesis' on two; one of a single grid, on which those cannot be."""
    data = quadrants()
    monkeypatch.setattr(module, "load_data", lambda *arguments, **options: data)
    column = Column("End", -1, -1, "accuracy")
    alone = Table("alone", "Alone", {"own": (Stage("own"),)}, (column,))
    third = Table("third", "Third", {"third": (Stage("third", 2),)}, (column,))
    monkeypatch.setattr(setup_tables, "protocols", lambda: {**protocols(), "alone": "", "third": ""})
    monkeypatch.setattr(found, "protocols", setup_tables.protocols)
    known = {"alone": (alone,), "third": (third,)}
    for place in (setup_tables, found):
        monkeypatch.setattr(place, "tables_of", lambda name: known[name] if name in known else tables_of(name))
    for folder, setup, stages, expected in (
        ("two", TINY, tables_of("4.1")[0].stages(), ("4.1",)),
        ("one", TINY.changed(grids=(12,)), alone.stages(), ("alone",)),
    ):
        carried_out(Study(tmp_path / folder, {"net-A": (setup, stages)}, get_backend(), data))
        opened = Study.stored(tmp_path / folder, None, get_backend())
        assert complete(opened) == expected
    shutil.rmtree(tmp_path / "one" / "net-A" / "trial-001")
    (tmp_path / "one" / "net-A" / "trial-000" / "own.npz").unlink()
    (tmp_path / "one" / "net-A" / "trial-000" / "own.csv").unlink()
    (tmp_path / "one" / "net-A" / "trial-000" / "timings.csv").unlink()
    assert lacking_in(Study.stored(tmp_path / "one", None, get_backend())) == "for table alone trial 1 lacks own"


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ({}, "plans: expected one case or more, got none"),
        ({"net-A": (TINY, ())}, "stages: expected one or more in net-A, got none"),
        ({"../net-A": (TINY, (Stage("new"),))}, "plans: expected names of at most 80 letters"),
        ({"net-A": (TINY.changed(grids=(3,)), (Stage("new"),))}, "grids: expected .*even widths on the finest grid"),
    ],
)
def test_a_study_that_cannot_be(tmp_path, plans, message):
    with pytest.raises(InputError, match=message):
        Study(tmp_path / "out", plans, get_backend(), quadrants())
    assert not [*tmp_path.iterdir()]


def test_notes_beside_shared_runs_are_no_runs(tmp_path):
    for name in ("fine-notes", "fine-0123abcd"):
        (tmp_path / name).write_text("of somebody")
    carried_out(Study(tmp_path, {"a": (TINY, (Stage("new"),))}, get_backend(), quadrants(), shared=True))


def test_a_figure_of_what_there_is_not(monkeypatch):
    for changes, message in (
        ({"protocol": "4.9"}, "figure 4.1: table: expected one of"),
        ({"runs": ("lost",)}, "figure 4.1: runs: expected one of 'coarse'"),
    ):
        changed = dataclasses.replace(figure_of("4.1"), **changes)
        with monkeypatch.context() as patch:
            patch.setitem(convergence.FIGURES, "4.1", changed)
            with pytest.raises(InputError, match=f"^{message}"):
                check_figures()
    check_figures()


def test_what_is_not_there_is_named(study, tmp_path):
    with pytest.raises(ResultsError, match="expected a folder with the run new of trial 6, net A"):
        study.cases["net-A"].weights(5, "new")
    with pytest.raises(ResultsError, match="expected a folder with results of 'meganet reproduce'"):
        Study.stored(tmp_path, None, get_backend())
    alone = Study(tmp_path / "alone", plans("4.1"), get_backend(), study.data)
    with pytest.raises(ResultsError, match="expected a folder with results of net B"):
        case_of(alone, tables_of("4.2")[0])


class Stop(Exception):
    pass


@pytest.fixture
def interrupted(study, tmp_path, monkeypatch):
    """A study of net A whose second trial is complete, and the first stopped after an epoch of New."""
    made = Study(tmp_path, plans("4.1"), get_backend(), study.data)
    usual = ResultsFolder.save

    def save_and_stop(self, trial, run, state, after=None):
        usual(self, trial, run, state, after)
        if run == "new":
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop), made:
        patch.setattr(ResultsFolder, "save", save_and_stop)
        made.run(Workers(), progress=False, log=lambda text: None)
    shutil.copytree(study.path / "net-A" / "trial-001", tmp_path / "net-A" / "trial-001")
    return made


def test_weights_are_those_of_the_end(study, interrupted):
    """An interrupted run has none yet, and the report draws the first trial that has all of them."""
    case, runs = first_of(interrupted), figure_of("4.2").runs
    assert first_complete(case, runs) == 1
    np.testing.assert_array_equal(case.weights(0, "coarse"), first_of(study).weights(0, "coarse"))
    with pytest.raises(ResultsError, match="expected a folder with the run new of trial 1, net A, at its end"):
        case.weights(0, "new")
    shutil.rmtree(interrupted.path / "net-A" / "trial-001")
    with pytest.raises(ResultsError, match="expected a folder with a trial that is complete"):
        first_complete(case, runs)


def test_trials_that_are_not_complete_are_named(study, interrupted, without_files, capsys):
    sentence = "1 of 2 trials are complete: trial 1 lacks new, transfer, multigrid."
    lines = []
    page = write_report(interrupted, ["4.1"], "meganet report", lines.append)
    assert lines[0] == f"Table 4.1: {sentence}" and sentence in page.read_text()
    assert sentence in (interrupted.path / "tables" / "table-4.1.md").read_text()
    assert sentence in tables.to_text(found.results(interrupted, ["4.1"])[0])
    plain = json.loads((interrupted.path / "tables" / "table-4.1.json").read_text())
    assert plain["lacking"] == ["trial 1 lacks new, transfer, multigrid"]
    assert not any("complete:" in tables.to_text(result) for result in found.results(study, ["4.1", "4.3"]))

    shutil.rmtree(interrupted.path / "net-A" / "trial-001")
    where = "where trial 1 lacks new, transfer, multigrid; trial 2 lacks coarse, new, transfer, multigrid"
    for use in (
        lambda: found.results(interrupted, ["4.1"]),
        lambda: figure_of("4.1").make(first_of(interrupted), 0),
        lambda: write_report(interrupted, ["4.1"], "meganet report"),
    ):
        with pytest.raises(ResultsError, match=f"out: expected a folder with a complete trial of table 4.1.*{where}"):
            use()
    for words in (["figure", "4.1"], ["report"]):
        assert cli.main([*words, "--results", str(interrupted.path)]) == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1 and "trial 1 lacks new, transfer, multigrid" in text


def test_a_trial_in_the_middle_that_was_deleted_is_named(study, tmp_path, without_files):
    """And those after it are not lost."""
    shutil.copytree(study.path / "net-A", tmp_path / "net-A")
    shutil.rmtree(tmp_path / "net-A" / "trial-000")
    (result,) = found.results(Study.stored(tmp_path, None, get_backend()), ["4.1"])
    assert result.lacking == ("trial 1 lacks coarse, new, transfer, multigrid",) and result.trials == 1


def test_a_time_that_is_not_known_is_not_taken_for_none(study, tmp_path, without_files):
    shutil.copytree(study.path / "net-A", tmp_path / "net-A")
    (tmp_path / "net-A" / "trial-000" / "timings.csv").unlink()
    copy = Study.stored(tmp_path, None, get_backend())
    (result,) = found.results(copy, ["4.1"])
    assert np.isnan(result.seconds) and result.cells == found.results(study, ["4.1"])[0].cells
    assert "a time that is not known" in write_report(copy, ["4.1"], "meganet report").read_text()


def test_networks_that_changed_places_are_named(study, tmp_path):
    shutil.copytree(study.path / "net-A", tmp_path / "net-B")
    with pytest.raises(ResultsError, match="out: expected results of net B, got .*net-B' with those of net A"):
        Study.stored(tmp_path, None, get_backend())


def test_figure_3_1_shows_the_classifier_that_training_starts_from(study):
    case = first_of(study)
    _, (line,) = figure_of("3.1").make(case, 1)
    x = case.start(1, "coarse")
    kernel = case.problems(1).level(0, "coarse").training.parameters.view(x)["W.kernel"].reshape(4, 64, -1)[:, :2]
    assert line.endswith(f"{kernel.std():.3g} after")


def test_plots_draw_on_axes_that_are_given(study):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plot_mosaic([[np.eye(3), np.eye(4)]], ax, row_labels=["a"], column_labels=["b", "c"]) is ax
    assert len(ax.images) == 2 and [label.get_text() for label in ax.get_xticklabels()] == ["b", "c"]
    assert len(plot_mosaic([[np.eye(3)]] * 2, common_scale=True).images) == 2
    with pytest.raises(InputError, match="rows: expected rows of the same number of images"):
        plot_mosaic([[np.eye(3)], []])
    histories = first_of(study).histories()
    ax = plot_convergence(histories, "validation_accuracy")
    assert [line.get_label() for line in ax.lines[:4]] == ["Coarse training", "New", "Transfer", "Multigrid"]
    assert ax.lines[1].get_xdata().tolist() == [2, 3, 4] and plot_convergence(histories, ax=ax) is ax


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_landscapes_are_drawn(study, kind):
    case = first_of(study)
    fine = case.problems(0).level(-1, "fine").training
    plane = landscape(fine, case.weights(0, "new"), np.random.default_rng(0), points=5)
    ax = plot_landscape(plane, kind=kind, quantity="loss")
    assert "first direction" in ax.get_xlabel() and ax.collections
    with pytest.raises(InputError, match="kind: expected one of 'contour', 'surface', got 'map'"):
        plot_landscape(plane, kind="map")


def test_a_study_that_diverged_is_reported(tmp_path, monkeypatch, quick, capsys):
    """Its figures of trained weights are not drawn; of a trial that did not diverge they are."""
    bad = Study(tmp_path, plans("4.1", "4.3", learning_rate=1e6), get_backend(), quadrants(count=120))
    lines = []
    carried_out(bad, lines.append)
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
    case, runs = first_of(bad), figure_of("4.2").runs
    assert first_complete(case, runs) is None and first_complete(case, runs, trained=False) == 0
