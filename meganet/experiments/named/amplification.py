"""What the transfer does to the part of an image that the coarse grid cannot see.

An image is ``x = P R x + (x - P R x)``: what the coarse grid knows of it, and the rest, which oscillates. Galerkin
prolongation inverts a matrix that damps the oscillating part of stencils, so it amplifies just that part. Measured
before any retraining.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array
from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.plan import COARSE
from meganet.experiments.problems import build_levels, starting_point
from meganet.experiments.variants import Variant
from meganet.multigrid import prolongate_images, restrict_images
from meganet.objective import Objective

EXAMPLES = 1000
KINDS = (("transfer", "linear"), ("multigrid", "linear"), ("multigrid", "constant"))
COLUMNS = (
    "net",
    "start",
    "P",
    "trials",
    "norm of theta, in coarse norms",
    "features from the unseen part, %",
    "accuracy on x",
    "accuracy on P R x",
)


class Measured(NamedTuple):
    """Of one start: as the columns have it."""

    norm: float
    unseen: float
    accuracy: float
    smooth_accuracy: float


class Amplification:
    """Measure what Transfer and Multigrid make of coarse weights before retraining."""

    name = "amplification"

    def run(self, lab: Lab) -> Findings:
        """Train the coarse nets and measure every start; a row for each, means over the trials."""
        variants = [Variant(f"table-{table}", {"validation_images": "original"}, table, ()) for table in ("4.1", "4.2")]
        runs = lab.runs(variants)
        rows: list[tuple[Any, ...]] = []
        for variant in variants:
            protocol = runs.protocols[variant.name]
            found: dict[tuple[str, str], list[Measured]] = {kind: [] for kind in KINDS}
            for trial in range(protocol.trials):
                levels = build_levels(protocol, lab.data, trial, lab.backend)
                x = runs.weights(variant.name, trial, COARSE)
                theta, _ = levels[0].training.split(x)
                for arm, interpolation in KINDS:
                    chosen = dataclasses.replace(protocol, interpolation=interpolation)
                    start = starting_point(chosen, levels, arm, x, trial)
                    found[arm, interpolation].append(_measure(levels[1].validation, start, theta))
            for kind, measured in found.items():
                means = [float(value) for value in np.mean(measured, axis=0)]
                rows.append((protocol.network, *kind, protocol.trials, *means))
        return Findings(COLUMNS, rows, list(_notes()))


def _measure(fun: Objective, x: Array, coarse_theta: Array) -> Measured:
    images, labels = fun.images[:EXAMPLES], fun.backend.to_host(fun.labels[:EXAMPLES])
    smooth = prolongate_images(restrict_images(images), "linear")
    theta, _ = fun.split(x)
    seen, known = fun.network(theta, images), fun.network(theta, smooth)

    def norm(array: Array) -> float:
        return float(fun.backend.to_host((array * array).sum())) ** 0.5

    def accuracy(batch: Array) -> float:
        return 100 * float((fun.backend.to_host(fun.logits(x, batch)).argmax(axis=1) == labels).mean())

    unseen = 100 * norm(seen - known) / norm(seen)
    return Measured(norm(theta) / norm(coarse_theta), unseen, accuracy(images), accuracy(smooth))


def _notes() -> Iterator[str]:
    yield (
        f"Over the first {EXAMPLES} validation images x of each trial; P R x with linear P. Features from the unseen "
        "part: the norm of the network's features of x minus those of P R x, over the norm of the features of x."
    )
