"""Chapter 4 of the thesis: coarse training, three ways to the fine grid, training there; beside the thesis' numbers."""

from __future__ import annotations

from typing import Any

from meganet.experiments.setup.stages import COARSEST, COPY, GALERKIN, MEGANET, SAME, SGD, STEIHAUG, Stage
from meganet.experiments.setup.tables import Column, Table

TITLES = {
    "4.1": "net A, trained by SGD",
    "4.2": "net B, trained by SGD",
    "4.3": "net B, its classifier by Newton, then all weights by SGD",
    "4.4": "net B, its classifier and then all weights by Newton",
}
ORDER = 0

COARSE = Stage("coarse", COARSEST, epochs="coarse_epochs", images="coarse")
STARTS: dict[str, dict[str, Any]] = {
    "new": {},
    "transfer": {"start": COPY, "after": "coarse"},
    "multigrid": {"start": GALERKIN, "after": "coarse"},
}
"""The rows: fresh weights; copied stencils; Galerkin stencils (the classifier is prolongated in both)."""
SOLVERS = {STEIHAUG: "CG-Steihaug of the textbook", MEGANET: "the original's variant of CG-Steihaug"}

SGD_COLUMNS = (
    Column("Initial training", -1, 1, "accuracy"),
    Column("Initial validation", -1, 1, "validation_accuracy"),
    Column("ReTrain training", -1, -1, "accuracy"),
    Column("ReTrain validation", -1, -1, "validation_accuracy"),
)
NEWTON_COLUMNS = (
    Column("Classifier: initial training", 0, 1, "accuracy"),
    Column("Classifier: initial val.", 0, 1, "validation_accuracy"),
    Column("Classifier: after val.", 0, -1, "validation_accuracy"),
    Column("Network: initial training", -1, 1, "accuracy"),
    Column("Network: initial val.", -1, 1, "validation_accuracy"),
    Column("Network: after val.", -1, -1, "validation_accuracy"),
)

THESIS: dict[str, dict[str, tuple[float, ...]]] = {
    "4.1": {
        "new": (88.4, 85.0, 96.4, 91.9),
        "transfer": (97.9, 93.5, 99.4, 94.6),
        "multigrid": (97.5, 62.9, 99.9, 63.6),
    },
    "4.2": {
        "new": (91.1, 89.0, 97.0, 93.2),
        "transfer": (96.7, 91.5, 98.3, 92.8),
        "multigrid": (96.8, 84.1, 99.8, 88.0),
    },
    "4.3": {
        "new": (32.5, 34.1, 75.3, 91.1, 89.0, 92.2),
        "transfer": (94.4, 82.1, 92.9, 99.1, 94.0, 93.8),
        "multigrid": (85.2, 34.1, 38.3, 97.6, 60.3, 62.4),
    },
    "4.4": {
        "new": (51.8, 50.3, 76.6, 91.9, 77.1, 79.5),
        "transfer": (92.8, 81.5, 91.4, 99.7, 91.7, 92.4),
        "multigrid": (85.2, 32.6, 35.9, 97.2, 42.4, 50.8),
    },
}
"""The thesis' tables, in percent, in the order of their columns."""


def classifier_stage(arm: str, solver: str) -> str:
    """Return the name of the stage that trains a row's classifier alone."""
    return f"{arm}-classifier-{solver}"


def _by_sgd(name: str, network: str) -> Table:
    rows = {arm: (Stage(arm, **start),) for arm, start in STARTS.items()}
    return Table(name, f"Table {name}", rows, SGD_COLUMNS, (COARSE,), network, THESIS[name])


def _by_newton(name: str, solver: str, ending: str, method: str) -> Table:
    rows = {}
    for arm, start in STARTS.items():
        first = classifier_stage(arm, solver)
        rows[arm] = (
            Stage(first, **start, method=solver, epochs="classifier_epochs", classifier_only=True),
            Stage(f"{first}-{ending}", start=SAME, after=first, method=method),
        )
    title = f"Table {name}, {SOLVERS[solver]}"
    return Table(f"{name}-{solver}", title, rows, NEWTON_COLUMNS, (COARSE,), "B", THESIS[name])


PROTOCOLS = {
    "4.1": (_by_sgd("4.1", "A"),),
    "4.2": (_by_sgd("4.2", "B"),),
    "4.3": tuple(_by_newton("4.3", solver, "sgd", SGD) for solver in SOLVERS),
    "4.4": tuple(_by_newton("4.4", solver, "newton", solver) for solver in SOLVERS),
}
