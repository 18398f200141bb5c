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
from meganet.experiments import setup_for
from meganet.experiments.questions.base import BASE, Context, OwnTrainings, question_of, questions
from meganet.ground.validate import InputError, UserError, reject
from meganet.plotting.axes import to_png


def context_of(given: argparse.Namespace) -> Context:
    """Check what is given and return where and with what the question is answered."""
    # most questions are about nets A and B
    fixed = {} if getattr(question_of(given.name), "any_network", False) else {"network": "set by the experiment"}
    base = options.changed(setup_for(BASE, given.preset, **options.numbers(given)), given, fixed=fixed)
    backend, data, workers = options.tools(given, [base])
    settings = {name: value for name, value in base.values().items() if name in options.names(given)}
    path = options.results_folder(given, Path(RESULTS, "experiments"))
    return Context(path, given.name, given.preset, settings, backend, data, workers, not given.quiet, print)


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what makes the runs and shows what was found."""
    question, title = question_of(given.name), questions()[given.name]
    context = context_of(given)
    if isinstance(question, OwnTrainings):
        _check_images(question, context)

    def job() -> None:
        # of runs that diverged numbers come out that are not finite, which the table says
        with use_backend(context.backend), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            answer = question.ask(context)
        document = answer.to_document(title)
        document.add(*map(Paragraph, context.diverged))
        document.add(Paragraph("Made by:"), Paragraph(options.command(), code=True))
        if answer.figure is not None:
            picture = to_png(answer.figure)
            context.write("png", picture)
            document.add(Picture(f"{given.name}.png", picture, title))
        context.write("csv", answer.to_csv())
        written = context.write("md", document.to_markdown())
        print(f"\n{document.to_text()}\nResults: {written}")

    return job


def _check_images(question: OwnTrainings, context: Context) -> None:
    """Refuse images on which the networks of a question cannot be trained, before anything is."""
    shape = context.data.images.shape[1:]
    try:
        question.cost(context.base, shape, context.data.classes)
    except UserError:
        # of settings, which it names
        raise
    except InputError as error:
        reject("dataset", f"images that the networks of {context.name} take", f"{'x'.join(map(str, shape))} ({error})")
