"""How many Newton steps an epoch of the thesis has: the one number of tables 4.3 and 4.4 that is fitted to 4.3.

**The rule.** The distance of a number of steps is the root mean square of the differences, in percent, between the nine
numbers of table 4.3 that are about the classifiers alone and the means of our trials, with CG-Steihaug of the textbook,
the method that the thesis describes. The number from 1 to `MOST` with the smallest distance is kept. The networks that
SGD then trains, and table 4.4, play no part.

The first k steps are the same whatever an epoch is, so that one run has the numbers of all.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from meganet.experiments.protocols.chapter4 import STARTS, classifier_stage
from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.fitting import percent
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import SGD, STEIHAUG, Stage
from meganet.experiments.setup.tables import distance, tables_of

TITLES = {"newton-steps": "How many Newton steps has an epoch in table 4.3?"}
ORDER = 2

MOST = 10
(TABLE,) = (table for table in tables_of("4.3") if table.name == f"4.3-{STEIHAUG}")
COLUMNS = [column for column in TABLE.columns if column.stage == 0]
"""Those of the classifiers alone."""


class Classifiers(Variant):
    """The classifiers of a table trained alone, without what follows."""

    def stages(self) -> tuple[Stage, ...]:
        """Return coarse training and the stages of the classifiers, by the textbook's method."""
        return tuple(s for s in super().stages() if s.method in (SGD, STEIHAUG) and (s.classifier_only or not s.after))


class NewtonSteps:
    """Fit the Newton steps of an epoch to the classifiers of table 4.3 by the rule."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return the classifiers of table 4.3, trained for as many steps as the most may be."""
        changes = {"classifier_epochs": MOST * base.newton.classifier_epochs, "newton_steps": 1}
        return [Classifiers("classifiers", changes, "4.3", tuple(TABLE.rows))]

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each number of steps."""
        (case,) = context.runs(self.variants(context.base)).cases.values()
        histories, epochs = case.histories(), context.base.newton.classifier_epochs
        thesis = [TABLE.thesis[row][TABLE.columns.index(column)] for row in STARTS for column in COLUMNS]
        rows: list[dict[str, Any]] = []
        for steps in range(1, MOST + 1):
            at = {1: steps, -1: steps * epochs}
            found = {
                f"{row.capitalize()}: {column.title.removeprefix('Classifier: ')}": percent(
                    histories[_run(row)], [column._replace(epoch=at[column.epoch])]
                )
                for row in STARTS
                for column in COLUMNS
            }
            means = {name: float(values.mean()) for name, values in found.items()}
            rows.append({"steps": steps, **means, "distance": distance(means.values(), thesis)})
        best = min(rows, key=lambda row: float(row["distance"]))
        trials = len(histories[_run("new")])
        chosen = f"newton_steps = {best['steps']}{', the most that were tried' if best['steps'] == MOST else ''}"
        if not isfinite(best["distance"]):
            chosen = "none, as some run diverged"
        notes = [
            f"Accuracies in percent, means of {trials} trials. Thesis: {', '.join(map(str, thesis))}.",
            f"Chosen: {chosen}.",
        ]
        return Answer(rows, notes)


def _run(row: str) -> str:
    return classifier_stage(row, STEIHAUG)


QUESTIONS = {"newton-steps": NewtonSteps()}
