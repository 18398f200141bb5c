"""`meganet figure`: a figure of the thesis from stored runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from meganet._validate import integer, reject
from meganet.backend import get_backend, use_backend
from meganet.cli import options
from meganet.experiments.disk import refuse, write_file
from meganet.experiments.protocol import LARGEST_TRIALS
from meganet.experiments.study import Study
from meganet.plotting import FIGURES, to_png


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "figure",
        help="draw a figure of the thesis from stored runs",
        description="Draw a figure of the thesis from what 'meganet reproduce' has stored.",
        epilog="; ".join(figure.title for figure in FIGURES.values()) + ".",
    )
    parser.add_argument("number", choices=sorted(FIGURES), help="the figure's number")
    options.add_stored(parser)
    parser.add_argument("--trial", type=int, default=1, metavar="N", help="which trial is drawn (default: 1)")
    parser.add_argument("--save", metavar="FILE", help="PNG file to write (default: figure-NUMBER.png)")
    parser.set_defaults(prepare=_prepare)


def _prepare(given: argparse.Namespace) -> Callable[[], None]:
    figure, trial = FIGURES[given.number], integer("trial", given.trial) - 1
    if trial >= LARGEST_TRIALS:
        reject("trial", f"at most {LARGEST_TRIALS}", str(given.trial))
    backend = get_backend(given.backend)
    study = Study.open(options.place("results", given.results), options.folder_of_data(given), backend)
    for network in figure.networks:
        if network not in study.folders:
            reject("results", f"a folder with runs of net {network}", repr(given.results))
    path = options.place("save", f"figure-{given.number}.png" if given.save is None else given.save)
    if path.suffix.lower() not in ("", ".png"):
        reject("save", "a PNG file, *.png", repr(str(path)))
    if not os.path.isdir(path.parent):
        reject("save", "a file in an existing folder", repr(str(path)))
    if os.path.isdir(path):
        reject("save", "a file", f"the folder {str(path)!r}")

    def job() -> None:
        if figure.trained and study.has_diverged(figure.networks, trial):
            refuse("a folder with the trial as it was trained", f"trial {trial + 1}, in which a run diverged")
        with use_backend(backend):
            canvas, lines = figure.make(study, trial)
        write_file(path, to_png(canvas), argument="save")
        print("\n".join([figure.title, *lines, f"Picture: {path}"]))

    return job
