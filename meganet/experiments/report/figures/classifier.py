"""Figures 3.1 and 4.2: blocks of the classifier, each an image of the weights of one class and one channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import Array, random_stream
from meganet.experiments.report.figure import Figure
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.problems import BLOCKS, Level, Problems
from meganet.plotting.axes import PAGE
from meganet.plotting.mosaic import plot_mosaic, share_scale

TITLES = {
    "3.1": "the initial classifier, before and after smoothing",
    "4.2": "classifier blocks after coarse training",
}
COARSE = "coarse"


def _kernel(level: Level, x: Array) -> np.ndarray[Any, Any]:
    """Return the classifier's kernel (K, C, H, W) on the host."""
    fun = level.training
    _, w = fun.split(x)
    kernel: np.ndarray[Any, Any] = fun.backend.to_host(fun.classifier.parameters.view(w)["kernel"])
    return kernel


def smoothing(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw blocks of the initial coarse classifier, of all classes and two channels, before and after."""
    (stage,) = (stage for stage in case.stages if stage.name == COARSE)
    problems = case.problems(trial)
    blocks = []
    for smooth in (0.0, case.setup.model.W_smoothing):
        changed = Problems(case.setup.changed(W_smoothing=smooth), case.data, trial, problems.backend)
        blocks.append(_kernel(changed.level_of(stage), changed.start(stage))[:, :2])
    axes = canvas.subplots(2)
    for ax, found, title in zip(axes, blocks, ("before smoothing", "after smoothing"), strict=True):
        classes = [str(k) for k in range(len(found))]
        plot_mosaic(list(found.swapaxes(0, 1)), ax, row_labels="01", column_labels=classes, common_scale=True)
        ax.set(title=title, xlabel="class", ylabel="channel")
    share_scale(axes, "weight")
    return [f"standard deviation {blocks[0].std():.3g} before, {blocks[1].std():.3g} after"]


def blocks(case: Case, trial: int, canvas: Any) -> list[str]:
    """Draw blocks of the classifier after coarse training, of ten random channels and up to ten classes."""
    (stage,) = (stage for stage in case.stages if stage.name == COARSE)
    kernel = _kernel(case.problems(trial).level_of(stage), case.weights(trial, COARSE))
    rng = random_stream(case.setup.run.seed, trial, BLOCKS)
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


FIGURES = {
    "3.1": Figure(
        "4.1",
        smoothing,
        (PAGE, 5),
        "Mosaics of blocks of the classifier: random weights, and the same ones when they are smoothed.",
        trained=False,
    ),
    "4.2": Figure(
        "4.1",
        blocks,
        (PAGE, 7.5),
        "Mosaic of blocks of the classifier, each an image of the weights of one class and one channel.",
    ),
}
