"""The pictures of the named experiments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meganet.experiments.named import Findings
from meganet.experiments.named.gaps import Gap
from meganet.experiments.named.worth import Curve
from meganet.plotting.causes import gaps_figure
from meganet.plotting.worth import work_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWING: dict[type, Callable[[Any], Figure]] = {Curve: work_figure, Gap: gaps_figure}


def findings_figure(found: Findings) -> Figure | None:
    """Return the picture of what an experiment found, or None for one that has a table alone."""
    return _DRAWING[type(found.drawn[0])](found.drawn) if found.drawn else None
