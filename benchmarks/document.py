"""Put the results in docs/results into the pages of the documentation, between the marks that name them.

python benchmarks/document.py
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("performance.md", "thesis.md")


def filled(page: str, results: Path) -> str:
    """Return the page with the text of ``<results>/<name>.md``, without its title, after each mark."""

    def block(match: re.Match[str]) -> str:
        file = results / f"{match[1]}.md"
        text = re.sub(r"\A# .*\n", "", file.read_text()).strip()
        text = re.sub(r"\]\((?!\w+://)", f"]({file.parent.relative_to(results.parent)}/", text)
        return f"<!-- results: {match[1]} -->\n{text}\n<!-- end -->"

    return re.sub(r"<!-- results: ([\w./-]+) -->\n.*?<!-- end -->", block, page, flags=re.S)


def main() -> None:
    """Rewrite the pages."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text(), DOCS / "results"))


if __name__ == "__main__":
    main()
