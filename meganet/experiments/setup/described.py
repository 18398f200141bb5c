"""The settings as a user chooses between them, out of what each of them says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from meganet.experiments.setup.fields import as_text, setting_of
from meganet.experiments.setup.settings import FIELDS, PRESETS, SECTIONS


@dataclass(frozen=True)
class Described:
    """A setting that ``--set`` changes.

    Attributes
    ----------
    name, section : str
    kind : str
        "int", "float", "str", or "ints" for several.
    choices : tuple of str
        The values that it may have; none if there are too many to name.
    default : str
        Its value in the preset small; behind a slash that in the preset thesis, if it is another one.
    meaning : str
        What it is, in one line.
    source : str
        Where the default is from.
    """

    name: str
    section: str
    kind: str
    choices: tuple[str, ...]
    default: str
    meaning: str
    source: str


def described() -> list[Described]:
    """Return all settings, section by section."""
    found = []
    for name, field in FIELDS.items():
        setting = setting_of(field)
        values = [as_text(PRESETS[preset].get(name, field.default)) for preset in ("small", "thesis")]
        kind = "ints" if isinstance(field.default, tuple) else type(field.default).__name__
        choices, default = setting.allowed(), "/".join(dict.fromkeys(values))
        found.append(Described(name, SECTIONS[name], kind, choices, default, setting.meaning, setting.source))
    return found
