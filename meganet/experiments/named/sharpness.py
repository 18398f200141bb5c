"""Whether *Multigrid* is at a sharper place of the loss than *Transfer*, over several trials (thesis, section 4.3).

Figures 4.3 and 4.5 show one trial in one pair of directions, before retraining; the measure is theirs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.named.gaps import CARRIED, accuracies_at, as_set
from meganet.experiments.plan import COARSE
from meganet.experiments.problems import DIRECTIONS, build_levels, starting_point
from meganet.objective.landscape import loss_curvature

HOW_MANY = 8
MOMENTS = ("before retraining", "after")
COLUMNS = (
    "net",
    "moment",
    "trials",
    "curvature Transfer",
    "curvature Multigrid",
    "ratio",
    "lowest ratio",
    "highest ratio",
    "gap Transfer",
    "gap Multigrid",
)


class Sharpness:
    """Compare the curvature of the training loss at the points of *Transfer* and *Multigrid*."""

    name = "sharpness"

    def run(self, lab: Lab) -> Findings:
        """Run what is missing; a row for each net, before and after retraining."""
        variants = list(as_set().values())
        runs = lab.runs(variants)
        histories = runs.histories()
        rows: list[tuple[Any, ...]] = []
        for variant in variants:
            protocol = runs.protocols[variant.name]
            measured = []
            for trial in range(protocol.trials):
                levels = build_levels(protocol, lab.data, trial, lab.backend)
                coarse = runs.weights(variant.name, trial, COARSE)
                starts = [starting_point(protocol, levels, arm, coarse, trial) for arm in CARRIED]
                ends = [runs.weights(variant.name, trial, arm) for arm in CARRIED]
                # the same random numbers for all points of a trial
                stream = partial(random_stream, protocol.seed, trial, DIRECTIONS)
                curvature = partial(loss_curvature, levels[1].training, directions=HOW_MANY)
                measured.append([curvature(x, stream()) for x in (*starts, *ends)])
            curvatures = np.array(measured).T.reshape(len(MOMENTS), len(CARRIED), protocol.trials)
            for moment, (name, place) in enumerate(zip(MOMENTS, (0, -1), strict=True)):
                transfer, multigrid = curvatures[moment]
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = multigrid / transfer
                accuracies = [accuracies_at(histories[variant.name][arm], place) for arm in CARRIED]
                gaps = [(of_arm[:, 0] - of_arm[:, 1]).mean() for of_arm in accuracies]
                numbers = (transfer.mean(), multigrid.mean(), np.median(ratio), ratio.min(), ratio.max(), *gaps)
                rows.append((protocol.network, name, protocol.trials, *map(float, numbers)))
        notes = [
            f"Curvature: mean of <d, H d> over {HOW_MANY} random filter-normalised directions d, H the Gauss-Newton "
            "Hessian of the training loss without regularisers, on 256 fine training images; means over the trials. "
            "Ratio: that of Multigrid over that of Transfer, of the same trial; the median of the trials. Gap: "
            "training minus validation accuracy, in points."
        ]
        return Findings(COLUMNS, rows, notes)
