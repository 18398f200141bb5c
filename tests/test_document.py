"""A document in Markdown, in HTML and as text."""

import base64
from html.parser import HTMLParser

import pytest

from meganet.document import Document, Grid, Heading, Paragraph, Picture, text_table


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


@pytest.mark.parametrize("keys", [1, 2])
def test_a_wide_table_comes_in_blocks_with_its_keys(keys):
    rows = [[f"c{k}" for k in range(9)], *([f"{r}{k}" * 4 for k in range(9)] for r in range(1, 4))]
    one = text_table(rows, 200, keys)
    assert one.count("c0") == 1 and one.splitlines()[2].split() == rows[1]
    text = text_table(rows, 50, keys)
    blocks = [block.splitlines() for block in text.split("\n\n")]
    assert len(blocks) == (2 if keys == 1 else 3) and all(len(line) <= 50 for block in blocks for line in block)
    widths = [len(block[1]) for block in blocks]
    assert keys == 2 or max(widths) - min(widths) <= 10, "blocks of about the same width"
    columns = [block[0].split() for block in blocks]
    assert all(names[:keys] == rows[0][:keys] for names in columns)
    assert [name for names in columns for name in names[keys:]] == rows[0][keys:]
    assert [block[2].split()[:keys] for block in blocks] == [rows[1][:keys]] * len(blocks)
    assert len(text_table(rows, 1, keys).split("\n\n")) == 9 - keys, "a column in each block, whatever the width"
