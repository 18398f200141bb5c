"""Every public class and function shows its use by an example, which runs with the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import meganet

PACKAGE = Path(meganet.__file__).parent

COVERED = (
    "checks",
    "document.py",
    "multigrid",
    "networks",
    "plotting/convergence.py",
    "plotting/history.py",
    "stencils.py",
)
"""Rooms and modules in which no example is missing."""

HEADING = "Examples\n--------\n"


def files(room: str) -> Iterator[Path]:
    """Yield the public modules of a room, or the one module."""
    place = PACKAGE / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        if not any(part.startswith("_") for part in path.relative_to(PACKAGE).parts):
            yield path


def without_example(source: str) -> list[str]:
    """Return the public classes and functions of a module whose docstring has no example that runs."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, kinds) and not node.name.startswith("_") and not shows_use(ast.get_docstring(node) or "")
    ]


def shows_use(docstring: str) -> bool:
    return ">>> " in docstring.partition(HEADING)[2]


@pytest.mark.parametrize("room", COVERED)
def test_public_classes_and_functions_have_examples(room):
    modules = list(files(room))
    assert modules, f"{room} has no public module"
    missing = [f"{path.relative_to(PACKAGE)}: {name}" for path in modules for name in without_example(path.read_text())]
    assert not missing, "no example for " + ", ".join(missing)


def test_a_missing_example_is_seen():
    shown = f'def shown():\n    """Return.\n\n    {HEADING.replace(chr(10), chr(10) + "    ")}>>> 1\n    1\n    """\n'
    assert without_example(shown) == []
    assert without_example(shown.replace(">>> 1", "nothing")) == ["shown"]
    assert without_example('class Bare:\n    """A class."""\n\ndef _hidden(): ...\n') == ["Bare"]
