"""What every benchmark needs: a fair clock, the machine's name, tables written by the script that measured them."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

FOLDER = Path(__file__).parent.parent / "docs" / "results"


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


def median_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return 1e3 * statistics.median(seconds)


def machine(threads: int, packages: Sequence[str]) -> dict[str, str]:
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


def write(name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], record: dict[str, Any]) -> None:
    """Print the table and write it as Markdown and JSON into docs/results."""
    lines = [f"# {title}", "", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "Measured on " + ", ".join(f"{k} {v}" for k, v in record["machine"].items()) + "."]
    lines += [f"Written by `python benchmarks/{name}.py`.", ""]
    text = "\n".join(lines)
    print(text)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
