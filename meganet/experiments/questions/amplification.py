"""What the transfer does to the part of an image that the coarse grid cannot see.

An image is ``x = P R x + (x - P R x)``: what the coarse grid knows of it, and the rest, which oscillates. Galerkin
prolongation inverts a matrix that damps the oscillating part of stencils, so it amplifies just that part. Measured
before any retraining.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import Array
from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.runs.problems import Problems, seen_by_coarse_grid
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.tables import tables_of
from meganet.objective import Objective

TITLES = {"amplification": "What becomes of what the coarse grid cannot see?"}
ORDER = 10

EXAMPLES = 1000
KINDS = (("transfer", "linear"), ("multigrid", "linear"), ("multigrid", "constant"))
"""Row and P of each start."""
NOTE = (
    f"Over the first {EXAMPLES} validation images x of each trial; P R x with linear P. Features from the unseen part: "
    "the norm of the network's features of x minus those of P R x, over the norm of the features of x."
)


class Amplification:
    """Measure what Transfer and Multigrid make of coarse weights before retraining."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return coarse training on both nets."""
        return [Variant(f"table-{name}", {"validation_images": "original"}, name, ()) for name in ("4.1", "4.2")]

    def ask(self, context: Context) -> Answer:
        """Train the coarse nets and measure every start; a row for each, means over the trials."""
        variants = self.variants(context.base)
        study = context.runs(variants)
        rows: list[dict[str, Any]] = []
        for variant in variants:
            case, (table,) = study.cases[variant.name], tables_of(variant.protocol)
            (coarse,) = case.stages
            found: dict[tuple[str, str], list[dict[str, float]]] = {kind: [] for kind in KINDS}
            for trial in range(case.setup.run.trials):
                x = case.weights(trial, coarse.name)
                problems = {
                    interpolation: Problems(
                        case.setup.changed(interpolation=interpolation), case.data, trial, case.own.backend
                    )
                    for _, interpolation in KINDS
                }
                for row, interpolation in KINDS:
                    (stage,) = table.rows[row]
                    start = problems[interpolation].start(stage, coarse, x)
                    theta, _ = problems[interpolation].level_of(coarse).training.split(x)
                    validation = problems[interpolation].level_of(stage).validation
                    found[row, interpolation].append(_measure(validation, start, theta))
            for (row, interpolation), of_trials in found.items():
                means = np.mean([list(values.values()) for values in of_trials], axis=0)
                first = {"net": case.setup.model.network, "start": row, "P": interpolation, "trials": len(of_trials)}
                rows.append({**first, **dict(zip(of_trials[0], map(float, means), strict=True))})
        return Answer(rows, [NOTE])


def _measure(fun: Objective, x: Array, coarse_theta: Array) -> dict[str, float]:
    """Return the columns of one start."""
    images, labels = fun.images[:EXAMPLES], fun.backend.to_host(fun.labels[:EXAMPLES])
    smooth = seen_by_coarse_grid(images)
    theta, _ = fun.split(x)
    seen, known = fun.network(theta, images), fun.network(theta, smooth)

    def norm(array: Array) -> float:
        return float(fun.backend.to_host((array * array).sum())) ** 0.5

    def accuracy(batch: Array) -> float:
        return 100 * float((fun.backend.to_host(fun.outputs(x, batch)).argmax(axis=1) == labels).mean())

    return {
        "norm of theta, in coarse norms": norm(theta) / norm(coarse_theta),
        "features from the unseen part, %": 100 * norm(seen - known) / norm(seen),
        "accuracy on x": accuracy(images),
        "accuracy on P R x": accuracy(smooth),
    }


QUESTIONS = {"amplification": Amplification()}
