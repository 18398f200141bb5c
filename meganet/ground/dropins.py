"""Drop-in files: a file in a package's folder registers what it holds by name, and nothing else has to know of it.

They are read, not imported: help and completion list the names without the numerical libraries.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
"""What can be typed on a command line, and be part of a file's name anywhere."""
PLAIN = "at most 80 letters, digits, '.', '_', '+', '-', the first a letter or digit"
"""The same in words."""


def titles(package: str) -> dict[str, str]:
    """Return what the files of a package register: names, each with one line on it.

    A file ``*.py`` whose name does not begin with ``_`` registers by a literal ``TITLES = {"name": "one line", ...}``
    at its top level; a file without one registers nothing.

    Parameters
    ----------
    package : str
        Its dotted name, such as ``"meganet.datasets.sets"``; it is not imported.

    Returns
    -------
    dict
        In the order of the files, and in each file as it is written. Files are ordered by a literal ``ORDER = 10`` in
        them, those that have none being last, then by their names.

    Raises
    ------
    InputError
        If a file is no Python, TITLES something else than a literal of one-line texts by name, a name nothing that a
        file can be called by, ORDER no number, or a name is registered twice.

    Examples
    --------
    >>> from meganet.ground.dropins import titles
    >>> titles("meganet.datasets.sets")["mnist"]
    '70,000 handwritten digits'
    """
    return {name: title for name, (title, _) in _registered(_folders(package)).items()}


def module_of(package: str, name: str) -> ModuleType:
    """Return the module of the file that registers a name, imported.

    Raises
    ------
    InputError
        If no file registers it; the message lists the names, and says which may be meant. An `InputError` that comes
        up while the file is run begins with its path.

    Examples
    --------
    >>> from meganet.ground.dropins import module_of
    >>> module_of("meganet.datasets.sets", "mnist").SET.shape
    (1, 28, 28)
    """
    from meganet.ground.validate import choice, within

    found = _registered(_folders(package))
    path = found[choice("name", name, found)][1]
    with within(str(path)):
        return import_module(f"{package}.{path.stem}")


def value_of(package: str, name: str, table: str, expected: str, fits: Callable[[Any], bool]) -> Any:
    """Return what the file that registers a name has for it in a dict.

    Parameters
    ----------
    package, name : str
    table : str
        What the dict is called in the file.
    expected : str
        What it should have for the name, in words.
    fits : callable
        Whether a value is that.

    Raises
    ------
    InputError
        If no file registers the name, or the one that does has something else for it.

    Examples
    --------
    >>> from meganet.ground.dropins import value_of
    >>> value_of("meganet.experiments.models", "A", "NETWORKS", "a function", callable).__name__
    'net_a'
    """
    module = module_of(package, name)
    values = getattr(module, table, None)
    found = values.get(name) if isinstance(values, Mapping) else None
    if not fits(found):
        _refuse(Path(str(module.__file__)), f"{table}, a dict with {expected} for {name!r}", repr(found))
    return found


def _folders(package: str) -> tuple[str, ...]:
    """Return where the modules of a package lie; nothing is imported."""
    folders, parts = None, package.split(".")
    for k in range(len(parts)):
        name = ".".join(parts[: k + 1])
        spec = None if name in sys.modules else PathFinder.find_spec(name, folders)
        found = spec.submodule_search_locations if spec else getattr(sys.modules.get(name), "__path__", None)
        if found is None:
            raise ModuleNotFoundError(f"No package named {package!r}", name=package)
        folders = [*found]
    return tuple(folders or ())


@cache
def _registered(folders: tuple[str, ...]) -> dict[str, tuple[str, Path]]:
    """Return the names, each with the line on it and its file."""
    found: dict[str, tuple[str, Path]] = {}
    for _, path, texts in sorted(_read(path) for folder in folders for path in Path(folder).glob("[!_]*.py")):
        for name, title in texts:
            if name in found:
                _refuse(path, f"names that no other file registers, {found[name][1]} neither", repr(name))
            found[name] = title, path
    return found


def _read(path: Path) -> tuple[float, Path, list[tuple[str, str]]]:
    """Return order, path, and what the file registers."""
    values = _literals(path, ("TITLES", "ORDER"))
    texts, order = values.get("TITLES", {}), values.get("ORDER", math.inf)
    if not isinstance(texts, dict) or not all(map(_is_line, [*texts, *texts.values()])):
        _refuse(path, "TITLES as a dict of names and a line on each", repr(texts))
    for name in texts:
        # of files that are made of it too
        if not is_name(name):
            _refuse(path, f"names of {PLAIN}", repr(name))
    if texts and "." in path.stem:
        _refuse(path, "a file that can be imported, without another '.' in its name", repr(path.name))
    if isinstance(order, bool) or not isinstance(order, (int, float)):
        _refuse(path, "ORDER as a number", repr(order))
    return order, path, [*texts.items()]


def _literals(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what a file assigns to some names at its top level."""
    found = {}
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        _refuse(path, "a file of Python", f"{type(error).__name__}: {error}")
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id in names:
                try:
                    found[target.id] = ast.literal_eval(node.value)
                except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                    expected = f"{target.id} as a literal, since the file is read without being run"
                    _refuse(path, expected, ast.unparse(node.value))
    return found


def is_name(text: Any) -> bool:
    """Whether a text can be the name of something that files are called by.

    Examples
    --------
    >>> from meganet.ground.dropins import is_name
    >>> [is_name(text) for text in ("table-4.1", "a/b", "two words", ".hidden", "")]
    [True, False, False, False, False]
    """
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def _is_line(text: Any) -> bool:
    return isinstance(text, str) and text.isprintable() and bool(text.strip())


def _refuse(path: Path, expected: str, got: str) -> NoReturn:
    # the numerical libraries take their time, and as a rule nothing is wrong
    from meganet.ground.validate import reject_file

    reject_file(path, expected, got)
