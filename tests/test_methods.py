"""Every public method is described: where it is defined, or where it is first."""

import importlib
import inspect
import pkgutil
from importlib.util import find_spec

import meganet


def undescribed(kind):
    """Return the public methods and properties of a class that neither it nor a base class describes."""
    return [name for name in vars(kind) if not name.startswith("_") and not is_described(kind, name)]


def is_described(kind, name):
    value = inspect.getattr_static(kind, name)
    if not isinstance(value, (staticmethod, classmethod, property)) and not inspect.isfunction(value):
        return True
    # what is left under an old name is described under the new one
    return hasattr(getattr(kind, name), "__wrapped__") or bool(inspect.getdoc(getattr(kind, name)))


def test_every_public_method_is_described():
    missing = []
    for found in pkgutil.walk_packages(meganet.__path__, "meganet."):
        compiled = found.name.startswith("meganet.backend.loops.")
        if found.name != "meganet.__main__" and (find_spec("numba") is not None or not compiled):
            module = importlib.import_module(found.name)
            for name, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == found.name and not name.startswith("_"):
                    missing += [f"{found.name}.{name}.{method}" for method in undescribed(kind)]
    assert not missing, ", ".join(missing)


class Described:
    def run(self):
        """Run."""


class Own(Described):
    def run(self): ...

    def walk(self): ...


def test_a_method_without_description_is_seen():
    assert undescribed(Own) == ["walk"]
