"""A name that begins with ``_`` is the business of its file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import meganet

PACKAGE = Path(meganet.__file__).parent
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> set[str]:
    """Return the private names that a file gives to functions, classes, variables or attributes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            found.add(node.attr)
    return {name for name in found if is_private(name)} - NAMED_TUPLE


def is_own(value: ast.expr) -> bool:
    """Whether an object is the one that a method belongs to."""
    parent = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"
    return parent or (isinstance(value, ast.Name) and value.id in ("self", "cls"))


def foreign(tree: ast.AST, everywhere: set[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name where a file uses what only another file defines, of a module or of another object."""
    own = defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in everywhere - own and not is_own(node.value):
            # os._exit is a private name of nobody here
            if not (isinstance(node.value, ast.Name) and node.value.id == "os"):
                yield node.lineno, node.attr
        elif (
            isinstance(node, ast.ImportFrom) and node.module != "meganet" and (node.module or "").startswith("meganet")
        ):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in everywhere)


def test_no_file_uses_the_private_names_of_another():
    trees = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    everywhere = set().union(*map(defined, trees.values()))
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path, tree in trees.items()
        for line, name in foreign(tree, everywhere)
    ]
    assert not found, "\n".join(found)


def test_a_foreign_name_is_seen():
    source = "from meganet.linop import _hidden\n"
    source += "class A:\n    def _own(self, b):\n        return self._x + b._own() + b._x\n"
    assert list(foreign(ast.parse(source), {"_hidden", "_own", "_x"})) == [(1, "_hidden"), (4, "_x")]
