"""How every run looks, in every figure: colour, line, marker, hatching and label, in the order of the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

Dashes = tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Style:
    """How the lines and bars of a run are drawn.

    Attributes
    ----------
    label : str
        What the legend calls it.
    color : str
        Of a palette that stays apart for the colour-blind.
    linestyle : str or tuple
        As matplotlib has it; no two styles share one, so that lines differ in grey too.
    marker : str
    hatch : str
        Of bars.

    Examples
    --------
    >>> from meganet.plotting import STYLES, Style
    >>> STYLES["transfer"].color, STYLES["transfer"].bar()["hatch"]
    ('#D55E00', '////')
    >>> Style("Mine", "#000000", "--", "x").line(points=30)["linestyle"]
    '--'
    """

    label: str
    color: str
    linestyle: str | Dashes
    marker: str
    hatch: str = ""

    def line(self, points: int) -> dict[str, Any]:
        """Return the arguments of ``Axes.plot`` for a line of so many points; of many only some are marked."""
        return {
            "label": self.label,
            "color": self.color,
            "linestyle": self.linestyle,
            "marker": self.marker,
            "markersize": 4,
            "markevery": max(1, points // 15),
        }

    def bar(self) -> dict[str, Any]:
        """Return the arguments of ``Axes.bar``."""
        return {"label": self.label, "facecolor": self.color, "hatch": self.hatch, "edgecolor": "white", "linewidth": 0}


_DASHED: Dashes = (0, (5, 1.5))
_DASHED_AND_DOTTED: Dashes = (0, (6, 1.5, 1, 1.5))
_DOTTED: Dashes = (0, (1, 1.2))
_TWICE_DOTTED: Dashes = (0, (4, 1.2, 1, 1.2, 1, 1.2))
_LONG: Dashes = (0, (9, 2))

STYLES = {
    "coarse": Style("Coarse training", "#595959", _DOTTED, "."),
    "new": Style("New", "#0072B2", "-", "o"),
    "transfer": Style("Transfer", "#D55E00", _DASHED, "s", "////"),
    "multigrid": Style("Multigrid", "#009E73", _DASHED_AND_DOTTED, "^"),
    "multigrid-constant": Style("Multigrid, constant P", "#CC79A7", _TWICE_DOTTED, "D"),
    "training": Style("training", "#000000", "-", "o"),
    "validation": Style("validation", "#56B4E9", _DASHED, "s"),
}
"""By name: coarse training and the thesis' arms, in the order of its tables, then what else is drawn. Colours after
Okabe and Ito, *Color universal design* (2008)."""

_OTHERS = (
    Style("", "#E69F00", _LONG, "v"),
    Style("", "#56B4E9", "-", "P"),
    Style("", "#000000", _TWICE_DOTTED, "X"),
    Style("", "#CC79A7", _DASHED, "D"),
    Style("", "#0072B2", _DASHED_AND_DOTTED, "o"),
    Style("", "#D55E00", _DOTTED, "s"),
    Style("", "#009E73", _LONG, "^"),
    Style("", "#595959", _DASHED, "*"),
    Style("", "#009E73", _DOTTED, "p"),
)


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """Return a style for each name, those of `STYLES` first and in their order; others are labelled by their names.

    Examples
    --------
    >>> from meganet.plotting.styles import styles_of
    >>> [(name, style.label) for name, style in styles_of(["mine", "multigrid", "new"]).items()]
    [('new', 'New'), ('multigrid', 'Multigrid'), ('mine', 'mine')]
    """
    names = tuple(names)
    others = zip((name for name in names if name not in STYLES), cycle(_OTHERS), strict=False)
    known = {name: style for name, style in STYLES.items() if name in names}
    return known | {name: replace(style, label=name) for name, style in others}
