"""One step of SGD, the mini-batch's gradient with regularisers and the update, against the same step in PyTorch.

Both run in this process on the same threads, on the same weights and images; first their gradients are compared.
PyTorch runs eagerly, in its default and in its channels-last memory format; the ratio is to the faster of the two.

    pip install ".[bench]" && python benchmarks/step.py
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
import torch
from peer import FORMATS, Peer
from suite.cases import STEP_CASES, Training
from threadpoolctl import threadpool_limits

COLUMNS = [
    "batch 32, float32",
    "meganet ms",
    "PyTorch ms",
    "PyTorch channels-last ms",
    "**PyTorch / meganet**",
    "in single turns",
    "gradients differ by",
    "floor, products direct ms",
    "floor, products Winograd ms",
    "floor, memory ms",
]


def main() -> None:
    """Measure every case and write the table."""
    options = common.options(__doc__.splitlines()[0], rounds=10)
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        record: dict[str, Any] = {"machine": common.machine(options.threads), "limits": common.limits(), "cases": []}
        peak, bandwidth = record["limits"]["GFLOP/s"], record["limits"]["GB/s"]
        rows = []
        for case in STEP_CASES:
            ours = Training(case)
            peers = {name: Peer(ours, memory) for name, memory in FORMATS.items()}
            gradient = ours.fun(ours.x, ours.indices)[1]
            scale = np.linalg.norm(gradient)
            difference = max(float(np.linalg.norm(gradient - peer.gradient()) / scale) for peer in peers.values())
            if difference > 1e-5:
                raise SystemExit(f"{case}: the gradients differ by {difference:.1e}")
            calls = {"meganet": ours.step, **{name: peer.step for name, peer in peers.items()}}
            seconds = common.alternate(calls, options.rounds)
            times = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
            ratio = min(times[name] for name in peers) / times["meganet"]
            spread = common.spread(seconds, list(peers))
            floors = [case.step_flop(winograd) / peak / 1e6 for winograd in (False, True)]
            floors.append(case.step_bytes() / bandwidth / 1e6)
            record["cases"].append(
                {
                    **vars(case),
                    "gradient_difference": difference,
                    "ms": times,
                    "ratio": ratio,
                    "ratios_of_turns": spread,
                    "floors_ms": floors,
                }
            )
            rows.append(
                [
                    str(case),
                    *(f"{times[n]:.1f}" for n in calls),
                    f"**{ratio:.2f}**",
                    f"{spread[0]:.2f} to {spread[1]:.2f}",
                    f"{difference:.0e}",
                ]
                + [f"{floor:.1f}" for floor in floors]
            )
    note = (
        f"Floors at {peak:.0f} GFLOP/s, a large matrix product, and {bandwidth:.0f} GB/s, copying from memory. The "
        "second and third are what our algorithm cannot go below; arrays that stay in the cache may beat the third."
    )
    common.write("step", "One step of SGD", common.table(COLUMNS, rows) + "\n\n" + note, record)


if __name__ == "__main__":
    common.with_native_kernels()
    main()
