"""What both readings of the thesis gave at its sizes, recorded with the version that made it.

``recorded.json`` is made of the tables of stored results by ``benchmarks/document.py``.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from meganet.experiments.report.results import Cell
from meganet.store.disk import with_nan

FILE = Path(__file__).with_name("recorded.json")
KEPT = ("meganet", "command", "percent")
"""What is kept of the JSON file of a table."""


class Recorded(NamedTuple):
    """A table as a reading gave it.

    Attributes
    ----------
    version : str
        Of meganet, which made it.
    command : str
    cells : dict
        Row to its cells.
    """

    version: str
    command: str
    cells: dict[str, list[Cell]]


def recorded(preset: str, table: str) -> Recorded | None:
    """Return a table as a preset gave it, by the table's name such as "4.3-steihaug"; None if that is not recorded.

    Examples
    --------
    >>> from meganet.experiments.report.recorded import recorded
    >>> found = recorded("printed", "4.1")
    >>> found.cells["multigrid"][-1].thesis
    63.6
    """
    kept = _known().get(preset, {}).get(table)
    if kept is None:
        return None
    return Recorded(kept["meganet"], kept["command"], cells_of(kept["percent"]))


def cells_of(percent: dict[str, list[dict[str, Any]]]) -> dict[str, list[Cell]]:
    """Return the cells from the JSON file of a table, in which null stands for what is not finite."""
    return {
        row: [Cell(**{**cell, "mean": with_nan(cell["mean"])}) for cell in of_row] for row, of_row in percent.items()
    }


@cache
def _known() -> dict[str, dict[str, Any]]:
    known: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return known
