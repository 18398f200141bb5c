"""How a step grows with image size, channels, batch and the number of trials trained together; and the transfer.

One quantity varies, the others stay: net A, 28x28, 32 channels, batch 32; the batch is 8 where the images grow. The
exponent is the slope of log time over log work (multiplications of the direct sum): 1 means as fast as the work, below
1 better. The times of the fastest peer stand beside ours. On the CPU trials run one after another on all sides, ours in
one call.

    pip install ".[bench]" && python benchmarks/scaling.py
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import common
import matplotlib.pyplot as plt
import numpy as np
import sides
from memory import peak_of_training
from peers import Variant, peers
from suite.cases import RATE, Case, Training, step_flop
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
CALLS = 4
COLUMNS = [
    "",
    "",
    "meganet ms",
    "fastest peer ms",
    "",
    "**peer / meganet**",
    "GFLOP/s of the direct sum",
    "our peak memory MiB",
]


def main() -> None:
    """Measure, and write table and picture."""
    parser = common.parser(__doc__.splitlines()[0], rounds=5)
    sides.add_against(parser)
    options = parser.parse_args()
    variants = peers(sides.named(options.against), options.threads)
    record: dict[str, Any] = {"step": {}, "transfer": []}
    rows = []
    with threadpool_limits(options.threads):
        for name, (usual, values) in GROWTH.items():
            cases = [replace(usual, **{name: value}) for value in values]
            points = [measured(case, variants, options) for case in cases]
            rows += report(name, values, points, record)
        rows += report("trials", TRIALS, [trials(count, variants, options) for count in TRIALS], record)
        for size in GROWTH["size"][1]:
            training = Training(Case("A", size), examples=1)
            theta, w = training.fun.split(training.x)
            call: Callable[[], Any] = lambda f=training.fun, t=theta, w=w: prolongate(f.network, t, w)  # noqa: E731
            ms = common.medians({"transfer": call}, 1, calls=5, warm_up=1)["transfer"]
            record["transfer"].append({"size": size, "ms": ms, "numbers": int(w.size)})
        record["machine"] = common.machine(options.threads, sides.kernels(options.against))
    cells = [[f"{t['size']} to {2 * t['size']}", f"{t['numbers']:,}", f"{t['ms']:.1f}"] for t in record["transfer"]]
    transfer = common.table(["net A with its classifier, transferred from", "classifier weights", "ms"], cells)
    exponents = ", ".join(f"{name} {points['exponent']:.2f}" for name, points in record["step"].items())
    text = f"{common.table(COLUMNS, rows)}\n\nExponents of time over work: {exponents}.\n\n{transfer}"
    name = common.file_name("scaling", options.isa) + ".png"
    picture(record["step"]).savefig(common.FOLDER / name, dpi=110)
    common.write("scaling", "Growth", f"{text}\n\n![growth]({name})", record, options.isa)


def measured(case: Case, variants: Mapping[str, Variant], options: Any) -> dict[str, Any]:
    """Return the times of a step of ours and of the fastest peer, its work, and our peak memory."""
    calls = {name: side.step for name, side in sides.made(case, variants).items()}
    memory = peak_of_training("meganet", case, options.threads)
    return timed(calls, variants, step_flop(case, False), options.rounds) | {"peak_mib": memory or math.nan}


def trials(count: int, variants: Mapping[str, Variant], options: Any) -> dict[str, Any]:
    """Return the times of a step of `count` networks at once, ours together, the peers' in turn."""
    parts = [Training(USUAL, seed=seed) for seed in range(count)]
    fun = StackedObjective([part.fun for part in parts])
    x, indices = np.stack([part.x for part in parts]), np.stack([part.indices for part in parts])
    calls: dict[str, Callable[[], Any]] = {"meganet": lambda: x - RATE * fun(x, indices)[1]}
    for name, variant in variants.items():
        others = [variant.make(part) for part in parts]
        calls[name] = lambda others=others: [other.step() for other in others]
    return timed(calls, variants, count * step_flop(USUAL, False), options.rounds) | {"peak_mib": math.nan}


def timed(
    calls: Mapping[str, Callable[[], Any]], variants: Mapping[str, Variant], flop: float, rounds: int
) -> dict[str, Any]:
    """Return our time, that of the fastest peer, and the median of their ratios in the turns."""
    used = {name: call for name, call in calls.items() if name == "meganet" or name in variants}
    seconds = common.alternate(used, rounds, CALLS, within=sides.OURS)
    fastest, turns = common.ratios(seconds, "meganet", list(variants), CALLS)
    ms = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
    ratio = statistics.median(turns)
    return {"ms": ms["meganet"], "peer": fastest, "peer_ms": ms[fastest], "ratio": ratio, "gflop": flop / 1e9}


def report(name: str, values: Sequence[int], points: list[dict[str, Any]], record: dict[str, Any]) -> list[list[str]]:
    """Store the points with their exponent and return their rows."""
    work, times = (np.log([point[k] for point in points]) for k in ("gflop", "ms"))
    record["step"][name] = {"values": list(values), "points": points, "exponent": float(np.polyfit(work, times, 1)[0])}
    return [
        [
            name,
            str(value),
            f"{p['ms']:.1f}",
            f"{p['peer_ms']:.1f}",
            p["peer"],
            f"**{p['ratio']:.2f}**",
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
        ax.loglog(growth["values"], [p["peer_ms"] for p in points], "s--", label="fastest peer")
        ax.loglog(growth["values"], work, ":", color="grey", label="in step with the work")
        ax.set_xlabel({"size": "image size", "trials": "trials"}.get(name, name))
        ax.set_xticks(growth["values"], [str(v) for v in growth["values"]])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("ms per step")
    axes[0].legend()
    return figure


if __name__ == "__main__":
    common.run(main)
