"""The curves of one training or minimisation, from its history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.optim import History
from meganet.plotting.axes import PAGE, is_accuracy, legend_above, logarithmic, quantity, whole_numbers
from meganet.plotting.styles import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTERS = ("epoch", "iteration")
VALIDATION = "validation_"
CURVES = ("objective", "value", "gradient_norm", "loss", "accuracy")
"""What a minimiser's history is looked at for; its other columns say how a step was found."""
OF_THE_STEPS = ("learning_rate", "step", "phase", "level", "work")
"""What `sgd` and a training over several levels report beside the columns that their caller observes."""


def plot_history(
    history: History, axes: Axes | Iterable[Axes] | None = None, *, columns: Sequence[str] | str | None = None
) -> np.ndarray[Any, Any]:
    """Draw the columns of a history over its epochs or iterations, each quantity on axes of its own.

    A column and the same one of the validation, such as "loss" and "validation_loss", share axes. Accuracies are drawn
    in percent; the others on a logarithmic scale if they are positive. Numbers that are not finite are left out.
    A dotted line is where the next phase of a training over several levels begins.

    Parameters
    ----------
    history : History
        What `sgd` or a minimiser returns.
    axes : matplotlib Axes or iterable of them, optional
        Where to draw, one for each quantity; by default they stand one below the other in a new figure of pyplot.
    columns : str or sequence of str, optional
        Which columns. By default what was observed of the epochs, of iterations value, norm of the gradient, losses and
        accuracies, as far as they have a finite number.

    Returns
    -------
    ndarray of matplotlib Axes
        One for each quantity.

    Raises
    ------
    InputError
        For what is no history, without a finite number to draw, for a column that it has not, or for too few or too
        many axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.optim import History
    >>> from meganet.plotting import plot_history
    >>> rows = [{"epoch": 0, "loss": 2.3, "accuracy": 0.1}, {"epoch": 1, "loss": 0.4, "accuracy": 0.9}]
    >>> [ax.get_ylabel() for ax in plot_history(History(rows), Figure().subplots(2))]
    ['Loss', 'Accuracy, %']
    """
    validate.instance("history", history, History, "a History")
    values = {name: np.array(history.column(name), dtype=float) for name in history.columns}
    counter = next((name for name in COUNTERS if name in values), None)
    chosen = _usual(tuple(values), counter) if columns is None else _named(columns, tuple(values))
    chosen = [name for name in chosen if np.isfinite(values[name]).any()]
    if not chosen:
        validate.reject("history", "one with a finite number to draw", f"{len(history)} rows of {history.columns}")
    panels: dict[str, list[str]] = {}
    for name in chosen:
        panels.setdefault(name.removeprefix(VALIDATION), []).append(name)
    places = _places(axes, list(panels))
    position = np.arange(len(history)) if counter is None else values[counter]
    for ax, (name, drawn) in zip(places, panels.items(), strict=True):
        for column in drawn:
            _curve(ax, column, position, values[column])
        for start in position[1:][np.diff(values["phase"]) > 0] if "phase" in values else ():
            ax.axvline(start, color="0.5", linestyle=":", linewidth=1)
        ax.set(xlabel="Row" if counter is None else counter.capitalize())
        ax.set_ylabel(quantity(drawn[0] if len(drawn) == 1 else name))
        if not is_accuracy(name) and _is_positive(np.concatenate([values[column] for column in drawn]), name):
            logarithmic(ax)
        whole_numbers(ax)
        ax.grid(alpha=0.3)
        if axes is None:
            ax.label_outer()
    pairs = [ax for ax, drawn in zip(places, panels.values(), strict=True) if len(drawn) > 1]
    if pairs:
        legend_above(places[0], pairs[0])
    return places


def _usual(names: Sequence[str], counter: str | None) -> list[str]:
    """Return the columns that are drawn unless others are wished."""
    known = [name for curve in CURVES for name in (curve, VALIDATION + curve) if name in names]
    others = [name for name in names if name != counter and name not in known]
    if counter is None:
        return known + others
    observed = [name for name in others if name not in OF_THE_STEPS] if counter == "epoch" else []
    return known + observed or others


def _named(columns: Sequence[str] | str, names: Sequence[str]) -> list[str]:
    """Return the columns that the caller wishes."""
    validate.instance("columns", columns, Sequence, "names of columns")
    return [validate.choice("columns", name, names) for name in ([columns] if isinstance(columns, str) else columns)]


def _places(axes: Axes | Iterable[Axes] | None, names: list[str]) -> np.ndarray[Any, Any]:
    """Return axes for each of the quantities: those given, or new ones."""
    if axes is None:
        from matplotlib import pyplot

        size = (PAGE, 0.8 + 1.8 * len(names))
        return pyplot.subplots(len(names), sharex=True, squeeze=False, figsize=size, layout="constrained")[1][:, 0]
    given = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(given) != len(names) or not all(hasattr(ax, "plot") for ax in given):
        validate.reject("axes", f"axes for each of {', '.join(names)}", validate.shown(axes))
    return np.array(given, dtype=object)


def _curve(ax: Axes, column: str, position: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
    style = STYLES["validation" if column.startswith(VALIDATION) else "training"]
    there = np.where(np.isfinite(values), values, np.nan)
    ax.plot(position, there * (100 if is_accuracy(column) else 1), **style.line(len(position)))


def _is_positive(values: np.ndarray[Any, Any], name: str) -> bool:
    """Whether a logarithmic scale shows all values, or all but a gradient's norm that has become 0."""
    values = values[np.isfinite(values)]
    return bool((values > 0).all() or (name == "gradient_norm" and (values > 0).any()))
