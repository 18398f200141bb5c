"""A document in Markdown and HTML."""

import base64
from html.parser import HTMLParser

from meganet.document import Document, Grid, Heading, Paragraph, Picture


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
