"""Names that have moved or been renamed: the old ones keep working and warn."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def moved(module: str, places: Mapping[str, str], name: str) -> Any:
    """Return what is now elsewhere, with a `DeprecationWarning` at the line that asks for it.

    It is the last line of a module's ``__getattr__``, which Python calls with names that the module does not have; so
    nothing is imported before it is asked for, and ``dir`` does not show the old names.

    Parameters
    ----------
    module : str
        Name of the module that is asked, its ``__name__``.
    places : mapping of str to str
        For each old name its place, ``"package.module:name"``, or ``"package.module"`` of a whole module.
    name : str
        The name that is asked for.

    Raises
    ------
    AttributeError
        The usual one, for a name that has no place.

    Examples
    --------
    >>> def __getattr__(name):
    ...     return moved(__name__, {"squareroot": "math:sqrt"}, name)
    >>> with warnings.catch_warnings(action="ignore"):
    ...     __getattr__("squareroot")(4)
    2.0
    """
    if name not in places:
        raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules.get(module))
    place, _, attribute = places[name].partition(":")
    value = import_module(place)
    value = getattr(value, attribute) if attribute else value
    warnings.warn(f"{module}.{name} is now {places[name].replace(':', '.')}", DeprecationWarning, stacklevel=3)
    return value


def moved_names(module: str, places: Mapping[str, str]) -> None:
    """Let a module that has no ``__getattr__`` of its own have names and modules that have moved, as `moved` has them.

    Examples
    --------
    >>> moved_names("meganet.ground.deprecated", {"squareroot": "math:sqrt"})
    >>> with warnings.catch_warnings(action="ignore"):
    ...     from meganet.ground.deprecated import squareroot
    >>> squareroot(4)
    2.0
    """
    vars(sys.modules[module])["__getattr__"] = lambda name: moved(module, places, name)
    moved_modules(module, places)


def moved_modules(package: str, places: Mapping[str, str]) -> None:
    """Let the whole modules among `places` be imported by their old names as well: what is asked of them warns.

    A stand-in is put where ``import`` looks first, as `os` does for ``os.path``. So an old name needs no file.

    Parameters
    ----------
    package : str
        Name of the package in which they were.
    places : mapping of str to str
        As in `moved`, which the package's ``__getattr__`` calls with it; places of other names are passed over.

    Examples
    --------
    >>> moved_modules("meganet", {"oldmath": "math"})
    >>> with warnings.catch_warnings(action="ignore"):
    ...     from meganet.oldmath import sqrt
    >>> sqrt(4)
    2.0
    """
    for name, place in places.items():
        if ":" not in place:
            old = f"{package}.{name}"
            sys.modules[old] = stand_in = ModuleType(old, f"Now `{place}`.")
            stand_in.__dict__["__getattr__"] = _names_of(old, place)


def _names_of(old: str, place: str) -> Callable[[str], Any]:
    def names(name: str) -> Any:
        # what tools look for in every module there is, such as __file__, is not asked of the new one
        return moved(old, {} if name.startswith("_") else {name: f"{place}:{name}"}, name)

    return names


def renamed(old: str, function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """Return what is left under the old name of a function or method: its calls warn.

    Examples
    --------
    >>> from math import sqrt
    >>> squareroot = renamed("squareroot", sqrt)
    >>> with warnings.catch_warnings(action="ignore"):
    ...     squareroot(4)
    2.0
    """

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Value:
        warnings.warn(f"{old} is now {function.__qualname__}", DeprecationWarning, stacklevel=2)
        return function(*args, **kwargs)

    # the reference lists what is documented
    call.__doc__ = None
    return call


def renamed_methods(kind: type, names: Mapping[str, str]) -> None:
    """Let a class have methods by their old names as well; a class that defines one by its old name warns.

    It is called for the base class, and from its ``__init_subclass__`` for each class made from it. Both names are then
    the same method of that very class, so that ``super()`` finds the one it would have found. A class that is mixed in
    and is not made from the base class counts as well: the name that stands first in the method resolution order holds.

    Parameters
    ----------
    kind : type
    names : mapping of str to str
        For each old name the new one.

    Examples
    --------
    >>> class Base:
    ...     def __init_subclass__(cls):
    ...         renamed_methods(cls, {"_run": "run"})
    >>> with warnings.catch_warnings(action="ignore"):
    ...     class Own(Base):
    ...         def _run(self):
    ...             return "own"
    >>> Own().run()
    'own'
    """
    order = kind.__mro__
    for old, new in names.items():
        first_old, first_new = (_first_with(name, order) for name in (old, new))
        if first_new < first_old:
            method = vars(order[first_new])[new]
            if not getattr(method, "__isabstractmethod__", False):
                setattr(kind, old, method)
        elif first_old < first_new:
            text = f"{order[first_old].__qualname__}.{old} is now called {new}"
            warnings.warn(text, DeprecationWarning, stacklevel=_level_of_class_statement())
            setattr(kind, new, vars(order[first_old])[old])


def _first_with(name: str, order: tuple[type, ...]) -> int:
    return next((k for k, kind in enumerate(order) if name in vars(kind)), len(order))


def _level_of_class_statement() -> int:
    """Return where it stands on the stack, counted from the calling function, behind all hooks and metaclasses."""
    frame, level = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_code.co_name in ("__init_subclass__", "__new__"):
        frame, level = frame.f_back, level + 1
    return level
