"""Join tables of one setup that were made of different trials, on one machine or on several.

python benchmarks/join_tables.py table-4.4-steihaug.json more/table-4.4-steihaug.json --out joined
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common

from meganet.experiments import Setup, tables_of
from meganet.experiments.report.page import write_table
from meganet.experiments.report.results import TableResult
from meganet.experiments.report.values import from_plain
from meganet.ground import validate


def main() -> None:
    """Write the Markdown, CSV and JSON files of the table of all trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", metavar="FILE", help="JSON files of tables, as 'meganet reproduce' writes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the joined table goes")
    given = parser.parse_args()
    result = joined([json.loads(Path(name).read_text(encoding="utf-8")) for name in given.tables])
    given.out.mkdir(parents=True, exist_ok=True)
    write_table(given.out, result)
    print(f"{result.table.title}: {result.trials} trials")


def joined(contents: Sequence[dict[str, Any]]) -> TableResult:
    """Return the table of the trials of several; of a trial that stands in more than one, the first counts.

    Raises
    ------
    InputError
        If they are not of the same table and settings, or were recorded without the numbers of their trials.
    """
    first = contents[0]
    for content in contents[1:]:
        if (content["table"], _made_with(content)) != (first["table"], _made_with(first)):
            validate.reject("tables", f"tables like that of {first['command']!r}", f"one of {content['command']!r}")
    lacking = [content["command"] for content in contents if "values" not in content]
    if lacking:
        validate.reject("tables", "tables with the numbers of their trials", f"one without, made by {lacking[0]!r}")
    values = {one["trial"]: from_plain(one) for content in reversed(contents) for one in content["values"]}
    setup = Setup.of(**_made_with(first), trials=max(values))
    protocol = first["command"].split()[2]
    (table,) = (table for table in tables_of(protocol) if table.name == first["table"])
    return TableResult(protocol, table, setup, tuple(values[trial] for trial in sorted(values)))


def _made_with(content: dict[str, Any]) -> dict[str, Any]:
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in content["settings"].items()}
    del settings["trials"]
    return settings


if __name__ == "__main__":
    common.run(main)
