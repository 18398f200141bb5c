"""Small images side by side: classifier blocks and digits on their way through a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.ground import validate
from meganet.plotting.axes import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 0.08
"""Space between images, in widths of one."""


def plot_mosaic(
    rows: Sequence[Sequence[np.ndarray[Any, Any]]],
    ax: Axes | None = None,
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    common_scale: bool = False,
) -> Axes:
    """Draw rows of images (H, W) of any sizes, each in a square of the same size.

    Parameters
    ----------
    rows : sequence of sequence of ndarray
        The same number of images in every row.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of pyplot if not given.
    row_labels, column_labels : sequence of str
    common_scale : bool
        One scale of grey levels for all images, symmetric around 0, instead of one for each from its smallest to its
        largest value.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import plot_mosaic
    >>> blocks = np.random.default_rng(0).standard_normal((2, 3, 14, 14))
    >>> ax = plot_mosaic(blocks, Figure().subplots(), row_labels=["coarse", "fine"], common_scale=True)
    >>> len(ax.images), ax.images[0].get_array().shape
    (6, (14, 14))
    """
    rows = [
        [validate.numbers(f"rows[{i}][{j}]", image, "an image of real numbers", "biuf") for j, image in enumerate(row)]
        for i, row in enumerate(rows)
    ]
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            validate.array_shape(f"rows[{i}][{j}]", image, ("H", "W"))
    count = len(rows[0]) if rows else 0
    if not count or any(len(row) != count for row in rows):
        validate.reject("rows", "rows of the same number of images", str([len(row) for row in rows]))
    for name, labels, number in (("row_labels", row_labels, len(rows)), ("column_labels", column_labels, count)):
        if len(labels) not in (0, number):
            validate.reject(name, f"{number} labels or none", str(len(labels)))
    if ax is None:
        ax = new_axes((0.9 * count + 1, 0.9 * len(rows) + 0.4))
    sizes = [np.abs(image[np.isfinite(image)]).max(initial=0.0) for row in rows for image in row]
    largest = float(max(sizes)) or 1.0
    options: dict[str, Any] = {"vmin": -largest, "vmax": largest} if common_scale else {}
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            left, bottom = j * (1 + GAP), -(i + 1) * (1 + GAP)
            ax.imshow(
                image, cmap="gray", extent=(left, left + 1, bottom, bottom + 1), interpolation="nearest", **options
            )
    ax.set(xlim=(-GAP, count * (1 + GAP)), ylim=(-len(rows) * (1 + GAP) - GAP, 0), aspect="equal")
    middle = 0.5 + GAP
    ax.set_xticks([j * (1 + GAP) + 0.5 for j in range(len(column_labels))], column_labels)
    ax.set_yticks([-i * (1 + GAP) - middle for i in range(len(row_labels))], row_labels)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def say_scales(ax: Axes) -> None:
    """Say below a mosaic without a common scale how its grey levels are meant.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import plot_mosaic
    >>> from meganet.plotting.mosaic import say_scales
    >>> ax = plot_mosaic(np.ones((1, 2, 14, 14)), Figure().subplots())
    >>> say_scales(ax)
    >>> ax.get_xlabel()
    'Each image from its smallest value (black) to its largest (white).'
    """
    ax.xaxis.set_label_position("bottom")
    ax.set_xlabel("Each image from its smallest value (black) to its largest (white).")


def share_scale(axes: Sequence[Axes], label: str) -> None:
    """Give mosaics of one figure, drawn on common scales, the same one, and a colour bar below them.

    It is symmetric around 0; the few largest values, of 1 in 200 pixels, lie beyond it, lest they take the contrast
    from all others.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from meganet.plotting import plot_mosaic
    >>> from meganet.plotting.mosaic import share_scale
    >>> blocks = np.random.default_rng(0).uniform(-1, 1, (2, 1, 3, 14, 14))
    >>> figure = Figure()
    >>> axes = [plot_mosaic(rows, ax, common_scale=True) for rows, ax in zip(blocks, figure.subplots(2))]
    >>> share_scale(axes, "weight")
    >>> axes[0].images[0].get_clim() == axes[1].images[0].get_clim(), len(figure.axes)
    (True, 3)
    """
    images: list[Any] = [image for ax in axes for image in ax.images]
    values = np.abs(np.concatenate([np.ma.compressed(image.get_array()) for image in images]))
    values = values[np.isfinite(values)]
    largest = (float(np.quantile(values, 0.995)) if len(values) else 0.0) or 1.0
    for image in images:
        image.set_clim(-largest, largest)
    beyond = "both" if (values > largest).any() else "neither"
    bar: dict[str, Any] = {"location": "bottom", "shrink": 0.6, "aspect": 30, "extend": beyond}
    axes[0].figure.colorbar(images[0], ax=list(axes), label=label, **bar)
