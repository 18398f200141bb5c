"""``timings.csv`` of a trial: the seconds of each epoch of its runs, which no rerun repeats.

The first line names the columns, and in place of a fourth one the SHA-256 of all lines after it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from meganet.store.disk import read_file, refuse

TIMINGS = "timings.csv"
LARGEST = 2**24
HEADER = "run,epoch,seconds,sha256:"

Timings = dict[str, dict[int, float]]
"""Run to the seconds of its epochs, which count from 1."""


def to_text(timings: Timings) -> str:
    """Return the text of the file; seconds that are not known are left out."""
    rows = [
        f"{run},{epoch},{seconds:.6f}\n"
        for run, known in timings.items()
        for epoch, seconds in known.items()
        if math.isfinite(seconds)
    ]
    return "".join([HEADER, _digest("".join(rows)), "\n", *rows])


def read_timings(path: Path) -> Timings:
    """Return what a file holds; nothing if there is none.

    Raises
    ------
    ResultsError
        If the file is not as it was written.
    """
    stored = read_file(path, LARGEST)
    if stored is None:
        return {}
    result: Timings = {}
    try:
        header, _, body = stored.decode().partition("\n")
        whole = header == HEADER + _digest(body)
        for line in body.splitlines() if whole else ():
            run, epoch, seconds = line.split(",")
            result.setdefault(run, {})[int(epoch)] = float(seconds)
    except ValueError:
        whole = False
    if not whole:
        refuse("timings that can be read", f"{str(path)!r}, edited or damaged; delete it to go on without them")
    return result


def as_lists(timings: Mapping[str, Mapping[int, float]]) -> dict[str, list[float]]:
    """Return the seconds of each run from its first epoch on; nan where they are not known."""
    return {run: [known.get(e, math.nan) for e in range(1, max(known) + 1)] for run, known in timings.items()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
