"""All candidate causes of Multigrid's failure on validation in one table."""

from __future__ import annotations

from typing import Any

from meganet.experiments.named.base import Experiment, Findings, Lab
from meganet.experiments.named.causes import CAUSES
from meganet.experiments.named.gaps import Gap
from meganet.experiments.named.validation_set import ValidationSet

CANDIDATES: tuple[Experiment, ...] = (*CAUSES, ValidationSet())
COLUMNS = ("gap Transfer", "gap Multigrid", "effect size")


class Causes:
    """Run every candidate cause and show them side by side; runs that several have in common are made once."""

    name = "causes"

    def run(self, lab: Lab) -> Findings:
        """Run what is missing; a row for each variant of each cause, the nets side by side."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        drawn: list[Gap] = []
        notes: dict[str, None] = {}
        for cause in CANDIDATES:
            found = cause.run(lab)
            for values in (dict(zip(found.columns, row, strict=True)) for row in found.rows):
                row = rows.setdefault((cause.name, values["variant"]), {"trials": values["trials"]})
                row |= {f"net {values['net']}: {column}": values[column] for column in COLUMNS}
            drawn += [gap._replace(variant=f"{cause.name}: {gap.variant}") for gap in found.drawn]
            notes |= dict.fromkeys(found.notes)
        columns = ("cause", "variant", *next(iter(rows.values())))
        return Findings(columns, [(*key, *row.values()) for key, row in rows.items()], list(notes), tuple(drawn))
