"""Put results, settings and questions into the pages of the documentation, between their marks.

The tables of both readings of the thesis also go where the package finds them, to stand beside what its users rerun.

python benchmarks/document.py
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from meganet.experiments.questions.base import costs, questions
from meganet.experiments.report.recorded import FILE, KEPT, cells_of
from meganet.experiments.report.results import distance_of, noise_of
from meganet.experiments.setup.settings import READINGS, described

DOCS = Path(__file__).parent.parent / "docs"
PAGES = (
    "gap.md",
    "multigrid.md",
    "performance.md",
    "running.md",
    "thesis.md",
    "thesis-causes.md",
    "thesis-tables.md",
)

Variant = tuple[str, str]
"""A question, and one of its variants."""

NETS = ("A", "B")
CAUSES: dict[str, tuple[Variant, Variant | None]] = {
    "baseline": (("interpolation", "linear"), ("no-r-theta/interpolation", "linear")),
    "constant P instead of linear P": (("interpolation", "constant"), ("no-r-theta/interpolation", "constant")),
    "real training images instead of interpolated ones": (
        ("training-images", "original"),
        ("combined", "no R(theta)"),
    ),
    "validation images interpolated too": (
        ("validation-images", "both linear"),
        ("no-r-theta/validation-images", "both linear"),
    ),
    "noise of 0.1 in the validation images": (
        ("validation-set", "with noise of 0.1"),
        ("no-r-theta/validation-set", "with noise of 0.1"),
    ),
    "classifier times 4, as printed, instead of 1/4": (
        ("classifier-factor", "thesis"),
        ("no-r-theta/classifier-factor", "thesis"),
    ),
    "300 fine examples instead of 10,000": (("fine-examples", "300"), ("no-r-theta/fine-examples", "300")),
    "1 epoch of coarse training instead of 20": (("coarse-training", "1 epoch"), None),
    "momentum 0.9 instead of none": (("momentum", "0.9"), None),
    "initial classifier smoothed ten times more": (("smoothing", "10"), None),
    "classifier's weights in the wrong order": (("ordering", "vec, both"), None),
}
"""A change of one setting: where its gaps are, with the printed R(theta) and, where that was run, without R(theta)."""


def filled(page: str, results: Path) -> str:
    """Return the page with the text of ``<results>/<name>.md``, without its title, or a list, after each mark.

    A mark may name several files, ``NAME or NAME``; the first that exists is taken.
    """

    def block(match: re.Match[str]) -> str:
        files = [results / f"{name}.md" for name in match[1].split(" or ")]
        file = next((file for file in files if file.exists()), files[-1])
        text = re.sub(r"\A# .*\n", "", file.read_text()).strip()
        text = re.sub(r"\]\((?!\w+://)", f"]({file.parent.relative_to(results.parent)}/", text)
        return f"<!-- results: {match[1]} -->\n{text}\n<!-- end -->"

    page = re.sub(r"<!-- results: ([\w./ -]+) -->\n.*?<!-- end -->", block, page, flags=re.S)
    made_of_code = (
        ("settings", settings),
        ("questions", asked),
        ("readings", lambda: readings(results)),
        ("causes", lambda: causes(results)),
    )
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
            # earlier versions called them otherwise
            settings = table.get("settings") or table["protocol"]
            found, trials = cells_of(table["percent"]), settings["trials"]
            noise = noise_of(found, trials)
            alone = "" if noise is None else f", {noise:.1f} by scatter alone"
            cells.append(f"{distance_of(found):.1f} ({trials} trial{'s' if trials > 1 else ''}{alone})")
        rows.append((name, *cells))
    return [("table", *(f"preset {preset}: points" for preset in READINGS)), *rows]


def causes(results: Path) -> list[tuple[str, ...]]:
    """Return the table of causes: Multigrid's gap when a single setting is changed, and by how much that changes it."""
    baseline = [_gaps(results, CAUSES["baseline"], "Multigrid", net) for net in NETS]
    rows = [("baseline", *(f"{gap:.1f}" for gaps in baseline for gap in gaps if gap is not None))]
    changed = [("copied stencils (Transfer) instead of Galerkin's", CAUSES["baseline"], "Transfer")]
    changed += [(label, places, "Multigrid") for label, places in CAUSES.items() if label != "baseline"]
    for label, places, row in changed:
        cells = []
        for net, usual in zip(NETS, baseline, strict=True):
            for gap, before in zip(_gaps(results, places, row, net), usual, strict=True):
                cells.append("not run" if gap is None or before is None else f"{gap:.1f} ({gap - before:+.1f})")
        rows.append((f"[{label}](results/experiments/{places[0][0]}.md)", *cells))
    heads = (f"net {net}, {which}" for net in NETS for which in ("`R(theta)` as printed", "no `R(theta)`"))
    return [("change", *heads), *rows]


def _gaps(results: Path, places: tuple[Variant, Variant | None], row: str, net: str) -> list[float | None]:
    """Return the gap between training and validation accuracy with R(theta) and without, in points."""
    found: list[float | None] = []
    for place in places:
        if place is None:
            found.append(None)
            continue
        question, variant = place
        with (results / "experiments" / f"{question}.csv").open(newline="") as file:
            (values,) = (v for v in csv.DictReader(file) if (v["variant"], v["net"]) == (variant, net))
        found.append(float(values[f"gap {row}"]))
    return found


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
