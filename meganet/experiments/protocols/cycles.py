"""Protocols that the thesis does not have: from the fine grid to the coarse one, and both in turn.

Their stages are called as those of chapter 4 where they are the same, so that one results folder shares the runs.
"""

from __future__ import annotations

from meganet.experiments.protocols.chapter4 import COARSE, STARTS
from meganet.experiments.setup.stages import COARSEST, COPY, GALERKIN, Stage
from meganet.experiments.setup.tables import Column, Table

TITLES = {
    "fine-to-coarse": "from the fine grid to the coarse one",
    "in-turn": "coarse, fine, coarse and fine in turn",
}
ORDER = 1

COLUMNS = (
    Column("Start validation", -1, 0, "validation_accuracy"),
    Column("Initial training", -1, 1, "accuracy"),
    Column("Initial validation", -1, 1, "validation_accuracy"),
    Column("End training", -1, -1, "accuracy"),
    Column("End validation", -1, -1, "validation_accuracy"),
)
KINDS = {"transfer": COPY, "multigrid": GALERKIN}
NEW = Stage("new")


def _to_coarse(name: str, start: str, after: str) -> Stage:
    return Stage(name, COARSEST, start, after, epochs="coarse_epochs", images="coarse")


def _in_turn(row: str, start: str) -> tuple[Stage, ...]:
    back = _to_coarse(f"{row}-back", start, row)
    return Stage(row, **STARTS[row]), back, Stage(f"{row}-again", start=start, after=back.name)


DOWN = {row: (_to_coarse(f"{row}-down", start, "new"),) for row, start in KINDS.items()}
TURNS = {row: _in_turn(row, start) for row, start in KINDS.items()}
PROTOCOLS = {
    "fine-to-coarse": (
        Table("fine-to-coarse", "From the fine grid to the coarse one", {"coarse": (COARSE,), **DOWN}, COLUMNS, (NEW,)),
    ),
    "in-turn": (Table("in-turn", "Coarse and fine in turn", {"new": (NEW,), **TURNS}, COLUMNS, (COARSE,)),),
}
