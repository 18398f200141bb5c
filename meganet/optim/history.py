"""What an optimiser reports: one row for each epoch or iteration."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.backend import get_backend
from meganet.ground import validate
from meganet.ground.columns import aligned
from meganet.optim import functions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 60
"""Rows that a notebook shows; of a longer table it shows some of the first and of the last."""


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
    >>> history
    <History: 1 row of epoch, objective>
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
            validate.reject("row", f"the columns {self.columns}", str(tuple(row)))
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
            validate.choice("name", name, self.columns)
        return [row[name] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return map(dict, self._rows)

    def __getitem__(self, number: int) -> dict[str, float]:
        if isinstance(number, str):
            validate.reject("number", f"that of a row; column({number!r}) returns a column", repr(number))
        return dict(self._rows[number])

    def __str__(self) -> str:
        """Return the table as aligned text."""
        cells = [list(self.columns)] + [[_short(v) for v in row.values()] for row in self._rows]
        return "\n".join(aligned(cells))

    def __repr__(self) -> str:
        count = f"{len(self)} row" + ("" if len(self) == 1 else "s")
        return f"<History: {count}{' of ' * bool(self.columns)}{', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        shown: list[dict[str, float] | None] = list(self._rows)
        if len(shown) > LONGEST:
            shown[LONGEST // 2 : -LONGEST // 2] = [None]
        lines = [[_short(v) for v in row.values()] if row else ["⋮"] * len(self.columns) for row in shown]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
        count = f"<p>{len(self)} rows</p>" if len(self) > LONGEST else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{count}"

    def plot(
        self, axes: Axes | Iterable[Axes] | None = None, *, columns: Sequence[str] | str | None = None
    ) -> np.ndarray[Any, Any]:
        """Draw the columns over the epochs or iterations: `meganet.plotting.plot_history` of this table.

        Parameters
        ----------
        axes : matplotlib Axes or iterable of them, optional
            Where to draw, one for each quantity; by default in a new figure of pyplot.
        columns : str or sequence of str, optional
            Which columns; by default what tells how it went.

        Returns
        -------
        ndarray of matplotlib Axes

        Raises
        ------
        InputError
            As `meganet.plotting.plot_history`.
        """
        # a picture is drawn by those who wish one: nothing else here knows of matplotlib
        from meganet.plotting import plot_history

        return plot_history(self, axes, columns=columns)

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
