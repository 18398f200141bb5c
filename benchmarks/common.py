"""What every benchmark needs: a fair clock, the machine and its limits, tables written by the script that measured."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import kernels
import numpy as np
from threadpoolctl import threadpool_info

from meganet.backend import threads
from meganet.ground.machine import processor
from meganet.ground.validate import InputError

FOLDER = Path(__file__).parent.parent / "docs" / "results"
PACKAGES = ("numpy", "scipy", "numba", "torch", "tensorflow")
CALLS = 8
"""In a row, of a side's turn."""
BUSY = 0.5
"""Load average above which a warning says so."""


def run(main: Callable[[], Any]) -> None:
    """Call a script's `main` with the kernels that were chosen; what is wrong with its arguments is one line."""
    _warn_if_busy()
    kernels.with_chosen_kernels()
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def _warn_if_busy() -> None:
    """Say that others were at work on the cores, once: not when a script is restarted, or starts another."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY and kernels.CHOSEN not in os.environ:
        text = "times of sides that wait actively mean little beside other work"
        print(f"warning: the load average of the last minute is {load:.1f}: {text}", file=sys.stderr)


def parser(description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser of the options that all scripts have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--threads", type=count, default=2, help="threads of all sides")
    made.add_argument("--rounds", type=count, default=rounds, help="turns of each side")
    kernels.add_isa(made)
    return made


def count(text: str) -> int:
    """Return a whole number of at least 1, the value of an option."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def rate(text: str) -> float:
    """Return a positive number, the value of an option."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def options(description: str, rounds: int) -> argparse.Namespace:
    """Parse the options that all scripts have."""
    return parser(description, rounds).parse_args()


def alternate(
    cases: Mapping[str, Callable[[], Any]],
    rounds: int,
    calls: int = CALLS,
    warm_up: int = 2,
    within: Mapping[str, Callable[[], AbstractContextManager[Any]]] | None = None,
) -> dict[str, list[float]]:
    """Time the cases in turn, A B C A B C ..., so that a drift of the machine meets all alike; seconds per call.

    Each turn is several calls in a row, as in training, the first ones not counted: the other library's threads may
    still be spinning then. `within` has the context in which a case has its turns.
    """
    contexts = within or {}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, call in cases.items():
            with contexts.get(name, nullcontext)():
                for number in range(warm_up + calls):
                    start = time.perf_counter()
                    call()
                    if number >= warm_up:
                        seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(cases: Mapping[str, Callable[[], Any]], rounds: int, **options: Any) -> dict[str, float]:
    """Return the median milliseconds of each case, timed in turn."""
    return {name: 1e3 * statistics.median(s) for name, s in alternate(cases, rounds, **options).items()}


def ratios(
    seconds: Mapping[str, list[float]], ours: str, peers: Sequence[str], calls: int = CALLS
) -> tuple[str, list[float]]:
    """Return the peer that is fastest over all turns of `alternate`, and its time by ours in each turn."""
    medians = {
        name: [statistics.median(values[k : k + calls]) for k in range(0, len(values), calls)]
        for name, values in seconds.items()
    }
    fastest = min(peers, key=lambda name: statistics.median(medians[name]))
    return fastest, [theirs / own for theirs, own in zip(medians[fastest], medians[ours], strict=True)]


def limits(dtype: str = "float32") -> dict[str, float]:
    """Measure what the machine can do: GFLOP/s of a large matrix product, GB/s of copying memory."""
    a, out = np.ones((1536, 1536), dtype), np.empty((1536, 1536), dtype)
    halves = [(np.ones(2**24, np.float32), np.ones(2**24, np.float32)) for _ in range(threads.thread_count())]

    def copy() -> None:
        threads.run([lambda to=to, source=source: np.copyto(to, source) for to, source in halves])

    times = {name: min(s) for name, s in alternate({"product": lambda: a.dot(a, out=out), "copy": copy}, 3).items()}
    moved = sum(to.nbytes + source.nbytes for to, source in halves)
    return {"GFLOP/s": 2 * 1536**3 / times["product"] / 1e9, "GB/s": moved / times["copy"] / 1e9}


def machine(threads: int, instructions: Sequence[str] = ()) -> dict[str, str]:
    """Return where and with what was measured; `instructions` are the sets that the peers name."""
    found = {"processor": processor(), "threads": str(threads), "python": platform.python_version()}
    found |= {package: sys.modules[package].__version__ for package in PACKAGES if package in sys.modules}
    pools = {f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in threadpool_info()}
    found["BLAS and threads"] = " + ".join(sorted(pools))
    if instructions:
        found["instruction sets"] = ", ".join(instructions)
    return found


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def measured_on(machine: Mapping[str, str], isa: str) -> str:
    """Return the sentence that says where was measured."""
    held = "" if isa == "native" else f", all sides held to {isa.upper()}"
    return "Measured on " + ", ".join(f"{k} {v}" for k, v in machine.items()) + f"{held}."


def file_name(name: str, isa: str) -> str:
    """Return what the results of a script are called, without their ending."""
    return name if isa == "native" else f"{name}-{isa}"


def write(name: str, title: str, text: str, record: dict[str, Any], isa: str) -> None:
    """Print the text and write it as Markdown, and the record as JSON, into docs/results."""
    option = "" if isa == "native" else f" --isa {isa}"
    lines = [f"# {title}", "", text, "", measured_on(record["machine"], isa)]
    lines += [f"Written by `python benchmarks/{name}.py{option}`.", ""]
    print("\n".join(lines))
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / file_name(name, isa)
    file.with_suffix(".md").write_text("\n".join(lines))
    file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
