"""Training runs as data: what a protocol for two grids is on any number of them."""

import dataclasses

import pytest
from tiny import TINY, stages_of

from meganet.experiments import Column, Stage, Table, setup_for, tables_of
from meganet.experiments.runs.case import influences
from meganet.experiments.setup.settings import DEFAULTS
from meganet.experiments.setup.stages import COARSEST, EPOCHS, MEGANET, SGD, STEIHAUG, alike, chain, planned
from meganet.experiments.setup.tables import protocols
from meganet.experiments.setup.tables import stages_of as stages_of_network
from meganet.ground.validate import InputError

COARSE = Stage("coarse", COARSEST, epochs="coarse_epochs", images="coarse")
NEW = Stage("new")
COPY = Stage("transfer", start="copy", after="coarse")
GALERKIN = Stage("multigrid", start="galerkin", after="coarse")
CHAPTER = (COARSE, NEW, COPY, GALERKIN)


def lines(plan):
    return [(stage.name, stage.grid, stage.start, stage.after) for stage in plan]


def test_two_grids():
    assert lines(planned(CHAPTER, 2)) == [
        ("coarse", 0, "fresh", None),
        ("new", 1, "fresh", None),
        ("transfer", 1, "copy", "coarse"),
        ("multigrid", 1, "galerkin", "coarse"),
    ]


def test_three_grids():
    """The weights pass the one in the middle, and are trained there as on the coarsest one."""
    plan = planned(CHAPTER, 3)
    assert lines(plan) == [
        ("coarse", 0, "fresh", None),
        ("transfer-grid-2", 1, "copy", "coarse"),
        ("multigrid-grid-2", 1, "galerkin", "coarse"),
        ("new", 2, "fresh", None),
        ("transfer", 2, "copy", "transfer-grid-2"),
        ("multigrid", 2, "galerkin", "multigrid-grid-2"),
    ]
    middle = plan[1]
    assert (middle.method, middle.epochs, middle.images, middle.classifier_only) == (
        SGD, "coarse_epochs", "coarse", False
    )  # fmt: skip
    assert (plan[4].epochs, plan[4].images) == ("fine_epochs", "fine")


def test_four_grids():
    plan = planned(CHAPTER, 4)
    names = [stage.name for stage in plan]
    assert names == [
        "coarse", "transfer-grid-2", "multigrid-grid-2", "transfer-grid-3", "multigrid-grid-3", "new", "transfer",
        "multigrid",
    ]  # fmt: skip
    for row in ("transfer", "multigrid"):
        line = chain(plan, row)
        assert [stage.name for stage in line] == ["coarse", f"{row}-grid-2", f"{row}-grid-3", row]
        assert [stage.grid for stage in line] == [0, 1, 2, 3]


def test_downwards_the_grids_are_passed_in_turn():
    down = Stage("down", COARSEST, "copy", "new", epochs="coarse_epochs", images="coarse")
    plan = planned((NEW, down), 4)
    assert [(stage.name, stage.grid, stage.images) for stage in plan] == [
        ("new", 3, "fine"), ("down-grid-3", 2, "fine"), ("down-grid-2", 1, "fine"), ("down", 0, "coarse"),
    ]  # fmt: skip
    assert plan[1].epochs == "fine_epochs", "as in the stage that the weights come from"


def test_one_grid():
    again = Stage("again", start="same", after="new", method=STEIHAUG)
    assert lines(planned((NEW, again), 1)) == [("new", 0, "fresh", None), ("again", 0, "same", "new")]


def test_grids_by_their_numbers():
    middle = Stage("middle", 1)
    assert [stage.grid for stage in planned((middle, Stage("fine")), 4)] == [1, 3]
    assert planned((Stage("a", -3),), 3)[0].grid == 0


@pytest.mark.parametrize(
    ("stages", "grids", "message"),
    [
        ((Stage("a", 2),), 2, "grids: expected 3 or more, for the stage 'a', got 2"),
        ((Stage("a", -3),), 2, "grids: expected 3 or more, for the stage 'a', got 2"),
        ((COPY,), 2, "after: expected a stage that stands before, got 'coarse' of 'transfer'"),
        ((COPY, COARSE), 2, "after: expected a stage that stands before, got 'coarse' of 'transfer'"),
        ((COARSE, COPY), 1, "grids: expected two or more, between which the stage 'transfer' carries weights, got one"),
        ((NEW, Stage("b", start="copy", after="new")), 2, "start: expected 'same' on the same grid, .*got 'b'"),
        ((COARSE, Stage("b", start="same", after="coarse")), 2, "start: expected 'same' on the same grid, .*got 'b'"),
        ((NEW, Stage("new", epochs=3)), 2, "stages: expected one stage of each name, got two different .* 'new'"),
        (
            (COARSE, Stage("transfer-grid-2", 1), COPY),
            3,
            "stages: expected one stage of each name, got two different .* 'transfer-grid-2'",
        ),
    ],
)
def test_stages_that_cannot_be_made(stages, grids, message):
    with pytest.raises(InputError, match=f"^{message}") as error:
        planned(stages, grids)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": "warm", "after": "x"}, "start: expected one of 'copy', 'fresh', 'galerkin', 'same', got 'warm'"),
        ({"method": "adam"}, "method: expected one of 'meganet', 'sgd', 'steihaug', got 'adam'"),
        ({"images": "all"}, "images: expected one of 'coarse', 'fine', got 'all'"),
        ({"after": "x"}, "after: expected a stage to start from, or none with fresh weights, got 'x'"),
        ({"start": "copy"}, "after: expected a stage to start from, or none with fresh weights, got None"),
    ],
)
def test_no_stage(arguments, message):
    with pytest.raises(InputError, match=f"^stage a: {message}"):
        Stage("a", **arguments)


def test_a_stage_that_stands_twice_is_made_once():
    assert planned((COARSE, COARSE, COPY, COARSE), 2) == planned((COARSE, COPY), 2)
    assert planned((COARSE, COPY, COPY), 3) == planned((COARSE, COPY), 3)


def test_what_is_alike_stands_side_by_side():
    """Fresh weights wait for what can be trained together with them, and what starts from them waits too."""
    solved = [
        Stage(f"{row}-classifier", start=start, after=after, method=MEGANET, classifier_only=True)
        for row, start, after in (("new", "fresh", None), ("transfer", "copy", "coarse"))
    ]
    ends = [Stage(f"{stage.name}-sgd", start="same", after=stage.name) for stage in solved]
    for grids in (2, 3):
        plan = planned((COARSE, *solved, *ends), grids)
        places = {stage.name: k for k, stage in enumerate(plan)}
        assert places["transfer-classifier"] == places["new-classifier"] + 1
        assert places["transfer-classifier-sgd"] == places["new-classifier-sgd"] + 1
        assert alike(plan[-1]) == alike(plan[-2]) != alike(plan[-3])


@pytest.mark.parametrize("grids", [2, 3, 4])
@pytest.mark.parametrize("name", protocols())
def test_every_protocol_stands_on_any_number_of_grids(name, grids):
    stages = stages_of([name])
    plan = planned(stages, grids)
    names = [stage.name for stage in plan]
    assert len(names) == len(set(names)) and {stage.name for stage in stages} <= set(names)
    for k, stage in enumerate(plan):
        assert 0 <= stage.grid < grids and (stage.after is None or stage.after in names[:k])
        if stage.after is not None:
            before = plan[names.index(stage.after)]
            assert abs(stage.grid - before.grid) == (stage.start != "same")
    groups = [alike(stage) for k, stage in enumerate(plan) if not k or alike(stage) != alike(plan[k - 1])]
    assert grids > 2 or name == "in-turn" or len(groups) == len(set(groups)), "one group of each kind"
    assert planned(plan, grids) == plan


def test_the_protocols_of_a_network_go_together():
    """One folder holds them all, so no two may name different stages alike."""
    for network in "AB":
        for grids in (2, 3):
            assert planned(stages_of_network(network), grids)


def test_a_digest_is_of_all_that_is_said():
    changes = {
        "name": "b", "grid": 0, "method": STEIHAUG, "epochs": 3, "images": "coarse", "classifier_only": True,
    }  # fmt: skip
    assert {*changes, "start", "after"} == {field.name for field in dataclasses.fields(Stage)}
    # what trains a classifier alone is a Newton method
    alone = dataclasses.replace(NEW, method=MEGANET, classifier_only=changes.pop("classifier_only"))
    others = [alone, *(dataclasses.replace(NEW, **{name: value}) for name, value in changes.items())]
    others += [dataclasses.replace(NEW, start="copy", after="a"), dataclasses.replace(NEW, start="same", after="a")]
    others += [dataclasses.replace(NEW, start="same", after="c")]
    digests = {stage.digest() for stage in (NEW, *others)}
    assert len(digests) == 1 + len(others) and Stage("new").digest() == NEW.digest()
    # it stands in the files of states: with another one nobody could read them any more
    assert COARSE.digest().startswith("b3de2dc6aea5fb38")


def test_lengths_and_examples_are_those_of_the_setup():
    assert [stage.length(TINY) for stage in CHAPTER] == [2, 2, 2, 2]
    assert NEW.length(TINY.changed(fine_epochs=7)) == 7 and Stage("a", epochs=5).length(TINY) == 5
    assert (COARSE.examples(TINY), NEW.examples(TINY)) == (24, 16)


def table(**changes):
    column = Column("End", -1, -1, "accuracy")
    usual = {"rows": {"new": (NEW,), "transfer": (COPY,)}, "columns": (column,), "before": (COARSE,)}
    return Table("t", "A table", **{**usual, **changes})


def test_stages_of_a_table_are_those_that_are_needed():
    found = table()
    assert found.stages() == (COARSE, NEW, COPY) and found.stages(["new"]) == (NEW,)
    assert found.stages(["transfer"]) == (COARSE, COPY) and found.stages(()) == (COARSE,)
    deeper = Stage("deeper", COARSEST, "same", "coarse", method=STEIHAUG)
    rows = {"transfer": (dataclasses.replace(COPY, after="deeper"),)}
    assert table(rows=rows, before=(COARSE, deeper)).stages() == (COARSE, deeper, *rows["transfer"])


def test_tables_of_protocols():
    assert [found.name for found in tables_of("4.3")] == ["4.3-steihaug", "4.3-meganet"]
    (found,) = tables_of("4.2")
    assert found.network == "B" and found.thesis["new"] == (91.1, 89.0, 97.0, 93.2)
    for name in protocols():
        for found in tables_of(name):
            assert {len(row) for row in found.thesis.values()} <= {len(found.columns)}
            assert not found.thesis or found.thesis.keys() == found.rows.keys()
            longest = min(len(stages) for stages in found.rows.values())
            assert all(-longest <= column.stage < longest for column in found.columns)
    assert setup_for("4.2", "thesis").model.network == "B"
    assert setup_for("in-turn", "small", network="B").model.network == "B"
    names = ", ".join(map(repr, sorted(protocols())))
    with pytest.raises(InputError, match=f"^table: expected one of {names}, got '9.9'"):
        setup_for("9.9", "small")
    with pytest.raises(InputError, match="^preset: expected one of 'printed', 'small', 'thesis', got 'large'"):
        setup_for("4.1", "large")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a/b"}, "name: expected at most 80 letters, digits.*got 'a/b'"),
        ({"name": "two words"}, "name: expected"),
        ({"name": "x,y"}, "name: expected"),
        ({"name": "\u00e4"}, "name: expected"),
        ({"name": ".lock"}, "name: expected"),
        ({"name": ""}, "name: expected"),
        ({"name": 3}, "name: expected"),
        ({"name": "timings"}, "name: expected .*not 'timings', got 'timings'"),
        ({"epochs": 0}, "stage fine: epochs: expected an integer of at least 1, got 0"),
        ({"epochs": True}, "stage fine: epochs: expected an integer"),
        ({"epochs": 1.5}, "stage fine: epochs: expected an integer"),
        ({"epochs": "epochs"}, "stage fine: epochs: expected one of 'classifier_epochs', 'coarse_epochs', 'fine_"),
        ({"epochs": "dataset"}, "stage fine: epochs: expected one of"),
        ({"grid": "0"}, "stage fine: grid: expected an integer"),
        ({"grid": None}, "stage fine: grid: expected an integer"),
        ({"classifier_only": 1, "method": "steihaug"}, "stage fine: classifier_only: expected True or False"),
        ({"classifier_only": True}, "stage fine: method: expected 'steihaug' or 'meganet', .*got 'sgd'"),
    ],
)
def test_what_a_stage_may_not_be(given, message):
    with pytest.raises(InputError, match=f"^{message}"):
        Stage(**{"name": "fine", **given})


def test_a_stage_lasts_as_a_setting_says_that_matters_to_it():
    for name in EPOCHS:
        assert name in influences([Stage("fine", method="steihaug", epochs=name)], 2)
    assert {name for name in DEFAULTS if name.endswith("_epochs")} == {*EPOCHS}


ROW = {"row": (Stage("fine"),)}
COLUMN = Column("a", -1, -1, "accuracy")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a/b"}, "name: expected"),
        ({"rows": {}}, "table mine: rows: expected"),
        ({"rows": {"row": ()}}, "table mine: rows: expected stages in each, got none"),
        ({"columns": ()}, "table mine: columns: expected columns, got none"),
        ({"columns": (COLUMN._replace(stage=1),)}, "table mine: columns: expected a stage of each row"),
        ({"columns": (COLUMN._replace(stage=-2),)}, "table mine: columns: expected a stage of each row"),
        ({"columns": (COLUMN._replace(epoch=7),)}, "table mine: columns: expected a stage of each row, an epoch of"),
        ({"columns": (COLUMN._replace(quantity="lost"),)}, "table mine: columns: expected a stage of each row"),
        ({"before": ("coarse",)}, "table mine: before: expected stages"),
        ({"thesis": {"other": (1.0,)}}, "table mine: thesis: expected a number for each column of a row"),
        ({"thesis": {"row": (1.0, 2.0)}}, "table mine: thesis: expected a number for each column of a row"),
    ],
)
def test_what_a_table_may_not_be(given, message):
    with pytest.raises(InputError, match=f"^{message}"):
        Table(**{"name": "mine", "title": "Mine", "rows": ROW, "columns": (COLUMN,), **given})


def test_without_rows_a_table_has_what_is_before_them():
    (table,) = tables_of("4.1")
    assert [stage.name for stage in table.stages([])] == [stage.name for stage in table.stages(())] == ["coarse"]
