"""Names that have moved or been renamed: the old ones keep working and warn."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


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


def moved_module(old: str, new: str) -> None:
    """Let the module `new` be imported under the name `old` as well: its names come with a `DeprecationWarning`.

    A stand-in is put where ``import`` looks first, as `os` does for ``os.path``. So the old name needs no file.

    Examples
    --------
    >>> moved_module("meganet.oldmath", "math")
    >>> with warnings.catch_warnings(action="ignore"):
    ...     from meganet.oldmath import sqrt
    >>> sqrt(4)
    2.0
    """

    def names(name: str) -> Any:
        # what tools look for in every module there is, such as __file__, is not asked of the new one
        return moved(old, {} if name.startswith("_") else {name: f"{new}:{name}"}, name)

    stand_in = ModuleType(old, f"Now `{new}`.")
    stand_in.__dict__["__getattr__"] = names
    sys.modules[old] = stand_in
