"""Headings, paragraphs, tables and pictures as one page of HTML that loads nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

LONG = 40
"""Cells with more characters are wrapped."""


class Page:
    """A page: every method adds what it is given below the rest."""

    def __init__(self) -> None:
        self._title = ""
        self._body: list[str] = []
        self._entries: list[tuple[int, str, str]] = []
        self._anchors: set[str] = set()

    def heading(self, text: str, level: int) -> None:
        """Add a heading; one of level 1 is the page's title, the others stand in its contents."""
        if level == 1 and not self._title:
            self._title = text
            return
        anchor = self._anchor(text)
        self._entries.append((level, text, anchor))
        self._body.append(f'<h{level} id="{anchor}">{escape(text)}</h{level}>')

    def paragraph(self, text: str) -> None:
        """Add plain text."""
        self._body.append(f"<p>{escape(text)}</p>")

    def code(self, text: str) -> None:
        """Add text as it is typed on a command line."""
        self._body.append(f'<pre class="scroll" tabindex="0"><code>{escape(text)}</code></pre>')

    def note(self, text: str) -> None:
        """Add a remark that is not to be overlooked."""
        self._body.append(f'<p class="note" role="note">{escape(text)}</p>')

    def table(self, rows: Sequence[Sequence[str]], keys: int = 1, caption: str = "") -> None:
        """Add a table, whose first row and whose first `keys` columns are headers; a wide one can be scrolled."""
        top = label = ""
        if caption:
            anchor = self._anchor(caption)
            top = f'<caption id="{anchor}"><span>{escape(caption)}</span></caption>'
            label = f' role="group" aria-labelledby="{anchor}"'
        self._body.append(f'<div class="scroll" tabindex="0"{label}>{table_of(rows, keys, top)}</div>')

    def picture(self, content: bytes, caption: str, description: str = "", inches: float | None = None) -> None:
        """Add a PNG or SVG that is so wide where there is room for it; `description` is for those who do not see it."""
        kind = "png" if content.startswith(b"\x89PNG") else "svg+xml"
        width = "" if inches is None else f' width="{round(96 * inches)}"'
        source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        image = f'<img alt="{escape(description or caption)}"{width} src="{source}">'
        box = f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}">{image}</div>'
        self._body.append(f"<figure>{box}<figcaption>{escape(caption)}</figcaption></figure>")

    def html(self) -> str:
        """Return the page with its contents and its style."""
        title = escape(self._title)
        style = resources.files("meganet.document").joinpath("page.css").read_text(encoding="utf-8")
        head = [
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title>",
            f"<style>\n{style}</style>",
        ]
        body = [
            *([f"<header><h1>{title}</h1></header>"] if title else []),
            *([f'<nav aria-label="Contents"><p>Contents</p>{_contents(self._entries)}</nav>'] if self._entries else []),
            "<main>",
            *self._body,
            "</main>",
        ]
        parts = ['<!doctype html>\n<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body>\n</html>\n"]
        return "\n".join(parts)

    def _anchor(self, text: str) -> str:
        """Return a name that nothing else on the page has: "table-4.1"."""
        slug = re.sub(r"[^\w.]+", "-", text.split(":")[0].lower()).strip("-.") or "part"
        names = (slug, *(f"{slug}-{k}" for k in range(2, len(self._anchors) + 3)))
        anchor = next(name for name in names if name not in self._anchors)
        self._anchors.add(anchor)
        return anchor


def table_of(rows: Sequence[Sequence[str]], keys: int = 1, caption: str = "") -> str:
    """Return a table, whose first row and whose first `keys` columns are headers; `caption` is HTML."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = "\n".join(f"<tr>{_cells(row, keys)}</tr>" for row in rows[1:])
    return f"<table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cells(row: Sequence[str], keys: int) -> str:
    names = [f'<th scope="row">{escape(cell)}</th>' for cell in row[:keys]]
    values = [f"<td{' class=long' if len(cell) > LONG else ''}>{escape(cell)}</td>" for cell in row[keys:]]
    return "".join(names + values)


def _contents(entries: Iterable[tuple[int, str, str]]) -> str:
    """Return links to headings, lists inside lists."""
    parts: list[str] = []
    open_levels: list[int] = []
    for level, text, anchor in entries:
        while open_levels and open_levels[-1] > level:
            parts.append("</li></ul>")
            open_levels.pop()
        if open_levels and open_levels[-1] == level:
            parts.append("</li>")
        else:
            parts.append("<ul>")
            open_levels.append(level)
        parts.append(f'<li><a href="#{anchor}">{escape(text)}</a>')
    return "".join(parts) + "</li></ul>" * len(open_levels)
