"""Put the results in docs/results, and the list of settings, into the pages of the documentation, between their marks.

python benchmarks/document.py
"""

from __future__ import annotations

import re
from pathlib import Path

from meganet.experiments.setup.described import described

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("performance.md", "running.md", "thesis.md")


def filled(page: str, results: Path) -> str:
    """Return the page with the text of ``<results>/<name>.md``, without its title, or the settings after each mark."""

    def block(match: re.Match[str]) -> str:
        file = results / f"{match[1]}.md"
        text = re.sub(r"\A# .*\n", "", file.read_text()).strip()
        text = re.sub(r"\]\((?!\w+://)", f"]({file.parent.relative_to(results.parent)}/", text)
        return f"<!-- results: {match[1]} -->\n{text}\n<!-- end -->"

    page = re.sub(r"<!-- results: ([\w./-]+) -->\n.*?<!-- end -->", block, page, flags=re.S)
    return re.sub(r"(<!-- settings -->\n).*?(<!-- end -->)", lambda m: m[1] + settings() + m[2], page, flags=re.S)


def settings() -> str:
    """Return the table of all settings."""
    rows = [("setting", "type", "default", "meaning", "source"), ("---",) * 5]
    rows += [(f"`{one.name}`", one.kind, one.default, one.meaning, one.source) for one in described()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Rewrite the pages."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text(), DOCS / "results"))


if __name__ == "__main__":
    main()
