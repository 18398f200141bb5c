"""A setting: its type, default, meaning, the source of the default and its bounds, said once, in the field itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from meganet.ground import validate

LARGEST_NUMBER = 10**9
"""Of examples, epochs, products, and of a batch."""
OURS = "our choice"
"""Source of a default on which the thesis is silent."""


@dataclass(frozen=True)
class Setting:
    """What is known of a setting beside its default.

    Attributes
    ----------
    meaning : str
        In one line, as the command line shows it.
    source : str
        Where the default is from.
    choices : iterable of str or callable
        The values that it may have, or a function that returns them; none if there are too many to name.
    above, minimum, largest : float, optional
        Bounds of a number.
    matters : str, optional
        Trait of the stages that it has an influence on, see `Stage.traits`; all if not given.
    """

    meaning: str
    source: str = OURS
    choices: Iterable[str] | Callable[[], Iterable[str]] = ()
    above: float | None = None
    minimum: float | None = None
    largest: float | None = None
    matters: str | None = None

    def allowed(self) -> tuple[str, ...]:
        """Return the values that it may have, none if there are too many to name."""
        return tuple(self.choices() if callable(self.choices) else self.choices)

    def checked(self, name: str, value: Any, default: Any) -> Any:
        """Return a value of the kind of the default; raise `InputError` if it is none."""
        if isinstance(default, str):
            return validate.choice(name, value, self.allowed())
        if isinstance(default, tuple):
            return _widths(name, value)
        if isinstance(default, int):
            number: float = validate.integer(name, value, minimum=1 if self.minimum is None else int(self.minimum))
            largest = LARGEST_NUMBER if self.largest is None else self.largest
        else:
            minimum = 0.0 if self.minimum is None and self.above is None else self.minimum
            number = validate.real(name, value, above=self.above, minimum=minimum)
            largest = math.inf if self.largest is None else self.largest
        if number > largest:
            kind = "an integer of " if isinstance(default, int) else ""
            validate.reject(name, f"{kind}at most {largest:.15g}", str(number))
        return number


def setting(default: Any, meaning: str, source: str = OURS, **known: Any) -> Any:
    """Return the field of a dataclass that is a setting; the arguments are those of `Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(meaning, source, **known)})


def setting_of(field: dataclasses.Field[Any]) -> Setting:
    """Return what is known of a field that `setting` made."""
    found: Setting = field.metadata["setting"]
    return found


class Section:
    """A dataclass of settings, which checks them and stores them as Python's own numbers."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = setting_of(field).checked(field.name, getattr(self, field.name), field.default)
            validate.store(self, **{field.name: value})


def parsed(name: str, text: str, default: Any) -> Any:
    """Return the value that a text, as on a command line, gives to a setting with such a default."""
    kinds = {int: "an integer", float: "a number", tuple: "widths of images, such as 7,14,28"}
    try:
        if isinstance(default, tuple):
            return tuple(int(part) for part in text.split(",")) if text else ()
        return type(default)(text)
    except ValueError:
        validate.reject(name, kinds[type(default)], repr(text))


def as_text(value: Any) -> str:
    """Return a value as `parsed` takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _widths(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list):
        validate.reject(name, "widths of images, such as (7, 14, 28)", validate.shown(value))
    found = tuple(validate.integer(name, width, minimum=1) for width in value)
    ratios = [(fine // coarse, fine % coarse) for coarse, fine in pairwise(found)]
    if any(rest or ratio < 2 or ratio & (ratio - 1) for ratio, rest in ratios):
        expected = "widths from coarse to fine, each 2, 4, 8, ... times the one before"
        validate.reject(name, expected, ",".join(map(str, found)))
    return found


def different(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not the same among the others."""
    return {name: value for name, value in values.items() if value != others[name]}
