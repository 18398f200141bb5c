"""The reference shows every public name, and each with an example."""

import inspect
from importlib import import_module

import pytest
import reference
from test_examples import shows_use

import meganet

ROOMS = sorted(f"meganet.{page.stem}" for page in reference.PAGES if page.name != "index.md")


def public(room):
    """Return the public names of a room: those in ``__all__``, else what the module defines."""
    module = import_module(room)
    own = [name for name, found in vars(module).items() if getattr(found, "__module__", None) == room]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_of_a_room_is_in_the_reference(room):
    shown = [*reference.objects(), *reference.constants()]
    missing = [name for name in public(room) if f"{room}.{name}" not in shown]
    assert public(room) and not missing, ", ".join(missing)


def test_the_rooms_are_those_of_the_package():
    assert {f"meganet.{room}" for room in meganet._ROOMS} | {"meganet.model"} <= set(ROOMS)


def test_the_names_of_the_package_itself_are_listed():
    listed = [*reference.listed(), "meganet.InputError"]
    assert sorted(name.rpartition(".")[2] for name in listed) == sorted({*meganet.__all__} - {"__version__"})
    for name in reference.listed():
        assert reference.value(name) is getattr(meganet, name.rpartition(".")[2]) and name in reference.objects()


def test_nothing_is_shown_twice():
    shown = [*reference.objects(), *reference.constants()]
    assert len(shown) > 250 and len(set(shown)) == len(shown)
    values = [id(reference.value(name)) for name in reference.objects()]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("name", reference.objects())
def test_an_object_of_the_reference_has_an_example(name):
    assert shows_use(inspect.getdoc(reference.value(name)) or "")


@pytest.mark.parametrize("name", reference.constants())
def test_a_constant_of_the_reference_exists(name):
    assert reference.value(name) is not None
