"""The thesis' experiments, and others like them: described by data, resumable, reported.

`setup` says what is run, `protocols` which stages a table is made of, `runs` carries them out and stores them,
`questions` ask what they mean, `report` shows them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meganet.experiments.runs.case import Case
    from meganet.experiments.runs.folder import ResultsFolder
    from meganet.experiments.runs.problems import Problems, build_network, grid_shapes
    from meganet.experiments.runs.study import Study
    from meganet.experiments.setup.settings import PRESETS, Setup
    from meganet.experiments.setup.stages import Stage
    from meganet.experiments.setup.tables import Column, Table, setup_for, tables_of
    from meganet.store.disk import ResultsError
    from meganet.workers import Workers

_PLACES = {
    "meganet.store.disk": ("ResultsError",),
    "meganet.workers": ("Workers",),
    "meganet.experiments.setup.settings": ("PRESETS", "Setup"),
    "meganet.experiments.setup.stages": ("Stage",),
    "meganet.experiments.setup.tables": ("Column", "Table", "setup_for", "tables_of"),
    "meganet.experiments.runs.problems": ("Problems", "build_network", "grid_shapes"),
    "meganet.experiments.runs.folder": ("ResultsFolder",),
    "meganet.experiments.runs.case": ("Case",),
    "meganet.experiments.runs.study": ("Study",),
}
"""Where the names are from. As in `meganet`, the modules are imported when one is first asked for: the command line is
read, and completed, by what `setup` and the drop-in files say, without the numerical libraries."""

__all__ = [
    "PRESETS",
    "Case",
    "Column",
    "Problems",
    "ResultsError",
    "ResultsFolder",
    "Setup",
    "Stage",
    "Study",
    "Table",
    "Workers",
    "build_network",
    "grid_shapes",
    "setup_for",
    "tables_of",
]


def __getattr__(name: str) -> Any:
    place = next((module for module, names in _PLACES.items() if name in names), None)
    if place is None:
        # the usual error
        return object.__getattribute__(sys.modules[__name__], name)
    value = getattr(import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
