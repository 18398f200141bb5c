"""Put the results of the benchmarks into docs/performance.md, between the marks that name them.

python benchmarks/document.py
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def filled(page: str, results: Path) -> str:
    """Return the page with the text of ``<results>/<name>.md``, without its title, after each mark."""

    def block(match: re.Match[str]) -> str:
        text = (results / f"{match[1]}.md").read_text().split("\n", 1)[1].strip()
        text = re.sub(r"\]\((?!\w+://)", f"]({results.name}/", text)
        return f"<!-- results: {match[1]} -->\n{text}\n<!-- end -->"

    return re.sub(r"<!-- results: (\w+) -->\n.*?<!-- end -->", block, page, flags=re.S)


def main() -> None:
    """Rewrite the page."""
    page = DOCS / "performance.md"
    page.write_text(filled(page.read_text(), DOCS / "results"))


if __name__ == "__main__":
    main()
