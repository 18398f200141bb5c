"""The settings of a protocol as a user chooses between them, out of what `Protocol` itself says of each."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import get_type_hints

from meganet.experiments.protocol import PRESETS, Protocol

ENTRY = re.compile(r"^(\w+) : (.*)\n    (.+)\.$", re.MULTILINE)
"""Of an attribute in a docstring: its name, its type, and the line that says what it is."""


@dataclass(frozen=True)
class Setting:
    """A setting that ``--set`` changes.

    Attributes
    ----------
    name : str
    kind : str
        "int", "float" or "str".
    choices : tuple of str
        The values that it may have; none if there are too many to name.
    default : str
        Its value in the preset small; behind a slash that in the preset thesis, if it is another one.
    meaning : str
        What it is, in one line.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    default: str
    meaning: str


def described() -> list[Setting]:
    """Return all settings, in the order in which `Protocol` has them."""
    kinds = get_type_hints(Protocol)
    # there are no docstrings in Python's mode -OO
    entries = {name: (kind, meaning) for name, kind, meaning in ENTRY.findall(inspect.getdoc(Protocol) or "")}
    found = []
    for field in dataclasses.fields(Protocol):
        kind, meaning = entries.get(field.name, ("", ""))
        values = [PRESETS[preset].get(field.name, field.default) for preset in ("small", "thesis")]
        default = "/".join(dict.fromkeys(map(str, values)))
        found.append(Setting(field.name, kinds[field.name].__name__, _quoted(kind), default, meaning))
    return found


def _quoted(kind: str) -> tuple[str, ...]:
    """Return the choices in a type as numpydoc has it: ``{"a", "b"}``."""
    return tuple(re.findall(r'"(\w+)"', kind))
