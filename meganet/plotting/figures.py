"""The thesis' figures by their numbers, from the stored runs of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meganet.backend import random_stream
from meganet.experiments.landscape import landscape
from meganet.experiments.plan import COARSE
from meganet.experiments.problems import BLOCKS, CHANNELS, DIRECTIONS, coarse_start, starting_point
from meganet.experiments.study import Study
from meganet.experiments.titles import FIGURES as TITLES
from meganet.plotting.convergence import STYLES, plot_convergence
from meganet.plotting.landscape import plot_landscape
from meganet.plotting.mosaic import plot_mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

ROWS_OF_FIGURE_4_4 = ("new", "multigrid", "transfer")


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
    plot_mosaic(rows, canvas.subplots(), column_labels=["input", "convolution", "pooling", "convolution"])
    return []


def _smoothing(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 3.1: twenty blocks of the initial coarse classifier before and after smoothing."""
    folder = study.folders["A"]
    protocol, (coarse, _) = folder.protocol, study.levels("A", trial)
    blocks = []
    for smoothing in (0.0, protocol.W_smoothing):
        _, w = coarse.training.split(coarse_start(dataclasses.replace(protocol, W_smoothing=smoothing), coarse, trial))
        kernel = coarse.training.classifier.parameters.view(w)["kernel"]
        blocks.append(folder.backend.to_host(kernel)[:, :2])
    for ax, found, title in zip(canvas.subplots(1, 2), blocks, ("before", "after"), strict=True):
        plot_mosaic(list(found), ax, common_scale=True)
        ax.set_title(title)
    return [f"standard deviation {blocks[0].std():.3g} before, {blocks[1].std():.3g} after"]


def _convergence(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 4.1: objective and validation accuracy over the epochs of coarse training and of the three arms."""
    histories = study.histories("4.1")
    for ax, column in zip(canvas.subplots(1, 2), ("objective", "validation_accuracy"), strict=True):
        plot_convergence(histories, column, ax)
    return [f"means and ranges of {len(histories[COARSE])} trials"]


def _blocks(study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figure 4.2: 100 random blocks of the classifier after coarse training."""
    folder, (coarse, _) = study.folders["A"], study.levels("A", trial)
    _, w = coarse.training.split(study.weights("A", trial, COARSE))
    kernel = folder.backend.to_host(coarse.training.classifier.parameters.view(w)["kernel"])
    flat = kernel.reshape(-1, *kernel.shape[2:])
    chosen = random_stream(folder.protocol.seed, trial, BLOCKS).choice(len(flat), 100, replace=False)
    plot_mosaic(list(flat[chosen].reshape(10, 10, *flat.shape[1:])), canvas.subplots(), common_scale=True)
    variation = np.abs(np.diff(flat, axis=-1)).mean() + np.abs(np.diff(flat, axis=-2)).mean()
    return [f"mean difference between neighbours {variation / 2:.3g}, mean size {np.abs(flat).mean():.3g}"]


def _landscapes(network: str, study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figures 4.3 and 4.5: the objective around the coarse minimum and around both transferred points."""
    protocol, (coarse, fine) = study.folders[network].protocol, study.levels(network, trial)
    x = study.weights(network, trial, COARSE)
    points = [("coarse minimum", coarse.training, x)]
    for arm in ("transfer", "multigrid"):
        start = starting_point(protocol, (coarse, fine), arm, x, trial)
        points.append((f"{STYLES[arm]['label']}, before retraining", fine.training, start))
    lines = []
    for column, (title, fun, point) in enumerate(points):
        # the same random numbers for all, so that both transferred points are seen in like directions
        rng = random_stream(protocol.seed, trial, DIRECTIONS)
        found = landscape(fun, point, rng)
        top = canvas.add_subplot(2, 3, column + 1)
        plot_landscape(found, top).set_title(title)
        plot_landscape(found, canvas.add_subplot(2, 3, column + 4, projection="3d"), kind="surface")
        lines.append(
            f"{title}: objective {found.center:.3g}, loss {found.loss.item(found.loss.size // 2):.3g}; curvature "
            f"{found.curvature:.3g}, of the loss {found.loss_curvature:.3g}; mean rise of the loss {found.rise:.3g}"
        )
    return lines


def _propagation(network: str, study: Study, trial: int, canvas: Canvas) -> list[str]:
    """Figures 4.4 and 4.6: an eight and a three on their way through a random channel of the retrained networks."""
    _, fine = study.levels(network, trial)
    validation, host = fine.validation, fine.validation.backend.to_host
    labels = host(validation.labels)
    digits = [int(np.argmax(labels == digit)) for digit in (8, 3)]
    rng = random_stream(study.folders[network].protocol.seed, trial, CHANNELS)
    channels: list[int] = []
    rows = []
    for arm in ROWS_OF_FIGURE_4_4:
        theta, _ = fine.training.split(study.weights(network, trial, arm))
        row = []
        for number in digits:
            image = validation.images[number : number + 1]
            outputs = [host(y)[0] for y in fine.training.network.outputs(theta, image)]
            channels = channels or _channels(rng, outputs)
            row += [host(image)[0, 0], *(y[channel] for y, channel in zip(outputs, channels, strict=True))]
        rows.append(row)
    steps = ["input", "convolution", *(["pooling"] if network == "B" else []), "convolution"]
    names = [STYLES[arm]["label"] for arm in ROWS_OF_FIGURE_4_4]
    plot_mosaic(rows, canvas.subplots(), row_labels=names, column_labels=steps * len(digits))
    return [f"channels {', '.join(map(str, channels))} of the layers"]


def _channels(rng: np.random.Generator, outputs: Sequence[np.ndarray[Any, Any]]) -> list[int]:
    """Return a random channel of every layer; pooling shows that of the convolution before it."""
    drawn = [int(rng.integers(len(y))) for y in outputs]
    return drawn if len(drawn) == 2 else [drawn[0], drawn[0], drawn[2]]


def _title(number: str) -> str:
    return f"Figure {number}: {TITLES[number]}"


FIGURES = {
    "2.1": Figure(_title("2.1"), ("B",), (5, 4.2), _through_time),
    "3.1": Figure(_title("3.1"), ("A",), (5, 8.5), _smoothing, trained=False),
    "4.1": Figure(_title("4.1"), ("A",), (11, 4), _convergence, trained=False),
    "4.2": Figure(_title("4.2"), ("A",), (8, 8), _blocks),
    "4.3": Figure(_title("4.3"), ("A",), (14, 8), partial(_landscapes, "A"), quick=False),
    "4.4": Figure(_title("4.4"), ("A",), (9, 4.5), partial(_propagation, "A")),
    "4.5": Figure(_title("4.5"), ("B",), (14, 8), partial(_landscapes, "B"), quick=False),
    "4.6": Figure(_title("4.6"), ("B",), (11, 4.5), partial(_propagation, "B")),
}
"""By the thesis' numbers."""
