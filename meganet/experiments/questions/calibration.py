"""The settings that the thesis leaves open, fitted to one row of one table and nothing else.

**The rule.** The distance of a choice of settings is the root mean square of the four differences, in percent, between
row *New* of table 4.1 and the mean of our trials: training and validation accuracy, after the first and after the last
epoch. Step by step (`STEPS`), all candidates of the step are run with what the earlier ones chose, and the one with the
smallest distance is kept. Coarse training, transfer, and all other rows and tables play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.fitting import (
    PRINTED,
    Candidates,
    Choice,
    choices,
    first,
    name_of,
    percent,
    settings_text,
)
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.tables import distance, tables_of

TITLES = {
    "calibration": "Which reading of the thesis gives row New of 4.1?",
    "calibration-theta-alpha": "Which weight of R(theta) gives row New of 4.1?",
}
ORDER = 0

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
    """Fit some settings to row New of table 4.1; all others are as printed, or by default where nothing is."""

    steps: tuple[Candidates, ...]

    def variants(self, base: Setup) -> list[Variant]:
        """Return the candidates of all steps, where each step keeps the first."""
        kept, found = first(self.steps), []
        for step in self.steps:
            tried = choices(kept, step)
            kept = tried[0]
            found += _variants(tried)
        return found

    def ask(self, context: Context) -> Answer:
        """Run step after step; a row for every choice that was tried, best first within its step."""
        kept, rows = first(self.steps), []
        for number, step in enumerate(self.steps, 1):
            tried = choices(kept, step)
            cases = context.runs(_variants(tried)).cases
            found = [percent(cases[name_of(c)].histories()[ROW], TABLE.columns).mean(axis=0) for c in tried]
            far = [distance(numbers, TARGET) for numbers in found]
            order = sorted(range(len(tried)), key=far.__getitem__)
            kept = tried[order[0]]
            for k in order:
                shown = dict(zip((column.title for column in TABLE.columns), map(float, found[k]), strict=True))
                rows.append({"stage": number, **tried[k], **shown, "distance": far[k]})
        return Answer(rows, [f"Thesis: {', '.join(map(str, TARGET))}.", f"Chosen: {settings_text(kept)}."])


def _variants(choices: Sequence[Choice]) -> list[Variant]:
    return [Variant(name_of(choice), {**PRINTED, **choice}, TABLE.name, (ROW,)) for choice in choices]


QUESTIONS = {"calibration": Calibration(STEPS), "calibration-theta-alpha": Calibration(DOUBTED)}
