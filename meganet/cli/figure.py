"""`meganet figure`: a figure of the thesis from stored runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from meganet.backend import get_backend, use_backend
from meganet.cli import options
from meganet.experiments.report.figure import figure_of, figures
from meganet.experiments.report.results import case_of, has_diverged
from meganet.experiments.setup.settings import LARGEST_TRIALS
from meganet.experiments.setup.tables import tables_of
from meganet.ground.validate import integer, reject
from meganet.plotting.axes import to_png
from meganet.store.disk import refuse, write_file


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what draws the figure."""
    figure, trial = figure_of(given.number), integer("trial", given.trial) - 1
    if trial >= LARGEST_TRIALS:
        reject("trial", f"at most {LARGEST_TRIALS}", str(given.trial))
    backend = get_backend(given.backend)
    tables = tables_of(figure.protocol)
    case = case_of(options.study(given, backend, tables[0].network), *tables)
    path = options.place("save", f"figure-{given.number}.png" if given.save is None else given.save)
    if path.suffix.lower() not in ("", ".png"):
        reject("save", "a PNG file, *.png", repr(str(path)))
    if not os.path.isdir(path.parent):
        reject("save", "a file in an existing folder", repr(str(path)))
    if os.path.isdir(path):
        reject("save", "a file", f"the folder {str(path)!r}")

    def job() -> None:
        if figure.trained and has_diverged(case, figure.runs, trial):
            refuse("a folder with the trial as it was trained", f"trial {trial + 1}, in which a run diverged")
        with use_backend(backend):
            canvas, lines = figure.make(case, trial)
        write_file(path, to_png(canvas), argument="save")
        print("\n".join([figures()[given.number], *lines, f"Picture: {path}"]))

    return job
