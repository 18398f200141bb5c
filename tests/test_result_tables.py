"""Tables of stored runs in all their forms, beside the thesis' numbers."""

import importlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import TINY, execute, quadrants

from meganet.document import Document
from meganet.experiments import PRESETS, Case, Setup, Stage, tables_of
from meganet.experiments.report import tables
from meganet.experiments.report.differences import Difference
from meganet.experiments.report.recorded import FILE, cells_of, recorded
from meganet.experiments.report.results import Cell, compared, distance_of, result_of
from meganet.experiments.runs.paired import mean_of, probability
from meganet.experiments.setup.stages import planned
from meganet.experiments.setup.tables import distance
from meganet.ground.validate import InputError
from meganet.optim import Divergence, History, SGDState
from meganet.store.disk import json_text

ROWS = ("new", "transfer", "multigrid")
QUANTITIES = ("accuracy", "validation_accuracy", "objective", "loss", "validation_loss")


@dataclass
class Made:
    """What a result reads of a case, with histories that nobody trained: run to those of its trials."""

    setup: Setup
    stages: tuple[Stage, ...]
    runs: dict[str, list[History]]
    seconds: dict[str, list[float]]
    diverged: dict[tuple[int, str], Divergence]
    own = SimpleNamespace(path=Path("out") / "net-A", made_with={"data": "00ff", "processor": "Abacus"})
    complete = Case.complete

    def ends(self, trial):
        return {
            stage.name: SGDState(
                np.zeros(1),
                history=self.runs[stage.name][trial],
                seconds=self.seconds.get(stage.name, []),
                divergence=self.diverged.get((trial, stage.name)),
            )
            for stage in self.stages
        }


def made(name, setup, runs, seconds=None, diverged=None, table=0):
    """Return a table of a protocol from histories."""
    found = tables_of(name)[table]
    stages, trials = planned(found.stages(), 2), len(next(iter(runs.values())))
    runs = {stage.name: runs.get(stage.name, next(iter(runs.values()))) for stage in stages}
    return result_of(Made(setup.changed(trials=trials), stages, runs, seconds or {}, diverged or {}), found, name)


def history(*values):
    return History({"epoch": e, **dict.fromkeys(QUANTITIES, v)} for e, v in enumerate(values))


def test_a_table_in_all_its_forms(tmp_path):
    case = execute(tmp_path / "net-A", TINY, quadrants())
    found, result = case.histories(), result_of(case, *tables_of("4.1"), "4.1")
    values = [100 * history[1]["validation_accuracy"] for history in found["transfer"]]
    cell = result.cells["transfer"][1]
    assert cell.mean == pytest.approx(np.mean(values))
    assert cell.std == pytest.approx(np.std(values, ddof=1)) and cell.thesis == 93.5
    assert result.trials == 2 and result.details["new"]["objective"] == pytest.approx(
        np.mean([history[-1]["objective"] for history in found["new"]])
    )
    seconds = sum(sum(case.seconds(trial, stage.name)) for trial in (0, 1) for stage in case.stages)
    assert result.seconds == pytest.approx(seconds)
    text = tables.to_text(result, 200)
    assert "mean ± standard deviation of 2 trials" in text and "Multigrid" in text and "(63.6)" in text
    page = Document(tables.to_document(result)).to_markdown()
    (note,) = tables.other_sizes(result.setup)
    assert f"> {note}\n\nTable 4.1 (own sizes): accuracy in percent, mean" in page
    assert "Distance from the thesis: " in page and "over the 12 numbers" in page and "Multigrid - Transfer" in page
    assert page.count("|") == 80 and "Validation loss" in page
    plain = json.loads(json.dumps(tables.to_json(result)))
    assert plain["distance"] == pytest.approx(result.distance) and len(plain["differences"]) == 6
    assert plain["percent"]["new"][0]["thesis"] == 88.4 and plain["settings"]["batch_size"] == 8
    assert len(tables.to_csv(result).splitlines()) == 13


def test_a_table_says_how_far_it_is_from_the_thesis_and_which_rows_differ():
    worse = [history(0.0, 0.5, 0.9), history(0.0, 0.6, 0.9), history(0.0, 0.7, 0.9)]
    better = [history(0.0, 0.6, 0.9), history(0.0, 0.71, 0.9), history(0.0, 0.79, 0.9)]
    result = made("4.1", Setup(), {"new": worse, "transfer": better, "multigrid": worse})
    ours = {"new": (60, 60, 90, 90), "transfer": (70, 70, 90, 90), "multigrid": (60, 60, 90, 90)}
    (table,) = tables_of("4.1")
    far = [a - b for row in ROWS for a, b in zip(ours[row], table.thesis[row], strict=True)]
    assert result.distance == pytest.approx(math.sqrt(sum(d * d for d in far) / 12))
    found = {(one.row, one.other, one.column): one for one in result.differences}
    assert len(found) == 6, "of three pairs in two columns of validation"
    one = found["transfer", "new", "Initial validation"]
    # of the differences 10, 11 and 9: standard error 1 / sqrt(3), t = sqrt(300) with two degrees of freedom
    assert one[3:] == pytest.approx((10, 4.302652729911275 / math.sqrt(3), 1 - math.sqrt(300 / 302), 3))
    same = found["multigrid", "new", "ReTrain validation"]
    all_alike = Difference("new", "new", "", *mean_of([1.0, 1.0 + 1e-14]), probability([1.0, 1.0 + 1e-14]), 2)
    assert str(all_alike) == "+1.0 ± 0.0 (no p)", "two trials that round to the same say nothing"
    assert same[3:] == (0.0, 0.0, 1.0, 3)
    text = tables.to_text(result, 200)
    assert f"Distance from the thesis: {result.distance:.1f} points (root mean square over the 12 numbers)." in text
    assert "+10.0 ± 2.5 (p = 0.0033)" in text
    # three rows scatter in two columns, by 10, 10 and 9.5 points; three trials, and twenty of the thesis
    scatter = math.sqrt((100 + 100 + np.var([60, 71, 79], ddof=1)) * 2 * (1 / 3 + 1 / 20) / 12)
    assert result.noise == pytest.approx(scatter)
    assert f"The scatter of the trials alone would make {scatter:.1f}, if the thesis' twenty scatter alike." in text
    alone = made("4.1", Setup(), {"coarse": worse[:1]})
    assert alone.noise is None and "scatter" not in tables.to_text(alone)
    assert alone.differences == () and "Differences" not in tables.to_text(alone)


def test_a_difference_leaves_out_the_trials_in_which_a_run_diverged():
    good, bad = history(0.0, 0.5, 0.9), history(0.0, math.nan, math.nan)
    runs = {"new": [good] * 3, "transfer": [good, bad, good], "multigrid": [good, bad, bad], "coarse": [good] * 3}
    result = made("4.1", Setup(), runs)
    assert {(one.row, one.other): one.trials for one in result.differences} == {("transfer", "new"): 2}
    assert math.isfinite(result.distance), "means are over the trials that did not diverge"
    none = made(
        "4.1", Setup(), {"new": [good] * 2, "transfer": [bad] * 2, "multigrid": [good] * 2, "coarse": [good] * 2}
    )
    assert none.distance == math.inf and "not defined, as runs diverged" in tables.to_text(none, 200)


def test_the_other_reading_stands_beside_a_table_of_the_thesis_sizes():
    runs = {"coarse": [history(0.1, 0.2, 0.3)] * 2}
    page = Document(tables.to_document(made("4.1", Setup.of(**PRESETS["thesis"]), runs))).to_markdown()
    other = recorded("printed", "4.1")
    assert "Beside it the preset printed, recorded with meganet " in page and f"({other.command}):" in page
    assert f"{other.cells['multigrid'][-1].mean:.1f} ± " in page and page.count("Distance from the thesis: ") == 2
    for setup in (Setup.of(momentum=0.5), Setup.of(**PRESETS["small"]), Setup.of(**PRESETS["thesis"], fine_epochs=3)):
        assert "Beside it" not in tables.to_text(made("4.1", setup, runs), 200), "neither a reading nor its sizes"
    assert recorded("printed", "9.9") is None


def test_every_table_of_the_thesis_is_recorded_as_it_is():
    for name in ("4.1", "4.2", "4.3", "4.4"):
        for table in tables_of(name):
            found = recorded("printed", table.name)
            shown = {row: tuple(cell.thesis for cell in cells) for row, cells in found.cells.items()}
            assert shown == table.thesis and f"reproduce {name} --preset printed " in found.command


def test_a_recorded_number_that_is_not_finite_reads_back():
    (cell,) = cells_of({"new": [{"mean": None, "std": None, "thesis": 99.4, "diverged": 3}]})["new"]
    assert math.isnan(cell.mean)


def test_tables_without_numbers_of_the_thesis_have_differences_alone():
    runs = {"coarse": [history(0.1, 0.2, 0.3), history(0.1, 0.4, 0.6)]}
    for name in ("fine-to-coarse", "in-turn"):
        stages = planned(tables_of(name)[0].stages(), 2)
        result = made(name, Setup.of(**PRESETS["thesis"]), {stage.name: runs["coarse"] for stage in stages})
        text = tables.to_text(result, 200)
        assert result.distance is None and "Distance" not in text and "Beside it" not in text
        assert ("Differences between rows" in text) == (len(result.table.rows) > 1)


def test_numbers_that_the_thesis_does_not_have_do_not_count():
    cells = {"mine": [Cell(50.0, None, 53.0), Cell(10.0, None, None)]}
    assert distance_of(cells) == 3.0 and compared(cells) == [(50.0, 53.0)]
    with pytest.raises(InputError, match="^found: expected one number or more, got none"):
        distance([], [])


def test_the_recorded_tables_are_those_of_the_documentation(monkeypatch):
    root = Path(__file__).parent.parent
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    document = importlib.import_module("document")
    assert document.recorded(root / "docs" / "results") == FILE.read_text()


def test_trials_that_diverged_are_counted_and_do_not_count():
    bad, good, other = history(0.1, 0.2, math.nan), history(0.1, 0.4, 0.5), history(0.1, 0.6, 0.9)
    found = {"new": [bad, good, other], "transfer": [bad] * 3, "multigrid": [good] * 3, "coarse": [good] * 3}
    diverged = {(trial, "transfer"): Divergence(2, "layer W") for trial in range(3)}
    result = made("4.1", TINY, found, diverged={**diverged, (0, "new"): Divergence(2, "")})
    first, _, last, _ = result.cells["new"]
    assert (first.mean, first.std, first.diverged) == pytest.approx((40, 20, 0))
    assert (last.mean, last.std, last.diverged) == pytest.approx((70, 800**0.5, 1))
    assert result.details["new"]["loss"] == pytest.approx(0.7) and np.isnan(result.details["transfer"]["loss"])
    text, page = tables.to_text(result, 200), Document(tables.to_document(result)).to_markdown()
    for shown in (text, page):
        assert "70.0 ± 28.3, 1 diverged (96.4)" in shown and "diverged (99.4)" in shown
        assert "Diverged: transfer in 3 of 3, first in trial 1, epoch 2: layer W." in shown
        assert "Diverged: new in 1 of 3, first in trial 1, epoch 2" in shown

    def refuse(constant):
        raise AssertionError(constant)

    plain = json.loads(json_text(tables.to_json(result)), parse_constant=refuse)
    assert plain["percent"]["transfer"][2] == {"mean": None, "std": None, "thesis": 99.4, "diverged": 3}
    assert len(plain["diverged"]) == 4 and "layer W" in [item["where"] for item in plain["diverged"]]


def test_sizes_that_are_not_those_of_the_thesis_are_named_beside_the_numbers():
    small = Setup.of(**PRESETS["small"])
    (sentence,) = tables.other_sizes(small)
    assert sentence == (
        "Sizes of the small preset, not those of the thesis: digits instead of mnist, "
        "3000 instead of 40000 coarse examples, "
        "1000 instead of 10000 fine examples, 1000 instead of 10000 validation examples, "
        "8 instead of 20 coarse epochs, 5 instead of 10 fine epochs."
    )
    assert tables.other_sizes(small.changed(seed=3, trials=9, momentum=0.9)) == [sentence]
    (own,) = tables.other_sizes(small.changed(fine_epochs=10))
    assert own.startswith("Own sizes, not those of the thesis: digits") and "fine epochs" not in own
    assert tables.other_sizes(Setup.of(trials=1)) == [] and tables.sizes_label(Setup.of(network="B")) == ""


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_fits_the_terminal(width):
    for name in ("4.1", "4.3"):
        for number, table in enumerate(tables_of(name)):
            result = made(name, TINY.changed(network=table.network), {"coarse": [history(0.5, 0.5, 0.5)] * 2},
                          table=number)  # fmt: skip
            text = tables.to_text(result, width)
            assert all(len(line) <= width for line in text.splitlines())
            assert all(word in text for column in table.columns for word in column.title.split())
            numbers = [f"({value:.1f})" for row in table.thesis.values() for value in row]
            assert sorted(re.findall(r"\(\d+\.\d\)", text)) == sorted(numbers)
            assert max(map(len, text.splitlines())) > width / 2 or width > 100, "the width is used"


def test_the_table_holds_the_thesis_numbers_and_the_right_columns():
    rows = History({"epoch": e, **dict(zip(QUANTITIES, (0.1 * e, 0.01 * e, e, e, e), strict=True))} for e in range(4))
    seconds = {"new": [1.0, 3.0, 2.0], "multigrid": [0.5], "transfer": [math.nan]}
    result = made("4.2", TINY, {"coarse": [rows]}, seconds)
    assert [cell.mean for cell in result.cells["transfer"]] == pytest.approx([10, 1, 30, 3])
    assert result.cells["transfer"][0].std is None
    thesis = {row: tuple(cell.thesis for cell in cells) for row, cells in result.cells.items()}
    assert thesis["new"] == (91.1, 89.0, 97.0, 93.2) and thesis["transfer"] == (96.7, 91.5, 98.3, 92.8)
    assert thesis["multigrid"] == (96.8, 84.1, 99.8, 88.0)
    assert [line.split()[-1] for line in tables.to_text(result).splitlines()[-6:-3]] == ["2", "nan", "0.5"]
    assert "Training steps took a time that is not known" in tables.to_text(result)


def test_a_protocol_without_numbers_of_the_thesis_has_no_brackets():
    found = history(0.1, 0.2, 0.3)
    result = made("in-turn", TINY, {"coarse": [found]})
    assert {cell.thesis for row in result.cells.values() for cell in row} == {None}
    text = tables.to_text(result, 200)
    assert "thesis' value" not in text and not re.search(r"\(\d+\.\d\)", text)
    assert [round(cell.mean) for cell in result.cells["transfer"]] == [10, 20, 20, 30, 30], "start, first epoch, last"
    header, *lines = tables.to_csv(result).splitlines()
    assert header.endswith("thesis") and {line.rpartition(",")[2] for line in lines} == {""}
    moments = [line.split(",")[2] for line in lines[:5]]
    assert moments == ["start", "initial", "initial", "end", "end"]
    assert result.command.startswith("meganet reproduce in-turn ")
