"""The path of a multigrid cycle through the grids, and how the residual falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.multigrid.cycles import V11, Cycle
from meganet.multigrid.grid_hierarchy import GridHierarchy
from meganet.plotting.axes import LEGEND, PAGE, logarithmic, new_axes, whole_numbers
from meganet.plotting.styles import styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_cycle(hierarchy: GridHierarchy, ax: Axes | None = None, *, cycle: Cycle = V11, full: bool = False) -> Axes:
    """Draw the path of a cycle through the grids: dots are relaxations, squares direct solves on the coarsest grid.

    Parameters
    ----------
    hierarchy : GridHierarchy
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.
    cycle : Cycle
    full : bool
        Draw `full_multigrid` instead, a cycle on each grid, from the coarsest on.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.multigrid import Cycle, GridHierarchy, Poisson
    >>> from meganet.plotting import plot_cycle
    >>> hierarchy = GridHierarchy(Poisson((32, 32)), levels=4)
    >>> ax = plot_cycle(hierarchy, Figure().subplots(), cycle=Cycle("W"))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['4x4', '8x8', '16x16', '32x32']
    >>> print(ax.lines[0].get_ydata())
    [3 2 1 0 1 0 1 2 1 0 1 0 1 2 3]
    """
    validate.instance("hierarchy", hierarchy, GridHierarchy, "a GridHierarchy")
    validate.instance("cycle", cycle, Cycle, 'a Cycle, such as Cycle("V", 1, 1)')
    levels = len(hierarchy)
    visits: list[int] = []
    for grids in range(1, levels + 1) if full else [levels]:
        visits += cycle.visits(grids)
    ax = new_axes((PAGE, 3)) if ax is None else ax
    steps, places = np.arange(len(visits)), np.array(visits)
    ax.plot(steps, places, color="0.6", linewidth=1.2)
    relaxed = places > 0
    ax.plot(steps[relaxed], places[relaxed], "o", color="C0", label="relaxation")
    ax.plot(steps[~relaxed], places[~relaxed], "s", color="C3", label="direct solve")
    ax.set(
        xticks=[], xlabel=f"full multigrid, {cycle}" if full else str(cycle), ylabel="Grid", ylim=(-0.4, levels - 0.6)
    )
    ax.set_yticks(range(levels), [level.name for level in hierarchy])
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, **LEGEND)
    return ax


def plot_residuals(residuals: Mapping[str, Sequence[float] | np.ndarray[Any, Any]], ax: Axes | None = None) -> Axes:
    """Draw norms of residuals over cycles, relative to the first, on a logarithmic axis.

    Parameters
    ----------
    residuals : mapping of str to sequence of float
        Such as `Solution.residuals`; the names are those of the legend.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.multigrid import GridHierarchy, Poisson, solve
    >>> from meganet.plotting import plot_residuals
    >>> found = solve(GridHierarchy(Poisson((32, 32))), np.ones((32, 32)))
    >>> ax = plot_residuals({"V(1,1)": found.residuals}, Figure().subplots())
    >>> ax.get_yscale(), ax.get_xlabel()
    ('log', 'Cycle')
    """
    validate.instance("residuals", residuals, Mapping, "a mapping of names to norms")
    ax = new_axes((PAGE, 3.6)) if ax is None else ax
    styles = styles_of(residuals)
    for name, norms in residuals.items():
        values = validate.numbers(f"residuals[{name!r}]", norms, "norms after each cycle")
        if values.ndim != 1 or not len(values) or not (np.isfinite(values).all() and values[0] > 0):
            validate.reject(f"residuals[{name!r}]", "finite norms, the first of them not zero", validate.shown(norms))
        ax.plot(range(len(values)), values / values[0], **styles[name].line(len(values)))
    ax.set(xlabel="Cycle", ylabel="Residual, relative to the first")
    logarithmic(ax)
    whole_numbers(ax)
    ax.legend(**LEGEND)
    return ax
