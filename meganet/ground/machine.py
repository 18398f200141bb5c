"""What this machine is, for the record of results and measurements."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """Return the name of the processor, as far as the system tells.

    Examples
    --------
    >>> from meganet.ground.machine import processor
    >>> isinstance(processor(), str)
    True
    """
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, models), "") or platform.processor() or platform.machine()
