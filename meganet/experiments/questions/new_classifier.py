"""What holds back the classifier of *New*, trained alone on a random network, in tables 4.3 and 4.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meganet.experiments.protocols.chapter4 import SOLVERS, THESIS, classifier_stage
from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.comparing import accuracies_at, std
from meganet.experiments.setup.settings import Setup

TITLES = {"new-classifier": "What holds back New's classifier in 4.3 and 4.4?"}
ORDER = 40

CHANGES: dict[str, Mapping[str, Any]] = {
    "baseline": {},
    "first radius 1/4": {"trust_radius": 0.25},
    "first radius 4": {"trust_radius": 4.0},
    "20 steps": {"classifier_epochs": 20},
    "W_std 0.01": {"W_std": 0.01},
}
"""Name of each variant to its settings, beside one Newton step in an epoch."""
_SHOWN = (f"table {name}: {', '.join(map(str, THESIS[name]['new'][:3]))}" for name in ("4.3", "4.4"))
NOTE = f"Accuracies in percent, means over the trials. In the thesis, {'; '.join(_SHOWN)}."


class NewClassifier:
    """Train the classifier of *New* alone by both Newton methods, from other starts and for longer."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return row New of table 4.3 with each of the changes."""
        return [Variant(name, {"newton_steps": 1, **changes}, "4.3", ("new",)) for name, changes in CHANGES.items()]

    def ask(self, context: Context) -> Answer:
        """Run what is missing; a row for each variant and method."""
        rows: list[dict[str, Any]] = []
        for name, case in context.runs(self.variants(context.base)).cases.items():
            for solver in SOLVERS:
                histories = case.histories()[classifier_stage("new", solver)]
                initial, after = accuracies_at(histories, 1).mean(axis=0), accuracies_at(histories)[:, 1]
                rows.append(
                    {
                        "variant": name,
                        "solver": solver,
                        "trials": len(histories),
                        "loss at the start": float(np.mean([h[0]["loss"] for h in histories])),
                        "initial training": float(initial[0]),
                        "initial val.": float(initial[1]),
                        "after val.": float(after.mean()),
                        "std of after val.": std(after),
                    }
                )
        return Answer(rows, [NOTE])


QUESTIONS = {"new-classifier": NewClassifier()}
