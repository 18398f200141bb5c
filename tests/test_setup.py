"""Every setting says what it is, where its default is from and what it may be; that is what is accepted."""

import dataclasses
import math

import numpy as np
import pytest
from tiny import TINY, quadrants

from meganet.backend import get_backend
from meganet.datasets.catalogue import image_sets
from meganet.datasets.prepare import SCALINGS
from meganet.experiments import PRESETS, Problems, Setup, setup_for, tables_of
from meganet.experiments.runs.training import SOLVERS
from meganet.experiments.setup.fields import as_text, parsed, setting_of
from meganet.experiments.setup.settings import DEFAULTS, FIELDS, LARGEST_RADIUS, MODELS, SECTIONS
from meganet.experiments.setup.stages import COPY, GALERKIN, METHODS, SGD, STARTS
from meganet.experiments.setup.tables import protocols
from meganet.ground.dropins import titles
from meganet.ground.validate import InputError
from meganet.multigrid.classifier import CLASSIFIER_SCALINGS
from meganet.multigrid.stencil_transfers import KERNEL_TRANSFERS
from meganet.multigrid.transfer import INTERPOLATIONS
from meganet.optim.trust_region import LARGEST_RADIUS as LARGEST_OF_THE_METHOD

OTHERS = {
    "dataset": "cifar-10", "coarse_examples": 32, "fine_examples": 24, "validation_examples": 8,
    "data_scaling": "standardize", "training_images": "original", "network": "B", "dtype": "float64",
    "theta_init": "he", "W_std": 0.05, "W_clip": 0.05, "W_smoothing": 0.0, "grids": (7, 14, 28),
    "interpolation": "constant", "classifier_scaling": "thesis", "theta_alpha": 1e-3, "W_alpha": 0.0,
    "W_alpha_coarse": 1 / 3, "mesh_width": 1e-100, "coarse_epochs": 3, "fine_epochs": 3, "learning_rate": 1e-300,
    "batch_size": 4, "momentum": 0.9, "classifier_epochs": 3, "newton_steps": 3, "newton_products": 1,
    "trust_radius": 1000.0, "validation_images": "constant", "W_neighbours": "vec", "W_transfer": "vec",
    "trials": 10_000, "seed": 2**128,
}  # fmt: skip
"""Another value of every setting."""
SETTINGS = {name: setting_of(field) for name, field in FIELDS.items()}
NUMBERS = [name for name, value in DEFAULTS.items() if isinstance(value, int | float)]
TEXTS = [name for name, value in DEFAULTS.items() if isinstance(value, str)]


def test_names_are_unique_and_every_setting_is_described():
    names = [field.name for part in dataclasses.fields(Setup) for field in dataclasses.fields(part.default_factory)]
    assert len(names) == len(set(names)) and names == [*FIELDS] == [*SECTIONS] == [*DEFAULTS]
    assert set(OTHERS) == set(FIELDS), "a new setting has a value here too"
    for name, setting in SETTINGS.items():
        assert setting.meaning.strip() and setting.source.strip() and "\n" not in setting.meaning + setting.source, name
        assert bool(setting.allowed()) == (name in TEXTS)
        assert type(getattr(getattr(Setup(), SECTIONS[name]), name)) is type(DEFAULTS[name])


def test_a_setting_matters_to_some_stage():
    stages = [stage for name in protocols() for table in tables_of(name) for stage in table.stages()]
    traits = set().union(*(stage.traits(finest) for stage in stages for finest in (False, True)))
    assert {setting.matters for setting in SETTINGS.values()} <= {None, *traits}


CHOICES = {
    "dataset": image_sets(),
    "data_scaling": SCALINGS,
    "training_images": ("original", *INTERPOLATIONS),
    "validation_images": ("original", *INTERPOLATIONS),
    "network": titles(MODELS),
    "dtype": ("float32", "float64"),
    "theta_init": ("he", "meganet"),
    "interpolation": INTERPOLATIONS,
    "classifier_scaling": CLASSIFIER_SCALINGS,
    "W_neighbours": ("pixels", "vec"),
    "W_transfer": ("pixels", "vec"),
}


def test_the_choices_are_what_the_engine_accepts():
    assert {name: set(SETTINGS[name].allowed()) for name in TEXTS} == {n: set(found) for n, found in CHOICES.items()}
    assert LARGEST_RADIUS == SETTINGS["trust_radius"].largest == LARGEST_OF_THE_METHOD
    assert {COPY, GALERKIN} == set(KERNEL_TRANSFERS) < set(STARTS)
    assert {SGD, *SOLVERS} == set(METHODS)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "dataset"])
def test_every_choice_can_be_made(name):
    """The engine makes the problems, and the weights on either grid, of each."""
    from meganet.experiments.protocols.chapter4 import COARSE
    from meganet.experiments.setup.stages import Stage, planned

    coarse, fine = planned((COARSE, Stage("multigrid", start=GALERKIN, after="coarse")), 2)
    for choice in SETTINGS[name].allowed():
        trial = Problems(TINY.changed(**{name: choice}), quadrants(), 0, get_backend())
        x = trial.start(fine, coarse, trial.start(coarse))
        value, gradient = trial.level_of(fine).training(x)
        assert math.isfinite(float(value)) and np.isfinite(gradient).all() and gradient.dtype == trial.setup.model.dtype


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_choice_is_refused(name):
    listed = ", ".join(map(repr, sorted(SETTINGS[name].allowed())))
    with pytest.raises(InputError, match=rf"^{name}: expected one of {listed}, got '\?'$"):
        Setup.of(**{name: "?"})
    with pytest.raises(InputError, match=f"^{name}: expected one of"):
        Setup.of(**{name: 3})


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds_of_numbers(name):
    """At a bound a number is accepted, behind it refused in one line that names the setting."""
    setting, default = SETTINGS[name], DEFAULTS[name]
    # others that must go with it
    sizes = {"coarse_examples": 10**9, "fine_examples": 10**9} if name == "batch_size" else {}
    if name in ("coarse_examples", "fine_examples"):
        sizes = {"batch_size": 1}
    wrong = [math.nan, math.inf, "1", None, True] if isinstance(default, float) else [1.5, "1", None, True]
    if isinstance(default, int):
        smallest, largest = 1 if setting.minimum is None else int(setting.minimum), setting.largest or 10**9
        accepted, wrong = [smallest, int(largest)], [*wrong, smallest - 1, int(largest) + 1, 10**400]
    else:
        accepted = [0.0] if setting.above is None else [1e-100]
        wrong += [-1e-9] if setting.above is None else [setting.above, -1.0]
        if setting.largest is not None:
            accepted, wrong = [*accepted, setting.largest], [*wrong, math.nextafter(setting.largest, math.inf)]
    for value in accepted:
        found = Setup.of(**sizes, **{name: value}).values()[name]
        assert found == value and type(found) is type(default)
    for value in wrong:
        with pytest.raises(InputError, match=f"^{name}: expected ") as error:
            Setup.of(**sizes, **{name: value})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FIELDS)
def test_texts_read_back(name):
    for value in (DEFAULTS[name], OTHERS[name], *(preset.get(name, DEFAULTS[name]) for preset in PRESETS.values())):
        assert parsed(name, as_text(value), DEFAULTS[name]) == value
        assert type(parsed(name, as_text(value), DEFAULTS[name])) is type(DEFAULTS[name])
    setup = TINY.parsed({name: as_text(OTHERS[name])})
    assert setup.values() == {**TINY.values(), name: OTHERS[name]} and setup != TINY
    assert setup.changes() == {**TINY.changes(), name: OTHERS[name]}
    assert setup.nested()[SECTIONS[name]][name] == OTHERS[name] == getattr(getattr(setup, SECTIONS[name]), name)
    assert setup.changed(**{name: TINY.values()[name]}) == TINY and hash(TINY.changed()) == hash(TINY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": "1"}, "settings: expected one of .*got 'speed'"),
        ({"momentums": "1"}, "settings: expected one of .*got 'momentums'; did you mean 'momentum'"),
        ({"trials": "two"}, "trials: expected an integer, got 'two'"),
        ({"trials": "2.0"}, "trials: expected an integer, got '2.0'"),
        ({"momentum": "x"}, "momentum: expected a number, got 'x'"),
        ({"grids": "7;14"}, "grids: expected widths of images, such as 7,14,28, got '7;14'"),
        ({"grids": "7,14.0"}, "grids: expected widths of images, such as 7,14,28, got '7,14.0'"),
        ({"seed": "1" * 5000}, "seed: expected "),
    ],
)
def test_texts_that_are_no_values(changes, message):
    with pytest.raises(InputError, match=f"^{message}") as error:
        TINY.parsed(changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momentum": 1.0}, r"momentum: expected a number in \[0, 1\), got 1.0"),
        ({"trust_radius": 2e3}, "trust_radius: expected at most 1000, got 2000.0"),
        ({"fine_examples": 10, "batch_size": 16}, "batch_size: expected at most the 10 training examples of a grid"),
        ({"mesh_width": 1e-200}, "mesh_width: expected a number from 1e-150 to 1e150, got 1e-200"),
        ({"trials": 10**9}, "trials: expected an integer of at most 10000, got 1000000000"),
        ({"speed": 1}, "settings: expected one of .*got 'speed'"),
        (
            {"grids": (12, 6)},
            "grids: expected widths from coarse to fine, each 2, 4, 8, ... times the one before, .*12,6",
        ),
        ({"grids": (6, 6)}, "grids: expected widths from coarse to fine"),
        ({"grids": (5, 12)}, "grids: expected widths from coarse to fine"),
        ({"grids": (4, 12)}, "grids: expected widths from coarse to fine"),
        ({"grids": (0, 12)}, "grids: expected an integer of at least 1, got 0"),
        ({"grids": (6.0, 12)}, "grids: expected an integer of at least 1, got 6.0"),
        ({"grids": 12}, r"grids: expected widths of images, such as \(7, 14, 28\), got 12"),
        ({"grids": "7,14"}, r"grids: expected widths of images, such as \(7, 14, 28\), got '7,14'"),
    ],
)
def test_settings_that_do_not_go(changes, message):
    with pytest.raises(InputError, match=f"^{message}") as error:
        TINY.changed(**changes)
    assert "\n" not in str(error.value)


def test_a_setup_is_frozen_and_its_dicts_are_its_own():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.descent.momentum = 0.9
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.descent = Setup().descent
    values, nested = TINY.values(), TINY.nested()
    values["seed"], nested["run"]["seed"] = 7, 7
    assert TINY.run.seed == TINY.values()["seed"] == TINY.nested()["run"]["seed"] == 0
    assert TINY.changed(seed=3).values()["seed"] == 3 and TINY.run.seed == 0
    assert Setup.of(grids=[7, 14]).levels.grids == (7, 14), "lists are taken, and stored as what does not change"


def test_presets():
    assert setup_for("4.1", "printed") == Setup() and Setup().changes() == {}
    assert setup_for("4.1", "thesis").changes() == PRESETS["thesis"] != {}
    for preset, reading in (("thesis", "thesis"), ("printed", "printed"), ("small", "thesis")):
        setup = setup_for("4.2", preset, seed=7, trials=1)
        assert setup.reading() == reading and setup.changed(momentum=0.5).reading() == ""
    assert setup_for("4.1", "small").nearest_preset() == ("small", {})
    found = setup_for("4.2", "small", seed=3, trials=9, momentum=0.9)
    assert found.nearest_preset() == ("small", {"momentum": 0.9}) and found.examples == 5000
    assert Setup.of(fine_epochs=3).nearest_preset() == ("printed", {"fine_epochs": 3})
    assert setup_for("4.1", "thesis", fine_epochs=3).nearest_preset() == ("thesis", {"fine_epochs": 3})
    own = {"dataset": "stl-10", "coarse_examples": 60, "fine_examples": 40, "validation_examples": 20}
    epochs = {"coarse_epochs": 1, "fine_epochs": 2}
    own |= PRESETS["thesis"]
    assert Setup.of(**own, **epochs).nearest_preset()[0] == "small", "of two that are as near, the command's default"
    for preset in PRESETS:
        assert set(PRESETS[preset]) <= set(FIELDS)
    changed = setup_for("4.1", "small", seed=3).parsed({"momentum": "0.9", "interpolation": "constant", "seed": "4"})
    values = changed.values()
    assert [values[name] for name in ("momentum", "interpolation", "seed", "dataset")] == [0.9, "constant", 4, "digits"]
