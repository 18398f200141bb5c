"""Join tables of one setup that were made of different trials, on one machine or on several.

python benchmarks/join_tables.py table-4.4-steihaug.json more/table-4.4-steihaug.json --out joined
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meganet.experiments import Setup, tables_of
from meganet.experiments.report.page import write_table
from meganet.experiments.report.results import TableResult
from meganet.experiments.report.values import from_plain, in_words
from meganet.experiments.setup.settings import DEFAULTS
from meganet.ground import validate

NEEDED = ("protocol", "table", "settings", "values")
SAME = ("backend", "data")
"""What of the environment of their trials decides on results."""


def main() -> None:
    """Write the Markdown, CSV and JSON files of the table of all trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", metavar="FILE", help="JSON files of tables, as 'meganet reproduce' writes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the joined table goes")
    given = parser.parse_args()
    result = joined(given.tables)
    given.out.mkdir(parents=True, exist_ok=True)
    write_table(given.out, result)
    print(f"{result.table.title}: {in_words([one.trial for one in result.values])}")


def joined(files: Sequence[str]) -> TableResult:
    """Return the table of the trials in several files; of a trial that stands in more than one, the first counts.

    Raises
    ------
    InputError
        If a file is not one of a table with the numbers of its trials, or they are not of one table, made with the same
        settings, on the same data and backend.
    """
    contents = [_read(name) for name in files]
    first, *others = [_made_with(content) for content in contents]
    for name, other in zip(files[1:], others, strict=True):
        different = [key for key in {**first, **other} if first.get(key) != other.get(key)]
        if different:
            words = ", ".join(f"{key} = {other.get(key)!r}, not {first.get(key)!r}" for key in different)
            validate.reject_file(name, f"a table like that in {files[0]!r}", words)
    values = {one["trial"]: from_plain(one) for content in reversed(contents) for one in content["values"]}
    last, protocol = max(values), contents[0]["protocol"]
    missing = [trial for trial in range(min(values), last) if trial not in values]
    lacking = (f"{in_words(missing)} {'are' if len(missing) > 1 else 'is'} missing",) if missing else ()
    (table,) = (table for table in tables_of(protocol) if table.name == first["table"])
    setup = Setup.of(**{name: first[name] for name in DEFAULTS if name != "trials"}, trials=last)
    return TableResult(protocol, table, setup, tuple(values[trial] for trial in sorted(values)), lacking)


def _read(name: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        validate.reject_file(name, "a file that can be read", error.strerror)
    except ValueError:
        validate.reject_file(name, "the JSON file of a table", "other content")
    if not isinstance(content, dict) or not all(content.get(part) for part in NEEDED):
        validate.reject_file(name, "the JSON file of a table, with the numbers of its trials", "other content")
    return content


def _made_with(content: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same; settings that are younger than a file have their defaults."""
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in content["settings"].items()}
    found = {"table": content["table"], **DEFAULTS, **settings}
    found |= {name: content["values"][0]["environment"].get(name) for name in SAME}
    return {name: value for name, value in found.items() if name != "trials"}


if __name__ == "__main__":
    try:
        main()
    except validate.InputError as error:
        raise SystemExit(f"error: {error}") from None
