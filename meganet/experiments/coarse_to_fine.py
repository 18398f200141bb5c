"""The protocol of chapter 4: train on coarse images, carry the weights to the fine grid three ways, train on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from meganet import _validate
from meganet.backend import Array, Backend, random_stream
from meganet.datasets import ImageSet, load_digits, load_mnist, scale_images, split
from meganet.experiments.protocol import ARMS, Protocol, build_network
from meganet.experiments.store import ResultsFolder
from meganet.layers import DenseLayer, he_normal, smoothed_normal
from meganet.linop import Gradient, Identity
from meganet.multigrid import prolongate, restrict_images
from meganet.objective import Objective, observer
from meganet.optim import History, Momentum, Run, SGDState, sgd, sgd_together
from meganet.regularizers import Tikhonov
from meganet.stacked import StackedObjective

COARSE = "coarse"

# numbers of the random streams within a trial; the three arms share the order of the fine examples
SPLIT, COARSE_WEIGHTS, FINE_WEIGHTS, COARSE_ORDER, FINE_ORDER = range(5)


class Level(NamedTuple):
    """The training problem on one grid: what is minimised, and the same function over validation data."""

    training: Objective
    validation: Objective

    def initial(self, rng: np.random.Generator, protocol: Protocol) -> Array:
        """Return fresh weights: He's for the network, smooth ones for the classifier."""
        network, classifier = self.training.network, self.training.classifier
        theta = he_normal(network, rng, protocol.float_dtype)
        w = smoothed_normal(
            classifier, rng, protocol.W_std, protocol.W_clip, protocol.W_smoothing, protocol.float_dtype
        )
        return network.backend.xp.concatenate([theta, w])


def load_data(protocol: Protocol, folder: str | None = None, progress: bool = True) -> ImageSet:
    """Return the data set that the protocol asks for; `folder` is where to look first for MNIST."""
    if protocol.dataset == "mnist":
        return load_mnist(folder, progress=progress)
    if folder is not None:
        _validate.reject("data", "no folder, since the embedded digits are used (dataset=digits)", repr(folder))
    return load_digits()


def build_levels(protocol: Protocol, data: ImageSet, trial: int, backend: Backend) -> tuple[Level, Level]:
    """Return the coarse and the fine training problem of one trial.

    Images are scaled once on the fine grid; the coarse ones are ``R x``. The three sets of examples are disjoint.
    """
    sizes = (protocol.coarse_examples, protocol.fine_examples, protocol.validation_examples)
    parts = split(len(data), sizes, random_stream(protocol.seed, trial, SPLIT))

    def images(numbers: np.ndarray[Any, Any]) -> Array:
        return backend.asarray(scale_images(data.images[numbers], protocol.data_scaling, protocol.float_dtype))

    coarse_part, fine_part, validation_part = parts
    validation = images(validation_part)
    coarse_sets = (restrict_images(images(coarse_part)), coarse_part), (restrict_images(validation), validation_part)
    fine_sets = (images(fine_part), fine_part), (validation, validation_part)

    def level(alpha: float, sets: Any) -> Level:
        network = build_network(protocol.network, tuple(sets[0][0].shape[2:]), backend)
        classifier = DenseLayer(network.range_shape, data.classes, backend=backend)
        penalty = Tikhonov(Identity(network.parameters.size, backend=backend), protocol.theta_alpha)
        gradient = Gradient((data.classes, *network.range_shape), protocol.mesh_width, backend=backend)
        regularizers: dict[str, Any] = {"theta_regularizer": penalty, "W_regularizer": Tikhonov(gradient, alpha)}
        return Level(*(Objective(network, classifier, x, data.labels[n], **regularizers) for x, n in sets))

    return level(protocol.W_alpha_coarse, coarse_sets), level(protocol.W_alpha, fine_sets)


def starting_points(protocol: Protocol, coarse: Level, fine: Level, x: Array, trial: int) -> dict[str, Array]:
    """Return the fine weights from which each arm starts, given the trained coarse weights `x`."""
    theta, w = coarse.training.split(x)
    points = {"new": fine.initial(random_stream(protocol.seed, trial, FINE_WEIGHTS), protocol)}
    for arm, kernels in (("transfer", "copy"), ("multigrid", "galerkin")):
        result = prolongate(
            coarse.training.network,
            theta,
            w,
            interpolation=protocol.interpolation,
            kernels=kernels,
            classifier_scaling=protocol.classifier_scaling,
        )
        points[arm] = fine.training.backend.xp.concatenate([result.theta, result.W])
    return points


class Job(NamedTuple):
    """One training run of one trial: "coarse" or an arm, on a level, from a start."""

    trial: int
    name: str
    level: Level
    x0: Array


def run(
    protocol: Protocol,
    data: ImageSet,
    folder: ResultsFolder,
    *,
    together: bool | None = None,
    progress: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Run every trial of the protocol, storing each epoch; what the folder already holds is not run again.

    Parameters
    ----------
    protocol, data, folder
        What to run, on what, and where results go; the folder's backend does the work.
    together : bool, optional
        Train all trials at once, and their three arms, instead of one run after another. By default where it is
        faster: on a GPU. The results are the same, on a GPU up to round-off.
    progress : bool
        Show progress bars on standard error.
    report : callable
        Gets a line of text for each run that ends.
    """
    together = folder.backend.takes_stacks if together is None else together
    numbers = range(protocol.trials)
    waiting = [t for t in numbers if not all(_complete(folder, t, name, epochs) for name, epochs in _runs(protocol))]
    train = partial(_train, protocol, folder, progress=progress, report=report)
    # a run that diverges is recorded as it is, with nan for its accuracy: no warnings of NumPy beside it
    with np.errstate(over="ignore", invalid="ignore"):
        for trials in ([waiting] if waiting else []) if together else [[trial] for trial in waiting]:
            levels = {trial: build_levels(protocol, data, trial, folder.backend) for trial in trials}
            coarse_jobs = []
            for trial, (coarse, _) in levels.items():
                weights = coarse.initial(random_stream(protocol.seed, trial, COARSE_WEIGHTS), protocol)
                coarse_jobs.append(Job(trial, COARSE, coarse, weights))
            trained = train(coarse_jobs, protocol.coarse_epochs, COARSE_ORDER)
            jobs = []
            for (trial, (coarse, fine)), state in zip(levels.items(), trained, strict=True):
                points = starting_points(protocol, coarse, fine, state.x, trial)
                jobs += [Job(trial, name, fine, x0) for name, x0 in points.items()]
            for group in [jobs] if together else [[job] for job in jobs]:
                train(group, protocol.fine_epochs, FINE_ORDER)


def _train(
    protocol: Protocol,
    folder: ResultsFolder,
    jobs: list[Job],
    epochs: int,
    order: int,
    *,
    progress: bool,
    report: Callable[[str], None],
) -> list[SGDState]:
    """Make the runs of some jobs, together if there are several."""
    examples = jobs[0].level.training.examples
    labels = [f"trial {job.trial + 1}/{protocol.trials} {job.name}" for job in jobs]

    def order_of(trial: int, epoch: int) -> np.ndarray[Any, Any]:
        return random_stream(protocol.seed, trial, order, epoch).permutation(examples)

    runs = [
        Run(
            job.level.training,
            job.x0,
            order=partial(order_of, job.trial),
            observe=observer(job.level.training, job.level.validation),
            callback=partial(folder.save, job.trial, job.name),
            state=folder.load(job.trial, job.name),
        )
        for job in jobs
    ]
    settings: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": protocol.rate,
        "batch_size": protocol.batch_size,
        "rule": Momentum(protocol.momentum, nesterov=protocol.momentum > 0),
    }
    if len(jobs) == 1:
        states = [sgd(**vars(runs[0]), examples=examples, **settings, progress=labels[0] if progress else None)]
    else:
        label = f"{len(jobs)} runs together" if progress else None
        states = sgd_together(runs, examples, stack=StackedObjective, **settings, progress=label)
    for label, state in zip(labels, states, strict=True):
        last = state.history[-1]
        percent = f"accuracy {100 * last['accuracy']:.1f} %, validation {100 * last['validation_accuracy']:.1f} %"
        note = percent if math.isfinite(last["objective"]) else "diverged, the objective is not finite"
        time = f", {np.median(state.seconds):.1f} s per epoch" if state.seconds else ""
        report(f"{label}: {note}{time}")
    return states


def _runs(protocol: Protocol) -> Iterator[tuple[str, int]]:
    yield COARSE, protocol.coarse_epochs
    for arm in ARMS:
        yield arm, protocol.fine_epochs


def _complete(folder: ResultsFolder, trial: int, name: str, epochs: int) -> bool:
    state = folder.load(trial, name)
    return state is not None and state.epoch == epochs


def histories(protocol: Protocol, folder: ResultsFolder) -> dict[str, list[History]]:
    """Return the stored histories of every run, by name ("coarse" and the arms), one for each trial."""
    result = {}
    for name, _ in _runs(protocol):
        states = [folder.load(trial, name) for trial in range(protocol.trials)]
        result[name] = [state.history for state in states if state is not None]
    return result
