"""Is Multigrid ever worth it? Accuracy against the total work, with all, some and few of the fine examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.experiments.named.base import Findings, Lab
from meganet.experiments.plan import COARSE, protocol_for
from meganet.experiments.protocol import Protocol
from meganet.experiments.variants import Variant, Variants
from meganet.experiments.work import epoch_flop
from meganet.optim import History

FRACTIONS = (1.0, 0.1, 0.01)
LONGER = 3
"""New trains so many times as long: with all fine examples and ten epochs as much work as the others do in all."""
LINES = {
    "New": ("new", "linear"),
    "Transfer": ("transfer", "linear"),
    "Multigrid, linear P": ("multigrid", "linear"),
    "Multigrid, constant P": ("multigrid", "constant"),
}
"""Arm and P of each line; the coarse network itself is another."""


@dataclass(frozen=True)
class Curve:
    """Means over the trials: total work in TFLOP and in seconds, and validation accuracy in percent, by epoch."""

    line: str
    examples: int
    tflop: np.ndarray[Any, Any]
    seconds: np.ndarray[Any, Any]
    accuracy: np.ndarray[Any, Any]
    std: np.ndarray[Any, Any]


class Worth:
    """Compare New, Transfer and Multigrid by the work that they take in all, coarse training included."""

    name = "worth"

    def run(self, lab: Lab) -> Findings:
        """Run all lines; a row for each epoch of each."""
        curves = tuple(self.curves(lab))
        rows: list[tuple[Any, ...]] = []
        for curve in curves:
            for epoch in range(len(curve.tflop)):
                values = (curve.tflop, curve.seconds, curve.accuracy, curve.std)
                rows.append((curve.line, curve.examples, epoch, *(float(value[epoch]) for value in values)))
        columns = ("line", "fine examples", "epoch", "TFLOP in all", "seconds in all", "validation accuracy", "std")
        return Findings(columns, rows, list(_answers(curves)), curves)

    def curves(self, lab: Lab) -> Iterator[Curve]:
        """Yield the coarse network's curve, then one for each line and number of fine examples."""
        base = protocol_for("4.1", lab.preset, **lab.settings)
        variants, keys = [], []
        sizes = (max(round(fraction * base.fine_examples), base.batch_size) for fraction in FRACTIONS)
        for examples in dict.fromkeys(sizes):
            for line, (arm, interpolation) in LINES.items():
                changes: dict[str, Any] = {"fine_examples": examples, "interpolation": interpolation}
                if arm == "new":
                    changes["fine_epochs"] = LONGER * base.fine_epochs
                variants.append(Variant(f"{examples}-{arm}-{interpolation}", changes, arms=(arm,)))
                keys.append((line, examples, arm))
        runs = lab.runs(variants)
        histories = runs.histories()

        def curve(variant: str, run: str, line: str, examples: int, spent: tuple[float, float]) -> Curve:
            return self._curve(runs, histories[variant][run], variant, run, line, examples, spent)

        coarse = curve(variants[1].name, COARSE, "coarse network", 0, (0.0, 0.0))
        yield coarse
        for variant, (line, examples, arm) in zip(variants, keys, strict=True):
            spent = (0.0, 0.0) if arm == "new" else (float(coarse.tflop[-1]), float(coarse.seconds[-1]))
            yield curve(variant.name, arm, line, examples, spent)

    @staticmethod
    def _curve(
        runs: Variants,
        histories: Sequence[History],
        variant: str,
        run: str,
        line: str,
        examples: int,
        spent: tuple[float, float],
    ) -> Curve:
        protocol: Protocol = runs.protocols[variant]
        accuracy = np.array([h.column("validation_accuracy") for h in histories]) * 100
        seconds = np.mean([runs.seconds(variant, trial, run) for trial in range(protocol.trials)], axis=0)
        epochs = np.arange(accuracy.shape[1])
        flop = epoch_flop(protocol, coarse=run == COARSE)
        std = accuracy.std(axis=0, ddof=1) if len(accuracy) > 1 else np.full(len(epochs), np.nan)
        return Curve(
            line,
            examples,
            spent[0] + epochs * flop / 1e12,
            spent[1] + np.concatenate([[0.0], np.cumsum(seconds)]),
            accuracy.mean(axis=0),
            std,
        )


def _answers(curves: Sequence[Curve]) -> Iterator[str]:
    """Yield a sentence for each number of fine examples, about the ends."""
    yield (
        "Work counts the sums as they are written, and the coarse training of the lines that start from it; seconds "
        "are those of the training steps, without evaluations."
    )
    for examples in sorted({curve.examples for curve in curves if curve.examples}, reverse=True):
        # the coarse network is there for all of them
        ends = [curve for curve in curves if curve.examples in (0, examples)]
        text = ", ".join(f"{c.line} {c.accuracy[-1]:.1f} % ({c.tflop[-1]:.3g} TFLOP)" for c in ends)
        best = max(ends, key=lambda curve: float(curve.accuracy[-1]))
        yield f"{examples} fine examples, at the end: {text}; highest: {best.line}."
