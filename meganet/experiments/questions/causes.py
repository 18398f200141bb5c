"""Why does Multigrid fall to 63 % on validation? The candidate causes, each a few variants that are compared.

On net A and on net B, over several trials: a cause reproduces the thesis' pattern if the gap between training and
validation of Multigrid becomes large while that of Transfer stays small, less so with pooling (net B).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.datasets import scale_images
from meganet.experiments.questions.base import Answer, Context, Question, Variant
from meganet.experiments.questions.comparing import (
    CARRIED,
    NOTES,
    THESIS,
    UNCHANGED,
    Accuracies,
    Comparison,
    accuracies_at,
    accuracy_on,
    carried,
    gaps,
    table,
)
from meganet.experiments.runs.problems import NOISE
from meganet.experiments.setup.settings import Setup
from meganet.plotting.causes import gaps_figure

TITLES = {
    "training-images": "Are the training images alone interpolated?",
    "validation-images": "Do validation images differ in high frequencies?",
    "theta-regularisation": "Is R(theta) weaker than printed?",
    "interpolation": "Which P?",
    "classifier-factor": "Which factor on the classifier?",
    "smoothing": "Is the initial classifier smoothed too little?",
    "ordering": "Does R(W) or the transfer see wrong neighbours?",
    "fine-examples": "Are there too few fine examples?",
    "coarse-training": "Is coarse training too short for smooth stencils?",
    "combined": "No R(theta) and interpolated training images?",
    "momentum": "Does momentum matter?",
    "validation-set": "Is the validation set scaled, shifted or noisy?",
    "causes": "Which cause makes Multigrid fail on validation?",
}
ORDER = 20

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "training-images": {
        "original": {"training_images": "original"},
        "linear": {"training_images": "linear"},
        "constant": {"training_images": "constant"},
    },
    "validation-images": {
        "as training": {"training_images": "original"},
        "linear": {"training_images": "original", "validation_images": "linear"},
        "constant": {"training_images": "original", "validation_images": "constant"},
        "both linear": {"training_images": "linear", "validation_images": "linear"},
    },
    "theta-regularisation": {
        "2^-3, printed": {"theta_alpha": 2.0**-3},
        "2^-6": {"theta_alpha": 2.0**-6},
        "0": {"theta_alpha": 0.0},
    },
    "interpolation": {"linear": {"interpolation": "linear"}, "constant": {"interpolation": "constant"}},
    "classifier-factor": {
        "logits": {"classifier_scaling": "logits"},
        "none": {"classifier_scaling": "none"},
        "thesis": {"classifier_scaling": "thesis"},
    },
    "smoothing": {"1": {"W_smoothing": 1.0}, "10": {"W_smoothing": 10.0}, "0.1": {"W_smoothing": 0.1}},
    "ordering": {
        "pixels": {"W_neighbours": "pixels", "W_transfer": "pixels"},
        "vec, regulariser alone": {"W_neighbours": "vec", "W_transfer": "pixels"},
        "vec, transfer alone": {"W_neighbours": "pixels", "W_transfer": "vec"},
        "vec, both": {"W_neighbours": "vec", "W_transfer": "vec"},
    },
    "fine-examples": {"baseline": {}, "1000": {"fine_examples": 1000}, "300": {"fine_examples": 300}},
    "coarse-training": {"baseline": {}, "3 epochs": {"coarse_epochs": 3}, "1 epoch": {"coarse_epochs": 1}},
    "combined": {
        "neither": {"theta_alpha": 2.0**-3, "training_images": "original"},
        "no R(theta)": {"theta_alpha": 0.0, "training_images": "original"},
        "interpolated": {"theta_alpha": 2.0**-3, "training_images": "linear"},
        "both": {"theta_alpha": 0.0, "training_images": "linear"},
    },
    "momentum": {"0": {"momentum": 0.0}, "0.9": {"momentum": 0.9}},
}
"""Of each cause the variants with their settings; the first one is what the others are compared with."""

Images = np.ndarray[Any, Any]
SETS: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "as it is": lambda images, rng: images,
    "each image standardised": lambda images, rng: scale_images(images, "standardize", images.dtype),
    "255 times as bright": lambda images, rng: 255 * images,
    "shifted by a pixel": lambda images, rng: np.roll(images, 1, axis=-1),
    "with noise of 0.1": lambda images, rng: (images + 0.1 * rng.standard_normal(images.shape)).astype(images.dtype),
    "a tenth of it": lambda images, rng: images[: max(len(images) // 10, 1)],
    "a hundredth of it": lambda images, rng: images[: max(len(images) // 100, 1)],
}
"""How other validation sets are made from that of a trial; the first is what the others are compared with."""


@dataclass(frozen=True)
class ValidationSets(Comparison):
    """The networks at the end of retraining, validated on other images or on fewer.

    The weights are the same for every set, and each set is made from the validation images of the trial, as they are
    scaled. Images without their oscillating part are the cause "validation-images".
    """

    def measure(self, context: Context) -> Accuracies:
        """Run what is missing and return the accuracies on every set."""
        study = context.runs(self.variants(context.base))
        found: Accuracies = {}
        for (_, net), variant in carried(self.changes).items():
            case = study.cases[variant.name]
            histories = case.histories()
            of_net = {name: {row: accuracies_at(histories[row]) for row in CARRIED} for name in SETS}
            for trial in range(case.setup.run.trials):
                fun = case.problems(trial).level(-1, "fine").validation
                images = fun.backend.to_host(fun.images)
                weights = {row: case.weights(trial, row) for row in CARRIED}
                for name, made in SETS.items():
                    changed = made(images, random_stream(case.setup.run.seed, trial, NOISE))
                    for row, x in weights.items():
                        of_net[name][row][trial, 1] = accuracy_on(fun, fun.backend.asarray(changed), x)
            found |= {(name, net): ends for name, ends in of_net.items()}
        return found


SHOWN = ("gap Transfer", "gap Multigrid", "effect size")
"""Columns of all causes, for each net."""


@dataclass(frozen=True)
class Causes:
    """All candidate causes side by side; runs that several have in common are made once."""

    causes: Mapping[str, Comparison]

    def variants(self, base: Setup) -> list[Variant]:
        """Return the variants of all."""
        return [variant for cause in self.causes.values() for variant in cause.variants(base)]

    def ask(self, context: Context) -> Answer:
        """Ask one after another; a row for each variant of each cause, the nets side by side."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        drawn = []
        for name, cause in self.causes.items():
            found = cause.measure(context)
            for values in table(found):
                first = {"cause": name, "variant": values["variant"], "trials": values["trials"]}
                row = rows.setdefault((name, values["variant"]), first)
                row |= {f"net {values['net']}: {column}": values[column] for column in SHOWN}
            drawn += gaps(found, prefix=f"{name}: ")
        return Answer(list(rows.values()), NOTES, gaps_figure(drawn, THESIS))


CAUSES: dict[str, Comparison] = {
    **{name: Comparison(changes) for name, changes in SETTINGS.items()},
    "validation-set": ValidationSets(UNCHANGED),
}
QUESTIONS: dict[str, Question] = {**CAUSES, "causes": Causes(CAUSES)}
