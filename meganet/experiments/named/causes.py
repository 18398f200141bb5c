"""Why does Multigrid fall to 63 % on validation? One small experiment for each candidate cause.

Each compares variants of the protocol, on net A and on net B, over several trials: the *gap* of an arm is its training
minus its validation accuracy at the end. A cause reproduces the thesis' pattern if the gap of Multigrid becomes large
while that of Transfer stays small, less so with pooling (net B).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.named.gaps import CARRIED, SGD_TABLES, accuracies_at, compare
from meganet.experiments.variants import Variant


@dataclass(frozen=True)
class Cause:
    """A comparison of settings.

    Attributes
    ----------
    name : str
    changes : mapping
        Name of each variant to its settings; the first one is what the others are compared with.
    """

    name: str
    changes: Mapping[str, Mapping[str, Any]]

    def run(self, lab: Lab) -> Findings:
        """Run all variants on both nets; a row for each, with the gaps to draw."""
        variants = {
            (name, table): Variant(f"{name}-table-{table}", changes, table, CARRIED)
            for table in SGD_TABLES
            for name, changes in self.changes.items()
        }
        found = lab.runs(list(variants.values())).histories()
        return compare(
            {key: {arm: accuracies_at(found[v.name][arm]) for arm in CARRIED} for key, v in variants.items()}
        )


CAUSES = (
    Cause(
        "training-images",
        {
            "original": {"training_images": "original"},
            "linear": {"training_images": "linear"},
            "constant": {"training_images": "constant"},
        },
    ),
    Cause(
        "validation-images",
        {
            "as training": {"training_images": "original"},
            "linear": {"training_images": "original", "validation_images": "linear"},
            "constant": {"training_images": "original", "validation_images": "constant"},
            "both linear": {"training_images": "linear", "validation_images": "linear"},
        },
    ),
    Cause(
        "theta-regularisation",
        {"2^-3, printed": {"theta_alpha": 2.0**-3}, "2^-6": {"theta_alpha": 2.0**-6}, "0": {"theta_alpha": 0.0}},
    ),
    Cause(
        "interpolation",
        {"linear": {"interpolation": "linear"}, "constant": {"interpolation": "constant"}},
    ),
    Cause(
        "classifier-factor",
        {name: {"classifier_scaling": name} for name in ("logits", "none", "thesis")},
    ),
    Cause(
        "smoothing",
        {name: {"W_smoothing": float(name)} for name in ("1", "10", "0.1")},
    ),
    Cause(
        "ordering",
        {
            "pixels": {"W_neighbours": "pixels", "W_transfer": "pixels"},
            "vec, regulariser alone": {"W_neighbours": "vec", "W_transfer": "pixels"},
            "vec, transfer alone": {"W_neighbours": "pixels", "W_transfer": "vec"},
            "vec, both": {"W_neighbours": "vec", "W_transfer": "vec"},
        },
    ),
    Cause(
        "fine-examples",
        {"as set": {}, "1000": {"fine_examples": 1000}, "300": {"fine_examples": 300}},
    ),
    Cause(
        "coarse-training",
        {"as set": {}, "3 epochs": {"coarse_epochs": 3}, "1 epoch": {"coarse_epochs": 1}},
    ),
    Cause(
        "combined",
        {
            "neither": {"theta_alpha": 2.0**-3, "training_images": "original"},
            "no R(theta)": {"theta_alpha": 0.0, "training_images": "original"},
            "interpolated": {"theta_alpha": 2.0**-3, "training_images": "linear"},
            "both": {"theta_alpha": 0.0, "training_images": "linear"},
        },
    ),
    Cause("momentum", {"0": {"momentum": 0.0}, "0.9": {"momentum": 0.9}}),
)
"""One experiment for each candidate of why Multigrid does not generalise."""
