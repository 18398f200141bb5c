"""What products with the Hessian of the objective cost, in gradients.

pip install ".[bench]" && python benchmarks/hessian.py
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import common
import numpy as np
from suite.cases import STEP_CASES, Training
from threadpoolctl import threadpool_limits

COLUMNS = ["mini-batch of 32", "gradient, ms", "Gauss-Newton", "Gauss-Newton, forward pass repeated", "exact"]


def main() -> None:
    """Measure every case in turn and write the table."""
    options = common.options(__doc__.splitlines()[0], rounds=8)
    with threadpool_limits(options.threads):
        record: dict[str, Any] = {"machine": common.machine(options.threads), "cases": []}
        rows = []
        for case in STEP_CASES:
            training = Training(case)
            fun, x, indices = training.fun, training.x, training.indices
            v = np.random.default_rng(0).standard_normal(x.shape).astype(x.dtype)
            kept = fun.hessian(x, indices=indices)
            repeated = fun.hessian(x, indices=indices, batch_size=len(indices), keep_bytes=0)
            exact = fun.hessian(x, "exact", indices=indices)
            np.testing.assert_allclose(kept @ v, repeated @ v, rtol=1e-2, atol=1e-3 * abs(kept @ v).max())
            times = common.medians(
                {
                    "gradient": lambda f=fun, x=x, i=indices: f(x, i),
                    "kept": lambda h=kept, v=v: h @ v,
                    "repeated": lambda h=repeated, v=v: h @ v,
                    "exact": lambda h=exact, v=v: h @ v,
                },
                options.rounds,
            )
            ratios = [times[name] / times["gradient"] for name in ("kept", "repeated", "exact")]
            record["cases"].append({**asdict(case), "milliseconds": times})
            rows.append([str(case), f"{times['gradient']:.1f}", *(f"{ratio:.2f} gradients" for ratio in ratios)])
        common.write("hessian", "Products with the Hessian", common.table(COLUMNS, rows), record, options.isa)


if __name__ == "__main__":
    common.run(main)
