"""Cases in one folder share the runs that they have in common, and no others."""

import shutil

import numpy as np
import pytest
from test_formats import as_format_2
from tiny import TINY, execute, quadrants, results, stages_of

from meganet.backend import get_backend
from meganet.datasets import ImageSet
from meganet.experiments import Problems, ResultsError, ResultsFolder, Stage, Study
from meganet.workers import Workers

ONE = TINY.changed(trials=1)


@pytest.fixture(scope="module")
def data():
    return quadrants(size=8)


def study(path, data, *changes, names=("4.1",), more=(), base=ONE):
    """Return a study of one case for each change, named by numbers: stages of protocols, and some more."""
    stages = [*stages_of(names), *more]
    plans = {str(k): (base.changed(**change), stages) for k, change in enumerate(changes)}
    return Study(path, plans, get_backend(), data, shared=True)


def run(path, data, *changes, **options):
    """Run such a study, and return it and the lines about what was made."""
    lines = []
    with study(path, data, *changes, **options) as made:
        made.run(Workers(), progress=False, log=lines.append)
    return made, lines


def kinds(path):
    """Return how many folders of each kind there are."""
    names = [place.name.partition("-")[0] for place in path.iterdir() if place.is_dir()]
    return {name: names.count(name) for name in names}


FINE_ALONE = {
    "W_alpha": 0.5, "training_images": "original", "validation_images": "constant", "fine_epochs": 1,
    "fine_examples": 8, "interpolation": "constant", "classifier_scaling": "none", "W_transfer": "vec",
    "classifier_epochs": 1, "newton_steps": 2, "newton_products": 2, "trust_radius": 2.0,
}  # fmt: skip
COARSE_TOO = {
    "W_alpha_coarse": 0.5, "theta_alpha": 0.5, "coarse_epochs": 1, "coarse_examples": 16, "validation_examples": 8,
    "learning_rate": 0.001, "momentum": 0.5, "batch_size": 4, "W_std": 0.01, "theta_init": "he", "dtype": "float64",
    "mesh_width": 0.5, "W_neighbours": "vec", "data_scaling": "standardize", "seed": 1, "grids": (4, 8),
}  # fmt: skip


NEWTON = (
    Stage("new-newton", method="steihaug", epochs="classifier_epochs"),
    Stage("newton-down", 0, "copy", "new-newton", method="steihaug", epochs=1),
)


@pytest.mark.parametrize("name", [*FINE_ALONE, *COARSE_TOO])
def test_who_differs_where_it_does_not_matter_shares_coarse_training(tmp_path, data, name):
    made = study(tmp_path, data, {}, {name: {**FINE_ALONE, **COARSE_TOO}[name]})
    first, second = (case.folders["coarse"] for case in made.cases.values())
    assert (first is second) == (name in FINE_ALONE)
    owns = [case.own.path for case in made.cases.values()]
    assert owns[0] != owns[1] and all(place.name.startswith("fine-") for place in owns)
    assert first.path.name.startswith("coarse-") and first.path.parent == tmp_path


def test_shared_runs_are_made_once_and_are_those_of_each_alone(tmp_path, data):
    changes = {}, {"W_alpha": 0.5}, {"fine_epochs": 1}
    made, lines = run(tmp_path / "shared", data, *changes)
    assert kinds(tmp_path / "shared") == {"coarse": 1, "fine": 3} and len(lines) == 1 + 3 * 3
    for (name, case), change in zip(made.cases.items(), changes, strict=True):
        alone = execute(tmp_path / "alone" / name, ONE.changed(**change), data)
        assert case.missing(0) == []
        for stage in case.stages:
            np.testing.assert_array_equal(case.weights(0, stage.name), alone.weights(0, stage.name))
            mine, other = (c.histories()[stage.name][0].to_csv() for c in (case, alone))
            assert mine == other
    before = results(tmp_path / "shared")
    _, lines = run(tmp_path / "shared", data, *changes)
    assert not lines and results(tmp_path / "shared") == before


def test_coarse_training_validates_on_the_images_of_the_rows(tmp_path, data):
    """It is stored with another number of fine examples, the default."""
    (case,) = study(tmp_path, data, {"fine_examples": 12}).cases.values()
    shared = case.folders["coarse"].setup
    assert shared.data.fine_examples == 10_000 and shared.data.validation_examples == 10
    own, other = (Problems(setup, data, 0, get_backend()).level(0, "coarse") for setup in (case.setup, shared))
    for mine, theirs in zip(own, other, strict=True):
        np.testing.assert_array_equal(mine.images, theirs.images)
        np.testing.assert_array_equal(mine.labels, theirs.labels)


def test_cases_that_are_the_same_have_one_folder(tmp_path, data):
    """With the runs of both, whatever tables they ask for."""
    plans = {"a": (ONE, stages_of(["4.1"])), "b": (ONE, stages_of(["in-turn"]))}
    lines = []
    with Study(tmp_path, plans, get_backend(), data, shared=True) as made:
        made.run(Workers(), progress=False, log=lines.append)
    first, second = made.cases.values()
    assert first.own is second.own and kinds(tmp_path) == {"coarse": 1, "fine": 1}
    assert len(lines) == len({line.split(":")[0] for line in lines}) == 1 + 3 + 4
    assert first.missing(0) == second.missing(0) == []


@pytest.mark.parametrize("change", [{}, {"W_alpha": 0.5}])
def test_cases_of_more_trials_than_others(tmp_path, data, change):
    made, lines = run(tmp_path, data, {}, {"trials": 2, **change})
    assert len(lines) == (11 if change else 8)
    assert made.cases["0"].missing(0) == made.cases["1"].missing(0) == made.cases["1"].missing(1) == []


def test_a_folder_that_an_earlier_version_named_otherwise_is_found(tmp_path, data):
    changes = {}, {"W_alpha": 0.5}
    run(tmp_path, data, *changes)
    for number, place in enumerate(sorted(path for path in tmp_path.iterdir() if path.is_dir())):
        place.rename(place.with_name(f"{place.name.partition('-')[0]}-0000000{number}"))
    before = results(tmp_path)
    made, lines = run(tmp_path, data, *changes)
    assert not lines and results(tmp_path) == before and kinds(tmp_path) == {"coarse": 1, "fine": 2}
    assert made.cases["1"].folders["coarse"].path.name == "coarse-00000000"
    # other settings are not taken for them
    _, lines = run(tmp_path, data, {"seed": 1})
    assert len(lines) == 4 and kinds(tmp_path) == {"coarse": 2, "fine": 3}


def test_names_of_folders_of_rows_are_those_of_the_version_before(tmp_path, data):
    made = study(tmp_path, data, {}, {"W_alpha": 0.5})
    assert {case.own.path.name for case in made.cases.values()} == {"fine-be15c068", "fine-bbfb2590"}


def test_coarse_training_of_the_version_before_is_shared(tmp_path, data):
    """It stored settings that have no influence there as they were chosen, which gave its folder another name."""
    made, _ = run(tmp_path, data, {})
    shutil.rmtree(made.cases["0"].own.path)
    (place,) = tmp_path.glob("coarse-*")
    older = as_format_2(place.rename(tmp_path / "coarse-0a49cd46"), fine_examples=8, newton_products=3)
    before = results(older)
    _, lines = run(tmp_path, data, {}, {"W_alpha": 0.5})
    assert len(lines) == 2 * 3 and kinds(tmp_path) == {"coarse": 1, "fine": 2} and results(older) == before
    made, lines = run(tmp_path, data, {}, base=TINY)
    assert len(lines) == 4 and kinds(tmp_path) == {"coarse": 1, "fine": 2}
    assert made.cases["0"].missing(1) == [] and results(older).items() > before.items()


def test_a_folder_of_another_stage_is_not_taken(tmp_path, data):
    """Although its name begins alike, and its settings are the same."""
    first, _ = run(tmp_path, data, {}, names=(), more=NEWTON)
    solved = first.cases["0"].folders["new-newton"].path
    assert solved.name.startswith("new-newton-")
    second, _ = run(tmp_path, data, {}, names=("fine-to-coarse",), more=NEWTON)
    case = second.cases["0"]
    assert case.folders["new"].path != case.folders["new-newton"].path == solved
    assert case.missing(0) == []


def test_a_shared_study_continues_to_the_bit(tmp_path, data, monkeypatch):
    class Stop(Exception):
        pass

    usual, count = ResultsFolder.save, []

    def save_and_stop(self, *arguments):
        usual(self, *arguments)
        count.append(arguments[:2])
        raise Stop

    changes = {}, {"momentum": 0.9, "W_alpha": 0.5}, {"W_alpha": 0.5}
    with monkeypatch.context() as patch:
        patch.setattr(ResultsFolder, "save", save_and_stop)
        while True:
            try:
                run(tmp_path / "parts", data, *changes)
                break
            except Stop:
                pass
    run(tmp_path / "whole", data, *changes)
    assert results(tmp_path / "parts") == results(tmp_path / "whole") and len(count) == 2 * (2 + 3 * 3)


def test_fresh_runs_that_others_start_from_are_shared_too(tmp_path, data):
    """Whatever their grid: the way down starts from a new network on the fine one."""
    made = study(tmp_path, data, {}, {"W_alpha_coarse": 0.5}, {"W_alpha": 0.5}, names=("fine-to-coarse",))
    new = [case.folders["new"].path for case in made.cases.values()]
    assert new[0] == new[1] != new[2] and new[0].name.startswith("new-")
    # nobody starts from the coarse one of this protocol
    assert made.cases["0"].folders["coarse"] is made.cases["0"].own
    _, lines = run(tmp_path, data, {}, {"W_alpha_coarse": 0.5}, names=("fine-to-coarse",))
    assert len(lines) == 1 + 2 * 3


def test_coarse_runs_of_other_weights_are_named(tmp_path, data):
    """The rows know which coarse run they started from, although it lies elsewhere."""
    run(tmp_path, data, {})
    (place,) = tmp_path.glob("coarse-*")
    shutil.rmtree(place / "trial-000")
    (case,) = study(tmp_path, data, {}).cases.values()
    with pytest.raises(ResultsError, match="coarse.npz' missing, from which .*npz' started") as error:
        case.ends(0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("run_of", "change"),
    [("new-newton", {}), ("coarse", {"batch_size": 12_000, "coarse_examples": 15_000, "fine_examples": 12_000})],
)
def test_settings_without_influence_must_go_with_the_others(tmp_path, run_of, change):
    """The default batch is larger than these sets of examples, and the default sets are smaller than this batch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30_000, 1, 6, 6)).astype(np.uint8)
    many = ImageSet("noise", images, rng.integers(0, 4, len(images)), "drawn")
    made = study(tmp_path, many, change, {**change, "W_transfer": "vec"}, more=NEWTON)
    first, second = (case.folders[run_of] for case in made.cases.values())
    assert first is second and first.setup.changes().items() >= change.items()
