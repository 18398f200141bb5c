"""An epoch of `Model.fit` against the same epoch of `sgd`: what labels, history and a progress bar cost.

Both start from the same weights, take the same mini-batches and evaluate the examples before and after the epoch; first
it is checked that they end at the same weights, bit for bit. `fit` shows its progress bar, into nothing.

    pip install ".[bench]" && python benchmarks/fit.py
"""

from __future__ import annotations

import os
import statistics
from contextlib import redirect_stderr
from typing import Any

import common
import numpy as np
from suite.cases import RATE, STEP_CASES, Training
from threadpoolctl import threadpool_limits

from meganet import Model, sgd
from meganet.objective import observer

STEPS = 30
COLUMNS = ["batch 32, float32", "sgd ms a step", "fit ms a step", "**fit / sgd**", "in single turns"]


class Both:
    """The two sides of a case."""

    def __init__(self, training: Training) -> None:
        self.fun, self.x, self.batch = training.fun, training.x, training.case.batch

    def sgd(self) -> Any:
        """Make an epoch and return the weights."""
        observe = observer(self.fun)
        arguments = {"epochs": 1, "learning_rate": RATE, "batch_size": self.batch, "observe": observe}
        return sgd(self.fun, self.x, self.fun.examples, **arguments).x

    def fit(self) -> Any:
        """Make it with a model."""
        theta, w = self.fun.split(self.x)
        model = Model(self.fun.network, classes=self.fun.classifier.range_shape[0], theta=theta, W=w)
        model.fit(
            self.fun.images,
            self.fun.labels,
            epochs=1,
            learning_rate=RATE,
            batch_size=self.batch,
            theta_regularizer=self.fun.theta_regularizer,
            W_regularizer=self.fun.W_regularizer,
            progress=True,
        )
        return np.concatenate([model.theta, model.W])


def main() -> None:
    """Measure every case and write the table."""
    options = common.options(__doc__.splitlines()[0], rounds=15)
    with threadpool_limits(options.threads), open(os.devnull, "w") as nothing, redirect_stderr(nothing):
        record: dict[str, Any] = {"machine": common.machine(options.threads), "cases": []}
        rows = []
        for case in STEP_CASES:
            both = Both(Training(case, examples=STEPS * case.batch))
            if not np.array_equal(both.sgd(), both.fit()):
                raise SystemExit(f"{case}: the weights differ")
            seconds = common.alternate({"sgd": both.sgd, "fit": both.fit}, options.rounds, calls=1, warm_up=0)
            times = {name: 1e3 * statistics.median(values) / STEPS for name, values in seconds.items()}
            turns = [b / a for a, b in zip(seconds["sgd"], seconds["fit"], strict=True)]
            ratio = statistics.median(turns)
            record["cases"].append({**vars(case), "ms": times, "ratio": ratio, "ratios_of_turns": turns})
            few, many = np.quantile(turns, [0.25, 0.75])
            rows.append(
                [str(case), *(f"{t:.2f}" for t in times.values()), f"**{ratio:.3f}**", f"{few:.2f} to {many:.2f}"]
            )
    note = (
        f"Epochs of {STEPS} steps with their evaluations; the ratio is the median over {options.rounds} pairs made one "
        "after the other, the last column has its quartiles."
    )
    common.write("fit", "Model.fit and sgd", common.table(COLUMNS, rows) + "\n\n" + note, record, options.isa)


if __name__ == "__main__":
    common.run(main)
