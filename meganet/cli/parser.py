"""How a command line is read: nothing is abbreviated, errors are one line with what may be meant, help has tables."""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

NARROWEST = 20
"""Columns for the last cell of a row, at least."""
NUMBER = re.compile(r"-\.?\d")
"""What begins with a dash and is no option."""
Rows = Iterable[Sequence[str]]


class Parser(argparse.ArgumentParser):
    """A parser of the command, or of one of its parts.

    Attributes
    ----------
    commands : dict of str to Parser
        Its parts.
    tables : list of tuple
        Title of each table that its help ends with, and a function that returns the rows: those that need the numerical
        libraries are made only if they are shown.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "formatter_class": _Formatter, **options})
        self.commands: dict[str, Parser] = {}
        self.tables: list[tuple[str, Callable[[], Rows]]] = []

    def format_help(self) -> str:
        """Return the help, as wide as the terminal, or 80 columns where there is none."""
        tables = (f"{title}:\n{columns(rows())}\n" for title, rows in self.tables)
        return "\n".join([super().format_help(), *tables])

    def error(self, message: str) -> NoReturn:
        """End the program with one readable line."""
        line = message.removeprefix("argument ").replace(": invalid int value: ", ": expected an integer, got ")
        line = line.replace("\n", "\\n")
        self.exit(2, f"meganet: error: {line} (see '{self.prog} --help')\n")

    def check_options(self, words: Sequence[str]) -> None:
        """Refuse options that are not known before anything is parsed: what follows one may be taken for anything."""
        known = [option for action in self._actions for option in action.option_strings]
        for number, word in enumerate(words):
            if word in self.commands:
                self.commands[word].check_options(words[number + 1 :])
            if word == "--" or (self.commands and not word.startswith("-")):
                # the rest is no option, or another parser's
                break
            # a text with spaces is taken for a value, and several short options may stand in one word
            if word.startswith("-") and len(word) > 1 and " " not in word and not NUMBER.match(word):
                name = word.partition("=")[0]
                if name not in known and (word.startswith("--") or word[:2] not in known):
                    self._one_of("option", name, [option for option in known if option.startswith("--")])

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words; names may stand on both sides of an option, while argparse takes a list of them in one piece."""
        return super().parse_known_args(args if args is None or self.commands else self._sorted(args), namespace)

    def _sorted(self, words: Sequence[str]) -> list[str]:
        """Return the options and then the names among words, each in their order."""
        options: list[str] = []
        names: list[str] = []
        rest = iter(words)
        for word in rest:
            action = self._option_string_actions.get(word)
            takes_value = action is not None and action.nargs is None
            value = [*itertools.islice(rest, takes_value)]
            if word == "--" or len(value) < takes_value:
                # nothing is an option behind it, or its value is missing
                names += [word, *rest]
            elif word.startswith("-"):
                options += [word, *value]
            else:
                names.append(word)
        return options + names

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is none of the choices, as everything else is refused; argparse asks here."""
        # where any number may be given, argparse asks about none at all
        if action.choices is not None and value != [] and value not in action.choices:
            name = "command" if self.commands else next(reversed(action.option_strings), action.dest)
            self._one_of(name, value, action.choices)

    def _one_of(self, argument: str, value: str, choices: Iterable[str]) -> None:
        # takes its time, and nothing is wrong as a rule
        from meganet.ground.validate import InputError, choice

        try:
            choice(argument, value, choices)
        except InputError as error:
            self.error(str(error))


class _Formatter(argparse.HelpFormatter):
    """Leaves the commands to the table of them, and paths in one piece."""

    def add_argument(self, action: argparse.Action) -> None:
        if action.nargs != argparse.PARSER:
            super().add_argument(action)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def columns(rows: Rows) -> str:
    """Return rows as lines, their cells one below the other; only the last one is wrapped, at the terminal's width."""
    table = [*rows]
    sizes = [max(map(len, column)) + 2 for column in zip(*(row[:-1] for row in table), strict=True)]
    start = 2 + sum(sizes)
    room = max(shutil.get_terminal_size().columns - start, NARROWEST)
    lines = []
    for *cells, last in table:
        head = "  " + "".join(cell.ljust(size) for cell, size in zip(cells, sizes, strict=True))
        first, *others = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [(head + first).rstrip(), *(" " * start + other for other in others)]
    return "\n".join(lines)
