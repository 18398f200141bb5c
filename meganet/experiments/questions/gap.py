"""Why *Multigrid* trains to 99.9 % and validates at 63: one cause, one experiment that shows it, three predictions.

**The cause.** An image is ``x = P R x + (x - P R x)``: what the coarse grid sees of it, and what it does not.
Retraining on ``P R x`` never shows the second part to a network; Galerkin's stencils amplify it, since they invert a
matrix that damps it; validation images have it.

**The experiment.** The same retrained networks are validated on ``P R x + t (x - P R x)`` with t from 0 to 1.

**The predictions.** The gap of *Multigrid* closes on validation images without the unseen part (t = 0), closes if it is
retrained on images that have it, and shrinks with constant P, whose inverse amplifies less.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.paired import probability
from meganet.experiments.setup.settings import Setup
from meganet.multigrid import prolongate_images, restrict_images
from meganet.objective import Objective
from meganet.plotting.unseen import unseen_figure

TITLES = {"gap": "Why does Multigrid validate at 63 %?"}
ORDER = 9

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the unseen part in the validation images."""
FITTED, ORIGINAL, CONSTANT = "retrained on P R x", "retrained on x", "constant P"
CHANGES: dict[str, dict[str, Any]] = {
    FITTED: {"training_images": "linear", "interpolation": "linear"},
    ORIGINAL: {"training_images": "original", "interpolation": "linear"},
    CONSTANT: {"training_images": "linear", "interpolation": "constant"},
}
LINES = (
    ("transfer", FITTED, "transfer"),
    ("multigrid", FITTED, "multigrid"),
    ("Multigrid, retrained on real images", ORIGINAL, "multigrid"),
    ("multigrid-constant", CONSTANT, "multigrid"),
)
"""What is compared: its name in the figure, its variant, its row."""
ROWS = {variant: tuple(row for _, of, row in LINES if of == variant) for variant in CHANGES}
"""The rows of the protocol that each variant needs."""


class Measured(NamedTuple):
    """Of the trials of one network, in percent: training accuracy (trials,), validation by shares (trials, shares)."""

    training: np.ndarray[Any, Any]
    validation: np.ndarray[Any, Any]

    def gaps(self, share: int) -> np.ndarray[Any, Any]:
        """Training minus validation accuracy of each trial, with one of the `SHARES`."""
        found: np.ndarray[Any, Any] = self.training - self.validation[:, share]
        return found


class Explained:
    """Retrain in three ways and validate with more and less of the unseen part."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return the three ways on net A."""
        return [Variant(name, {**changes, **_WHOLE}, "4.1", ROWS[name]) for name, changes in CHANGES.items()]

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each network and prediction, and the figure."""
        cases = context.runs(self.variants(context.base)).cases
        found = {name: _measured(cases[variant], row) for name, variant, row in LINES}
        image, seen = _example(cases[FITTED])
        curves = {name: one.validation for name, one in found.items()}
        return Answer(_table(found), NOTES, unseen_figure(image, seen, curves, SHARES))


def _measured(case: Case, row: str) -> Measured:
    histories = case.histories()[row]
    validation = np.empty((case.setup.run.trials, len(SHARES)))
    for trial in range(case.setup.run.trials):
        fun, x = case.problems(trial).level(-1, "fine").validation, case.weights(trial, row)
        labels = fun.backend.to_host(fun.labels)
        seen = prolongate_images(restrict_images(fun.images), "linear")
        for k, share in enumerate(SHARES):
            images = seen + share * (fun.images - seen)
            validation[trial, k] = 100 * Objective(fun.network, fun.classifier, images, labels).evaluate(x).accuracy
    return Measured(np.array([100 * history[-1]["accuracy"] for history in histories]), validation)


def _table(found: dict[str, Measured]) -> list[dict[str, Any]]:
    usual = found["multigrid"].gaps(-1)
    rows = []
    for name, variant, row in LINES:
        for share, images in ((-1, "x"), (0, "P R x")):
            one = found[name]
            gap = one.gaps(share)
            rows.append(
                {
                    "row": row.capitalize(),
                    "variant": variant,
                    "validated on": images,
                    "trials": len(gap),
                    "training": float(one.training.mean()),
                    "validation": float(one.validation[:, share].mean()),
                    "gap": float(gap.mean()),
                    "std": float(gap.std(ddof=1)) if len(gap) > 1 else float("nan"),
                    "smaller by": float((usual - gap).mean()),
                    "p": probability(usual - gap),
                }
            )
    return rows


def _example(case: Case) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the first validation image of the first trial, and what the coarse grid sees of it."""
    fun = case.problems(0).level(-1, "fine").validation
    image = fun.images[:1]
    seen = prolongate_images(restrict_images(image), "linear")
    return tuple(fun.backend.to_host(one)[0, 0] for one in (image, seen))


_WHOLE = {"validation_images": "original"}
NOTES = (
    "P R x with linear P. Gap: training minus validation accuracy at the end, in points, mean and standard deviation "
    "over the trials. Smaller by: than that of Multigrid retrained on P R x and validated on x, with the p of a paired "
    "t-test over the trials.",
)
QUESTIONS = {"gap": Explained()}
