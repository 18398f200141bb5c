"""Gaps between training and validation accuracy: what the candidate causes of Multigrid's failure are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from meganet.experiments.named.base import Findings
from meganet.experiments.plan import TABLES
from meganet.experiments.problems import KERNELS
from meganet.experiments.report import THESIS
from meganet.experiments.variants import Variant
from meganet.optim import History

SGD_TABLES = ("4.1", "4.2")
"""The tables that SGD alone trains, without and with pooling: their gaps are compared."""
CARRIED = tuple(KERNELS)
"""The arms that go on with coarse weights."""
COLUMNS = (
    "variant",
    "net",
    "trials",
    "Transfer train",
    "Transfer val.",
    "Multigrid train",
    "Multigrid val.",
    "gap Transfer",
    "gap Multigrid",
    "gap difference",
    "std",
    "change from first",
    "effect size",
)


class Gap(NamedTuple):
    """Training minus validation accuracy of an arm at the end, in percent, one value for each trial."""

    variant: str
    table: str
    arm: str
    values: np.ndarray[Any, Any]


def as_set() -> dict[str, Variant]:
    """Return, for each table, the arms that go on with coarse weights, without any change of the settings."""
    return {table: Variant(f"table-{table}", {}, table, CARRIED) for table in SGD_TABLES}


def accuracies_at(histories: Sequence[History], row: int = -1) -> np.ndarray[Any, Any]:
    """Return training and validation accuracy in a row of the histories (default: the last), percent, (trials, 2)."""
    return np.array([[100 * h[row]["accuracy"], 100 * h[row]["validation_accuracy"]] for h in histories])


def std(values: np.ndarray[Any, Any]) -> float:
    """Return the standard deviation over the trials; nan for a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def compare(accuracies: Mapping[tuple[str, str], Mapping[str, np.ndarray[Any, Any]]]) -> Findings:
    """Return a row for each variant of each table, with the gaps to draw.

    Parameters
    ----------
    accuracies : mapping
        (variant, table) to arm to training and validation accuracy at the end, in percent, (trials, 2). The first
        variant of a table is what its others are compared with.
    """
    rows: list[tuple[Any, ...]] = []
    drawn: list[Gap] = []
    first: dict[str, np.ndarray[Any, Any]] = {}
    for (name, table), of_arm in accuracies.items():
        gaps = {arm: of_arm[arm][:, 0] - of_arm[arm][:, 1] for arm in CARRIED}
        drawn += [Gap(name, table, arm, values) for arm, values in gaps.items()]
        difference = gaps["multigrid"] - gaps["transfer"]
        base = first.setdefault(table, difference)
        rows.append(
            (
                name,
                TABLES[table].network,
                len(difference),
                *(float(value) for arm in CARRIED for value in of_arm[arm].mean(axis=0)),
                *(float(gaps[arm].mean()) for arm in CARRIED),
                float(difference.mean()),
                std(difference),
                float((difference - base).mean()),
                _effect(difference - base),
            )
        )
    thesis = [
        f"table {table}: Transfer {thesis_gap(table, 'transfer'):.1f}, Multigrid {thesis_gap(table, 'multigrid'):.1f}"
        for table in SGD_TABLES
    ]
    notes = [
        f"Gaps of the thesis, in points: {'; '.join(thesis)}.",
        "Gap difference: that of Multigrid minus that of Transfer, mean and standard deviation over the trials. "
        "Effect size: the change from the first variant, of the same trials, over its standard deviation, which a few "
        "trials give roughly.",
    ]
    return Findings(COLUMNS, rows, notes, tuple(drawn))


def _effect(change: np.ndarray[Any, Any]) -> float:
    """Return Cohen's d of paired differences; nan where it has none."""
    spread = std(change)
    return float(change.mean() / spread) if spread > 0 else float("nan")


def thesis_gap(table: str, arm: str) -> float:
    """Return the gap at the end that the thesis' table shows."""
    _, _, training, validation = THESIS[table][arm]
    return training - validation
