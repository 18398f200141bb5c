"""Whether *Multigrid* is at a sharper place of the loss than *Transfer*, over several trials (thesis, section 4.3).

Figures 4.3 and 4.5 show one trial in one pair of directions, before retraining; the measure is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.experiments.landscape import loss_curvature
from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.named.gaps import ARMS, WITH_GAP
from meganet.experiments.plan import COARSE
from meganet.experiments.problems import DIRECTIONS, build_levels, starting_point
from meganet.experiments.variants import Variant
from meganet.optim import History

DRAWN = 8
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
    question = "Is the place of Multigrid in the loss landscape sharper than that of Transfer?"

    def run(self, lab: Lab) -> Findings:
        """Run what is missing; a row for each net, before and after retraining."""
        variants = {table: Variant(f"table-{table}", {}, table, ARMS) for table in WITH_GAP}
        runs = lab.runs(list(variants.values()))
        histories = runs.histories()
        rows: list[tuple[Any, ...]] = []
        for variant in variants.values():
            protocol = runs.protocols[variant.name]
            curvatures = np.empty((len(MOMENTS), len(ARMS), protocol.trials))
            for trial in range(protocol.trials):
                levels = build_levels(protocol, lab.data, trial, lab.backend)
                coarse = runs.weights(variant.name, trial, COARSE)
                for k, arm in enumerate(ARMS):
                    start = starting_point(protocol, levels, arm, coarse, trial)
                    for moment, x in enumerate((start, runs.weights(variant.name, trial, arm))):
                        # the same random numbers for all points of a trial
                        rng = random_stream(protocol.seed, trial, DIRECTIONS)
                        curvature = loss_curvature(levels[1].training, x, rng, directions=DRAWN)
                        curvatures[moment, k, trial] = curvature
            for moment, (name, place) in enumerate(zip(MOMENTS, (0, -1), strict=True)):
                transfer, multigrid = curvatures[moment]
                ratio = multigrid / transfer
                gaps = [_gap(histories[variant.name][arm], place) for arm in ARMS]
                numbers = (transfer.mean(), multigrid.mean(), ratio.mean(), ratio.min(), ratio.max(), *gaps)
                rows.append((protocol.network, name, protocol.trials, *map(float, numbers)))
        notes = [
            f"Curvature: mean of <d, H d> over {DRAWN} random filter-normalised directions d, H the Gauss-Newton "
            "Hessian of the training loss without regularisers, on 256 examples; means over the trials. Ratio: that of "
            "Multigrid over that of Transfer, of the same trial. Gap: training minus validation accuracy, in points."
        ]
        return Findings(COLUMNS, rows, notes)


def _gap(histories: Sequence[History], place: int) -> float:
    return float(np.mean([100 * (h[place]["accuracy"] - h[place]["validation_accuracy"]) for h in histories]))
