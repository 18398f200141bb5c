"""Put results, settings and questions into the pages of the documentation, between their marks.

The tables of both readings of the thesis also go where the package finds them, to stand beside what its users rerun.

python benchmarks/document.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from meganet.experiments.questions.base import costs, questions
from meganet.experiments.report.recorded import FILE, KEPT, cells_of
from meganet.experiments.report.results import distance_of
from meganet.experiments.setup.settings import READINGS, described

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("gap.md", "multigrid.md", "performance.md", "running.md", "thesis.md")


def filled(page: str, results: Path) -> str:
    """Return the page with the text of ``<results>/<name>.md``, without its title, or a list, after each mark."""

    def block(match: re.Match[str]) -> str:
        file = results / f"{match[1]}.md"
        text = re.sub(r"\A# .*\n", "", file.read_text()).strip()
        text = re.sub(r"\]\((?!\w+://)", f"]({file.parent.relative_to(results.parent)}/", text)
        return f"<!-- results: {match[1]} -->\n{text}\n<!-- end -->"

    page = re.sub(r"<!-- results: ([\w./-]+) -->\n.*?<!-- end -->", block, page, flags=re.S)
    made_of_code = (("settings", settings), ("questions", asked), ("readings", lambda: readings(results)))
    for name, made in made_of_code:
        if f"<!-- {name} -->" in page:
            rows = made()
            text = "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], ("---",) * len(rows[0]), *rows[1:]])
            page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=text: m[1] + t + m[2], page, flags=re.S)
    return page


def recorded(results: Path) -> str:
    """Return what is kept of the tables of both readings, as the package has it."""
    found = {
        preset: {name: {part: table[part] for part in KEPT} for name, table in _tables(results, preset).items()}
        for preset in READINGS
    }
    return json.dumps(found, indent=1) + "\n"


def readings(results: Path) -> list[tuple[str, ...]]:
    """Return the table of distances from the thesis: of each table by both readings, with the number of trials."""
    known = {preset: _tables(results, preset) for preset in READINGS}
    rows = []
    for name in dict.fromkeys(name for tables in known.values() for name in tables):
        cells = []
        for tables in known.values():
            table = tables.get(name)
            if table is None:
                cells.append("not made")
                continue
            trials = re.search(r"--trials (\d+)", table["command"])
            cells.append(f"{distance_of(cells_of(table['percent'])):.1f} ({trials and trials[1]} trials)")
        rows.append((name, *cells))
    return [("table", *(f"preset {preset}: points" for preset in READINGS)), *rows]


def _tables(results: Path, preset: str) -> dict[str, Any]:
    """Return the content of the JSON files of a preset's tables by the names of the tables."""
    files = sorted(results.glob(f"{preset}/tables/table-*.json"))
    return {path.stem.removeprefix("table-"): json.loads(path.read_text()) for path in files}


def settings() -> list[tuple[str, ...]]:
    """Return the table of all settings."""
    rows = [(f"`{o.name}`", o.kind, o.default, o.printed, o.meaning, o.source) for o in described()]
    return [("setting", "type", "default", "printed", "meaning", "source"), *rows]


def asked() -> list[tuple[str, ...]]:
    """Return the table of all questions, with what each costs in a folder without runs."""
    found = costs("small"), costs("thesis")
    rows = [
        (f"`{name}`", words, *(f"{of_preset[name].runs}, {_digits(of_preset[name].tflop)}" for of_preset in found))
        for name, words in questions().items()
    ]
    return [("name", "question", "small: runs, TFLOP", "thesis: runs, TFLOP"), *rows]


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def main() -> None:
    """Rewrite the pages."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(filled(page.read_text(), DOCS / "results"))
    FILE.write_text(recorded(DOCS / "results"))


if __name__ == "__main__":
    main()
