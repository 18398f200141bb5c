"""One step of SGD, the mini-batch's gradient with regularisers and the update, and an evaluation, against the peers.

All sides run in this process on the same threads, on the same weights and images; first their outputs and gradients
are compared. The peers are PyTorch, eagerly in both memory formats, and TensorFlow, compiled by XLA and by its own
kernels; ratios are to the fastest. A network of a user's own is timed by

    pip install ".[bench]" && python benchmarks/step.py --net FILE.py:function --against torch,xla

where the function takes no arguments and returns a `Model` with classes, or a network, which is given ten of them. The
peers' twins are built from its layers. Without ``--net`` the thesis' networks are timed and the tables written.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import common
import numpy as np
import sides
from memory import peak_of_training
from peers import Variant, peers
from suite import floors
from suite.cases import STEP_CASES, Problem, step_flop
from suite.own import Own
from threadpoolctl import threadpool_limits

IMAGES = 1024
"""Of an evaluation."""
FLOORS = ["floor, products direct ms", "floor, products Winograd ms", "floor, memory ms"]


def main() -> None:
    """Measure every case and write, or for a network of a user's own print, the tables."""
    parser = common.parser(__doc__.splitlines()[0], rounds=15)
    sides.add_against(parser)
    parser.add_argument("--net", metavar="FILE.py:function", help="a network of your own")
    parser.add_argument("--batch", type=common.count, default=32, help="examples of its mini-batches")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    cases = STEP_CASES if options.net is None else (Own(options.net, options.batch, options.dtype),)
    with threadpool_limits(options.threads):
        for case in cases:
            case.parts()
        variants = peers(sides.named(options.against), options.threads)
        record: dict[str, Any] = {"limits": common.limits(cases[0].dtype), "cases": []}
        for case in cases:
            record["cases"].append(measured(case, variants, record["limits"], options))
        record["machine"] = common.machine(options.threads, sides.kernels(options.against))
    text = tables([str(case) for case in cases], record)
    if options.net is None:
        common.write("step", "One step of SGD", text, record, options.isa)
    else:
        print(f"{text}\n\n{common.measured_on(record['machine'], options.isa)}")


def measured(
    case: Problem, variants: Mapping[str, Variant], limits: Mapping[str, float], options: Any
) -> dict[str, Any]:
    """Return what was found for a case."""
    found: dict[str, Any] = {**asdict(case)}
    both = {"step": sides.made(case, variants), "evaluate": sides.made(case, variants, IMAGES)}
    found["gradient_difference"] = sides.difference(both["step"], case)
    for what, calls in (("step", common.CALLS), ("evaluate", 3)):
        one = {name: getattr(side, what) for name, side in both[what].items()}
        seconds = common.alternate(one, options.rounds, calls, warm_up=calls // 4 + 1, within=sides.OURS)
        found[what] = {"ms": {name: 1e3 * statistics.median(s) for name, s in seconds.items()}, "ratios": {}}
        for name in sides.OURS:
            fastest, turns = common.ratios(seconds, name, list(variants), calls)
            found[what] |= {"fastest": fastest}
            found[what]["ratios"][name] = np.quantile(turns, [0.25, 0.5, 0.75]).tolist()
    libraries = dict.fromkeys(sides.OURS) | {name: variant.library for name, variant in variants.items()}
    found["peak_mib"] = {
        side: peak_of_training(side, case, options.threads, library=name) for side, name in libraries.items()
    }
    peak, bandwidth = limits["GFLOP/s"] * 1e6, limits["GB/s"] * 1e6
    found["floors_ms"] = [step_flop(case, winograd) / peak for winograd in (False, True)]
    found["floors_ms"].append(floors.step_bytes(*case.parts(), case.batch, case.dtype) / bandwidth)
    return found


def tables(names: list[str], record: dict[str, Any]) -> str:
    """Return the tables of steps, evaluations and memory with what there is to say about them."""
    texts, cases = [], record["cases"]
    for what, title in (
        ("step", f"a step, batch {cases[0]['batch']}"),
        ("evaluate", f"an evaluation of {IMAGES:,} images"),
    ):
        columns = [f"{title}, {cases[0]['dtype']}, ms", *cases[0][what]["ms"]]
        columns += [f"**fastest peer / {name}** (quartiles of turns)" for name in sides.OURS]
        columns += ["gradients differ by", *FLOORS] if what == "step" else []
        rows = []
        for name, case in zip(names, cases, strict=True):
            found = case[what]
            times = [f"{ms:.2f}" + " *" * (side == found["fastest"]) for side, ms in found["ms"].items()]
            rows.append([name, *times, *(_ratio(found["ratios"][side]) for side in sides.OURS)])
            if what == "step":
                rows[-1] += [f"{case['gradient_difference']:.0e}", *(f"{floor:.2f}" for floor in case["floors_ms"])]
        texts.append(common.table(columns, rows))
    limits = record["limits"]
    texts.insert(
        1,
        f"The star marks the fastest peer. Floors at {limits['GFLOP/s']:.0f} GFLOP/s, a large matrix product, and "
        f"{limits['GB/s']:.0f} GB/s, copying from memory. The second and third are what our algorithm cannot go below; "
        "arrays that stay in the cache may beat the third.",
    )
    rows = [
        [name, *("" if mib is None else f"{mib:.1f}" for mib in case["peak_mib"].values())]
        for name, case in zip(names, cases, strict=True)
    ]
    texts.append(common.table(["peak memory of steps, MiB", *cases[0]["peak_mib"]], rows))
    return "\n\n".join(texts)


def _ratio(quartiles: Sequence[float]) -> str:
    low, median, high = quartiles
    return f"**{median:.2f}** ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    common.run(main)
