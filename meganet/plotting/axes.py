"""What the axes of all figures have in common, and figures as bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = 6.4
"""Width of a figure in inches: text of 10 points is as large as that of the page, and can still be read on a phone."""

LEGEND = {"frameon": False, "handlelength": 3.2}
"""Of every legend: handles so long that dashes are seen."""


def new_axes(size: tuple[float, float], **options: Any) -> Axes:
    """Return the axes of a new figure of pyplot, so that a notebook shows it; its size is given in inches.

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from meganet.plotting.axes import new_axes
    >>> ax = new_axes((4, 3))
    >>> print(ax.figure.get_size_inches())
    [4. 3.]
    >>> pyplot.close(ax.figure)
    """
    from matplotlib import pyplot

    axes: Axes = pyplot.figure(figsize=size, layout="constrained").add_subplot(**options)
    return axes


def whole_numbers(ax: Axes) -> None:
    """Let the ticks below be whole numbers, as epochs are.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.axes import whole_numbers
    >>> ax = Figure().subplots()
    >>> whole_numbers(ax)
    >>> _ = ax.set_xlim(0, 2)
    >>> print(ax.get_xticks())
    [0. 1. 2.]
    """
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def logarithmic(ax: Axes, axis: str = "y") -> None:
    """Make an axis logarithmic, with numbers as one writes them unless they span many decades.

    Parameters
    ----------
    ax : matplotlib Axes
    axis : {"y", "x"}

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.axes import logarithmic
    >>> ax = Figure().subplots()
    >>> _ = ax.plot([1, 2], [0.2, 4.0])
    >>> logarithmic(ax)
    >>> ax.get_yscale(), ax.yaxis.get_major_formatter()(0.5)
    ('log', '0.5')
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    along = getattr(ax, f"{axis}axis")
    ax.set(**{f"{axis}scale": "log"})
    low, high = np.log10(along.get_view_interval())
    if high - low < 3:
        subs = (1.0, 2.0, 5.0) if high - low > 0.7 else tuple(np.arange(1.0, 10.0, 0.5))
        along.set_major_locator(LogLocator(subs=subs))
        along.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        along.set_minor_formatter(NullFormatter())


def legend_above(ax: Axes, of: Axes | None = None) -> None:
    """Draw the legend of these axes, or of others, above them, where it covers no line.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting.axes import legend_above
    >>> ax = Figure().subplots()
    >>> _ = ax.plot([1, 2], label="new"), ax.plot([2, 1], label="transfer")
    >>> legend_above(ax)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['new', 'transfer']
    """
    handles, labels = (ax if of is None else of).get_legend_handles_labels()
    # in as many columns as there is room for
    width = ax.get_window_extent().width / ax.figure.dpi
    columns = max(1, min(len(labels), int(width // (0.8 + 0.08 * max(map(len, labels))))))
    ax.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, **LEGEND)


def quantity(column: str) -> str:
    """Return the label of an axis for a column of a history, with its unit: "Validation accuracy, %".

    Examples
    --------
    >>> from meganet.plotting.axes import quantity
    >>> quantity("loss"), quantity("validation_accuracy")
    ('Loss', 'Validation accuracy, %')
    """
    return column.replace("_", " ").capitalize() + (", %" if is_accuracy(column) else "")


def is_accuracy(column: str) -> bool:
    """Whether a column is a part of one, which is drawn in percent.

    Examples
    --------
    >>> from meganet.plotting.axes import is_accuracy
    >>> is_accuracy("validation_accuracy"), is_accuracy("loss")
    (True, False)
    """
    return column == "accuracy" or column.endswith("_accuracy")


def to_png(figure: Figure, dpi: int = 150) -> bytes:
    """Return a figure as the bytes of a PNG file.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import to_png
    >>> to_png(Figure(), dpi=50)[1:4]
    b'PNG'
    """
    image = io.BytesIO()
    # of numbers near the largest ones the ticks overflow
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        figure.savefig(image, format="png", dpi=dpi)
    return image.getvalue()


def to_svg(figure: Figure) -> bytes:
    """Return a figure as the bytes of an SVG file, the same ones each time; letters are paths, so no font is needed.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import to_svg
    >>> figure = Figure()
    >>> _ = figure.subplots().plot([1.0, 0.5])
    >>> b"<svg" in to_svg(figure), to_svg(figure) == to_svg(figure)
    (True, True)
    """
    import matplotlib

    image = io.BytesIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "meganet", "svg.fonttype": "path"}),
        np.errstate(divide="ignore", over="ignore", invalid="ignore"),
    ):
        figure.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue()
