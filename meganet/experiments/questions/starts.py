"""Which start of fine training is worth its work? Accuracy against all of it, with all, some and few fine examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from meganet.experiments.questions.base import Answer, Context, Variant
from meganet.experiments.questions.comparing import CARRIED
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.problems import grid_shapes
from meganet.experiments.runs.work import epoch_flop
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import Stage, chain
from meganet.plotting.worth import Curve, work_figure

TITLES = {"starts": "Which start of fine training is worth its work?"}
ORDER = 50

FRACTIONS = (1.0, 0.1, 0.01)
LONGER = 3
"""How many times as long New trains: with all fine examples and ten epochs that is the total work of the others."""
LINES = {
    "New": ("new", "linear"),
    "Transfer": ("transfer", "linear"),
    "Multigrid, linear P": ("multigrid", "linear"),
    "Multigrid, constant P": ("multigrid", "constant"),
}
"""Row and P of each line; the coarse network itself is another."""
NOTE = (
    "Work counts the sums as they are written, and the coarse training of the lines that start from it; seconds are "
    "those of the training steps, without evaluations."
)


class Starts:
    """Compare New, Transfer and Multigrid by the work that they take in total, coarse training included."""

    def variants(self, base: Setup) -> list[Variant]:
        """Return all lines with each number of fine examples."""
        return list(_lines(base).values())

    def ask(self, context: Context) -> Answer:
        """Run all lines; a row for each epoch of each, and a picture of the curves."""
        lines = _lines(context.base)
        study = context.runs(list(lines.values()))
        cases = {key: study.cases[variant.name] for key, variant in lines.items()}
        coarse = next(case for (line, _), case in cases.items() if LINES[line][0] in CARRIED)
        curves = [_curve(coarse, "coarse", "coarse network", 0)]
        curves += [_curve(case, LINES[line][0], line, examples) for (line, examples), case in cases.items()]
        rows = [
            {
                "line": curve.line,
                "fine examples": curve.examples,
                "epoch": epoch,
                "TFLOP in all": float(curve.tflop[epoch]),
                "seconds in all": float(curve.seconds[epoch]),
                "validation accuracy": float(curve.accuracy[epoch]),
                "std": float(curve.std[epoch]),
            }
            for curve in curves
            for epoch in range(len(curve.tflop))
        ]
        return Answer(rows, [NOTE, *_ends(curves)], work_figure(curves))


def _lines(base: Setup) -> dict[tuple[str, int], Variant]:
    """Return the variant of each line and number of fine examples."""
    found = {}
    sizes = (max(round(fraction * base.data.fine_examples), base.descent.batch_size) for fraction in FRACTIONS)
    for examples in dict.fromkeys(sizes):
        for line, (row, interpolation) in LINES.items():
            changes: dict[str, Any] = {"fine_examples": examples, "interpolation": interpolation}
            if row == "new":
                changes["fine_epochs"] = LONGER * base.descent.fine_epochs
            found[line, examples] = Variant(f"{examples}-{row}-{interpolation}", changes, "4.1", (row,))
    return found


def _curve(case: Case, row: str, line: str, examples: int) -> Curve:
    """Return the curve of the last of the stages that lead to a row; the work of the others stands before it."""
    *before, stage = chain(case.stages, row)
    spent = [_work(case, other) for other in before]
    tflop, seconds = _work(case, stage)
    accuracy = np.array([h.column("validation_accuracy") for h in case.histories()[row]]) * 100
    std = accuracy.std(axis=0, ddof=1) if len(accuracy) > 1 else np.full(len(tflop), np.nan)
    tflop = sum(float(work[-1]) for work, _ in spent) + tflop
    seconds = sum(float(time[-1]) for _, time in spent) + seconds
    return Curve(line, examples, tflop, seconds, accuracy.mean(axis=0), std)


def _work(case: Case, stage: Stage) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the work of a stage after each epoch, from none on: in TFLOP, and in seconds, means over the trials."""
    flop = epoch_flop(case.setup, stage, grid_shapes(case.setup, case.data.images.shape[1:]), case.data.classes)
    seconds = np.mean([case.seconds(trial, stage.name) for trial in range(case.setup.run.trials)], axis=0)
    return np.arange(len(seconds) + 1) * flop / 1e12, np.concatenate([[0.0], np.cumsum(seconds)])


def _ends(curves: Sequence[Curve]) -> Iterator[str]:
    """Yield a sentence for each number of fine examples, about the ends."""
    for examples in sorted({curve.examples for curve in curves if curve.examples}, reverse=True):
        # the coarse network is there for all of them
        ends = [curve for curve in curves if curve.examples in (0, examples)]
        text = ", ".join(f"{c.line} {c.accuracy[-1]:.1f} % ({c.tflop[-1]:.3g} TFLOP)" for c in ends)
        best = max(ends, key=lambda curve: float(curve.accuracy[-1]))
        yield f"{examples} fine examples, at the end: {text}; highest: {best.line}."


QUESTIONS = {"starts": Starts()}
