"""Old names keep working, and warn at the line of the user."""

import importlib
import inspect
import sys
import warnings

import pytest

from meganet.ground.deprecated import moved_modules, renamed

OLD = """
from meganet.ground.deprecated import moved

kept = 1


def __getattr__(name):
    places = {"squareroot": "math:sqrt", "maths": "math", "gone": "math:gone", "far": "turtle:forward"}
    return moved(__name__, places, name)
"""
USER = """
from {old} import squareroot
import {old}

def ask():
    return {old}.squareroot
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A package with old names and a module that uses them."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "oldnames").mkdir()
    (tmp_path / "oldnames/__init__.py").write_text(OLD)
    yield tmp_path
    for name in ("oldnames", "usesold", "oldnames.stood"):
        sys.modules.pop(name, None)


def use(folder, old="oldnames"):
    (folder / "usesold.py").write_text(USER.format(old=old))
    importlib.invalidate_caches()
    return importlib.import_module("usesold")


def places(caught):
    return {(warning.category, str(warning.message), warning.filename, warning.lineno) for warning in caught}


def test_an_old_name_is_the_new_thing_and_warns_at_the_users_line(modules):
    import math

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        user = use(modules)
        assert user.squareroot is math.sqrt
        assert user.ask() is math.sqrt
    text, file = "oldnames.squareroot is now math.sqrt", str(modules / "usesold.py")
    assert places(caught) == {(DeprecationWarning, text, file, 2), (DeprecationWarning, text, file, 6)}


def test_it_warns_once_for_each_place(modules):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        user = use(modules)
        for _ in range(3):
            user.ask()
    assert [warning.lineno for warning in caught] == [2, 6]


def test_a_whole_module_may_have_moved(modules):
    import math

    oldnames = importlib.import_module("oldnames")
    with pytest.warns(DeprecationWarning, match=r"oldnames\.maths is now math$"):
        assert oldnames.maths is math


def test_old_names_are_neither_listed_nor_imported_before_they_are_asked_for(modules):
    oldnames = importlib.import_module("oldnames")
    assert "kept" in dir(oldnames) and not {"squareroot", "maths", "far"} & set(dir(oldnames))
    assert not hasattr(oldnames, "unknown") and "turtle" not in sys.modules


def test_unknown_names_give_the_usual_error(modules):
    oldnames = importlib.import_module("oldnames")
    with pytest.raises(AttributeError, match=r"^module 'oldnames' has no attribute 'kep'$") as caught:
        oldnames.kep  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("kep", oldnames)
    with pytest.raises(AttributeError, match="math"):
        oldnames.gone  # noqa: B018


def test_a_module_is_found_under_its_old_name(modules):
    import math

    importlib.import_module("oldnames")
    moved_modules("oldnames", {"stood": "math", "squareroot": "math:sqrt"})
    assert "oldnames.squareroot" not in sys.modules
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stood = importlib.import_module("oldnames.stood")
        assert not hasattr(stood, "__file__") and caught == []
        from oldnames.stood import sqrt
    assert sqrt is math.sqrt
    assert {str(warning.message) for warning in caught} == {"oldnames.stood.sqrt is now math.sqrt"}
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.raises(ImportError):
        from oldnames.stood import unknown  # noqa: F401


def test_a_method_may_be_called_by_its_old_name():
    class Shape:
        def __init__(self, side):
            self.side = side

        def area(self, times=1):
            """The new name is the documented one."""
            return times * self.side**2

        surface = renamed("Shape.surface", area)

    with pytest.warns(DeprecationWarning, match=r"^Shape\.surface is now .*Shape\.area$") as caught:
        assert Shape(3).surface(times=2) == 18
    assert [warning.filename for warning in caught] == [__file__]
    assert inspect.signature(Shape.surface) == inspect.signature(Shape.area) and Shape.surface.__doc__ is None


@pytest.mark.parametrize(
    ("room", "name"), [("hessian", "Hessian"), ("stacked", "StackedObjective"), ("varpro", "ReducedHessian")]
)
def test_what_is_made_of_objectives_is_found_where_it_was(room, name):
    import meganet.objective

    with pytest.warns(DeprecationWarning, match=rf"meganet\.{room}\.{name} is now meganet\.objective\.{room}\.{name}"):
        found = getattr(importlib.import_module(f"meganet.{room}"), name)
    assert found is getattr(meganet.objective, name)
    with pytest.warns(DeprecationWarning, match=rf"meganet\.{room} is now meganet\.objective\.{room}"):
        assert getattr(meganet, room) is importlib.import_module(f"meganet.objective.{room}")
    assert room not in dir(meganet)


OLD_PLACES = {
    "datasets.colour": ("load_cifar10", "datasets.sets.cifar10"),
    "datasets.digits": ("load_digits", "datasets.sets.digits"),
    "datasets.mnist": ("load_mnist", "datasets.sets.mnist"),
    "datasets.synthetic": ("circle", "datasets.sets.circle"),
    "layers.linear": ("DenseLayer", "layers.dense"),
    "linop.base": ("ParametricOperator", "linop.parametric"),
    "linop.transposed": ("Transposed", "linop.parametric"),
    "networks.evaluation": ("Metrics", "objective.evaluation"),
    "optim.descent": ("newton_cg", "optim.methods"),
    "optim.quasi_newton": ("lbfgs", "optim.methods"),
    "_validate": ("InputError", "ground.validate"),
}


@pytest.mark.parametrize("old", OLD_PLACES)
def test_names_are_found_in_the_modules_that_had_them(old):
    name, new = OLD_PLACES[old]
    expected = getattr(importlib.import_module(f"meganet.{new}"), name)
    with pytest.warns(
        DeprecationWarning, match=rf"^meganet\.{old}\.{name} is now meganet\.[a-z._]*\.{name}$"
    ) as caught:
        found = getattr(importlib.import_module(f"meganet.{old}"), name)
    assert found is expected and [warning.filename for warning in caught] == [__file__]


def test_renamed_things_are_found_in_the_modules_that_had_them():
    from meganet import layers, optim

    with pytest.warns(DeprecationWarning, match="now"):
        from meganet.layers.connector import ConnectorLayer

        from meganet.optim.sgd import sgd_together
    assert ConnectorLayer is layers.LinearLayer and sgd_together is optim.sgd_stacked
    with pytest.warns(DeprecationWarning, match=r"^meganet\.layers\.connector is now meganet\.layers$"):
        assert layers.connector is layers


def test_observers_that_serve_runs_together_are_asked_by_the_old_name():
    import numpy as np

    from meganet import DenseLayer, Objective
    from meganet.objective import Evaluation, StackedObjective
    from meganet.optim import Run, sgd_stacked

    class Own:
        def __call__(self, x):
            return {"size": float(x.size)}

        @staticmethod
        def together(observers, points):
            asked.append(len(observers))
            return [one(x) for one, x in zip(observers, points, strict=True)]

    asked = []
    fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    x0 = np.zeros(fun.parameters.size)
    with pytest.warns(DeprecationWarning, match=r"Own\.together is now called stacked$"):
        runs = [Run(fun, x0, observe=Own(), order=k) for k in range(2)]
        sgd_stacked(runs, 4, stack=StackedObjective, epochs=2, learning_rate=0.1, batch_size=2)
    assert asked and set(asked) == {2}
    one = Evaluation(fun)
    with pytest.warns(DeprecationWarning, match=r"Evaluation\.together is now Evaluation\.stacked$"):
        assert Evaluation.together([one], [x0]) == [one(x0)]


def test_a_collection_is_found_by_the_old_name(tmp_path):
    from meganet.datasets import Collection

    (tmp_path / "a").write_bytes(b"")
    collection = Collection("own", "Own", {"a": "md5:d41d8cd98f00b204e9800998ecf8427e"}, ())
    with pytest.warns(DeprecationWarning, match=r"Collection\.located is now Collection\.find_or_fetch$"):
        found = collection.located(tmp_path, False)
    assert found == {"a": tmp_path / "a"}
