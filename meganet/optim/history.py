"""What an optimiser reports: one row for each epoch or iteration."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

from meganet import _validate
from meganet.backend import get_backend
from meganet.optim import functions


class History:
    """A table of numbers whose columns come from the parts that report them.

    The first row fixes the columns.

    Examples
    --------
    >>> from meganet.optim import History
    >>> history = History()
    >>> history.append({"epoch": 1, "objective": 2.5})
    >>> history.column("objective")
    [2.5]
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self._rows: list[dict[str, float]] = []
        for row in rows:
            self.append(row)

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names."""
        return tuple(self._rows[0]) if self._rows else ()

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row; its names must be the columns, in any order."""
        numbers = functions.columns("row", get_backend("numpy"), row, ())
        if self._rows and numbers.keys() != self._rows[0].keys():
            _validate.reject("row", f"the columns {self.columns}", str(tuple(row)))
        self._rows.append({name: numbers[name] for name in self.columns or numbers})

    def copy(self) -> History:
        """Return a table of its own with the same rows."""
        other = History()
        # rows are never changed, so both may hold them
        other._rows = list(self._rows)
        return other

    def column(self, name: str) -> list[float]:
        """Return one column."""
        if self._rows:
            _validate.choice("name", name, self.columns)
        return [row[name] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return map(dict, self._rows)

    def __getitem__(self, number: int) -> dict[str, float]:
        return dict(self._rows[number])

    def __str__(self) -> str:
        """Return the table as aligned text."""
        cells = [list(self.columns)] + [[_short(v) for v in row.values()] for row in self._rows]
        widths = [max(len(line[k]) for line in cells) for k in range(len(self.columns))]
        return "\n".join("  ".join(f"{c:>{w}}" for c, w in zip(line, widths, strict=True)) for line in cells)

    def to_csv(self) -> str:
        """Return the table as CSV text; every number reads back exactly."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([repr(v) for v in row.values()] for row in self._rows)
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """Read what `to_csv` wrote."""
        rows = csv.DictReader(io.StringIO(text))
        return cls({k: int(v) if v.lstrip("-").isdigit() else float(v) for k, v in row.items()} for row in rows)


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
