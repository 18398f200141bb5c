"""How runs look: apart for everybody, in one order."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from meganet.experiments import tables_of
from meganet.plotting import STYLES
from meganet.plotting.styles import styles_of

COARSE = "coarse"
ARMS = tuple(tables_of("4.1")[0].rows)

SEEN = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Of linear red, green and blue; Machado, Oliveira, Fernandes, *A physiologically-based model* (2009), severity 1."""


def lab(color, seen):
    """Return a colour in CIELAB, white D65, as it is seen."""
    rgb = np.array(to_rgb(color))
    linear = np.clip(seen @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    t = to_xyz @ linear / to_xyz.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", SEEN)
def test_lines_of_a_figure_differ_in_colour_for_the_colour_blind(seen):
    for figure in ((COARSE, *ARMS, "multigrid-constant"), ("training", "validation")):
        for one, other in combinations(figure, 2):
            difference = np.linalg.norm(lab(STYLES[one].color, SEEN[seen]) - lab(STYLES[other].color, SEEN[seen]))
            assert difference > 15, f"{one} and {other}: {difference:.0f}"


def test_rows_are_those_of_every_table_of_the_thesis():
    assert {tuple(table.rows) for name in ("4.1", "4.2", "4.3", "4.4") for table in tables_of(name)} == {ARMS}


def test_lines_differ_without_colour():
    arms = [STYLES[name] for name in (COARSE, *ARMS, "multigrid-constant")]
    assert len({style.linestyle for style in arms}) == len({style.marker for style in arms}) == len(arms)
    assert STYLES["transfer"].hatch != STYLES["multigrid"].hatch


def test_styles_are_in_the_order_of_the_tables_and_known_ones_first():
    assert tuple(STYLES)[:4] == (COARSE, *ARMS)
    assert [STYLES[arm].label for arm in ARMS] == [arm.capitalize() for arm in ARMS]
    names = ["b", "multigrid", "a", "coarse", "new"]
    found = styles_of(names)
    assert list(found) == ["coarse", "new", "multigrid", "b", "a"] and found["a"].label == "a"
    assert len({style.linestyle for style in found.values()} | {style.marker for style in found.values()}) > 5


def test_any_number_of_other_runs_has_a_style():
    assert len(styles_of(str(k) for k in range(10))) == 10
