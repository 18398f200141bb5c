"""A document in Markdown, in HTML and as text."""

import base64
import io
import sys
from html.parser import HTMLParser

import pytest

from meganet.document import Document, Grid, Heading, Paragraph, Picture
from meganet.document.text import Screen


class Tags(HTMLParser):
    """Counts tags, remembers text and what is loaded."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.sources = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


PAGE = Document(
    [
        Heading("Results <1>", 1),
        Paragraph("a & b"),
        Paragraph("run --fast", code=True),
        Grid([("x", "y"), ("1", "<2>")]),
        Picture("figures/a.png", b"\x89PNG", "A picture"),
    ]
)


def test_markdown():
    text = PAGE.to_markdown()
    assert text.startswith("# Results <1>\n\na & b\n\n```sh\nrun --fast\n```\n\n| x | y |\n|---|---|\n| 1 | <2> |\n")
    assert "![A picture](figures/a.png)" in text


def test_html_holds_everything_and_loads_nothing():
    page = Tags(PAGE.to_html())
    assert {"h1", "p", "pre", "table", "img", "title"} <= set(page.tags) and page.tags.count("tr") == 2
    assert "a & b" in page.text and "<2>" in page.text and "Results <1>" in page.text
    (source,) = page.sources
    assert source == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def test_text_fits_the_width_and_leaves_pictures_out():
    text = PAGE.to_text(80)
    assert text == "Results <1>\n\na & b\n\n  run --fast\n\nx  y\n------\n1  <2>\n"
    long = Document([Paragraph("one two three four " * 9)]).to_text(40)
    assert all(len(line) <= 40 for line in long.splitlines()) and long.count("three") == 9


def test_a_table_is_wrapped_between_words_before_it_is_split():
    rows = [("arm", "initial training", "s/epoch"), *((arm, "97.5 ± 1.2 (88.4)", "1.28e+03") for arm in ("a", "b"))]
    assert Screen(40).table(rows).splitlines() == [
        "arm  initial training    s/epoch",
        "--------------------------------",
        "a    97.5 ± 1.2 (88.4)  1.28e+03",
        "b    97.5 ± 1.2 (88.4)  1.28e+03",
    ]
    assert Screen(25).table(rows).splitlines() == [
        "     initial",
        "arm  training     s/epoch",
        "-------------------------",
        "a    97.5 ± 1.2  1.28e+03",
        "     (88.4)",
        "",
        "b    97.5 ± 1.2  1.28e+03",
        "     (88.4)",
    ]
    assert "      ± 1.2" not in (narrow := Screen(24).table(rows)) and "\n     ± 1.2\n     (88.4)" in narrow
    for width in range(1, 40):
        text = Screen(width).table(rows)
        assert text.count("1.28e+03") == text.count("± 1.2") == text.count("97.5") == 2, "numbers stay whole"
        assert width < 13 or all(len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize("keys", [1, 2])
def test_a_wide_table_comes_in_blocks_with_its_keys(keys):
    rows = [[f"c{k}" for k in range(9)], *([f"{r}{k}" * 4 for k in range(9)] for r in range(1, 4))]
    one = Screen(200).table(rows, keys)
    assert one.count("c0") == 1 and one.splitlines()[2].split() == rows[1]
    text = Screen(50).table(rows, keys)
    blocks = [block.splitlines() for block in text.split("\n\n")]
    assert len(blocks) == (2 if keys == 1 else 3) and all(len(line) <= 50 for block in blocks for line in block)
    widths = [len(block[1]) for block in blocks]
    assert keys == 2 or max(widths) - min(widths) <= 10, "blocks of about the same width"
    columns = [block[0].split() for block in blocks]
    assert all(names[:keys] == rows[0][:keys] for names in columns)
    assert [name for names in columns for name in names[keys:]] == rows[0][keys:]
    assert [block[2].split()[:keys] for block in blocks] == [rows[1][:keys]] * len(blocks)
    assert len(Screen(1).table(rows, keys).split("\n\n")) == 9 - keys, "a column in each block, whatever the width"


@pytest.mark.parametrize(("encoding", "sign"), [("ascii", "+/-"), ("latin-1", "±"), ("utf-8", "±")])
def test_what_is_piped_is_plain_text_of_80_columns_that_the_encoding_has(encoding, sign, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    page = Document([Heading("Ω"), Grid([("a", "b" * 60), ("97.5 ± 1.2", "c d " * 20), ("Ω", "")])])
    text = page.to_text()
    stream.write(text)
    stream.flush()
    lines = text.splitlines()
    assert stream.buffer.getvalue().decode(encoding).splitlines() == lines and max(map(len, lines)) <= 80
    assert f"97.5 {sign} 1.2" in text and "\x1b" not in text
    assert ("Ω" in text) == (encoding == "utf-8") and "\xa0" not in text


def test_on_a_terminal_titles_are_bold(monkeypatch):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1mx" in PAGE.to_text() and "\x1b" not in PAGE.to_text(80)
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in PAGE.to_text()
