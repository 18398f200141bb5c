"""The thesis' figures by their numbers, from the stored runs of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.backend import random_stream
from meganet.experiments.plan import COARSE
from meganet.experiments.problems import BLOCKS, CHANNELS, DIRECTIONS, coarse_start, starting_point
from meganet.experiments.protocol import ARMS
from meganet.experiments.study import Study
from meganet.experiments.titles import FIGURES as TITLES
from meganet.objective.landscape import landscape
from meganet.plotting.axes import PAGE
from meganet.plotting.convergence import plot_convergence
from meganet.plotting.landscape import plot_landscapes
from meganet.plotting.mosaic import plot_mosaic, share_scale
from meganet.plotting.styles import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

OWN_SCALES = "Each image from its smallest value (black) to its largest (white)"


@dataclass(frozen=True)
class Figure:
    """A figure of the thesis.

    Attributes
    ----------
    title : str
    networks : tuple of str
        Whose runs it needs.
    size : tuple of float
        In inches.
    quick : bool
        It takes no longer than a second; the others evaluate objectives again and again.
    trained : bool
        It shows trained weights, of a trial in which no run diverged.
    draw : callable
        ``(study, trial, canvas) -> lines``: draws on a matplotlib figure and returns what it has to say in numbers.
    """

    title: str
    networks: tuple[str, ...]
    size: tuple[float, float]
    draw: Callable[[Study, int, Any], list[str]]
    quick: bool = True
    trained: bool = True

    def make(self, study: Study, trial: int) -> tuple[Canvas, list[str]]:
        """Return the figure, drawn from a trial of a study, and its lines of text."""
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=self.size, layout="constrained")
        # numbers of a run that diverges are large, and then none
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return canvas, self.draw(study, trial, canvas)


def _through_time(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 2.1: the first validation digit two on its way through net B, three channels of every layer."""
    _, fine = study.levels("B", trial)
    validation = fine.validation
    theta, _ = fine.training.split(study.weights("B", trial, "transfer"))
    number = int(np.argmax(validation.backend.to_host(validation.labels) == 2))
    image = validation.images[number : number + 1]
    host = validation.backend.to_host
    columns = [host(image)[0].repeat(3, axis=0), *(host(y)[0] for y in fine.training.network.outputs(theta, image))]
    rng = random_stream(study.folders["B"].protocol.seed, trial, CHANNELS)
    chosen = [rng.choice(len(column), 3, replace=False) for column in columns]
    chosen[2] = chosen[1]
    rows = [[column[numbers[k]] for column, numbers in zip(columns, chosen, strict=True)] for k in range(3)]
    ax = plot_mosaic(rows, canvas.subplots(), column_labels=["input", "convolution", "pooling", "convolution"])
    _say_scales(ax)
    first, last = (", ".join(map(str, numbers)) for numbers in (chosen[1], chosen[3]))
    return [f"channels {first} of the first convolution and of pooling, {last} of the second convolution"]


def _smoothing(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 3.1: blocks of the initial coarse classifier, of all classes and two channels, before and after."""
    folder = study.folders["A"]
    protocol, (coarse, _) = folder.protocol, study.levels("A", trial)
    blocks = []
    for smoothing in (0.0, protocol.W_smoothing):
        _, w = coarse.training.split(coarse_start(dataclasses.replace(protocol, W_smoothing=smoothing), coarse, trial))
        kernel = coarse.training.classifier.parameters.view(w)["kernel"]
        blocks.append(folder.backend.to_host(kernel)[:, :2])
    axes = canvas.subplots(2)
    for ax, found, title in zip(axes, blocks, ("before smoothing", "after smoothing"), strict=True):
        classes = [str(k) for k in range(len(found))]
        plot_mosaic(list(found.swapaxes(0, 1)), ax, row_labels="01", column_labels=classes, common_scale=True)
        ax.set(title=title, xlabel="class", ylabel="channel")
    share_scale(axes, "weight")
    return [f"standard deviation {blocks[0].std():.3g} before, {blocks[1].std():.3g} after"]


def _convergence(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 4.1: objective and validation accuracy over the epochs of coarse training and of the three arms."""
    histories = study.histories("4.1")
    above, below = canvas.subplots(2, sharex=True)
    plot_convergence(histories, "objective", above)
    plot_convergence(histories, "validation_accuracy", below, legend=False)
    above.label_outer()
    trials = len(histories[COARSE])
    return [f"means and ranges of {trials} trials" if trials > 1 else "one trial"]


def _blocks(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 4.2: blocks of the classifier after coarse training, of ten random channels and up to ten classes."""
    folder, (coarse, _) = study.folders["A"], study.levels("A", trial)
    _, w = coarse.training.split(study.weights("A", trial, COARSE))
    kernel = folder.backend.to_host(coarse.training.classifier.parameters.view(w)["kernel"])
    rng = random_stream(folder.protocol.seed, trial, BLOCKS)
    classes, channels = (np.sort(rng.choice(n, min(n, 10), replace=False)) for n in kernel.shape[:2])
    ax = plot_mosaic(
        list(kernel[np.ix_(classes, channels)]),
        canvas.subplots(),
        row_labels=[str(k) for k in classes],
        column_labels=[str(k) for k in channels],
        common_scale=True,
    )
    ax.set(xlabel="channel", ylabel="class")
    share_scale([ax], "weight")
    variation = np.abs(np.diff(kernel, axis=-1)).mean() + np.abs(np.diff(kernel, axis=-2)).mean()
    return [f"mean difference between neighbours {variation / 2:.3g}, mean size {np.abs(kernel).mean():.3g}"]


def _landscapes(network: str, study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figures 4.3 and 4.5: the objective around the coarse minimum and around both transferred points."""
    protocol, (coarse, fine) = study.folders[network].protocol, study.levels(network, trial)
    x = study.weights(network, trial, COARSE)
    points = [("coarse minimum", coarse.training, x)]
    for arm in ("transfer", "multigrid"):
        start = starting_point(protocol, (coarse, fine), arm, x, trial)
        points.append((f"{STYLES[arm].label}, before retraining", fine.training, start))
    # the same random numbers for all, so that both transferred points are seen in like directions
    found = {
        title: landscape(fun, point, random_stream(protocol.seed, trial, DIRECTIONS)) for title, fun, point in points
    }
    plot_landscapes(found, canvas)
    return [
        f"{title}: objective {plane.center:.3g}, loss {plane.loss.item(plane.loss.size // 2):.3g}; curvature "
        f"{plane.curvature:.3g}, of the loss {plane.loss_curvature:.3g}; mean rise of the loss {plane.rise:.3g}"
        for title, plane in found.items()
    ]


def _propagation(network: str, study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figures 4.4 and 4.6: an eight and a three on their way through a random channel of the retrained networks."""
    _, fine = study.levels(network, trial)
    validation, host = fine.validation, fine.validation.backend.to_host
    labels = host(validation.labels)
    rng = random_stream(study.folders[network].protocol.seed, trial, CHANNELS)
    channels: list[int] = []
    steps = ["input", "convolution", *(["pooling"] if network == "B" else []), "convolution"]
    names = [STYLES[arm].label for arm in ARMS]
    axes = canvas.subplots(2)
    for ax, digit in zip(axes, (8, 3), strict=True):
        number = int(np.argmax(labels == digit))
        image, rows = validation.images[number : number + 1], []
        for arm in ARMS:
            theta, _ = fine.training.split(study.weights(network, trial, arm))
            outputs = [host(y)[0] for y in fine.training.network.outputs(theta, image)]
            channels = channels or _channels(rng, outputs)
            rows.append([host(image)[0, 0], *(y[channel] for y, channel in zip(outputs, channels, strict=True))])
        columns = [
            steps[0],
            *(f"{step},\nchannel {channel}" for step, channel in zip(steps[1:], channels, strict=True)),
        ]
        plot_mosaic(rows, ax, row_labels=names, column_labels=columns)
        ax.set_title(f"class {labels[number]}")
    _say_scales(axes[1])
    return [f"channels {', '.join(map(str, channels))} of the layers"]


def _say_scales(ax: Axes) -> None:
    """Say below a mosaic how its grey levels are meant."""
    ax.xaxis.set_label_position("bottom")
    ax.set_xlabel(f"{OWN_SCALES}.")


def _channels(rng: np.random.Generator, outputs: Sequence[np.ndarray[Any, Any]]) -> list[int]:
    """Return a random channel of every layer; pooling shows that of the convolution before it."""
    drawn = [int(rng.integers(len(y))) for y in outputs]
    return drawn if len(drawn) == 2 else [drawn[0], drawn[0], drawn[2]]


def _title(number: str) -> str:
    return f"Figure {number}: {TITLES[number]}"


FIGURES = {
    "2.1": Figure(_title("2.1"), ("B",), (PAGE, 5.2), _through_time),
    "3.1": Figure(_title("3.1"), ("A",), (PAGE, 5), _smoothing, trained=False),
    "4.1": Figure(_title("4.1"), ("A",), (PAGE, 6), _convergence, trained=False),
    "4.2": Figure(_title("4.2"), ("A",), (PAGE, 7.5), _blocks),
    "4.3": Figure(_title("4.3"), ("A",), (PAGE, 9), partial(_landscapes, "A"), quick=False),
    "4.4": Figure(_title("4.4"), ("A",), (PAGE, 9), partial(_propagation, "A")),
    "4.5": Figure(_title("4.5"), ("B",), (PAGE, 9), partial(_landscapes, "B"), quick=False),
    "4.6": Figure(_title("4.6"), ("B",), (PAGE, 9), partial(_propagation, "B")),
}
"""By the thesis' numbers."""
