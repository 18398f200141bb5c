"""The settings that the thesis leaves open, fitted to one row of one table and nothing else.

**The rule.** The distance of a choice of settings is the root mean square of the four differences, in percent, between
row *New* of table 4.1 and the mean of our trials: training and validation accuracy, after the first and after the last
epoch. Step by step (`STEPS`), all candidates of the step are run with what the earlier ones chose, and the one with the
smallest distance is kept. Coarse training, transfer, and all other rows and tables play no part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.tables import distance, tables_of
from meganet.optim import History

TITLES = {
    "calibration": "Which reading of the thesis gives row New of 4.1?",
    "calibration-theta-alpha": "Which weight of R(theta) gives row New of 4.1?",
}
ORDER = 0

Candidates = Mapping[str, Sequence[Any]]
STEPS: tuple[Candidates, ...] = (
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
DOUBTED: tuple[Candidates, ...] = ({"theta_alpha": (2.0**-3, 2.0**-6, 0.0)},)
"""A setting that the text does print, but that lets no network fit its data as well as the thesis' tables say."""
(TABLE,) = tables_of("4.1")
ROW = "new"
TARGET = TABLE.thesis[ROW]


@dataclass(frozen=True)
class Calibration:
    """Fit some settings to row New of table 4.1; all others are as they are by default."""

    steps: tuple[Candidates, ...]

    def variants(self, base: Setup) -> list[Variant]:
        """Return the candidates of all steps, where each step keeps the first."""
        kept, found = self._first, []
        for step in self.steps:
            choices = _choices(kept, step)
            kept = next(iter(choices.values()))
            found += _variants(choices)
        return found

    def ask(self, context: Context) -> Answer:
        """Run step after step; a row for every choice that was tried, best first within its step."""
        kept, rows = self._first, []
        for number, step in enumerate(self.steps, 1):
            choices = _choices(kept, step)
            study = context.runs(_variants(choices))
            tried = {name: numbers(study.cases[name].histories()[ROW]) for name in choices}
            order = sorted(tried, key=lambda name: distance(tried[name], TARGET))
            kept = choices[order[0]]
            for name in order:
                found = dict(zip((column.title for column in TABLE.columns), map(float, tried[name]), strict=True))
                rows.append({"stage": number, **choices[name], **found, "distance": distance(tried[name], TARGET)})
        final = ", ".join(f"{name} = {value}" for name, value in kept.items())
        return Answer(rows, [f"Thesis: {', '.join(map(str, TARGET))}.", f"Chosen: {final}."])

    @property
    def _first(self) -> dict[str, Any]:
        return {name: values[0] for step in self.steps for name, values in step.items()}


def numbers(histories: Sequence[History]) -> np.ndarray[Any, Any]:
    """Return the mean accuracies of a row of table 4.1, in percent."""
    return np.mean([[100 * h[c.epoch][c.quantity] for c in TABLE.columns] for h in histories], axis=0)


def _choices(kept: Mapping[str, Any], step: Candidates) -> dict[str, dict[str, Any]]:
    """Return the candidates of a step, with all that was kept, by the names of their variants."""
    tried = ({**kept, **dict(zip(step, values, strict=True))} for values in itertools.product(*step.values()))
    return {"-".join(_texts(choice)): choice for choice in tried}


def _texts(choice: Mapping[str, Any]) -> Iterator[str]:
    return (f"{value:.4g}" if isinstance(value, float) else str(value) for value in choice.values())


def _variants(choices: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    return [Variant(name, choice, TABLE.name, (ROW,)) for name, choice in choices.items()]


QUESTIONS = {"calibration": Calibration(STEPS), "calibration-theta-alpha": Calibration(DOUBTED)}
