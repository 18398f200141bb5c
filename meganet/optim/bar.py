"""The progress bar of a training: on a terminal a line, in a notebook its widget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from meganet.ground import validate

NOTED = ("objective", "loss", "accuracy", "validation_loss", "validation_accuracy")
"""Columns of a history that the bar shows, as far as they are known."""


class Bar:
    """A bar that is not shown.

    Examples
    --------
    >>> from meganet.optim.bar import Bar
    >>> bar = Bar()
    >>> bar.update(3)
    >>> bar.note({"loss": 0.5})
    """

    def update(self, steps: int = 1) -> None:
        """Count some steps."""

    def note(self, row: Mapping[str, float]) -> None:
        """Show the numbers of the last epoch."""


class _Shown(Bar):
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def update(self, steps: int = 1) -> None:
        self._bar.update(steps)

    def note(self, row: Mapping[str, float]) -> None:
        known = {name: row[name] for name in NOTED if math.isfinite(row.get(name, math.nan))}
        texts = {n: f"{100 * v:.1f} %" if n.endswith("accuracy") else f"{v:.4g}" for n, v in known.items()}
        self._bar.set_postfix(texts, refresh=False)


@contextmanager
def bar_of(label: str | None, total: int, done: int = 0) -> Iterator[Bar]:
    """Yield the bar with a label; without a label it is not shown.

    For one that is not shown tqdm is not asked: it starts a thread and takes locks, which a fork copies.

    Examples
    --------
    >>> from meganet.optim.bar import bar_of
    >>> with bar_of(None, total=10) as bar:
    ...     bar.update()
    >>> type(bar).__name__
    'Bar'
    """
    if label is None:
        yield Bar()
        return
    validate.instance("progress", label, str, "a label or None")
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, desc=label, leave=False) as bar:
        yield _Shown(bar)
