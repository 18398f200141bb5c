"""Tables 4.3 and 4.4: the classifier alone, then the network, by two Newton methods."""

import numpy as np
import pytest
from tiny import TINY, execute, quadrants, results, stages_of, study_of

from meganet.backend import to_host
from meganet.experiments import Problems, ResultsFolder, tables_of
from meganet.experiments.protocols.chapter4 import SOLVERS, STARTS
from meganet.experiments.report import tables
from meganet.experiments.report.results import result_of
from meganet.experiments.runs.training import StageRun, train
from meganet.experiments.setup.stages import planned

SETUP = TINY.changed(network="B", trials=1)
BOTH = ("4.3", "4.4")


@pytest.fixture(scope="module")
def data():
    return quadrants()


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A case of both tables."""
    return execute(tmp_path_factory.mktemp("whole") / "net-B", SETUP, data, BOTH)


def fine_level(setup, data):
    return Problems(setup, data, 0, study_of("x", setup, data).backend).level(-1, "fine")


def test_tables_share_their_runs():
    plan = planned(stages_of(BOTH), 2)
    names = [stage.name for stage in plan]
    assert len(names) == len(set(names)) == 1 + 3 * 2 * 3
    assert names[0] == "coarse" and names.index("new-classifier-meganet") < names.index("new-classifier-meganet-newton")
    classifiers = {f"{row}-classifier-{solver}" for row in STARTS for solver in SOLVERS}
    after = {stage.after for stage in plan if stage.name.endswith("-sgd")}
    assert after == classifiers and {stage.name for stage in plan if stage.classifier_only} == classifiers
    (table,) = tables_of("4.2")
    assert [stage.name for stage in table.stages(("new",))] == ["new"]
    assert [stage.name for stage in table.stages(())] == ["coarse"]


def test_the_classifier_alone_leaves_the_network_as_it_is(tmp_path, data, backend):
    case = execute(tmp_path / "net-B", SETUP, data, ("4.3",))
    found = case.histories()
    size = case.problems(0).level(-1, "fine").training.network.parameters.size
    for solver in SOLVERS:
        first = to_host(case.weights(0, f"transfer-classifier-{solver}"))
        np.testing.assert_array_equal(first[:size], to_host(case.weights(0, "coarse"))[:size])
        history = found[f"transfer-classifier-{solver}"][0]
        assert history[-1]["objective"] < history[0]["objective"] and history.column("products")[-1] > 0
        last = to_host(case.weights(0, f"transfer-classifier-{solver}-sgd"))
        assert not np.array_equal(last[:size], first[:size])


def test_the_network_problem_of_the_classifier_is_that_of_the_whole(data):
    level = fine_level(SETUP, data)
    x = level.initial(np.random.default_rng(0), SETUP)
    theta, w = level.training.split(x)
    alone = level.of_classifier(x)
    assert float(alone.training(w)[0]) == pytest.approx(
        float(level.training(x)[0]) - float(level.training.theta_regularizer.value(theta)), rel=1e-5
    )
    np.testing.assert_allclose(alone.training(w)[1], level.training(x)[1][len(theta) :], rtol=1e-4, atol=1e-6)
    assert alone.validation.evaluate(w).accuracy == level.validation.evaluate(x).accuracy


def test_an_epoch_has_as_many_newton_steps_as_the_setting_says(tmp_path, data):
    """Every other epoch of one step is an epoch of two; evaluations and products are those of both."""
    single = SETUP.changed(classifier_epochs=4, fine_epochs=4)
    ones = execute(tmp_path / "ones" / "net-B", single, data, ("4.4",))
    twos = execute(tmp_path / "twos" / "net-B", SETUP.changed(newton_steps=2), data, ("4.4",))
    for name, (history,) in twos.histories().items():
        if name != "coarse":
            (long,) = ones.histories()[name]
            for column in ("step", "gradient_norm", "objective", "loss", "accuracy", "validation_accuracy"):
                assert history.column(column) == long.column(column)[::2], (name, column)
            for column in ("evaluations", "products"):
                each = long.column(column)
                assert history.column(column) == [0, each[1] + each[2], each[3] + each[4]], (name, column)
            assert len(twos.seconds(0, name)) == 2
            np.testing.assert_array_equal(to_host(twos.weights(0, name)), to_host(ones.weights(0, name)))


def test_an_interrupted_newton_run_continues_to_the_bit(tmp_path, data, monkeypatch):
    setup = SETUP.changed(newton_steps=2)
    whole = execute(tmp_path / "whole" / "net-B", setup, data, BOTH)

    class Stop(Exception):
        pass

    usual = ResultsFolder.save

    def save_and_stop(self, *arguments):
        usual(self, *arguments)
        raise Stop

    monkeypatch.setattr(ResultsFolder, "save", save_and_stop)
    stops = 0
    while True:
        try:
            execute(tmp_path / "parts", setup, data, BOTH)
            break
        except Stop:
            stops += 1
    assert stops == 2 + 3 * 2 * (2 + 2 + 2)
    assert results(tmp_path / "parts") == results(whole.own.path)


def test_a_method_that_stops_inside_an_epoch_keeps_what_it_has_done(tmp_path, data):
    """As with one step in an epoch: the steps made before count, in the epoch in which they were made."""
    ends, spent = {}, {}
    for steps, epochs in ((1, 300), (7, 43)):
        setup = SETUP.changed(classifier_epochs=epochs, newton_steps=steps, dtype="float64")
        (case,) = study_of(tmp_path / f"{steps}" / "net-B", setup, data, ("4.3",)).cases.values()
        (stage,) = [stage for stage in case.stages if stage.name == "new-classifier-meganet"]
        problems = case.problems(0)
        x = problems.level_of(stage).initial(np.random.default_rng(0), setup)
        with case.own as folder:
            (state,) = train([StageRun(problems, stage, folder, x)])
        assert state.epoch == epochs and state.history[-1]["step"] == 0, "it stopped before the end"
        ends[steps], spent[steps] = to_host(state.x), sum(state.history.column("evaluations"))
    np.testing.assert_array_equal(ends[1], ends[7])
    assert spent[1] == spent[7]


def test_a_method_that_can_go_no_further_stays(tmp_path, data):
    """At a minimum the line search finds nothing; the epochs that are left repeat where it stands."""
    setup = SETUP.changed(classifier_epochs=300, dtype="float64")
    (case,) = study_of(tmp_path / "net-B", setup, data, ("4.3",)).cases.values()
    (stage,) = [stage for stage in case.stages if stage.name == "new-classifier-meganet"]
    problems = case.problems(0)
    x = problems.level_of(stage).initial(np.random.default_rng(0), setup)
    with case.own as folder:
        (state,) = train([StageRun(problems, stage, folder, x)])
    steps = state.history.column("step")
    assert state.epoch == 300 and steps[-1] == 0 and max(steps) > 0
    assert state.history[-1]["objective"] == state.history[-2]["objective"] < state.history[0]["objective"]


def test_a_table_for_each_solver(whole):
    found = whole.histories()
    for name in BOTH:
        made = [result_of(whole, table, name) for table in tables_of(name)]
        assert [result.name for result in made] == [f"table-{name}-steihaug", f"table-{name}-meganet"]
        cells = made[0].cells["multigrid"]
        ending = {"4.3": "sgd", "4.4": "newton"}[name]
        first, last = (found[f"multigrid-classifier-steihaug{end}"][0] for end in ("", f"-{ending}"))
        values = [first[1]["accuracy"], first[1]["validation_accuracy"], first[-1]["validation_accuracy"]]
        values += [last[1]["accuracy"], last[1]["validation_accuracy"], last[-1]["validation_accuracy"]]
        assert [cell.mean for cell in cells] == pytest.approx([100 * value for value in values])
        assert "original's variant" in tables.to_text(made[1])


@pytest.mark.parametrize("change", [{"learning_rate": 1e6}, {"learning_rate": 1e30}, {"W_std": 1e30, "W_clip": 1e38}])
def test_a_run_that_diverges_is_recorded_and_the_others_go_on(tmp_path, data, change):
    """Newton stages that would start from weights or features that are not finite are recorded as such."""
    setup = SETUP.changed(**change)
    lines = []
    case = execute(tmp_path / "net-B", setup, data, BOTH, log=lines.append)
    states = {stage.name: case.own.load(0, stage.name) for stage in case.stages}
    assert len(lines) == len(states) and all(state.epoch == 2 for state in states.values())
    said = {line.split(": ")[0].split()[-1] for line in lines if ": diverged " in line}
    assert said == {name for name, state in states.items() if state.divergence is not None} and "coarse" in said
    for row in ("transfer", "multigrid"):
        assert states[f"{row}-classifier-steihaug-newton"].divergence.epoch == 0
    if "learning_rate" in change:
        assert not any(
            f"new-classifier-{solver}{end}" in said for solver in ("steihaug", "meganet") for end in ("", "-newton")
        )
    before, again = results(tmp_path), []
    execute(tmp_path / "net-B", setup, data, BOTH, log=again.append)
    assert not again and results(tmp_path) == before
