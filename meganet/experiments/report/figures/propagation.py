"""Figures 2.1, 4.4 and 4.6: digits on their way through a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from meganet.backend import random_stream
from meganet.experiments.report.figure import ROWS, Figure
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.problems import CHANNELS
from meganet.layers import PoolingLayer
from meganet.networks import Chain
from meganet.plotting.axes import PAGE
from meganet.plotting.mosaic import plot_mosaic, say_scales
from meganet.plotting.styles import STYLES

TITLES = {
    "2.1": "a digit on its way through net B",
    "4.4": "digits in the retrained networks, net A",
    "4.6": "digits in the retrained networks, net B",
}
Image = np.ndarray[Any, Any]


class _Way:
    """The images that an example of a class is in the layers of a trained network."""

    def __init__(self, case: Case, trial: int) -> None:
        self.case, self.trial = case, trial
        self.level = case.problems(trial).level(-1, "fine")
        self.labels = self.level.validation.backend.to_host(self.level.validation.labels)
        network = self.level.training.network
        layers = network.layers if isinstance(network, Chain) else (network,)
        self.pools = [isinstance(layer, PoolingLayer) for layer in layers]
        self.steps = ["input", *("pooling" if pools else "convolution" for pools in self.pools)]

    def through(self, run: str, digit: int) -> list[Image]:
        """Return the first validation image of a class and the outputs of all layers, each (C, H, W)."""
        fun = self.level.validation
        theta, _ = self.level.training.split(self.case.weights(self.trial, run))
        number = int(np.argmax(self.labels == digit))
        image = fun.images[number : number + 1]
        outputs = self.level.training.network.outputs(theta, image)
        return [fun.backend.to_host(y)[0] for y in (image, *outputs)]

    def label(self, digit: int) -> int:
        """Return the class of the image that `through` shows."""
        return int(self.labels[int(np.argmax(self.labels == digit))])


def through_time(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw the first validation digit two on its way through the network, three channels of every layer."""
    way = _Way(case, trial)
    image, *outputs = way.through("transfer", 2)
    columns = [image.repeat(3, axis=0) if len(image) == 1 else image, *outputs]
    rng = random_stream(case.setup.run.seed, trial, CHANNELS)
    numbers = [rng.choice(len(column), 3, replace=False) for column in columns]
    # pooling shows the channels of the convolution before it
    shown = [numbers[k - 1] if k and way.pools[k - 1] else numbers[k] for k in range(len(columns))]
    rows = [[column[own[k]] for column, own in zip(columns, shown, strict=True)] for k in range(3)]
    ax = plot_mosaic(rows, canvas.subplots(), column_labels=way.steps)
    say_scales(ax)
    first, last = (", ".join(map(str, own)) for own in (shown[1], shown[-1]))
    return [f"channels {first} of the first convolution and of pooling, {last} of the second convolution"]


def propagation(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw an eight and a three on their way through a random channel of the retrained networks."""
    way = _Way(case, trial)
    rng = random_stream(case.setup.run.seed, trial, CHANNELS)
    channels: list[int] = []
    axes = canvas.subplots(2)
    for ax, digit in zip(axes, (8, 3), strict=True):
        rows = []
        for row in ROWS:
            image, *outputs = way.through(row, digit)
            channels = channels or list(_channels(rng, outputs, way.pools))
            rows.append([image[0], *(y[channel] for y, channel in zip(outputs, channels, strict=True))])
        steps = zip(way.steps[1:], channels, strict=True)
        columns = [way.steps[0], *(f"{step},\nchannel {channel}" for step, channel in steps)]
        plot_mosaic(rows, ax, row_labels=[STYLES[row].label for row in ROWS], column_labels=columns)
        ax.set_title(f"class {way.label(digit)}")
    say_scales(axes[1])
    return [f"channels {', '.join(map(str, channels))} of the layers"]


def _channels(rng: np.random.Generator, outputs: Sequence[Image], pools: Sequence[bool]) -> Iterator[int]:
    """Yield a random channel of every layer; pooling shows that of the convolution before it."""
    channel = 0
    for y, pooled in zip(outputs, pools, strict=True):
        drawn = int(rng.integers(len(y)))
        channel = channel if pooled else drawn
        yield channel


SEEN = "Mosaic of gray images: an eight and a three in the layers of the networks New, Transfer and Multigrid."
FIGURES = {
    "2.1": Figure(
        "4.2",
        through_time,
        (PAGE, 5.2),
        "Mosaic of gray images: a digit two, and channels of every layer of the retrained network that it passes.",
    ),
    "4.4": Figure("4.1", propagation, (PAGE, 9), SEEN),
    "4.6": Figure("4.2", propagation, (PAGE, 9), SEEN),
}
