"""`meganet experiment`: questions beyond the thesis' tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from meganet.backend import use_backend
from meganet.cli import options
from meganet.cli.arguments import RESULTS
from meganet.document import Paragraph, Picture
from meganet.experiments import protocol_for
from meganet.experiments.named import EXPERIMENTS, Lab
from meganet.experiments.titles import QUESTIONS
from meganet.plotting import findings_figure, to_png


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what makes the runs and shows what was found."""
    experiment = EXPERIMENTS[given.name]
    base = options.changed(
        protocol_for("4.1", given.preset, **options.numbers(given)), given, fixed={"network": "set by the experiment"}
    )
    backend, data, workers = options.tools(given, [base])
    settings = {name: getattr(base, name) for name in options.names(given)}
    folder = "-".join([f"{given.preset}-seed-{given.seed}", *given.settings])
    path = Path(RESULTS, "experiments", folder) if given.out is None else options.place("out", given.out)
    lab = Lab(path, experiment.name, given.preset, settings, backend, data, workers, not given.quiet, print)

    def job() -> None:
        # of runs that diverged numbers come out that are not finite, which the table says
        with use_backend(backend), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            found = experiment.run(lab)
        document = found.to_document(QUESTIONS[experiment.name])
        document.add(*map(Paragraph, lab.diverged))
        document.add(Paragraph("Made by:"), Paragraph(options.command(), code=True))
        figure = findings_figure(found)
        if figure is not None:
            picture = to_png(figure)
            lab.write("png", picture)
            document.add(Picture(f"{experiment.name}.png", picture, QUESTIONS[experiment.name]))
        lab.write("csv", found.to_csv())
        written = lab.write("md", document.to_markdown())
        print(f"\n{document.to_text()}\nResults: {written}")

    return job
