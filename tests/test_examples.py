"""Every public class and function shows its use by an example, which runs with the tests."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import meganet
from meganet import experiments

PACKAGE = Path(meganet.__file__).parent

COVERED = (
    "backend/active.py",
    "backend/base.py",
    "backend/copies.py",
    "backend/layout.py",
    "backend/processor.py",
    "backend/products.py",
    "backend/streams.py",
    "checks",
    "datasets",
    "document/document.py",
    "experiments/report/figure.py",
    "experiments/report/page.py",
    "experiments/setup/settings.py",
    "interop",
    "layers",
    "linop",
    "losses.py",
    "model",
    "multigrid",
    "multilevel",
    "networks",
    "objective",
    "optim",
    "plotting",
    "regularizers.py",
    "stencils.py",
)
"""Rooms and modules in which no example is missing."""

HEADING = "Examples\n--------\n"


def files(room: str) -> Iterator[Path]:
    """Yield the public modules of a room, or the one module."""
    place = PACKAGE / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        if not is_private(path.relative_to(PACKAGE).with_suffix("").parts):
            yield path


def is_private(names: Sequence[str]) -> bool:
    return any(name.startswith("_") and name != "__init__" for name in names)


def without_example(source: str) -> list[str]:
    """Return the public classes and functions of a module whose docstring has no example that runs.

    What a module shows of private ones counts as its own.
    """
    tree = ast.parse(source)
    missing = [name for name, docstring in described(tree) if not shows_use(docstring)]
    for node in tree.body:
        shown = {alias.name for alias in node.names} & exported(tree) if isinstance(node, ast.ImportFrom) else set()
        place = node.module.split(".") if shown else []
        if is_private(place):
            source = PACKAGE.joinpath(*place[1:]).with_suffix(".py").read_text()
            found = described(ast.parse(source))
            missing += [name for name, docstring in found if name in shown and not shows_use(docstring)]
    return missing


def described(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the public classes and functions with their docstrings."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            yield node.name, ast.get_docstring(node) or ""


def exported(tree: ast.Module) -> set[str]:
    """Return the names in ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def shows_use(docstring: str) -> bool:
    return ">>> " in docstring.partition(HEADING)[2]


@pytest.mark.parametrize("room", COVERED)
def test_public_classes_and_functions_have_examples(room):
    modules = list(files(room))
    assert modules, f"{room} has no public module"
    missing = [f"{path.relative_to(PACKAGE)}: {name}" for path in modules for name in without_example(path.read_text())]
    assert not missing, "no example for " + ", ".join(missing)


def test_what_experiments_exports_has_examples():
    missing = [name for name in experiments.__all__ if not shows_use(inspect.getdoc(getattr(experiments, name)) or "")]
    assert missing == ["PRESETS"]


def test_a_missing_example_is_seen():
    shown = f'def shown():\n    """Return.\n\n    {HEADING.replace(chr(10), chr(10) + "    ")}>>> 1\n    1\n    """\n'
    assert without_example(shown) == []
    assert without_example(shown.replace(">>> 1", "nothing")) == ["shown"]
    assert without_example('class Bare:\n    """A class."""\n\ndef _hidden(): ...\n') == ["Bare"]
    text = 'from meganet.linop._alike import alike\n__all__ = ["alike"]\n'
    assert without_example(text) == ["alike"]
