"""What the pages of the reference show, by full names."""

import re
from importlib import import_module
from pathlib import Path

PAGES = sorted((Path(__file__).parent.parent / "docs" / "reference").glob("*.md"))


def objects():
    """Return the functions and classes that have a page of their own."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```\{eval-rst\}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL):
            module = re.search(r"^\.\. currentmodule:: (\S+)$", block, flags=re.MULTILINE)
            if ":toctree:" in block:
                found += [f"{module[1]}.{name}" for name in re.findall(r"^   (\w[\w.]*)$", block, flags=re.MULTILINE)]
    return found


def constants():
    """Return the names that a line on the page of their module describes."""
    texts = [page.read_text() for page in PAGES]
    return [name for text in texts for name in re.findall(r"^\.\. py:data:: (\S+)$", text, flags=re.MULTILINE)]


def listed():
    """Return what the first page of the reference lists as names of the package itself."""
    (first,) = (page for page in PAGES if page.name == "index.md")
    return re.findall(r"^   ~(meganet\.\S+)$", first.read_text(), flags=re.MULTILINE)


def value(name):
    """Return an object by its full name."""
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)
