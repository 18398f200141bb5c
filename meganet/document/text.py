"""Headings, paragraphs and tables as text of some width; rich draws the tables."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

UNLIMITED = 10**6
GAP = 2
"""Spaces between two columns."""
RULED = "    \n    \n -- \n    \n    \n    \n    \n    \n"
"""A table without lines but one below the names of its columns, as `rich.box` describes it."""
NARROWEST = 20
"""Columns of a paragraph, at least."""
NUMBER = re.compile(r"[-+]?(\d+\.?\d*(e[-+]?\d+)?|nan|inf)")
GLUE = "\N{NO-BREAK SPACE}"
SPREAD, GLUED = re.compile(r"(±|\+/-) "), rf"\1{GLUE}"
"""What is never parted: a sign and the number that it belongs to."""


def terminal_width() -> int:
    """Return the columns of the terminal that standard output is, or of ``COLUMNS``; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


class Screen:
    """What text is written for.

    Parameters
    ----------
    width : int, optional
        Plain text of this width. If not given, text for standard output as it is: as wide as its terminal, titles in
        bold where that can show it, in characters that its encoding has.
    """

    def __init__(self, width: int | None = None) -> None:
        # takes its time, and few commands have tables to show
        from rich.console import Console

        plain = width is not None
        self.width = terminal_width() if width is None else width
        self._encoding = "utf-8" if plain else getattr(sys.stdout, "encoding", None) or "utf-8"
        self._console: Console = Console(
            # lines are broken here, and nowhere else
            width=UNLIMITED,
            height=1,
            force_terminal=False if plain else None,
            color_system=None if plain else "auto",
            highlight=False,
            markup=False,
            emoji=False,
        )

    def heading(self, text: str) -> str:
        """Return a line, or several, that stand out."""
        return self._drawn("\n".join(_wrapped(self._known(text), self.width)), "bold")

    def paragraph(self, text: str) -> str:
        """Return wrapped text."""
        return "\n".join(_wrapped(self._known(text), max(self.width, NARROWEST)))

    def code(self, text: str) -> str:
        """Return a command line in one piece, so that it can be copied."""
        return f"  {self._known(text)}"

    def table(self, rows: Sequence[Sequence[str]], keys: int = 1) -> str:
        """Return a table, whose first row names the columns.

        Cells are wrapped between words where the table is too wide, never inside a number. If that is not enough, it
        comes in blocks, each with the first `keys` columns; only a block of a single column may be wider than the
        screen.
        """
        cells = [[self._known(cell) for cell in row] for row in rows]
        columns = list(zip(*cells, strict=True))
        least = [max(map(_longest_word, column)) for column in columns]
        blocks = _blocks(least, keys, self.width)
        # as few blocks as possible, of about the same width
        even = next(w for w in range(self.width + 1) if w == self.width or len(_blocks(least, keys, w)) == len(blocks))
        parts = [[columns[k] for k in block] for block in _blocks(least, keys, even)]
        return "\n\n".join(map(self._table, parts))

    def _table(self, columns: Sequence[Sequence[str]]) -> str:
        from rich import box
        from rich.table import Table

        widths = _widths(columns, self.width)
        wrapped = [[_wrapped(cell, size) for cell in column] for column, size in zip(columns, widths, strict=True)]
        console = self._console
        lines_drawn = console.is_terminal and not console.options.ascii_only
        table = Table(
            box=box.SIMPLE_HEAD if lines_drawn else box.Box(RULED, ascii=True),
            show_edge=False,
            pad_edge=False,
            padding=(0, GAP - 1, 0, 0),
            header_style="bold",
            # rows of several lines need something between them
            leading=int(any(len(lines) > 1 for column in wrapped for lines in column[1:])),
        )
        for column, (head, *_), size in zip(columns, wrapped, widths, strict=True):
            numbers = all(map(NUMBER.fullmatch, column[1:]))
            table.add_column("\n".join(head), width=size, justify="right" if numbers else "left")
        for row in zip(*(column[1:] for column in wrapped), strict=True):
            table.add_row(*map("\n".join, row))
        return self._drawn(table)

    def _drawn(self, what: RenderableType, style: str | None = None) -> str:
        with self._console.capture() as drawn:
            self._console.print(what, style=style)
        return "\n".join(line.rstrip() for line in drawn.get().splitlines())

    def _known(self, text: str) -> str:
        """Return text in characters that there are, before anything is measured."""
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            text = text.replace("±", "+/-").encode(self._encoding, "backslashreplace").decode(self._encoding)
        return text


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text; a word that is longer than a line stays whole."""
    lines = textwrap.wrap(SPREAD.sub(GLUED, text), width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(GLUE, " ") for line in lines] or [""]


def _longest_word(text: str) -> int:
    return max(map(len, _wrapped(text, 1)))


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the widths of columns side by side: the widest ones give way first, none below its longest word."""
    least = [max(map(_longest_word, column)) for column in columns]
    wanted = [max(map(len, column)) for column in columns]
    room = max(width - GAP * (len(columns) - 1), sum(least))

    def below(limit: int) -> list[int]:
        return [min(most, max(fewest, limit)) for fewest, most in zip(least, wanted, strict=True)]

    return below(next(limit for limit in range(max(wanted), -1, -1) if sum(below(limit)) <= room))


def _blocks(sizes: Sequence[int], keys: int, width: int) -> list[list[int]]:
    """Return the numbers of the columns of each block."""
    start = list(range(keys))
    blocks = [start.copy()]
    for column in range(keys, len(sizes)):
        needed = sum(sizes[k] + GAP for k in blocks[-1]) + sizes[column]
        if needed > width and len(blocks[-1]) > keys:
            blocks.append(start.copy())
        blocks[-1].append(column)
    return blocks
