"""The settings that the thesis leaves open, fitted to one row of one table and nothing else.

**The rule.** The distance of a choice of settings is the root mean square of the four differences, in percent, between
row *New* of table 4.1 and the mean of our trials: training and validation accuracy, after the first and after the last
epoch. Stage by stage (`STAGES`), all candidates of the stage are run with what the earlier stages chose, and the one
with the smallest distance is kept. Coarse training, transfer, and all other rows and tables play no part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.report import SGD_COLUMNS, THESIS
from meganet.experiments.variants import Variant
from meganet.optim import History

STAGES: tuple[Mapping[str, Sequence[Any]], ...] = (
    {
        "data_scaling": ("standardize", "unit"),
        "momentum": (0.0, 0.9),
        "training_images": ("original", "constant", "linear"),
    },
    {"theta_init": ("he", "meganet")},
    {"mesh_width": (1.0, 1 / 28)},
    {"W_smoothing": (10.0, 1.0, 100.0)},
    {"W_std": (0.1, 1.0)},
)
"""Settings, with candidates, that are fitted together; the thesis' text or equations allow each of these readings."""
DOUBTED: tuple[Mapping[str, Sequence[Any]], ...] = ({"theta_alpha": (2.0**-3, 2.0**-6, 0.0)},)
"""A setting that the text does print, but that lets no network fit its data as well as the thesis' tables say."""
TARGET = THESIS["4.1"]["new"]


@dataclass(frozen=True)
class Calibration:
    """Fit some settings to row New of table 4.1; all others are as they are by default."""

    name: str
    stages: tuple[Mapping[str, Sequence[Any]], ...]

    def run(self, lab: Lab) -> Findings:
        """Run stage after stage; a row for every choice that was tried, best first within its stage."""
        chosen = {name: values[0] for stage in self.stages for name, values in stage.items()}
        rows: list[tuple[Any, ...]] = []
        for number, stage in enumerate(self.stages, 1):
            choices = {_name(choice): choice for choice in _choices(chosen, stage)}
            variants = [Variant(name, choice, arms=("new",)) for name, choice in choices.items()]
            found = lab.runs(variants).histories()
            tried = {name: numbers(found[name]["new"]) for name in choices}
            order = sorted(tried, key=lambda name: distance(tried[name]))
            chosen = choices[order[0]]
            rows += [
                (number, *choices[name].values(), *map(float, tried[name]), distance(tried[name])) for name in order
            ]
        columns = ("stage", *chosen, *(column.title for column in SGD_COLUMNS), "distance")
        final = ", ".join(f"{name} = {value}" for name, value in chosen.items())
        return Findings(columns, rows, [f"Thesis: {', '.join(map(str, TARGET))}.", f"Chosen: {final}."])


CALIBRATIONS = (Calibration("calibration", STAGES), Calibration("calibration-theta-alpha", DOUBTED))


def numbers(histories: Sequence[History]) -> np.ndarray[Any, Any]:
    """Return the mean accuracies of a row of table 4.1, in percent."""
    return np.mean([[100 * h[c.row][c.quantity] for c in SGD_COLUMNS] for h in histories], axis=0)


def distance(found: np.ndarray[Any, Any]) -> float:
    """Return how far four accuracies are from row New of the thesis' table 4.1; infinite for a run that diverged."""
    value = float(np.sqrt(np.mean((found - TARGET) ** 2)))
    return value if np.isfinite(value) else float("inf")


def _choices(chosen: Mapping[str, Any], stage: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*stage.values()):
        yield {**chosen, **dict(zip(stage, values, strict=True))}


def _name(choice: Mapping[str, Any]) -> str:
    return "-".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in choice.values())
