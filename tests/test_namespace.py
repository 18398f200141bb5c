"""The root has what a user types in the first hour; what was there before is one level down and keeps working."""

import importlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

import meganet as mn

MOVED = {old: place for old, place in mn._MOVED.items() if ":" in place}
MODULES = {old: place for old, place in mn._MOVED.items() if ":" not in place}

RENAMED = [
    ("backend", "host", "to_host"),
    ("backend", "moved", "to_backend"),
    ("backend", "recast", "to_dtype"),
    ("optim", "sgd_together", "sgd_stacked"),
]
IMAGES = np.array([[1.0, 2.0], [3.0, -1.0]])


def test_the_root_is_small_and_whole():
    assert len(mn.__all__) <= 30
    for name in mn.__all__:
        assert getattr(mn, name) is not None
    shown = {name for name in dir(mn) if not name.startswith("__")}
    assert shown | {"__version__"} == {*mn.__all__, *mn._ROOMS} and not set(mn._MOVED) & shown


def test_what_comes_of_bad_input_can_be_caught_by_a_public_name():
    with pytest.raises(mn.InputError, match="classes"):
        mn.Model([mn.DenseLayer((2,), 3)], classes=-1)


@pytest.mark.parametrize("old", MOVED)
def test_old_names_of_the_root_are_the_new_ones(old):
    room, name = MOVED[old].split(":")
    with pytest.warns(DeprecationWarning, match=rf"^meganet\.{old} is now {room}\.{name}$") as caught:
        value = getattr(mn, old)
    assert value is getattr(importlib.import_module(room), name)
    assert {warning.filename for warning in caught} == {__file__}
    assert old not in vars(mn)


@pytest.mark.parametrize("old", MODULES)
def test_old_modules_can_be_imported(old):
    new = importlib.import_module(MODULES[old])
    with pytest.warns(DeprecationWarning, match=rf"meganet\.{old} is now {MODULES[old]}$"):
        assert getattr(mn, old) is new
    kept = importlib.import_module(f"meganet.{old}")
    name = next(name for name, value in vars(new).items() if getattr(value, "__module__", "") == new.__name__)
    with pytest.warns(DeprecationWarning, match=rf"meganet\.{old}\.{name} is now {MODULES[old]}\.{name}$"):
        assert getattr(kept, name) is getattr(new, name)


def test_the_warning_is_shown_where_a_script_uses_an_old_name(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from meganet import Leapfrog\nimport meganet as mn\nfor _ in range(3):\n    mn.bfgs\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    said = [line.partition("script.py:")[2] for line in done.stderr.splitlines() if "DeprecationWarning" in line]
    assert said == [
        "1: DeprecationWarning: meganet.Leapfrog is now meganet.networks.Leapfrog",
        "4: DeprecationWarning: meganet.bfgs is now meganet.optim.bfgs",
    ]


@pytest.mark.parametrize(("room", "old", "new"), RENAMED)
def test_functions_that_were_renamed_in_their_rooms(room, old, new):
    module = importlib.import_module(f"meganet.{room}")
    with pytest.warns(DeprecationWarning, match=rf"^meganet\.{room}\.{old} is now meganet\.{room}\.{new}$"):
        assert getattr(module, old) is getattr(module, new)
    assert not hasattr(module, "unknown") and old not in dir(module)


def test_methods_that_were_renamed():
    fun = mn.Objective(mn.DenseLayer((2,), 3), mn.DenseLayer((3,), 2), IMAGES, [0, 1])
    x = np.arange(1.0, fun.parameters.size + 1)
    with pytest.warns(DeprecationWarning, match=r"Objective\.logits is now Objective\.outputs"):
        assert np.array_equal(fun.logits(x, IMAGES), fun.outputs(x, IMAGES))
    with pytest.warns(DeprecationWarning, match=r"Objective\.evaluate_together is now Objective\.evaluate_stacked"):
        assert mn.Objective.evaluate_together([fun], [x]) == [fun.evaluate(x)]


def test_unknown_names_are_the_usual_error():
    with pytest.raises(AttributeError, match="^module 'meganet' has no attribute 'Modell'$"):
        mn.Modell  # noqa: B018
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not hasattr(mn, "__wrapped__") and not hasattr(mn, "bfgss")
