"""Training curves: figure 4.1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.optim import History
from meganet.plotting.axes import PAGE, is_accuracy, legend_above, logarithmic, new_axes, quantity, whole_numbers
from meganet.plotting.styles import STYLES, Style, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COARSE = "coarse"


def plot_convergence(
    histories: Mapping[str, History | Sequence[History]],
    column: str = "objective",
    ax: Axes | None = None,
    *,
    legend: bool = True,
    after: Mapping[str, str] | None = None,
) -> Axes:
    """Draw a column of the histories over the epochs of coarse training and of what follows it, as figure 4.1.

    Parameters
    ----------
    histories : mapping
        Names of runs to the history of one, or to those of several trials. Lines are means over the trials that have
        reached the epoch, bands go from the smallest to the largest; what is not finite, as after a divergence, is
        left out. "coarse" and the thesis' arms have lines of their own, see `STYLES`.
    column : str
        A column of all histories, such as "objective", "loss", "accuracy", "validation_loss" or
        "validation_accuracy". Accuracies are drawn in percent.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.
    legend : bool
        Above the axes.
    after : mapping, optional
        Name of a run to that of the one before it, where it ends the run begins. If not given, all other runs begin
        where "coarse" ends, if it is there. If given, a run whose name continues that of another, such as
        "transfer-back" that of "transfer", has its colour and no entry of its own in the legend.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        For what is no history, without a history that has a row, or if one has no such column.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.optim import History
    >>> from meganet.plotting import plot_convergence
    >>> run = History([{"epoch": 0, "loss": 2.3}, {"epoch": 1, "loss": 0.4}])
    >>> plot_convergence({"new": run}, "loss", Figure().subplots()).get_ylabel()
    'Loss'
    """
    validate.instance("histories", histories, Mapping, "a dict from names of runs to histories")
    trials = {name: [found] if isinstance(found, History) else found for name, found in histories.items()}
    for name, found in trials.items():
        if not isinstance(found, Sequence) or not all(isinstance(history, History) for history in found):
            validate.reject(f"histories[{name!r}]", "a History or a list of them", repr(found))
    trials = {name: [history for history in found if len(history)] for name, found in trials.items()}
    trials = {name: found for name, found in trials.items() if found}
    if not trials:
        validate.reject("histories", "at least one history with a row", "none")
    for name, found in trials.items():
        for history in found:
            if not {"epoch", column} <= set(history.columns):
                validate.reject("column", f"one that the histories of {name!r} have beside epoch", repr(column))
    ax = new_axes((PAGE, 4.2)) if ax is None else ax
    before = {name: _COARSE for name in trials if name != _COARSE} if after is None else after
    ends = {name: max(history[-1]["epoch"] for history in found) for name, found in trials.items()}
    starts = {name: sum(ends.get(run, 0) for run in _before(name, before)) for name in trials}
    smallest = np.inf
    for name, style in (styles_of(trials) if after is None else _styles_of_lines(tuple(trials))).items():
        epochs, values = _aligned(trials[name], column)
        position = epochs + starts[name]
        middle, low, high = _mean_and_range(values * (100 if is_accuracy(column) else 1))
        ax.plot(position, middle, **style.line(len(position)))
        if len(values) > 1:
            ax.fill_between(position, low, high, color=style.color, alpha=0.2, lw=0)
        smallest = min(smallest, np.nanmin(low, initial=np.inf))
    changes = sorted({*starts.values()} - {0})
    for start in changes:
        ax.axvline(start, color="0.7", lw=1, zorder=0)
    two = _COARSE in trials and len(changes) == 1
    label = "Epoch (coarse, then fine)" if two else "Epoch"
    ax.set(xlabel=label, ylabel=quantity(column))
    if not is_accuracy(column) and 0 < smallest < np.inf:
        logarithmic(ax)
    whole_numbers(ax)
    ax.grid(alpha=0.3)
    if legend:
        legend_above(ax)
    return ax


def _styles_of_lines(names: Sequence[str]) -> dict[str, Style]:
    """Return a style for each run; one whose name continues that of another has its style, without a label."""
    first = {name: min((n for n in names if name.startswith(f"{n}-")), key=len, default=name) for name in names}
    first |= {name: name for name in names if name in STYLES}
    styles = styles_of(name for name in names if first[name] == name)
    return styles | {name: replace(styles[first[name]], label="_") for name in names if first[name] != name}


def _before(name: str, before: Mapping[str, str]) -> Iterator[str]:
    """Yield the runs before one, the nearest first."""
    seen = {name}
    while (name := before.get(name, name)) not in seen:
        seen.add(name)
        yield name


def _aligned(histories: Sequence[History], column: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return all epochs and a column, (trials, epochs), with nan where a trial has no such epoch."""
    epochs = np.unique(np.concatenate([history.column("epoch") for history in histories]))
    values = np.full((len(histories), len(epochs)), np.nan)
    for row, history in zip(values, histories, strict=True):
        row[np.searchsorted(epochs, history.column("epoch"))] = history.column(column)
    values[~np.isfinite(values)] = np.nan
    return epochs, values


def _mean_and_range(values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return mean, smallest and largest over the trials, of the numbers among them; nan where there is none."""
    there = np.isfinite(values)
    counts = there.sum(axis=0)
    mean = np.where(there, values, 0).sum(axis=0) / np.maximum(counts, 1)
    low, high = np.where(there, values, np.inf).min(axis=0), np.where(there, values, -np.inf).max(axis=0)
    return [np.where(counts > 0, row, np.nan) for row in (mean, low, high)]
