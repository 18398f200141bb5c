"""Any number of grids, signals and colour: the same protocols on all of them."""

import numpy as np
import pytest
from tiny import TINY, execute, quadrants, results, study_of

from meganet import prolongate, restrict
from meganet.backend import get_backend
from meganet.experiments import Problems, ResultsFolder, Setup, build_network, grid_shapes, tables_of
from meganet.experiments.report import tables
from meganet.experiments.report.results import result_of
from meganet.experiments.setup.stages import Stage, chain
from meganet.ground.validate import InputError
from meganet.multigrid import restrict_images

THREE = TINY.changed(grids=(3, 6, 12), trials=1)
CYCLES = ("in-turn", "fine-to-coarse")


@pytest.fixture(scope="module")
def data():
    return quadrants()


@pytest.fixture(scope="module")
def three(data, tmp_path_factory):
    """A case of table 4.1 on three grids."""
    return execute(tmp_path_factory.mktemp("three") / "net-A", THREE, data)


@pytest.fixture(scope="module")
def cycles(data, tmp_path_factory):
    """A case of all protocols of net A on two grids, table 4.1 first, and what the second command said."""
    path, setup, lines = tmp_path_factory.mktemp("cycles") / "net-A", TINY.changed(trials=1), []
    execute(path, setup, data)
    before = results(path)
    return execute(path, setup, data, ("4.1", *CYCLES), log=lines.append), before, lines


def test_each_grid_sees_what_the_next_finer_one_restricts_to(data):
    trial = Problems(THREE.changed(training_images="original"), data, 0, get_backend())
    assert trial.shapes == ((1, 3, 3), (1, 6, 6), (1, 12, 12)) and trial.finest == 2
    for images in ("coarse", "fine"):
        levels = [trial.level(grid, images) for grid in range(3)]
        for coarse, fine in zip(levels, levels[1:], strict=False):
            for mine, other in zip(coarse, fine, strict=True):
                np.testing.assert_allclose(mine.images, restrict_images(other.images), atol=1e-6)
                np.testing.assert_array_equal(mine.labels, other.labels)
        alphas = [level.training.W_regularizer.alpha for level in levels]
        assert alphas == [4 * 2.0**-5, 4 * 2.0**-5, 2.0**-5]


def test_three_grids_run(three):
    found = three.histories()
    assert [*found] == ["coarse", "transfer-grid-2", "multigrid-grid-2", "new", "transfer", "multigrid"]
    assert all(np.isfinite(history[-1]["objective"]) for (history,) in found.values())
    (history,) = found["coarse"]
    assert history[-1]["loss"] < history[0]["loss"]
    sizes = {stage.name: three.weights(0, stage.name).size for stage in three.stages}
    assert sizes["coarse"] < sizes["transfer-grid-2"] == sizes["multigrid-grid-2"] < sizes["transfer"] == sizes["new"]


def test_three_grids_fill_the_same_tables(three):
    (table,) = tables_of("4.1")
    result = result_of(three, table, "4.1")
    found = three.histories()
    for row in table.rows:
        (history,) = found[row]
        values = [100 * history[c.epoch][c.quantity] for c in table.columns]
        assert [cell.mean for cell in result.cells[row]] == pytest.approx(values)
    assert result.seconds == pytest.approx(sum(sum(three.seconds(0, stage.name)) for stage in three.stages))
    assert "grids = 3,6,12" in tables.description(result) and "--set grids=3,6,12" in result.command
    assert tables.to_json(result)["settings"]["grids"] == (3, 6, 12)


def carried(case, stage):
    """Return the weights that a stage starts from, by `prolongate` or `restrict` alone."""
    before = chain(case.stages, stage.after)[-1]
    objective, levels = case.problems(0).level_of(before).training, case.setup.levels
    finer = before.grid < stage.grid
    found = (prolongate if finer else restrict)(
        objective.network,
        *objective.split(case.weights(0, stage.after)),
        interpolation=levels.interpolation,
        kernels=stage.start,
        classifier_scaling=levels.classifier_scaling,
    )
    return np.concatenate([found.theta, found.W])


def test_on_every_grid_weights_start_as_they_are_carried_there(three):
    stages = [stage for stage in three.stages if stage.transfers]
    assert len(stages) == 4
    for stage in stages:
        np.testing.assert_array_equal(three.start(0, stage.name), carried(three, stage))


def test_three_grids_continue_to_the_bit(three, data, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    usual, saved = ResultsFolder.save, []

    def save_and_stop(self, trial, run, *rest):
        usual(self, trial, run, *rest)
        saved.append(run)
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(ResultsFolder, "save", save_and_stop)
        while True:
            try:
                execute(tmp_path / "net-A", THREE, data)
                break
            except Stop:
                pass
    assert len(saved) == 6 * 2 and results(tmp_path / "net-A") == results(three.own.path)
    # all at once as well
    execute(tmp_path / "together", THREE, data, together=True)
    assert results(tmp_path / "together") == results(three.own.path)


def test_fresh_weights_and_orders_are_each_grid_s_own(data):
    """And those of the coarsest and of the finest do not depend on how many lie between."""
    from meganet.experiments import Stage

    stages = [Stage(f"at-{grid}", grid, images="fine") for grid in range(3)]
    trial, two = (Problems(TINY.changed(grids=grids), data, 0, get_backend()) for grids in ((3, 6, 12), (3, 12)))
    starts = [trial.start(stage) for stage in stages]
    kernels = [start[:288].tobytes() for start in starts]
    orders = [trial.order(stage, visits, 1).tobytes() for stage in stages for visits in (0, 1)]
    assert len(set(kernels)) == 3 and len(set(orders)) == 6
    for mine, other in ((stages[0], stages[0]), (stages[2], Stage("fine", 1))):
        np.testing.assert_array_equal(trial.start(mine), two.start(other))
        np.testing.assert_array_equal(trial.order(mine, 0, 2), two.order(other, 0, 2))
    assert set(trial.order(stages[1], 0, 1)) == set(range(16))


def test_newton_on_three_grids(data, tmp_path):
    """The classifier alone is trained on the finest grid; between the grids the whole network is, as before."""
    case = execute(tmp_path / "net-A", THREE.changed(classifier_epochs=1, fine_epochs=1), data, ("4.4",))
    names = [stage.name for stage in case.stages]
    assert "multigrid-classifier-steihaug-grid-2" in names and case.missing(0) == []
    middle = chain(case.stages, "multigrid-classifier-steihaug-grid-2")[-1]
    assert (middle.method, middle.classifier_only, middle.images) == ("sgd", False, "coarse")
    for table in tables_of("4.4"):
        assert np.isfinite([cell.mean for row in result_of(case, table, "4.4").cells.values() for cell in row]).all()


@pytest.mark.parametrize("row", ["transfer-down", "multigrid-down", "transfer-back", "transfer-again"])
def test_the_first_weights_of_a_cycle_are_what_the_transfer_gives(cycles, row):
    case, _, _ = cycles
    (stage,) = (stage for stage in case.stages if stage.name == row)
    start = case.start(0, row)
    np.testing.assert_array_equal(start, carried(case, stage))
    level = case.problems(0).level_of(stage)
    assert level.training.evaluate(start).objective == case.histories()[row][0][0]["objective"]


def test_cycles_share_the_runs_of_chapter_4(cycles):
    case, before, lines = cycles
    after = results(case.own.path)
    assert before.items() <= after.items(), "not a byte is written again"
    made = {line.split(": ")[0].split()[-1] for line in lines}
    assert made == {f"{row}-{part}" for row in ("transfer", "multigrid") for part in ("down", "back", "again")}
    for name in CYCLES:
        (table,) = tables_of(name)
        result = result_of(case, table, name)
        assert {*result.cells} == {*table.rows} and result.trials == 1
        assert {name: found[0].column("epoch") for name, found in case.histories().items()}["transfer-again"] == [
            0,
            1,
            2,
        ]


def test_who_comes_back_to_a_grid_sees_the_examples_in_another_order(cycles):
    case, _, _ = cycles
    trial, (_, first, back, again) = case.problems(0), chain(case.stages, "transfer-again")
    assert not np.array_equal(trial.order(first, 0, 1), trial.order(again, 1, 1))
    assert not np.array_equal(trial.order(first, 0, 1), trial.order(first, 0, 2))
    assert back.grid == 0 and again.grid == first.grid == 1


@pytest.mark.parametrize("network", ["A", "B"])
@pytest.mark.parametrize("grids", [(16, 32), (8, 16, 32)])
def test_signals_are_trained(tmp_path, network, grids):
    """Along the axis of one pixel nothing is convolved, pooled or carried."""
    signals, setup = quadrants(size=32, height=1), TINY.changed(network=network, grids=grids, trials=1)
    case = execute(tmp_path / "net", setup, signals, ("in-turn",))
    shapes = case.problems(0).shapes
    assert shapes == tuple((1, 1, width) for width in grids)
    assert case.missing(0) == [] and all(np.isfinite(h[-1]["loss"]) for (h,) in case.histories().values())
    for stage in case.stages:
        if stage.transfers:
            np.testing.assert_array_equal(case.start(0, stage.name), carried(case, stage))


def test_colour_is_trained(tmp_path):
    case = execute(tmp_path / "net-A", TINY.changed(trials=1), quadrants(size=8, channels=3), ("in-turn",))
    assert case.problems(0).shapes == ((3, 4, 4), (3, 8, 8)) and case.missing(0) == []
    (history,) = case.histories()["new"]
    assert history[-1]["loss"] < history[0]["loss"]
    theta = case.problems(0).level(0, "coarse").training.network.parameters
    assert theta.size == 9 * 3 * 32 + 9 * 32 * 64


def test_networks_of_signals_and_colour():
    assert build_network("B", (3, 28, 28)).range_shape == (64, 14, 14)
    assert build_network("A", (3, 1, 16)).parameters.size == 3 * 3 * 32 + 3 * 32 * 64
    assert build_network("B", (1, 1, 16)).range_shape == (64, 1, 8)


def test_shapes_of_grids():
    assert grid_shapes(Setup(), (1, 28, 28)) == ((1, 14, 14), (1, 28, 28))
    assert grid_shapes(Setup.of(grids=(7, 28)), (3, 28, 28)) == ((3, 7, 7), (3, 28, 28))
    assert grid_shapes(Setup.of(grids=(7, 14)), (1, 28, 28)) == ((1, 7, 7), (1, 14, 14))
    assert grid_shapes(Setup.of(grids=(4, 16)), (1, 1, 16)) == ((1, 1, 4), (1, 1, 16))
    assert grid_shapes(Setup.of(grids=(3, 6)), (1, 4, 6)) == ((1, 2, 3), (1, 4, 6))


@pytest.mark.parametrize(
    ("shape", "grids", "network"),
    [
        ({"size": 8}, (3, 6), "A"),
        ({"size": 12}, (12, 24), "A"),
        ({"size": 12, "height": 6}, (3, 6, 12), "A"),
        ({"size": 9}, (), "A"),
        ({"size": 12}, (3, 6, 12), "B"),
        ({"size": 2}, (), "A"),
        ({"size": 12}, (12,), "A"),
        ({"size": 12, "height": 1}, (3, 6, 12), "B"),
    ],
)
def test_grids_that_cannot_be_made_are_one_line(tmp_path, shape, grids, network):
    setup = TINY.changed(grids=grids, network=network)
    with pytest.raises(InputError, match="^grids: expected ") as error:
        study_of(tmp_path / "out", setup, quadrants(**shape))
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_a_line_on_widths_says_it_once(tmp_path):
    with pytest.raises(InputError, match="^grids: expected widths that images of 12x12 have .*, got 12,24$"):
        study_of(tmp_path / "out", TINY.changed(grids=(12, 24)), quadrants(size=12))


def test_a_finest_grid_that_is_coarser_than_the_data(tmp_path, data):
    """Its images are restricted ones."""
    case = execute(tmp_path / "net-A", TINY.changed(grids=(3, 6), trials=1, training_images="original"), data)
    assert case.problems(0).shapes[-1] == (1, 6, 6) and case.missing(0) == []
    full = Problems(TINY.changed(training_images="original"), data, 0, get_backend()).level(0, "fine")
    np.testing.assert_array_equal(case.problems(0).level(-1, "fine").training.images, full.training.images)


@pytest.mark.parametrize("together", [False, True])
def test_a_stage_goes_on_as_the_one_before_it_was_trained(tmp_path, data, together):
    """Alike in all but the weights that they start from, they are made one after the other; others join them."""
    first, other = Stage("first", 0, epochs=1), Stage("other", 0, epochs=1)
    plan = [
        first,
        other,
        Stage("next", 0, "same", "first", epochs=1),
        Stage("up", start="copy", after="next", epochs=1),
    ]
    made = execute(tmp_path / "at-once", data=data, stages=plan, together=together)
    for count in range(1, len(plan) + 1):
        execute(tmp_path / "in-parts", data=data, stages=plan[:count])
    assert results(tmp_path / "at-once") == results(tmp_path / "in-parts")
    np.testing.assert_array_equal(made.start(0, "next"), made.weights(0, "first"))
    assert not np.array_equal(made.weights(0, "next"), made.weights(0, "first"))
