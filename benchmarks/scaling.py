"""How a step grows with image size, channels, batch and the number of trials trained together; and the transfer.

One quantity varies, the others stay: net A, 28x28, 32 channels, batch 32; the batch is 8 where the images grow. The
exponent is the slope of log time over log work (multiplications of the direct sum): 1 means as fast as the work, below
1 better. PyTorch's times stand beside ours. On the CPU trials run one after another on both sides, ours in one call.

    pip install ".[bench]" && python benchmarks/scaling.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import common
import matplotlib.pyplot as plt
import numpy as np
import torch
from memory import peak_of_training
from peer import FORMATS, Peer
from suite.cases import RATE, Case, Training
from threadpoolctl import threadpool_limits

from meganet import prolongate
from meganet.objective import StackedObjective

USUAL = Case("A", 28)
GROWTH: dict[str, tuple[Case, Sequence[int]]] = {
    "size": (replace(USUAL, batch=8), (14, 28, 56, 112, 224)),
    "channels": (USUAL, (8, 16, 32, 64)),
    "batch": (USUAL, (4, 8, 16, 32, 64, 128)),
}
TRIALS = (1, 2, 4, 8)
COLUMNS = ["", "", "meganet ms", "PyTorch ms", "PyTorch / meganet", "GFLOP/s of the direct sum", "peak memory MiB"]


def main() -> None:
    """Measure, and write table and picture."""
    options = common.options(__doc__.splitlines()[0], rounds=2)
    torch.set_num_threads(options.threads)
    record: dict[str, Any] = {"machine": common.machine(options.threads), "step": {}, "transfer": []}
    rows = []
    with threadpool_limits(options.threads):
        for name, (usual, values) in GROWTH.items():
            cases = [replace(usual, **{name: value}) for value in values]
            points = [measured(case, options) for case in cases]
            rows += report(name, values, points, record)
        rows += report("trials", TRIALS, [trials(count, options) for count in TRIALS], record)
        text = common.table(COLUMNS, rows)
        for size in GROWTH["size"][1]:
            training = Training(Case("A", size), examples=1)
            theta, w = training.fun.split(training.x)
            call: Callable[[], Any] = lambda f=training.fun, t=theta, w=w: prolongate(f.network, t, w)  # noqa: E731
            ms = common.medians({"transfer": call}, 1, calls=5, warm_up=1)["transfer"]
            record["transfer"].append({"size": size, "ms": ms, "numbers": int(w.size)})
    cells = [[f"{t['size']} to {2 * t['size']}", f"{t['numbers']:,}", f"{t['ms']:.1f}"] for t in record["transfer"]]
    transfer = common.table(["net A with its classifier, transferred from", "classifier weights", "ms"], cells)
    exponents = ", ".join(f"{name} {points['exponent']:.2f}" for name, points in record["step"].items())
    text += f"\n\nExponents of time over work: {exponents}.\n\n{transfer}\n\n![growth](scaling.png)"
    picture(record["step"]).savefig(common.FOLDER / "scaling.png", dpi=110)
    common.write("scaling", "Growth", text, record)


def measured(case: Case, options: Any) -> dict[str, float]:
    """Return the times of a step on both sides, its work, and our peak memory."""
    ours = Training(case)
    sides = {"meganet": ours, **{name: Peer(ours, memory) for name, memory in FORMATS.items()}}
    calls = 4 if case.step_flop(False) < 2e10 else 2
    times = common.medians({name: side.step for name, side in sides.items()}, options.rounds, calls=calls)
    memory = peak_of_training("scaling", asdict(case), options.threads)
    best = min(times[name] for name in FORMATS)
    return {
        "ms": times["meganet"],
        "peer_ms": best,
        "gflop": case.step_flop(False) / 1e9,
        "peak_mib": memory or math.nan,
    }


def trials(count: int, options: Any) -> dict[str, float]:
    """Return the times of a step of `count` networks at once, ours together, PyTorch's in turn."""
    parts = [Training(USUAL, seed=seed) for seed in range(count)]
    fun = StackedObjective([part.fun for part in parts])
    x, indices = np.stack([part.x for part in parts]), np.stack([part.indices for part in parts])
    sides: dict[str, Callable[[], Any]] = {"meganet": lambda: x - RATE * fun(x, indices)[1]}
    for name, memory in FORMATS.items():
        peers = [Peer(part, memory) for part in parts]
        sides[name] = lambda peers=peers: [peer.step() for peer in peers]
    times = common.medians(sides, options.rounds, calls=4)
    best = min(times[name] for name in FORMATS)
    work = count * USUAL.step_flop(False) / 1e9
    return {"ms": times["meganet"], "peer_ms": best, "gflop": work, "peak_mib": math.nan}


def report(name: str, values: Sequence[int], points: list[dict[str, float]], record: dict[str, Any]) -> list[list[str]]:
    """Store the points with their exponent and return their rows."""
    work, times = (np.log([point[k] for point in points]) for k in ("gflop", "ms"))
    record["step"][name] = {"values": list(values), "points": points, "exponent": float(np.polyfit(work, times, 1)[0])}
    return [
        [
            name,
            str(value),
            f"{p['ms']:.1f}",
            f"{p['peer_ms']:.1f}",
            f"{p['peer_ms'] / p['ms']:.2f}",
            f"{1e3 * p['gflop'] / p['ms']:.0f}",
            "" if math.isnan(p["peak_mib"]) else f"{p['peak_mib']:.0f}",
        ]
        for value, p in zip(values, points, strict=True)
    ]


def picture(steps: dict[str, Any]) -> Any:
    """Draw time over each quantity, with the slope of the work."""
    figure, axes = plt.subplots(1, len(steps), figsize=(3.3 * len(steps), 3.2), layout="constrained", sharey=True)
    for ax, (name, growth) in zip(axes, steps.items(), strict=True):
        points = growth["points"]
        work = [p["gflop"] * points[-1]["ms"] / points[-1]["gflop"] for p in points]
        ax.loglog(growth["values"], [p["ms"] for p in points], "o-", label="meganet")
        ax.loglog(growth["values"], [p["peer_ms"] for p in points], "s--", label="PyTorch")
        ax.loglog(growth["values"], work, ":", color="grey", label="in step with the work")
        ax.set_xlabel({"size": "image size", "trials": "trials"}.get(name, name))
        ax.set_xticks(growth["values"], [str(v) for v in growth["values"]])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("ms per step")
    axes[0].legend()
    return figure


if __name__ == "__main__":
    common.with_native_kernels()
    main()
