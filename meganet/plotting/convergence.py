"""Training curves: figure 4.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.experiments.plan import COARSE
from meganet.optim import History
from meganet.plotting.axes import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES: dict[str, dict[str, Any]] = {
    COARSE: {"color": "0.35", "label": "Coarse training"},
    "new": {"color": "tab:blue", "label": "New"},
    "transfer": {"color": "tab:orange", "label": "Transfer"},
    "multigrid": {"color": "tab:green", "label": "Multigrid"},
}


def plot_convergence(
    histories: Mapping[str, Sequence[History]], column: str = "objective", ax: Axes | None = None
) -> Axes:
    """Draw a column of the histories over the epochs of coarse training and of the three arms, as figure 4.1.

    Parameters
    ----------
    histories : mapping
        "coarse", "new", "transfer", "multigrid" to the histories of all trials. Lines are means over the trials,
        bands go from the smallest to the largest.
    column : str
        "objective", "loss", "accuracy", "validation_loss" or "validation_accuracy".
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes((7, 4.5)) if ax is None else ax
    start = histories[COARSE][0].column("epoch")[-1]
    for name, style in STYLES.items():
        epochs = np.array(histories[name][0].column("epoch"))
        values = np.array([history.column(column) for history in histories[name]], dtype=float)
        position = epochs + (0 if name == COARSE else start)
        ax.plot(position, values.mean(axis=0), marker=".", **style)
        if len(values) > 1:
            ax.fill_between(position, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.2, lw=0)
    ax.axvline(start, color="0.7", lw=1, ls="--", zorder=0)
    ax.set(xlabel="Epoch (coarse, then fine)", ylabel=column.replace("_", " ").capitalize())
    if "accuracy" not in column:
        ax.set_yscale("log")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax
