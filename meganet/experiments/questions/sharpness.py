"""Whether *Multigrid* is at a sharper place of the loss than *Transfer*, over several trials (thesis, section 4.3).

Figures 4.3 and 4.5 show one trial in one pair of directions, before retraining; the measure is theirs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.comparing import CARRIED, accuracies_at, carried
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.problems import DIRECTIONS
from meganet.experiments.setup.settings import Setup
from meganet.objective.landscape import loss_curvature

TITLES = {"sharpness": "Is Multigrid's minimum sharper than Transfer's?"}
ORDER = 30

HOW_MANY = 8
MOMENTS = {"before retraining": 0, "after": -1}
"""Rows of the histories."""
NOTE = (
    f"Curvature: mean of <d, H d> over {HOW_MANY} random filter-normalised directions d, H the Gauss-Newton Hessian of "
    "the training loss without regularisers, on 256 fine training images; means over the trials. Ratio: that of "
    "Multigrid over that of Transfer, of the same trial; the median of the trials. Gap: training minus validation "
    "accuracy, in points."
)


class Sharpness:
    """Compare the curvature of the training loss at the points of *Transfer* and *Multigrid*."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return both nets, without any change of the settings."""
        return list(carried().values())

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each net, before and after retraining."""
        rows: list[dict[str, Any]] = []
        for case in context.runs(self.variants(context.base)).cases.values():
            histories, trials = case.histories(), case.setup.run.trials
            measured = np.array([_curvatures(case, trial) for trial in range(trials)])
            by_moment = measured.T.reshape(len(MOMENTS), len(CARRIED), trials)
            for (name, epoch), (transfer, multigrid) in zip(MOMENTS.items(), by_moment, strict=True):
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = multigrid / transfer
                accuracies = [accuracies_at(histories[row], epoch) for row in CARRIED]
                gaps = [(of_row[:, 0] - of_row[:, 1]).mean() for of_row in accuracies]
                numbers = {
                    "curvature Transfer": transfer.mean(),
                    "curvature Multigrid": multigrid.mean(),
                    "ratio": np.median(ratio),
                    "lowest ratio": ratio.min(),
                    "highest ratio": ratio.max(),
                    "gap Transfer": gaps[0],
                    "gap Multigrid": gaps[1],
                }
                first = {"net": case.setup.model.network, "moment": name, "trials": trials}
                rows.append({**first, **{column: float(value) for column, value in numbers.items()}})
        return Answer(rows, [NOTE])


def _curvatures(case: Case, trial: int) -> list[float]:
    """Return those of a trial at the starts of the rows, then at their ends."""
    problems = case.problems(trial)
    points = [case.start(trial, row, problems) for row in CARRIED] + [case.weights(trial, row) for row in CARRIED]
    # the same random numbers for all points of a trial
    stream = partial(random_stream, case.setup.run.seed, trial, DIRECTIONS)
    fun = problems.level(-1, "fine").training
    return [loss_curvature(fun, x, stream(), directions=HOW_MANY) for x in points]


QUESTIONS = {"sharpness": Sharpness()}
