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
from meganet.experiments.questions.comparing import accuracies_at, accuracy_on, std
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.paired import finite_mean, probability
from meganet.experiments.runs.problems import seen_by_coarse_grid
from meganet.experiments.setup.settings import Setup
from meganet.plotting.unseen import unseen_figure

TITLES = {"gap": "Why does Multigrid validate at 63 %?"}
ORDER = 9

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the unseen part in the validation images."""
INTERPOLATED, ORIGINAL, CONSTANT = "retrained on P R x", "retrained on x", "constant P"
CHANGES: dict[str, dict[str, Any]] = {
    INTERPOLATED: {"training_images": "linear", "interpolation": "linear"},
    ORIGINAL: {"training_images": "original", "interpolation": "linear"},
    CONSTANT: {"training_images": "linear", "interpolation": "constant"},
}
LINES = (
    ("transfer", INTERPOLATED, "transfer"),
    ("multigrid", INTERPOLATED, "multigrid"),
    ("Multigrid, retrained on real images", ORIGINAL, "multigrid"),
    ("multigrid-constant", CONSTANT, "multigrid"),
)
"""What is compared: its name in the figure, its variant, its row."""
ROWS = {variant: tuple(row for _, of, row in LINES if of == variant) for variant in CHANGES}
"""The rows of the protocol that each variant needs."""


class Measured(NamedTuple):
    """Of the trials of one network, in percent: training accuracy (trials,), validation by shares (trials, shares).

    Both are nan in a trial in which the network diverged.
    """

    training: np.ndarray[Any, Any]
    validation: np.ndarray[Any, Any]

    def gaps(self, share: int) -> np.ndarray[Any, Any]:
        """Return training minus validation accuracy of each trial, with one of the `SHARES`."""
        found: np.ndarray[Any, Any] = self.training - self.validation[:, share]
        return found


class Explained:
    """Retrain in three ways and validate with more and less of the unseen part."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return the three ways on net A."""
        real = {"validation_images": "original"}
        return [Variant(name, {**changes, **real}, "4.1", ROWS[name]) for name, changes in CHANGES.items()]

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each network and its validation images, and the figure."""
        cases = context.runs(self.variants(context.base)).cases
        found = {name: _measured(cases[variant], row) for name, variant, row in LINES}
        curves = {name: one.validation[np.isfinite(one.training)] for name, one in found.items()}
        drawn = {name: values for name, values in curves.items() if len(values)}
        image, seen = _example(cases[INTERPOLATED])
        return Answer(_table(found), NOTES, unseen_figure(image, seen, drawn, SHARES) if drawn else None)


def _measured(case: Case, row: str) -> Measured:
    training = accuracies_at(case.histories()[row])[:, 0]
    validation = np.full((len(training), len(SHARES)), np.nan)
    for trial in np.flatnonzero(np.isfinite(training)):
        fun, x = case.problems(int(trial)).level(-1, "fine").validation, case.weights(int(trial), row)
        seen = seen_by_coarse_grid(fun.images)
        for k, share in enumerate(SHARES):
            # with all of it the images are those of the tables, to the bit
            images = fun.images if share == 1 else seen + share * (fun.images - seen)
            validation[trial, k] = accuracy_on(fun, images, x)
    return Measured(training, validation)


def _table(found: dict[str, Measured]) -> list[dict[str, Any]]:
    usual = found["multigrid"].gaps(-1)
    rows = []
    for name, variant, row in LINES:
        for share, images in ((-1, "x"), (0, "P R x")):
            one = found[name]
            gap = one.gaps(share)
            # trials in which a network diverged do not count
            own, smaller = gap[np.isfinite(gap)], usual - gap
            rows.append(
                {
                    "row": row.capitalize(),
                    "variant": variant,
                    "validated on": images,
                    "trials": len(own),
                    "training": finite_mean(one.training),
                    "validation": finite_mean(one.validation[:, share]),
                    "gap": finite_mean(gap),
                    "std": std(own),
                    "smaller by": finite_mean(smaller),
                    "p": probability(smaller[np.isfinite(smaller)]),
                }
            )
    return rows


def _example(case: Case) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the first validation image of the first trial, and what the coarse grid sees of it; grey."""
    fun = case.problems(0).level(-1, "fine").validation
    image, seen = fun.images[:1], seen_by_coarse_grid(fun.images[:1])
    host = fun.backend.to_host
    return host(image)[0].mean(axis=0), host(seen)[0].mean(axis=0)


NOTES = (
    "P R x with linear P. Gap: training minus validation accuracy at the end, in points, mean and standard deviation "
    "over the trials. Smaller by: than that of Multigrid retrained on P R x and validated on x, with the p of a paired "
    "t-test over the trials. Trials in which a network diverged do not count.",
)
QUESTIONS = {"gap": Explained()}
