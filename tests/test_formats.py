"""Results folders of format 2 are read and continued as they are; what was made to look like one of ours is refused."""

import json
import shutil

import numpy as np
import pytest
from tiny import TINY, execute, quadrants, results, stages_of, study_of

from meganet.backend import get_backend
from meganet.experiments import ResultsError, ResultsFolder, Study, tables_of
from meganet.experiments.report import tables
from meganet.experiments.report.results import result_of
from meganet.experiments.runs.folder import read_setup
from meganet.experiments.setup.stages import planned
from meganet.ground.npz import write_sealed
from meganet.store import settings
from meganet.store.disk import json_text
from meganet.store.states import digest_of

NEWER = ("grids",)
"""Settings that format 2 never had."""
NAMES = ("4.1",)


@pytest.fixture(scope="module")
def data():
    return quadrants(size=8)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A complete folder of format 3."""
    return execute(tmp_path_factory.mktemp("whole") / "net-A", TINY, data, NAMES).own.path


def as_format_2(path, **changes):
    """Rewrite a folder as the version before wrote it: flat settings, no digests of stages, all digests its own.

    Some settings, the `changes`, may be changed that have no influence on its runs.
    """
    content = json.loads((path / "settings.json").read_text())
    flat = {name: value for section in content.pop("setup").values() for name, value in section.items()}
    flat = {name: value for name, value in flat.items() if name not in NEWER} | changes
    del content["sha256"], content["format"]
    content = {"format": 2, "protocol": flat, **content}
    (path / "settings.json").write_text(settings.to_text(content))
    plan = planned(stages_of(NAMES), 2)
    for trial in sorted(path.glob("trial-*")):
        for stage in plan:
            file = trial / f"{stage.name}.npz"
            if not file.exists():
                continue
            with np.load(file) as stored:
                arrays = dict(stored)
            origin = json.loads(str(arrays["origin"]))
            del origin["stage"]
            origin["settings"] = settings.identity_of(content)
            origin["after"] = None if stage.after is None else digest_of(trial / f"{stage.after}.npz")
            arrays["origin"] = np.array(json.dumps(origin))
            file.write_bytes(write_sealed(arrays))
    return path


@pytest.fixture
def older(whole, tmp_path):
    return as_format_2(shutil.copytree(whole, tmp_path / "net-A"))


def test_a_folder_of_format_2_opens_and_reports_the_same(whole, older, data, monkeypatch):
    assert b'"stage"' not in b"".join(results(older).values()), "as the version before wrote it"
    found, now = (next(iter(study_of(path, TINY, data).cases.values())) for path in (older, whole))
    (table,) = tables_of("4.1")
    same, usual = (result_of(case, table, "4.1") for case in (found, now))
    # as text: nan is not equal to itself
    assert json_text(tables.to_json(same)) == json_text(tables.to_json(usual))
    assert tables.to_csv(same) == tables.to_csv(usual)
    assert found.missing(0) == [] and found.own.environment == now.own.environment
    for name in ("coarse", "multigrid"):
        np.testing.assert_array_equal(found.weights(1, name), now.weights(1, name))
    monkeypatch.setattr("meganet.experiments.runs.study.load_data", lambda *arguments, **options: data)
    study = Study.stored(older.parent, None, get_backend())
    assert read_setup(older) == study.cases["net-A"].setup == TINY


def test_what_is_complete_stays_as_it_is(older, data):
    before, lines = results(older), []
    execute(older, TINY, data, log=lines.append)
    assert not lines and results(older) == before


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_folder_of_format_2_is_continued_in_its_format(tmp_path, data, monkeypatch, momentum):
    """To the byte: what the version before would have left."""
    setup = TINY.changed(momentum=momentum, trials=1)

    class Stop(Exception):
        pass

    usual = ResultsFolder.save

    def save_and_stop(self, trial, run, state, after=None):
        usual(self, trial, run, state, after)
        if (run, state.epoch) == ("transfer", 1):
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(ResultsFolder, "save", save_and_stop)
        execute(tmp_path / "half", setup, data, together=False)
    as_format_2(tmp_path / "half")
    execute(tmp_path / "half", setup.changed(trials=2), data)
    execute(tmp_path / "whole", setup.changed(trials=2), data)
    assert results(tmp_path / "half") == results(as_format_2(tmp_path / "whole"))
    assert json.loads((tmp_path / "half" / "settings.json").read_text())["format"] == 2


def test_newer_stages_are_made_in_a_folder_of_format_2(older, data):
    execute(older, TINY, data, ("4.1", "in-turn"))
    before, lines = results(older), []
    execute(older, TINY, data, ("4.1", "in-turn"), log=lines.append)
    assert not lines and results(older) == before and b'"stage"' not in before["trial-000/transfer-again.npz"]


def test_other_settings_do_not_go_with_a_folder_of_format_2(older, data):
    with pytest.raises(ResultsError, match=r"a folder made with the same settings.*momentum = 0.0 \(now 0.5\)"):
        execute(older, TINY.changed(momentum=0.5), data)
    with pytest.raises(ResultsError, match=r"a folder made with the same settings.*grids = \(\) \(now \(4, 8\)\)"):
        execute(older, TINY.changed(grids=(4, 8)), data)


def forged(path, change):
    """Change settings, and seal them again."""
    content = json.loads((path / "settings.json").read_text())
    del content["sha256"]
    change(content)
    (path / "settings.json").write_text(settings.to_text(content))


SECTIONS = {
    "no sections": lambda c: c.update(setup=[1]),
    "a text": lambda c: c.update(setup="data"),
    "a section that is a list": lambda c: c["setup"].update(data=[1, 2]),
    "a section that is a number": lambda c: c["setup"].update(run=3),
    "a section that is null": lambda c: c["setup"].update(levels=None),
    "no environment": lambda c: c.pop("environment"),
    "an environment of numbers": lambda c: c.update(environment=7),
    "no setup": lambda c: c.pop("setup"),
    "flat settings beside a format 3": lambda c: c.update(protocol=c.pop("setup")),
    "sections beside a format 2": lambda c: c.update(format=2),
    "no backend": lambda c: c.pop("backend"),
    "an unhashable format": lambda c: c.update(format=[3]),
    "a format that is a dict": lambda c: c.update(format={"3": 3}),
    "a huge format": lambda c: c.update(format=10**400),
    "a format of the future": lambda c: c.update(format=4),
    "a format that is true": lambda c: c.update(format=True),
    "a format that is a float": lambda c: c.update(format=3.0),
    "no format": lambda c: c.pop("format"),
    "a format that is null": lambda c: c.update(format=None),
}
VALUES = {
    "an unknown setting": lambda c: c["setup"]["run"].update(speed=1),
    "an unknown section": lambda c: c["setup"].update(extra={"speed": 1}),
    "another value": lambda c: c["setup"]["run"].update(seed=7),
    "a value of another kind": lambda c: c["setup"]["descent"].update(momentum=[1]),
    "a value that is a dict": lambda c: c["setup"]["descent"].update(momentum={"a": 1}),
    "widths that are none": lambda c: c["setup"]["levels"].update(grids=[12, "6"]),
    "widths of widths": lambda c: c["setup"]["levels"].update(grids=[[6], [12]]),
}


@pytest.mark.parametrize("what", [*SECTIONS, *VALUES])
def test_a_forged_folder_is_one_line(whole, tmp_path, data, what):
    place = shutil.copytree(whole, tmp_path / "net-A")
    forged(place, {**SECTIONS, **VALUES}[what])
    before = results(place)
    uses = [lambda: execute(place, TINY, data)]
    if what != "another value":
        uses.append(lambda: read_setup(place))
    for use in uses:
        with pytest.raises(ResultsError) as error:
            use()
        text = str(error.value)
        assert text.startswith("out: expected ") and "settings.json" in text and "\n" not in text and len(text) < 1000
    assert results(place) == before


@pytest.mark.parametrize("change", [{"stage": "0" * 64}, {"stage": 3}, {"stage": None}, {"speed": 1}, {"after": None}])
def test_a_state_whose_origin_was_forged(whole, tmp_path, data, change):
    place = shutil.copytree(whole, tmp_path / "net-A")
    file = place / "trial-000" / "transfer.npz"
    with np.load(file) as stored:
        arrays = dict(stored)
    origin = {**json.loads(str(arrays["origin"])), **change}
    file.write_bytes(write_sealed({**arrays, "origin": np.array(json.dumps(origin))}))
    (case,) = study_of(place, TINY, data).cases.values()
    with pytest.raises(ResultsError, match="transfer.npz") as error:
        case.ends(0)
    assert "\n" not in str(error.value)


def test_a_stage_that_was_another_one_is_named(whole, tmp_path, data):
    """The name is the same, what is said of it is not."""
    place = shutil.copytree(whole, tmp_path / "net-A")
    stages = [stage for stage in stages_of(NAMES) if stage.name != "transfer"]
    other = [type(stages[0])("transfer", start="galerkin", after="coarse")]
    (case,) = study_of(place, TINY, data, stages=[*stages, *other]).cases.values()
    with pytest.raises(ResultsError, match=r"transfer.npz', which was made when the stage transfer was another one"):
        case.ends(0)


def test_results_older_than_a_section(whole, tmp_path, data):
    """What is not there has its default."""
    place = shutil.copytree(whole, tmp_path / "net-A")
    forged(place, lambda content: content["setup"].pop("readings"))
    assert read_setup(place) == TINY
