"""Is it the validation set? The networks at the end of retraining, validated on other images or on fewer.

The weights are those that *Transfer* and *Multigrid* have at the end, the same for every set, and each set is made from
the validation images of the trial, as the protocol scales them. Images without their oscillating part are the cause
"validation-images".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.datasets import scale_images
from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.named.gaps import CARRIED, accuracies_at, as_set, compare
from meganet.experiments.problems import NOISE, Level, build_levels
from meganet.objective import Objective

Images = np.ndarray[Any, Any]


def _as_they_are(images: Images, rng: np.random.Generator) -> Images:
    return images


def _standardized(images: Images, rng: np.random.Generator) -> Images:
    return scale_images(images, "standardize", images.dtype)


def _brighter(images: Images, rng: np.random.Generator) -> Images:
    return 255 * images


def _shifted(images: Images, rng: np.random.Generator) -> Images:
    return np.roll(images, 1, axis=-1)


def _noisy(images: Images, rng: np.random.Generator) -> Images:
    return (images + 0.1 * rng.standard_normal(images.shape)).astype(images.dtype)


def _tenth(images: Images, rng: np.random.Generator) -> Images:
    return images[: max(len(images) // 10, 1)]


def _hundredth(images: Images, rng: np.random.Generator) -> Images:
    return images[: max(len(images) // 100, 1)]


SETS: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "as it is": _as_they_are,
    "each image standardised": _standardized,
    "255 times as bright": _brighter,
    "shifted by a pixel": _shifted,
    "with noise of 0.1": _noisy,
    "a tenth of it": _tenth,
    "a hundredth of it": _hundredth,
}
"""How a validation set is made from the images of a trial; the first is what the others are compared with."""


class ValidationSet:
    """Validate the networks at the end of retraining on other sets of images."""

    name = "validation-set"

    def run(self, lab: Lab) -> Findings:
        """Make the runs that are missing; a row for each set, with the gaps to draw."""
        variants = as_set()
        runs = lab.runs(list(variants.values()))
        histories = runs.histories()
        result: dict[tuple[str, str], dict[str, np.ndarray[Any, Any]]] = {}
        for table, variant in variants.items():
            protocol = runs.protocols[variant.name]
            found = {name: {arm: accuracies_at(histories[variant.name][arm]) for arm in CARRIED} for name in SETS}
            for trial in range(protocol.trials):
                _, fine = build_levels(protocol, lab.data, trial, lab.backend)
                weights = {arm: runs.weights(variant.name, trial, arm) for arm in CARRIED}
                for name, validation in _validations(fine, protocol.seed, trial):
                    for arm, x in weights.items():
                        found[name][arm][trial, 1] = 100 * validation.evaluate(x).accuracy
            result |= {(name, table): of_arm for name, of_arm in found.items()}
        return compare(result)


def _validations(fine: Level, seed: int, trial: int) -> Iterator[tuple[str, Objective]]:
    """Yield the validation problem on each set."""
    fun = fine.validation
    images, labels = fun.backend.to_host(fun.images), fun.backend.to_host(fun.labels)
    for name, made in SETS.items():
        changed = made(images, random_stream(seed, trial, NOISE))
        yield name, Objective(fun.network, fun.classifier, fun.backend.asarray(changed), labels[: len(changed)])
