"""Tables of text, as objects print themselves."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Return the lines of a table, with two spaces between its columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        All with as many cells.
    left : int
        So many of the first columns are flush left; the others, of numbers, are flush right.

    Examples
    --------
    >>> from meganet.ground.columns import aligned
    >>> for line in aligned([("grid", "unknowns"), ("8x8", "64"), ("total", "1,364")], left=1):
    ...     print(line)
    grid   unknowns
    8x8          64
    total     1,364
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{'<' if k < left else '>'}{widths[k]}}" for k, cell in enumerate(row)) for row in rows]
