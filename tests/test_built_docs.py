"""The documentation as a reader sees it: the built pages hold every formula, cell and link of their sources."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("sphinx", reason="building the pages takes the extra docs")
import reference
from chromium import opened, resize
from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *sorted((DOCS / "reference").glob("*.md"))]
MARKDOWN = [*sorted(ROOT.glob("*.md")), *PAGES, *sorted((DOCS / "results").rglob("*.md"))]

SEEN = ("index", "quickstart", "teachers", "matlab-to-python", "performance", "reference/layers", "gallery/03_stencils")
OBJECTS = ("generated/meganet.layers.ConvolutionLayer", "generated/meganet.model.Model", "genindex")
# what reaches beyond the page, but for what scrolls in a box of its own; menus of a phone wait beside the page
TOO_WIDE = """
const hides = e => getComputedStyle(e).overflowX != "visible";
const scrolls = e => e && !e.matches(".bd-header, .bd-article, .bd-footer") && (hides(e) || scrolls(e.parentElement));
return [...document.querySelectorAll(".bd-header *, .bd-article *, .bd-footer *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !scrolls(e.parentElement)
        || /^H\\d$/.test(e.tagName) && e.scrollWidth > e.clientWidth + 1)
    .map(e => e.outerHTML.slice(0, 80))
    .concat(document.documentElement.scrollWidth > innerWidth ? ["the page itself"] : [])"""


class Page(HTMLParser):
    """What the tests want to know of a page: its text, that of its code and formulas, its tables, links and anchors."""

    def __init__(self, text):
        super().__init__()
        self.code, self.tables, self.links, self.anchors = [], [], [], set()
        self.text, self.formulas = "", []
        self._open, self._formula = Counter(), None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._open[tag] += 1
        given = dict(attributes)
        if tag == "code":
            self.code.append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables:
            self.tables[-1][-1].append("")
        if "math" in (given.get("class") or "").split():
            self.formulas.append("")
            self._formula = tag
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.anchors |= {given["id"]} if "id" in given else set()

    def handle_endtag(self, tag):
        self._open[tag] -= 1
        if tag == self._formula:  # nothing is nested in a formula
            self._formula = None

    def handle_data(self, data):
        if self._open["code"]:
            self.code[-1] += data
        elif self._formula:
            self.formulas[-1] += data
        elif not any(self._open[tag] for tag in ("pre", "script", "style")):
            self.text += data
        if self._open["td"] or self._open["th"]:
            self.tables[-1][-1][-1] += data


def prose(text):
    """Return the source without its blocks of code and its roles, such as ``{doc}`index` ``."""
    return re.sub(r"\{\w+\}`[^`]+`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def spans(text):
    """Return the code inside text, as it is meant: in a table a bar is written ``\\|``."""
    found = []
    rows, rest = (re.findall(pattern, prose(text), flags=re.MULTILINE) for pattern in (r"^\|.*$", r"^(?!\|).*$"))
    for row in rows:
        found += [code.replace("\\|", "|") for _, code in re.findall(r"(`+)(.+?)\1(?!`)", row)]
    for paragraph in "\n".join(rest).split("\n\n"):
        found += [code for _, code in re.findall(r"(`+)(.+?)\1(?!`)", paragraph, flags=re.DOTALL)]
    return [plain(code) for code in found]


def formulas(text):
    """Return the formulas inside text, ``$...$`` or ``$$...$$``, with their dollars."""
    text = re.sub(r"(`+).+?\1(?!`)", "", prose(text), flags=re.DOTALL)
    return [plain(match[0]) for match in re.finditer(r"(\${1,2})[^$]+\1", text)]


def plain(text):
    return re.sub(r"\s+", " ", text).strip()


def tables(text):
    """Return the tables of a source as rows of cells; an escaped bar belongs to its cell."""
    found = [[]]
    for line in prose(text).splitlines():
        if line.startswith("|"):
            found[-1].append(re.split(r"(?<!\\)\|", line.strip())[1:-1])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def check(text, page):
    shown = {plain(code) for code in page.code}
    assert [code for code in spans(text) if code not in shown] == []
    # typeset, or where dollars are plain text, which GitHub typesets, without a part that was taken for Markdown
    typeset = [re.fullmatch(r"\\[\[(](.*)\\[\])]", plain(formula))[1] for formula in page.formulas]
    if typeset:
        assert [formula for formula in formulas(text) if formula.strip("$") not in typeset] == []
        assert "$" not in page.text
    else:
        assert [formula for formula in formulas(text) if formula not in plain(page.text)] == []
    for rows in tables(text):
        assert {len(row) for row in rows} == {len(rows[0])}, rows[0]
    assert len(page.tables) >= len(tables(text))
    for rows in page.tables:
        assert {len(row) for row in rows} == {len(rows[0])}, rows[0]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the pages, built from scratch with warnings as errors, as the command in CONTRIBUTING does.

    The lessons are not run for them: tests/test_lessons.py does that.
    """
    folder = tmp_path_factory.mktemp("docs")
    # in a process of its own: Sphinx and its extensions warn of one another, and change how NumPy's scalars are printed
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-E",
        "-d",
        folder / "trees",
        "-D",
        "plot_gallery=0",
    ]
    done = subprocess.run([*command, DOCS, folder / "pages"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / "pages"


@pytest.mark.parametrize("source", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_built_page_holds_all_of_its_source(built, source):
    check(source.read_text(), Page((built / source.relative_to(DOCS).with_suffix(".html")).read_text()))


@pytest.mark.parametrize("source", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_plain_markdown_holds_all_of_its_source(source):
    text = source.read_text()
    check(text, Page(MarkdownIt("commonmark").enable("table").render(text)))


def test_links_of_the_built_pages_lead_somewhere(built):
    pages = {path: Page(path.read_text()) for path in sorted(built.rglob("*.html")) if "_static" not in path.parts}
    folders = {path.parent.name for path in pages}
    assert {"gallery", "generated", "reference"} < folders and len(pages) > len(PAGES)
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if "://" in link or link.startswith(("data:", "mailto:")):
                continue
            target = target.partition("?")[0]
            place = Path(os.path.normpath(path.parent / unquote(target))) if target else path
            there = place.exists() and place.is_relative_to(built)
            if anchor and there and place in pages:
                there = unquote(anchor) in pages[place].anchors
            if not there:
                broken.append((str(path.relative_to(built)), link))
    assert broken == []


def test_every_object_of_the_reference_has_a_page_that_the_search_knows(built):
    index = (built / "searchindex.js").read_text()
    missing = [name for name in reference.objects() if not (built / "generated" / f"{name}.html").exists()]
    assert missing == [] and all(f'"generated/{name}"' in index for name in reference.objects())


def test_nothing_is_wider_than_a_page(built, tmp_path):
    with opened(tmp_path) as browser:
        for width in (390, 1280):
            resize(browser, width)
            for name in (*SEEN, *OBJECTS):
                browser.get((built / f"{name}.html").as_uri())
                assert browser.execute_script("return innerWidth") == width
                assert (name, browser.execute_script(TOO_WIDE)) == (name, [])


def test_a_bar_that_splits_a_cell_is_seen():
    text = "| formula | where |\n|---|---|\n| `a/2 ||x||` | here |\n"
    with pytest.raises(AssertionError):
        check(text, Page(MarkdownIt("commonmark").enable("table").render(text)))


@pytest.mark.parametrize("formula", [r"\|x\|", r"R\, P", "(K x)_{ij} = x_{i}", "<u>"])
def test_a_formula_that_markdown_changes_is_seen(formula):
    text = f"The norm ${formula}$\n"
    with pytest.raises(AssertionError):
        check(text, Page(MarkdownIt("commonmark").enable("table").render(text)))
