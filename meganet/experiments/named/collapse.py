"""Why does Multigrid fall to 63 % on validation? One small experiment for each candidate cause.

Each compares variants of the protocol, on net A and on net B, over several trials: the *gap* of an arm is its training
minus its validation accuracy at the end. A cause reproduces the thesis' pattern if the gap of Multigrid becomes large
while that of Transfer stays small, less so with pooling (net B).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.report import THESIS
from meganet.experiments.variants import Variant
from meganet.optim import History

TABLES = ("4.1", "4.2")
ARMS = ("transfer", "multigrid")
COLUMNS = (
    "variant",
    "net",
    "trials",
    "Transfer train",
    "Transfer val.",
    "Multigrid train",
    "Multigrid val.",
    "gap Transfer",
    "gap Multigrid",
    "gap difference",
    "std",
    "change from first",
    "effect size",
)


class Gap(NamedTuple):
    """Training minus validation accuracy of an arm at the end, in percent, one value for each trial."""

    variant: str
    table: str
    arm: str
    values: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Cause:
    """A comparison of settings.

    Attributes
    ----------
    name, question : str
    changes : mapping
        Name of each variant to its settings; the first one is what the others are compared with.
    """

    name: str
    question: str
    changes: Mapping[str, Mapping[str, Any]]

    def run(self, lab: Lab) -> Findings:
        """Run all variants on both nets; a row for each, with the gaps to draw."""
        variants = {
            (name, table): Variant(f"{name}-table-{table}", changes, table, ARMS)
            for table in TABLES
            for name, changes in self.changes.items()
        }
        runs = lab.runs(list(variants.values()))
        found = runs.histories()
        rows: list[tuple[Any, ...]] = []
        drawn: list[Gap] = []
        first: dict[str, np.ndarray[Any, Any]] = {}
        for (name, table), variant in variants.items():
            ends = {arm: _ends(found[variant.name][arm]) for arm in ARMS}
            gaps = {arm: ends[arm][:, 0] - ends[arm][:, 1] for arm in ARMS}
            drawn += [Gap(name, table, arm, values) for arm, values in gaps.items()]
            difference = gaps["multigrid"] - gaps["transfer"]
            base = first.setdefault(table, difference)
            rows.append(
                (
                    name,
                    runs.protocols[variant.name].network,
                    len(difference),
                    *(float(value) for arm in ARMS for value in ends[arm].mean(axis=0)),
                    *(float(gaps[arm].mean()) for arm in ARMS),
                    float(difference.mean()),
                    _std(difference),
                    float((difference - base).mean()),
                    _effect(difference - base),
                )
            )
        thesis = [
            f"table {table}: Transfer {thesis_gap(table, 'transfer'):.1f}, "
            f"Multigrid {thesis_gap(table, 'multigrid'):.1f}"
            for table in TABLES
        ]
        notes = [
            f"Gaps of the thesis, in points: {'; '.join(thesis)}.",
            "Gap difference: that of Multigrid minus that of Transfer, mean and standard deviation over the trials. "
            "Effect size: the change from the first variant, of the same trials, over its standard deviation.",
        ]
        return Findings(COLUMNS, rows, notes, tuple(drawn))


def _ends(histories: Sequence[History]) -> np.ndarray[Any, Any]:
    """Return training and validation accuracy at the end, in percent, (trials, 2)."""
    return np.array([[100 * h[-1]["accuracy"], 100 * h[-1]["validation_accuracy"]] for h in histories])


def _std(values: np.ndarray[Any, Any]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _effect(change: np.ndarray[Any, Any]) -> float:
    """Return Cohen's d of paired differences; nan where it has none."""
    spread = _std(change)
    return float(change.mean() / spread) if spread > 0 else float("nan")


def thesis_gap(table: str, arm: str) -> float:
    """Return the gap at the end that the thesis' table shows."""
    _, _, training, validation = THESIS[table][arm]
    return training - validation


CAUSES = (
    Cause(
        "training-images",
        "Are the fine training images interpolated from coarse ones, and the validation images not?",
        {
            "original": {"training_images": "original"},
            "linear": {"training_images": "linear"},
            "constant": {"training_images": "constant"},
        },
    ),
    Cause(
        "validation-images",
        "Do the validation images differ in their high frequencies from the training images?",
        {
            "as training": {"training_images": "original"},
            "linear": {"training_images": "original", "validation_images": "linear"},
            "constant": {"training_images": "original", "validation_images": "constant"},
            "both linear": {"training_images": "linear", "validation_images": "linear"},
        },
    ),
    Cause(
        "theta-regularisation",
        "Is the regularisation of theta weaker than printed?",
        {"2^-3, printed": {"theta_alpha": 2.0**-3}, "2^-6": {"theta_alpha": 2.0**-6}, "0": {"theta_alpha": 0.0}},
    ),
    Cause(
        "interpolation",
        "Which P?",
        {"linear": {"interpolation": "linear"}, "constant": {"interpolation": "constant"}},
    ),
    Cause(
        "classifier-factor",
        "Which factor on the classifier?",
        {name: {"classifier_scaling": name} for name in ("logits", "none", "thesis")},
    ),
    Cause(
        "smoothing",
        "Is the initial classifier smoothed too little?",
        {name: {"W_smoothing": float(name)} for name in ("1", "10", "0.1")},
    ),
    Cause(
        "ordering",
        "Does the gradient regulariser see the wrong neighbours, as in the original's MNIST example?",
        {name: {"W_neighbours": name} for name in ("pixels", "vec")},
    ),
    Cause(
        "fine-examples",
        "Are there too few fine examples?",
        {"as preset": {}, "1000": {"fine_examples": 1000}, "300": {"fine_examples": 300}},
    ),
    Cause(
        "coarse-training",
        "Is coarse training too short for R(theta) to smooth the stencils?",
        {"as preset": {}, "3 epochs": {"coarse_epochs": 3}, "1 epoch": {"coarse_epochs": 1}},
    ),
    Cause(
        "combined",
        "Weak regularisation and interpolated training images together?",
        {
            "neither": {"theta_alpha": 2.0**-3, "training_images": "original"},
            "weak": {"theta_alpha": 0.0, "training_images": "original"},
            "interpolated": {"theta_alpha": 2.0**-3, "training_images": "linear"},
            "both": {"theta_alpha": 0.0, "training_images": "linear"},
        },
    ),
    Cause("momentum", "Does momentum matter?", {"0": {"momentum": 0.0}, "0.9": {"momentum": 0.9}}),
)
"""One experiment for each candidate of why Multigrid does not generalise."""
