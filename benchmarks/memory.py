"""Peak memory of training, measured in a process of its own for each side."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

STEPS = 20


def peak_of_training(
    side: str, case: Any, threads: int, *, library: str | None = None, examples: int | None = None
) -> float | None:
    """Return the peak of 20 steps over so many images, of a variant of ours or of a library, in MiB.

    It is counted from what the process holds when it has made a step of a tiny network, so that the libraries and
    what they need for themselves are left out; weights, images and whatever else the training needs are not.
    """
    fields = {"side": side, "library": library, "threads": threads, "examples": examples, "case": asdict(case)}
    run = subprocess.run([sys.executable, __file__, json.dumps(fields)], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{side}, {case}: {run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def peak_mib(make: Callable[[], Callable[[], Any]]) -> float | None:
    """Return how far the resident memory of this process rises in the steps of a training that is made first, in MiB.

    None where it cannot be read. The first steps are not counted: in them functions are compiled.
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists() or not os.access(reset, os.W_OK):
        return None

    def read(name: str) -> int:
        # free pages that the process holds already would hide what the steps need, or be counted
        ctypes.CDLL(None).malloc_trim(0)
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))

    before = read("VmRSS")
    step = make()
    for _ in range(2):
        step()
    read("VmRSS")
    reset.write_text("5")
    for _ in range(STEPS):
        step()
    return (read("VmHWM") - before) / 1024


def _worker(side: str, library: str | None, threads: int, examples: int | None, case: dict[str, Any]) -> None:
    from peers import peers
    from sides import OURS
    from suite.cases import Case, Training
    from suite.own import Own
    from threadpoolctl import threadpool_limits

    def maker(case: Any, examples: int | None) -> Callable[[], Callable[[], Any]]:
        if library is None:
            return lambda: Training(case, examples).step
        # a peer has copies of its own: what they are copied from is not counted
        ours = Training(case, examples)
        return lambda: variants[side].make(ours).step

    with threadpool_limits(threads), OURS.get(side, OURS["meganet"])():
        variants = {} if library is None else peers([library], threads)
        maker(Case("B", 8, batch=8, channels=8), None)()()
        chosen = Own(**case) if "net" in case else Case(**case)
        print(json.dumps(peak_mib(maker(chosen, examples))))


if __name__ == "__main__":
    _worker(**json.loads(sys.argv[1]))
