"""Peak memory of training, measured in a process of its own: ``python memory.py meganet A 28``."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES, STEPS = 10_000, 20


def peak_mib(run: Callable[[], Any]) -> float | None:
    """Return how far the resident memory of this process rises during `run`, in MiB; None where it cannot be read."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists() or not os.access(reset, os.W_OK):
        return None

    def read(name: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))

    # free pages that the process holds already would hide what the run needs
    ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5")
    before = read("VmRSS")
    run()
    return (read("VmHWM") - before) / 1024


def peak_of_training(side: str, case: dict[str, Any], threads: int) -> float | None:
    """Return the peak of 20 steps over 10,000 images, of "meganet" or of a memory format of PyTorch."""
    command = [sys.executable, __file__, json.dumps({"side": side, "threads": threads, "case": case})]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _worker(side: str, threads: int, case: dict[str, Any]) -> None:
    from suite.cases import Case, Training
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        training = Training(Case(**case), examples=case.get("batch", 32) if side == "scaling" else EXAMPLES)
        step = training.step
        if side not in ("meganet", "scaling"):
            import torch
            from peer import FORMATS, Peer

            torch.set_num_threads(threads)
            step = Peer(training, FORMATS[side]).step
        print(json.dumps(peak_mib(lambda: [step() for _ in range(STEPS)])))


if __name__ == "__main__":
    _worker(**json.loads(sys.argv[1]))
