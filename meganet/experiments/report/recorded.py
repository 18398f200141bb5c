"""What both readings of the thesis gave at its sizes, recorded with the version that made it.

``recorded.json`` is made of the tables of stored results by ``benchmarks/document.py``.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from meganet.experiments.report.results import Cell

FILE = Path(__file__).with_name("recorded.json")
KEPT = ("meganet", "command", "percent")
"""What is kept of the JSON file of a table."""


class Recorded(NamedTuple):
    """A table as a reading gave it.

    Attributes
    ----------
    preset : str
        That has the reading.
    version : str
        Of meganet, which made it.
    command : str
    cells : dict
        Row to its cells.
    """

    preset: str
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
    cells = {row: [cell_of(cell) for cell in of_row] for row, of_row in kept["percent"].items()}
    return Recorded(preset, kept["meganet"], kept["command"], cells)


def cell_of(stored: dict[str, Any]) -> Cell:
    """Return a cell from the JSON file of a table, in which null stands for what is not finite."""
    return Cell(**{**stored, "mean": math.nan if stored["mean"] is None else stored["mean"]})


@cache
def _known() -> dict[str, dict[str, Any]]:
    known: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return known
