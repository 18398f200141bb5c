"""The thesis' experiments: described by data, resumable, reported beside the thesis' numbers."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meganet.experiments.coarse_to_fine import histories, run
    from meganet.experiments.parallel import Workers
    from meganet.experiments.plan import TABLES, protocol_for
    from meganet.experiments.problems import load_data
    from meganet.experiments.protocol import ARMS, PRESETS, Protocol, build_network
    from meganet.experiments.store import ResultsError, ResultsFolder, read_protocol

__all__ = [
    "ARMS",
    "PRESETS",
    "TABLES",
    "Protocol",
    "ResultsError",
    "ResultsFolder",
    "Workers",
    "build_network",
    "histories",
    "load_data",
    "protocol_for",
    "read_protocol",
    "run",
]

_MODULES = ("protocol", "plan", "coarse_to_fine", "parallel", "problems", "store")
"""Where the names are from. As in `meganet`, the modules are imported when one is first asked for: the command line is
read, and completed, by what `titles` and `protocol` say, without the numerical libraries."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        # the usual error
        return object.__getattribute__(sys.modules[__name__], name)
    modules = (import_module(f"{__name__}.{module}") for module in _MODULES)
    value = next(getattr(module, name) for module in modules if hasattr(module, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
