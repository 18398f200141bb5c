"""What every named experiment is given and gives back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from meganet._version import __version__
from meganet._workers import Workers
from meganet.backend import Backend
from meganet.datasets import ImageSet
from meganet.document import Document, Grid, Heading, Paragraph
from meganet.experiments.variants import Variant, Variants
from meganet.store.disk import write_file, writing


@dataclass(frozen=True)
class Lab:
    """Where and with what an experiment is made.

    Attributes
    ----------
    path : Path
        Folder of this and of other experiments, which share the runs that they have in common.
    name : str
        Of the experiment, and of its files.
    preset : {"small", "thesis"}
    settings : mapping
        Changes of the protocol common to all its runs.
    backend, data, workers
    progress : bool
    line : callable
        Gets a line of text for each run that has ended.
    diverged : list of str
        A sentence for each run that diverged, of all that `runs` made.
    """

    path: Path
    name: str
    preset: str
    settings: Mapping[str, Any]
    backend: Backend
    data: ImageSet
    workers: Workers
    progress: bool
    line: Callable[[str], None]
    diverged: list[str] = field(default_factory=list)

    def runs(self, variants: Sequence[Variant]) -> Variants:
        """Run variants as far as they are missing and return them with their results."""
        made = Variants(self.path, variants, self.preset, self.settings, self.backend, self.data)
        with made:
            made.run(self.workers, progress=self.progress, report=self.line)
        self.diverged.extend(text for text in made.divergences() if text not in self.diverged)
        return made

    def write(self, ending: str, content: str | bytes) -> Path:
        """Write a file of the experiment's report, such as "momentum.md", and return its path."""
        with writing(self.path):
            return write_file(self.path / f"{self.name}.{ending}", content)


@dataclass(frozen=True)
class Findings:
    """What an experiment found.

    Attributes
    ----------
    columns : tuple of str
    rows : list of tuple
        Text or numbers; numbers are written exactly into the CSV and with four digits elsewhere.
    notes : list of str
        Sentences below the table.
    drawn : tuple
        What a picture is drawn from, if there is one; see `plotting.findings_figure`.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    notes: list[str] = field(default_factory=list)
    drawn: tuple[Any, ...] = ()

    def to_document(self, title: str) -> Document:
        """Return title, table and notes."""
        rows = [self.columns, *(tuple(map(_text, row)) for row in self.rows)]
        written = Paragraph(f"Written by meganet {__version__}.")
        texts = [all(isinstance(row[k], str) for row in self.rows) for k in range(len(self.columns))]
        keys = texts.index(False) if False in texts else 1
        return Document([Heading(title, 1), Grid(rows, max(keys, 1)), *map(Paragraph, self.notes), written])

    def to_csv(self) -> str:
        """Return the table as CSV; every number reads back exactly."""
        text = io.StringIO()
        # the writer gives floats by their repr
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()


class Experiment(Protocol):
    """A named experiment; `titles.QUESTIONS` says what it answers."""

    @property
    def name(self) -> str:
        """What the command line calls it."""

    def run(self, lab: Lab) -> Findings:
        """Make the runs that are missing and say what they show."""


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
