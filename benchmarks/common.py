"""What every benchmark needs: a fair clock, the machine and its limits, tables written by the script that measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from meganet.backend import threads

FOLDER = Path(__file__).parent.parent / "docs" / "results"
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
PACKAGES = ("numpy", "scipy", "torch")


def with_native_kernels() -> None:
    """Start the script anew without settings that keep a library from the kernels made for this processor.

    Both sides choose freely then; the table names what they chose.
    """
    if any(name in os.environ for name in PINS):
        environment = {name: value for name, value in os.environ.items() if name not in PINS}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def options(description: str, rounds: int) -> argparse.Namespace:
    """Parse the options that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2, help="threads of both libraries")
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of each side")
    return parser.parse_args()


def alternate(
    cases: Mapping[str, Callable[[], Any]], rounds: int, calls: int = 8, warm_up: int = 2
) -> dict[str, list[float]]:
    """Time the cases in turn, A B C A B C ..., so that a drift of the machine meets all alike; seconds per call.

    Each turn is several calls in a row, as in training, the first ones not counted: the other library's threads may
    still be spinning then.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, call in cases.items():
            for number in range(warm_up + calls):
                start = time.perf_counter()
                call()
                if number >= warm_up:
                    seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(cases: Mapping[str, Callable[[], Any]], rounds: int, **options: int) -> dict[str, float]:
    """Return the median milliseconds of each case, timed in turn."""
    return {name: 1e3 * statistics.median(s) for name, s in alternate(cases, rounds, **options).items()}


def spread(seconds: Mapping[str, list[float]], peers: Sequence[str], calls: int = 8) -> tuple[float, float]:
    """Return the smallest and the largest ratio, best peer to us, among the turns of `alternate`."""
    turns = range(0, len(seconds["meganet"]), calls)
    median = {name: [statistics.median(values[k : k + calls]) for k in turns] for name, values in seconds.items()}
    ratios = [min(parts) / ours for ours, *parts in zip(median["meganet"], *(median[p] for p in peers), strict=True)]
    return min(ratios), max(ratios)


def limits() -> dict[str, float]:
    """Measure what the machine can do: GFLOP/s of a large float32 matrix product, GB/s of copying memory."""
    a, out = np.ones((1536, 1536), np.float32), np.empty((1536, 1536), np.float32)
    halves = [(np.ones(2**24, np.float32), np.ones(2**24, np.float32)) for _ in range(threads.thread_count())]

    def copy() -> None:
        threads.run([lambda to=to, source=source: np.copyto(to, source) for to, source in halves])

    times = {name: min(s) for name, s in alternate({"product": lambda: a.dot(a, out=out), "copy": copy}, 3).items()}
    moved = sum(to.nbytes + source.nbytes for to, source in halves)
    return {"GFLOP/s": 2 * 1536**3 / times["product"] / 1e9, "GB/s": moved / times["copy"] / 1e9}


def machine(threads: int, packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return where and with what was measured."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    found = {"processor": name, "threads": str(threads), "python": platform.python_version()}
    found |= {package: version(package) for package in packages}
    kernels = {f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in threadpool_info()}
    return found | {"BLAS and threads": " + ".join(sorted(kernels))}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def write(name: str, title: str, text: str, record: dict[str, Any]) -> None:
    """Print the text and write it as Markdown, and the record as JSON, into docs/results."""
    where = "Measured on " + ", ".join(f"{k} {v}" for k, v in record["machine"].items()) + "."
    lines = [f"# {title}", "", text, "", where, f"Written by `python benchmarks/{name}.py`.", ""]
    print("\n".join(lines))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.md").write_text("\n".join(lines))
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
