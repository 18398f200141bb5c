"""A setting that is said not to matter for a run does not change a bit of it, and one that is said to matter does."""

import pytest
from tiny import TINY, execute, quadrants

from meganet.backend import to_host
from meganet.experiments import Stage
from meganet.experiments.protocols.chapter4 import COARSE
from meganet.experiments.runs.case import influences
from meganet.experiments.setup.settings import FIELDS
from meganet.experiments.setup.stages import chain

SETUP = TINY.changed(trials=1, coarse_epochs=1, fine_epochs=1, W_std=0.01)
CLASSIFIER = {"epochs": "classifier_epochs", "classifier_only": True}
STAGES = (
    COARSE,
    Stage("new"),
    Stage("transfer", start="copy", after="coarse"),
    Stage("multigrid", start="galerkin", after="coarse"),
    Stage("down", 0, "copy", "new", epochs="coarse_epochs", images="coarse"),
    Stage("steihaug", method="steihaug", **CLASSIFIER),
    Stage("meganet", method="meganet", **CLASSIFIER),
    Stage("newton", start="same", after="steihaug", method="steihaug"),
    Stage("ends", start="same", after="meganet"),
)
OTHERS = {
    "coarse_examples": 16, "fine_examples": 24, "validation_examples": 8, "data_scaling": "standardize",
    "training_images": "original", "network": "B", "dtype": "float64", "theta_init": "he", "W_std": 0.02,
    "W_clip": 0.005, "W_smoothing": 0.5, "grids": (3, 12), "interpolation": "constant", "classifier_scaling": "none",
    "theta_alpha": 0.5, "W_alpha": 0.5, "W_alpha_coarse": 0.5, "mesh_width": 0.5, "coarse_epochs": 2, "fine_epochs": 2,
    "learning_rate": 0.001, "batch_size": 4, "momentum": 0.5, "classifier_epochs": 1, "newton_steps": 2,
    "newton_products": 1, "trust_radius": 0.01, "validation_images": "constant", "W_neighbours": "vec",
    "W_transfer": "vec", "seed": 1,
}  # fmt: skip
"""Another value of each setting; `dataset` names the images, which are given here, and `trials` is no part of a run."""
NO_BIT = {
    # the number of their grid among them is stored with these runs, which are on the finest one alone
    "grids": {"new", "steihaug", "meganet", "newton", "ends"},
    # without P: stencils are copied, and the classifier goes down by R
    "interpolation": {"down"},
    # what it starts from was looked at in another way, and is the same
    "validation_images": {"down"},
}
"""Runs for which a setting counts, to be safe, although it changes no bit of them."""


@pytest.fixture(scope="module")
def data():
    return quadrants()


def bits(case):
    """Return what each run is, to the bit: its weights and its history."""
    ends = case.ends(0, weights=True)
    return {name: (to_host(state.x).tobytes(), state.history.to_csv()) for name, state in ends.items()}


@pytest.fixture(scope="module")
def usual(data, tmp_path_factory):
    return bits(execute(tmp_path_factory.mktemp("usual") / "net-A", SETUP, data, stages=STAGES))


def test_every_setting_is_looked_at():
    assert {*OTHERS, "dataset", "trials"} == {*FIELDS}
    assert "dataset" in influences(STAGES[:1], 2) and "trials" not in influences(STAGES, 2)


@pytest.mark.parametrize("name", OTHERS)
def test_what_matters_and_what_does_not(name, usual, data, tmp_path):
    case = execute(tmp_path / "net-A", SETUP.changed(**{name: OTHERS[name]}), data, stages=STAGES)
    found = bits(case)
    changed = {run for run, bits_of_run in found.items() if bits_of_run != usual[run]}
    said = {stage.name for stage in case.stages if name in influences(chain(case.stages, stage.name), 2)}
    assert changed <= said, f"{name} is said not to matter"
    assert said - changed == NO_BIT.get(name, set()), f"{name} is said to matter"


def test_a_grid_between_two_is_none_of_the_finest():
    names = influences([Stage("a", 1)], 3)
    assert "W_alpha" not in names and "W_alpha_coarse" in names and "training_images" not in names
    both = influences([COARSE, Stage("new", 1)], 2)
    assert both == influences([COARSE], 2) | influences([Stage("new", 1)], 2) > influences([COARSE], 2)
