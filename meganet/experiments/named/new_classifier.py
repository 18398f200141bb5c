"""What holds back the classifier of *New*, trained alone on a random network, in tables 4.3 and 4.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.named.gaps import accuracies_at, std
from meganet.experiments.plan import TABLES, classifier_stage
from meganet.experiments.report import THESIS
from meganet.experiments.variants import Variant

TABLE = "4.3"
CHANGES: dict[str, Mapping[str, Any]] = {
    "as set": {},
    "first radius 1/4": {"trust_radius": 0.25},
    "first radius 4": {"trust_radius": 4.0},
    "20 steps": {"classifier_epochs": 20},
    "W_std 0.01": {"W_std": 0.01},
}
"""Name of each variant to its settings."""
NUMBERS = ("initial training", "initial val.", "after val.")
COLUMNS = ("variant", "solver", "trials", "loss at the start", *NUMBERS, "std of after val.")


class NewClassifier:
    """Train the classifier of *New* alone by both Newton methods, from other starts and for longer."""

    name = "new-classifier"

    def run(self, lab: Lab) -> Findings:
        """Run what is missing; a row for each variant and method."""
        variants = {name: Variant(name, changes, TABLE, ("new",)) for name, changes in CHANGES.items()}
        found = lab.runs(list(variants.values())).histories()
        rows: list[tuple[Any, ...]] = []
        for name in variants:
            for solver in TABLES[TABLE].solvers:
                histories = found[name][classifier_stage("new", solver)]
                loss = float(np.mean([h[0]["loss"] for h in histories]))
                initial, after = accuracies_at(histories, 1).mean(axis=0), accuracies_at(histories)[:, 1]
                numbers = (*map(float, initial), float(after.mean()), std(after))
                rows.append((name, solver, len(histories), loss, *numbers))
        with_newton = [table for table, plan in TABLES.items() if plan.solvers]
        thesis = [f"table {table}: {', '.join(map(str, THESIS[table]['new'][:3]))}" for table in with_newton]
        notes = [f"Accuracies in percent, means over the trials. The same of the thesis, {'; '.join(thesis)}."]
        return Findings(COLUMNS, rows, notes)
