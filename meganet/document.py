"""A document of headings, paragraphs, tables and pictures, as Markdown, as a page of HTML and as text of some width."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from meganet._page import Page


@dataclass(frozen=True)
class Heading:
    """A heading of level 1, the title, or below."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `code` sets it as it is typed on a command line."""

    text: str
    code: bool = False


@dataclass(frozen=True)
class Note:
    """A remark about what follows, set apart so that it is not overlooked."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A table; its first row names the columns, and the first `keys` columns say what a row is about."""

    rows: Sequence[Sequence[str]]
    keys: int = 1
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture: the path that the Markdown names it by, and the PNG or SVG that the page of HTML holds.

    `description` says what is seen, for those who do not see it; `inches` is its width where there is room for it.
    """

    path: str
    content: bytes
    caption: str
    description: str = ""
    inches: float | None = None


Block = Heading | Paragraph | Note | Grid | Picture


@dataclass
class Document:
    """Blocks one below the other."""

    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Append some blocks."""
        self.blocks.extend(blocks)

    def to_markdown(self) -> str:
        """Return the document as Markdown; pictures are files beside it."""
        return "\n\n".join(map(_markdown, self.blocks)) + "\n"

    def to_text(self, width: int | None = None) -> str:
        """Return the document for a terminal, by default the one that there is; pictures are left out."""
        width = terminal_width() if width is None else width
        return "\n\n".join(_text(block, width) for block in self.blocks if not isinstance(block, Picture)) + "\n"

    def to_html(self) -> str:
        """Return the document as one page with everything in it, see `_page.Page`."""
        page = Page()
        for block in self.blocks:
            _on_page(block, page)
        return page.html()


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown; its first row names the columns."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def terminal_width() -> int:
    """Return the columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def text_table(rows: Sequence[Sequence[str]], width: int, keys: int = 1) -> str:
    """Return a table as aligned text; one that is too wide in blocks, each with the first `keys` columns.

    Only a block of a single column may be wider than `width`.
    """
    sizes = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    blocks = _blocks(sizes, keys, width)
    # as few blocks as possible, of about the same width
    even = next(fit for fit in range(width + 1) if fit == width or len(_blocks(sizes, keys, fit)) == len(blocks))
    texts = []
    for block in _blocks(sizes, keys, even):
        lines = ["  ".join(f"{row[k]:<{sizes[k]}}" for k in block).rstrip() for row in rows]
        texts.append("\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]]))
    return "\n\n".join(texts)


def _blocks(sizes: Sequence[int], keys: int, width: int) -> list[list[int]]:
    """Return the numbers of the columns of each block."""
    start = list(range(keys))
    blocks = [start.copy()]
    for column in range(keys, len(sizes)):
        needed = sum(sizes[k] + 2 for k in blocks[-1]) + sizes[column]
        if needed > width and len(blocks[-1]) > keys:
            blocks.append(start.copy())
        blocks[-1].append(column)
    return blocks


def _text(block: Block, width: int) -> str:
    if isinstance(block, Grid):
        table = text_table(block.rows, width, block.keys)
        return f"{_text(Paragraph(block.caption), width)}\n\n{table}" if block.caption else table
    text = block.text if isinstance(block, Heading | Paragraph | Note) else ""
    if isinstance(block, Paragraph) and block.code:
        return f"  {text}"
    return textwrap.fill(text, max(width, 20), break_long_words=False, break_on_hyphens=False)


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
