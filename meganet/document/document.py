"""A document of headings, paragraphs, tables and pictures, as Markdown, as a page of HTML and as text of some width."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from meganet.document.page import Page
from meganet.document.text import Screen


@dataclass(frozen=True)
class Heading:
    """A heading of level 1, the title, or below.

    Examples
    --------
    >>> from meganet.document import Document, Heading
    >>> print(Document([Heading("Results", level=1)]).to_markdown(), end="")
    # Results
    """

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `code` sets it as it is typed on a command line.

    Examples
    --------
    >>> from meganet.document import Document, Paragraph
    >>> print(Document([Paragraph("Once more:"), Paragraph("meganet --version", code=True)]).to_markdown(), end="")
    Once more:
    <BLANKLINE>
    ```sh
    meganet --version
    ```
    """

    text: str
    code: bool = False


@dataclass(frozen=True)
class Note:
    """A remark about what follows, set apart so that it is not overlooked.

    Examples
    --------
    >>> from meganet.document import Document, Note
    >>> print(Document([Note("One run only.")]).to_markdown(), end="")
    > One run only.
    """

    text: str


@dataclass(frozen=True)
class Grid:
    """A table; its first row names the columns, and the first `keys` columns say what a row is about.

    Examples
    --------
    >>> from meganet.document import Document, Grid
    >>> table = Grid([["grid", "accuracy"], ["14 x 14", "97.1 %"], ["28 x 28", "98.4 %"]])
    >>> print(Document([table]).to_text(width=40), end="")
    grid     accuracy
    -----------------
    14 x 14  97.1 %
    28 x 28  98.4 %
    """

    rows: Sequence[Sequence[str]]
    keys: int = 1
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture: the path that the Markdown names it by, and the PNG or SVG that the page of HTML holds.

    `description` says what is seen, for those who do not see it; `inches` is its width where there is room for it.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.document import Document, Picture
    >>> from meganet.plotting import to_svg
    >>> picture = Picture("loss.svg", to_svg(Figure()), "Loss of every epoch", "A line that falls")
    >>> print(Document([picture]).to_markdown(), end="")
    ![Loss of every epoch](loss.svg)
    >>> "data:image/svg+xml" in Document([picture]).to_html()
    True
    """

    path: str
    content: bytes
    caption: str
    description: str = ""
    inches: float | None = None


Block = Heading | Paragraph | Note | Grid | Picture


@dataclass
class Document:
    """Blocks one below the other.

    Examples
    --------
    >>> from meganet.document import Document, Grid, Heading, Paragraph
    >>> document = Document([Heading("Results", level=1)])
    >>> document.add(Paragraph("Accuracies:"), Grid([["run", "accuracy"], ["new", "98.4 %"]]))
    >>> print(document.to_markdown(), end="")
    # Results
    <BLANKLINE>
    Accuracies:
    <BLANKLINE>
    | run | accuracy |
    |---|---|
    | new | 98.4 % |
    >>> "<h1>Results</h1>" in document.to_html()
    True
    """

    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Append some blocks."""
        self.blocks.extend(blocks)

    def to_markdown(self) -> str:
        """Return the document as Markdown; pictures are files beside it."""
        return "\n\n".join(map(_markdown, self.blocks)) + "\n"

    def to_text(self, width: int | None = None) -> str:
        """Return the document as plain text of some width, or for standard output as it is, see `text.Screen`.

        Pictures are left out.
        """
        screen = Screen(width)
        return "\n\n".join(_text(block, screen) for block in self.blocks if not isinstance(block, Picture)) + "\n"

    def to_html(self) -> str:
        """Return the document as one page with everything in it, see `page.Page`."""
        page = Page()
        for block in self.blocks:
            _on_page(block, page)
        return page.html()


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return a table of texts and numbers as CSV, the first row naming the columns; every float reads back exactly.

    Examples
    --------
    >>> from meganet.document import csv_text
    >>> print(csv_text([("net", "gap", "thesis"), ("A", 1 / 3, None)]), end="")
    net,gap,thesis
    A,0.3333333333333333,
    """
    text = io.StringIO()
    # the writer gives floats by their repr, and nothing for None
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown; its first row names the columns.

    Examples
    --------
    >>> from meganet.document import markdown_table
    >>> print(markdown_table([["run", "accuracy"], ["new", "98.4 %"]]))
    | run | accuracy |
    |---|---|
    | new | 98.4 % |
    """
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _text(block: Heading | Paragraph | Note | Grid, screen: Screen) -> str:
    if isinstance(block, Grid):
        table = screen.table(block.rows, block.keys)
        return f"{screen.paragraph(block.caption)}\n\n{table}" if block.caption else table
    if isinstance(block, Heading):
        return screen.heading(block.text)
    return screen.code(block.text) if isinstance(block, Paragraph) and block.code else screen.paragraph(block.text)


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return "#" * block.level + " " + block.text
    if isinstance(block, Grid):
        table = markdown_table(block.rows)
        return f"{block.caption}\n\n{table}" if block.caption else table
    if isinstance(block, Picture):
        return f"![{block.caption}]({block.path})"
    if isinstance(block, Note):
        return f"> {block.text}"
    return f"```sh\n{block.text}\n```" if block.code else block.text


def _on_page(block: Block, page: Page) -> None:
    if isinstance(block, Heading):
        page.heading(block.text, block.level)
    elif isinstance(block, Note):
        page.note(block.text)
    elif isinstance(block, Grid):
        page.table(block.rows, block.keys, block.caption)
    elif isinstance(block, Picture):
        page.picture(block.content, block.caption, block.description, block.inches)
    elif block.code:
        page.code(block.text)
    else:
        page.paragraph(block.text)
