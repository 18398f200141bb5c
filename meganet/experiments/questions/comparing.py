"""Variants compared by gaps: training minus validation accuracy at the end, of what goes on with coarse weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.backend import Array
from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.tables import tables_of
from meganet.objective import Objective
from meganet.optim import History
from meganet.plotting.causes import Gap, gaps_figure

TABLES = {str(table.network): table for name in ("4.1", "4.2") for table in tables_of(name)}
"""By network: the tables that SGD alone trains, without and with pooling."""
CARRIED = ("transfer", "multigrid")
"""The rows that go on with coarse weights."""
UNCHANGED: Mapping[str, Mapping[str, Any]] = {"": {}}
Accuracies = dict[tuple[str, str], dict[str, np.ndarray[Any, Any]]]
"""(variant, net) to row to training and validation accuracy at the end, in percent, (trials, 2)."""


def carried(changes: Mapping[str, Mapping[str, Any]] = UNCHANGED) -> dict[tuple[str, str], Variant]:
    """Return each variant on each net: the rows that go on with coarse weights, with these settings changed.

    Examples
    --------
    >>> from meganet.experiments.questions.comparing import carried
    >>> [variant.name for variant in carried({"no P": {"interpolation": "constant"}}).values()]
    ['no P-table-4.1', 'no P-table-4.2']
    """
    return {
        (name, net): Variant("-".join(filter(None, (name, f"table-{table.name}"))), changed, table.name, CARRIED)
        for net, table in TABLES.items()
        for name, changed in changes.items()
    }


def accuracies_at(histories: Sequence[History], epoch: int = -1) -> np.ndarray[Any, Any]:
    """Return training and validation accuracy after an epoch (default: the last), in percent, (trials, 2).

    Examples
    --------
    >>> from meganet.experiments.questions.comparing import accuracies_at
    >>> from meganet.optim import History
    >>> accuracies_at([History([{"accuracy": 0.75, "validation_accuracy": 0.5}])])
    array([[75., 50.]])
    """
    return np.array([[100 * h[epoch]["accuracy"], 100 * h[epoch]["validation_accuracy"]] for h in histories])


def accuracy_on(fun: Objective, images: Array, x: Array) -> float:
    """Return the accuracy of weights on other images than those of an objective, in percent.

    Their labels are the first of the objective.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Chain, ConvolutionLayer, DenseLayer, Objective
    >>> from meganet.experiments.questions.comparing import accuracy_on
    >>> images = np.random.default_rng(0).random((5, 1, 4, 4))
    >>> fun = Objective(Chain([ConvolutionLayer((1, 4, 4), 2)]), DenseLayer((2, 4, 4), 3), images, np.zeros(5, int))
    >>> accuracy_on(fun, images[:2], np.zeros(18 + 33 * 3))
    100.0
    """
    labels = fun.backend.to_host(fun.labels)[: len(images)]
    return 100 * Objective(fun.network, fun.classifier, images, labels).evaluate(x).accuracy


def std(values: np.ndarray[Any, Any]) -> float:
    """Return the standard deviation over the trials; nan for a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


@dataclass(frozen=True)
class Comparison:
    """A question that compares settings on both nets; a gap reproduces the thesis if that of Multigrid is large alone.

    Attributes
    ----------
    changes : mapping
        Name of each variant to its settings; the first one is what the others are compared with.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> from meganet.experiments.questions.comparing import Comparison
    >>> question = Comparison({"baseline": {}, "three epochs": {"coarse_epochs": 3}})
    >>> len(question.variants(Setup()))
    4
    """

    changes: Mapping[str, Mapping[str, Any]]

    def variants(self, base: Setup) -> list[Variant]:
        """Return each variant on each net."""
        return list(carried(self.changes).values())

    def ask(self, context: Context) -> Answer:
        """Run all variants on both nets; a row and two bars for each."""
        found = self.measure(context)
        return Answer(table(found), NOTES, gaps_figure(gaps(found), THESIS))

    def measure(self, context: Context) -> Accuracies:
        """Run what is missing and return the accuracies that are compared."""
        study = context.runs(self.variants(context.base))
        found = {key: study.cases[variant.name].histories() for key, variant in carried(self.changes).items()}
        return {key: {row: accuracies_at(of_run[row]) for row in CARRIED} for key, of_run in found.items()}


def table(found: Accuracies) -> list[dict[str, Any]]:
    """Return a row for each variant and net, by column."""
    rows = []
    first: dict[str, np.ndarray[Any, Any]] = {}
    for (variant, net), ends in found.items():
        transfer, multigrid = (_gap(ends[row]) for row in CARRIED)
        difference = multigrid - transfer
        change = difference - first.setdefault(net, difference)
        means = {row.capitalize(): ends[row].mean(axis=0) for row in CARRIED}
        rows.append(
            {
                "variant": variant,
                "net": net,
                "trials": len(difference),
                **{f"{row} {part}": float(mean[k]) for row, mean in means.items() for k, part in enumerate(PARTS)},
                "gap Transfer": float(transfer.mean()),
                "gap Multigrid": float(multigrid.mean()),
                "gap difference": float(difference.mean()),
                "std": std(difference),
                "change from first": float(change.mean()),
                "effect size": _effect(change),
            }
        )
    return rows


def gaps(found: Accuracies, prefix: str = "") -> list[Gap]:
    """Return what is drawn; a prefix stands before the names of the variants."""
    return [
        Gap(f"{prefix}{variant}", net, row, _gap(ends[row])) for (variant, net), ends in found.items() for row in ends
    ]


def _gap(accuracies: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    difference: np.ndarray[Any, Any] = accuracies[:, 0] - accuracies[:, 1]
    return difference


def _effect(change: np.ndarray[Any, Any]) -> float:
    """Return Cohen's d of paired differences; nan where it has none."""
    spread = std(change)
    return float(change.mean() / spread) if spread > 0 else float("nan")


PARTS = ("train", "val.")
THESIS = {(net, row): of.thesis[row][-2] - of.thesis[row][-1] for net, of in TABLES.items() for row in CARRIED}
"""The gaps at the end that the thesis' tables show."""
_SHOWN = (
    f"table {of.name}: Transfer {THESIS[net, 'transfer']:.1f}, Multigrid {THESIS[net, 'multigrid']:.1f}"
    for net, of in TABLES.items()
)
NOTES = (
    f"Gaps of the thesis, in points: {'; '.join(_SHOWN)}.",
    "Gap difference: that of Multigrid minus that of Transfer, mean and standard deviation over the trials. "
    "Effect size: the change from the first variant, in the same trials, over its standard deviation; a rough estimate "
    "with few trials.",
)
