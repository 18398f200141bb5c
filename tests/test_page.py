"""The report's page in a real browser: its width, both colour schemes, its links, what it loads."""

import json
import re

import numpy as np
import pytest
from chromium import opened, resize
from test_document import Tags

from meganet.document import Document, Grid, Heading, Note, Paragraph, Picture
from meganet.optim import History
from meganet.plotting import plot_convergence, plot_mosaic, to_png, to_svg

WIDTHS = (390, 800, 1280, 1600)
SCHEMES = ("light", "dark")

# elements that reach beyond the page, but for what scrolls inside a box of its own
TOO_WIDE = """
const page = document.documentElement;
return [...document.querySelectorAll("body *")].filter(e => !e.parentElement.closest(".scroll")
    && (e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5))
    .map(e => e.outerHTML.slice(0, 80)).concat(page.scrollWidth > innerWidth ? ["the page itself"] : [])"""
# the least contrast between a text and what is behind it, as WCAG defines it
CONTRAST = """
const light = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
const numbers = text => text.match(/[\\d.]+/g).map(Number);
const behind = e => {
    const colour = numbers(getComputedStyle(e).backgroundColor);
    return colour.length == 3 || colour[3] == 1 ? colour.slice(0, 3) : behind(e.parentElement);
};
const texts = [...document.querySelectorAll("body *")].filter(
    e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
return Math.min(...texts.map(e => {
    const pair = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
}))"""


def curves():
    histories = {name: History({"epoch": e, "loss": 2.0**-e} for e in range(4)) for name in ("coarse", "new")}
    return plot_convergence(histories, "loss").figure


def document():
    """A page of everything that reports have, wider than any of the widths."""
    png = to_png(plot_mosaic([[np.eye(9)] * 3] * 2).figure)
    row = ["Multigrid", *["60.5 ± 17.0, 1 diverged (85.2)"] * 12]
    return Document(
        [
            Heading("Multiresolution Methods for Convolutional Neural Networks: chapter 4 rerun", 1),
            Paragraph("Made by:"),
            Paragraph("meganet reproduce all --out /" + "a-very-long-name" * 20, code=True),
            Paragraph("https" + "x" * 300),
            Heading("Tables"),
            Heading("Table 4.1 <&>", 3),
            Note("Small preset, " + "not the sizes of the thesis: " * 9),
            Grid([[f"column {k} of a table" for k in range(13)], row, row], caption="Table 4.1: accuracy. " * 9),
            Heading("Table 4.1 <&>", 3),
            Grid([("setting", "value"), ("a", "x" * 500), ("b", "word " * 99)]),
            Heading("Figures"),
            Picture("a.png", png, "Images & <more>", "A mosaic", inches=30),
            Picture("b.svg", to_svg(curves()), "Curves"),
        ]
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with the page open, and a record of what it asks for."""
    folder = tmp_path_factory.mktemp("browser")
    with opened(folder) as made:
        page = folder / "report.html"
        page.write_text(document().to_html(), encoding="utf-8")
        made.get(page.as_uri())
        yield made


def show(browser, width, scheme):
    resize(browser, width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert browser.execute_script("return innerWidth") == width


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page(browser, width, scheme):
    show(browser, width, scheme)
    assert browser.execute_script(TOO_WIDE) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_can_be_read(browser, scheme):
    show(browser, 800, scheme)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    first = int(re.search(r"\d+", paper)[0])
    assert first > 200 if scheme == "light" else first < 50
    assert browser.execute_script(CONTRAST) >= 4.5
    card = "return [...document.images].map(i => getComputedStyle(i).backgroundColor)"
    assert browser.execute_script(card) == ["rgb(255, 255, 255)"] * 2, "figures are drawn on white"


def test_figures_are_shown_no_smaller_than_can_be_read(browser):
    show(browser, 390, "light")
    sizes = browser.execute_script("return [...document.images].map(i => [i.naturalWidth, i.width, i.alt])")
    assert all(natural > 0 and shown >= min(natural, 480) for natural, shown, _ in sizes)
    assert [alt for *_, alt in sizes] == ["A mosaic", "Curves"]


def test_a_wide_table_is_scrolled_by_the_keyboard(browser):
    from selenium.webdriver.common.keys import Keys

    show(browser, 390, "light")
    box = browser.find_element("css selector", "div.scroll:has(table)")
    assert box.get_attribute("aria-labelledby") == box.find_element("tag name", "caption").get_attribute("id")
    browser.execute_script("arguments[0].focus()", box)
    assert browser.execute_script("return document.activeElement === arguments[0]", box)
    box.send_keys(Keys.ARROW_RIGHT)
    moved = "const [box, done] = arguments; setTimeout(() => done(box.scrollLeft), 300)"
    assert browser.execute_async_script(moved, box) > 0


def test_the_contents_lead_to_every_heading(browser):
    show(browser, 800, "light")
    links = browser.execute_script(
        "return [...document.querySelectorAll('nav a')].map(a => [a.textContent, a.getAttribute('href')])"
    )
    assert [text for text, _ in links] == ["Tables", "Table 4.1 <&>", "Table 4.1 <&>", "Figures"]
    for text, anchor in links:
        found = browser.execute_script("return document.getElementById(arguments[0])?.textContent", anchor[1:])
        assert found == text
    anchors = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(anchors) == len(set(anchors))
    browser.find_elements("css selector", "nav a")[2].click()
    assert browser.execute_script("return document.querySelector(':target').textContent") == "Table 4.1 <&>"
    assert browser.execute_script("return scrollY") > 0


def test_nothing_is_loaded(browser):
    page = browser.current_url.split("#")[0]
    browser.get(page)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # the browser's own first page has requests, too
    asked = {params["request"]["url"].split("#")[0] for params in sent if params["documentURL"].startswith(page)}
    assert page in asked and all(url == page or url.startswith("data:image/") for url in asked)


def test_headers_and_captions_are_those_of_html():
    text = document().to_html()
    page = Tags(text)
    assert page.tags.count("caption") == 1 and page.tags.count("figcaption") == page.tags.count("figure") == 2
    assert text.count('<th scope="col">') == 15 and text.count('<th scope="row">') == 4
    assert '<meta name="viewport" content="width=device-width' in text and "@media print" in text
    assert text.count('role="note"') == 1 and "&lt;&amp;&gt;" in text and "<&>" not in text
    assert "nav" not in Tags(Document([Heading("Alone", 1), Paragraph("a")]).to_html()).tags


def test_an_svg_is_the_same_each_time():
    one, other = to_svg(curves()), to_svg(curves())
    assert one == other and one.startswith(b"<?xml") and b"<text" not in one and b"dc:date" not in one
