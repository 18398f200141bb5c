"""Tables 4.3 and 4.4: the classifier alone, then the network, by two Newton methods."""

import dataclasses

import numpy as np
import pytest
from meganet.experiments.plan import TABLES, stages
from meganet.experiments.problems import build_levels
from meganet.experiments.training import Job, train
from tiny import TINY, quadrants, results

from meganet.backend import get_backend, host
from meganet.experiments import ARMS, ResultsFolder, histories, report, run

PROTOCOL = dataclasses.replace(TINY, network="B", trials=1)
BOTH = ("4.3", "4.4")


@pytest.fixture(scope="module")
def data():
    return quadrants()


def execute(path, data, tables=BOTH, protocol=PROTOCOL):
    with ResultsFolder(path, protocol, get_backend(), data) as folder:
        run(protocol, data, folder, tables, progress=False)
        return folder, histories(protocol, folder, tables)


def test_tables_share_their_runs():
    names = [stage.name for stage in stages(BOTH, PROTOCOL)]
    assert len(names) == len(set(names)) == 1 + 3 * 2 * 3
    assert names[0] == "coarse" and names.index("new-classifier-meganet") < names.index("new-classifier-meganet-newton")
    assert {stage.after for stage in stages(("4.3",), PROTOCOL)} == {
        None,
        *(f"{arm}-classifier-{solver}" for arm in ARMS for solver in TABLES["4.3"].solvers),
    }
    assert [stage.name for stage in stages(("4.2",), PROTOCOL, ("new",))] == ["new"]
    assert [stage.name for stage in stages(("4.2",), PROTOCOL, ())] == ["coarse"]


def test_the_classifier_alone_leaves_the_network_as_it_is(tmp_path, data, backend):
    folder, found = execute(tmp_path, data, ("4.3",))
    size = build_levels(PROTOCOL, data, 0, get_backend())[1].training.network.parameters.size
    for solver in TABLES["4.3"].solvers:
        first = host(folder.load(0, f"transfer-classifier-{solver}").x)
        np.testing.assert_array_equal(first[:size], host(folder.load(0, "coarse").x)[:size])
        history = found[f"transfer-classifier-{solver}"][0]
        assert history[-1]["objective"] < history[0]["objective"] and history.column("products")[-1] > 0
        last = host(folder.load(0, f"transfer-classifier-{solver}-sgd").x)
        assert not np.array_equal(last[:size], first[:size])


def test_the_network_problem_of_the_classifier_is_that_of_the_whole(data):
    level = build_levels(PROTOCOL, data, 0, get_backend())[1]
    x = level.initial(np.random.default_rng(0), PROTOCOL)
    theta, w = level.training.split(x)
    alone = level.of_classifier(x)
    assert float(alone.training(w)[0]) == pytest.approx(
        float(level.training(x)[0]) - float(level.training.theta_regularizer.value(theta)), rel=1e-5
    )
    np.testing.assert_allclose(alone.training(w)[1], level.training(x)[1][len(theta) :], rtol=1e-4, atol=1e-6)
    assert alone.validation.evaluate(w).accuracy == level.validation.evaluate(x).accuracy


def test_an_interrupted_newton_run_continues_to_the_bit(tmp_path, data, monkeypatch):
    class Stop(Exception):
        pass

    execute(tmp_path / "whole", data)
    usual = ResultsFolder.save

    def save_and_stop(self, *arguments):
        usual(self, *arguments)
        raise Stop

    monkeypatch.setattr(ResultsFolder, "save", save_and_stop)
    stops = 0
    while True:
        try:
            execute(tmp_path / "parts", data)
            break
        except Stop:
            stops += 1
    assert stops == 2 + 3 * 2 * (2 + 2 + 2)
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


def test_a_method_that_can_go_no_further_stays(tmp_path, data):
    """At a minimum the line search finds nothing; the epochs that are left repeat where it stands."""
    protocol = dataclasses.replace(PROTOCOL, classifier_epochs=300, dtype="float64")
    (stage,) = [s for s in stages(("4.3",), protocol) if s.name == "new-classifier-meganet"]
    level = build_levels(protocol, data, 0, get_backend())[1]
    x = level.initial(np.random.default_rng(0), protocol)
    with ResultsFolder(tmp_path, protocol, get_backend(), data) as folder:
        (state,) = train(protocol, folder, [Job(0, stage, level, x)])
    steps = state.history.column("step")
    assert state.epoch == 300 and steps[-1] == 0 and max(steps) > 0
    assert state.history[-1]["objective"] == state.history[-2]["objective"] < state.history[0]["objective"]


def test_a_table_for_each_solver(tmp_path, data):
    folder, found = execute(tmp_path, data)
    for table in BOTH:
        made = report.results(table, PROTOCOL, found, [folder.seconds(0)])
        assert [result.solver for result in made] == ["steihaug", "meganet"]
        assert [result.name for result in made] == [f"table-{table}-steihaug", f"table-{table}-meganet"]
        cells = made[0].cells["multigrid"]
        ending = {"4.3": "sgd", "4.4": "newton"}[table]
        first, last = (found[f"multigrid-classifier-steihaug{end}"][0] for end in ("", f"-{ending}"))
        values = [first[1]["accuracy"], first[1]["validation_accuracy"], first[-1]["validation_accuracy"]]
        values += [last[1]["accuracy"], last[1]["validation_accuracy"], last[-1]["validation_accuracy"]]
        assert [cell.mean for cell in cells] == pytest.approx([100 * value for value in values])
        assert "original's variant" in report.to_text(made[1])


@pytest.mark.parametrize("change", [{"learning_rate": 1e6}, {"learning_rate": 1e30}, {"W_std": 1e30, "W_clip": 1e38}])
def test_a_run_that_diverges_is_recorded_and_the_others_go_on(tmp_path, data, change):
    """Newton stages that would start from weights or features that are not finite are recorded as such."""
    protocol = dataclasses.replace(PROTOCOL, **change)
    lines = []
    with ResultsFolder(tmp_path, protocol, get_backend(), data) as folder:
        run(protocol, data, folder, BOTH, progress=False, report=lines.append)
    names = [stage.name for stage in stages(BOTH, protocol)]
    states = {name: folder.load(0, name) for name in names}
    assert len(lines) == len(names) and all(state.epoch == 2 for state in states.values())
    said = {line.split(": ")[0].split()[-1] for line in lines if ": diverged " in line}
    assert said == {name for name, state in states.items() if state.divergence is not None} and "coarse" in said
    for arm in ("transfer", "multigrid"):
        assert states[f"{arm}-classifier-steihaug-newton"].divergence.epoch == 0
    if "learning_rate" in change:
        assert not any(
            f"new-classifier-{solver}{end}" in said for solver in ("steihaug", "meganet") for end in ("", "-newton")
        )
    before, again = results(tmp_path), []
    with folder:
        run(protocol, data, folder, BOTH, progress=False, report=again.append)
    assert not again and results(tmp_path) == before
