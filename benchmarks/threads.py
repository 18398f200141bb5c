"""What two cores give: a share of a step alone, beside the same in another process, beside the same in a thread.

The second shows what the cores take from each other (cache, memory, clock), the third also what the threads of one
Python process wait for its global lock.

    pip install ".[bench]" && python benchmarks/threads.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

import common
import numpy as np
from suite.cases import STEP_CASES, Case, Training
from threadpoolctl import threadpool_limits

COLUMNS = [
    "share of 16 examples, ms: median (extremes)",
    "alone",
    "beside a process",
    "beside a thread",
    "lost to the lock",
]


def share(training: Training) -> None:
    """Work through half of a mini-batch, forward and back."""
    fun = training.fun
    fun.terms.mean_loss(training.x, fun.select(training.indices).batch(slice(0, 16)))


def median_ms(training: Training, repeats: int = 200) -> float:
    """Return the median time of a share."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        share(training)
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


def beside_process(training: Training) -> float:
    """Return the time while another process does the same."""
    command = [sys.executable, __file__, "--busy", json.dumps(asdict(training.case))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()  # it has begun
        result = median_ms(training)
        other.kill()
    return result


def beside_thread(training: Training) -> float:
    """Return the time while another thread does the same."""
    stop, other = threading.Event(), Training(training.case, seed=1)

    def work() -> None:
        while not stop.is_set():
            share(other)

    thread = threading.Thread(target=work)
    thread.start()
    result = median_ms(training)
    stop.set()
    thread.join()
    return result


def busy(case: Case) -> None:
    """Work until killed."""
    training = Training(case, seed=1)
    share(training)
    print("begun", flush=True)
    while True:
        share(training)


def main() -> None:
    """Measure every case in turn, several times, and write the table."""
    options = common.options(__doc__.splitlines()[0], rounds=5)
    record: dict[str, Any] = {"machine": common.machine(1), "cases": []}
    rows = []
    for case in STEP_CASES:
        training = Training(case)
        median_ms(training)
        turns = [[f(training) for f in (median_ms, beside_process, beside_thread)] for _ in range(options.rounds)]
        columns = dict(zip(("alone", "process", "thread"), zip(*turns, strict=True), strict=True))
        columns["lock"] = tuple(100 * (1 - process / thread) for _, process, thread in turns)
        record["cases"].append({**asdict(case), "turns": columns})
        cells = [f"{np.median(c):.2f} ({min(c):.2f} to {max(c):.2f})" for c in list(columns.values())[:3]]
        lost = columns["lock"]
        rows.append([str(case), *cells, f"{np.median(lost):.0f} % ({min(lost):.0f} to {max(lost):.0f})"])
    common.write("threads", "Two cores", common.table(COLUMNS, rows), record, options.isa)


def started() -> None:
    """Measure, or be the other process."""
    with threadpool_limits(1):
        if "--busy" in sys.argv:
            busy(Case(**json.loads(sys.argv[-1])))
        else:
            main()


if __name__ == "__main__":
    common.run(started)
