"""Residual networks on several levels, trained on all examples: the problems, and runs that are traced over work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meganet import multilevel
from meganet.backend import Array, Backend, random_stream
from meganet.datasets import ImageSet
from meganet.layers import ConvolutionLayer, he_normal
from meganet.linop import CirculantConvolution, LinearOperator
from meganet.multigrid import restrict_images
from meganet.multilevel import Hierarchy, Transfer
from meganet.networks import Chain, ResidualNetwork, SymmetricLayer
from meganet.networks.work import step_flop
from meganet.objective import Objective
from meganet.optim import Coarse, Result

CHANNELS = 4
TIME = 1.0
"""Which the steps of a residual network share."""
STEPS = (2, 4, 8)
"""In depth, by level."""
STREAM = 91
"""Of the random numbers of a trial."""
DEVIATION = 0.01
"""Of the first weights of the classifier."""


@dataclass(frozen=True)
class Family:
    """The same problem on several levels, coarse to fine, with the ways between them.

    Attributes
    ----------
    training : sequence of Objective
    validation : Objective
        On the finest level.
    prolongations, restrictions : sequence of LinearOperator
        Of the weights, between neighbours; the first ones are those of the two coarsest.
    x0 : array
        Weights on the finest level.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments.questions.full_batch import in_depth
    >>> family = in_depth(load_digits(), get_backend("numpy"), (20, 10), (0, 0))
    >>> [network.layers[1].steps for network in (f.network for f in family.training)], family.works
    ([2, 4, 8], [0.27, 0.51..., 1.0])
    """

    training: Sequence[Objective]
    validation: Objective
    prolongations: Sequence[LinearOperator]
    restrictions: Sequence[LinearOperator]
    x0: Array

    @property
    def works(self) -> list[float]:
        """What a gradient costs on each level, in units of one on the finest."""
        flops = [step_flop(f.network, f.classifier.range_shape[0]) for f in self.training]
        return [flop / flops[-1] for flop in flops]

    def coarse(self) -> list[Coarse]:
        """Return the coarser problems."""
        parts = zip(self.training, self.restrictions, self.prolongations, self.works, strict=False)
        return [Coarse(f, r, p, f.hessian, work) for f, r, p, work in parts]


def _network(shape: tuple[int, ...], steps: int, backend: Backend) -> Chain:
    kernel = CirculantConvolution(np.zeros((CHANNELS, CHANNELS, 3, 3)), shape[1:], backend="numpy")
    residual = ResidualNetwork(SymmetricLayer(kernel, "tanh", bias_in=True), steps, TIME / steps)
    network = Chain([ConvolutionLayer(shape, CHANNELS, activation="tanh", backend="numpy"), residual])
    found: Chain = network.to(backend)
    return found


def _family(
    data: ImageSet, hierarchy: Hierarchy, sizes: tuple[int, int], key: tuple[int, int], halved: int = 0
) -> Family:
    """Make the problems of a hierarchy, on whose finest level images are halved so many times."""
    seed, trial = key
    stream = random_stream(seed, STREAM, trial)
    chosen = stream.permutation(len(data))[: sum(sizes)]
    finest, last = hierarchy[-1], len(hierarchy) - 1
    backend = finest.network.backend

    def objective(number: int, indices: np.ndarray[Any, Any]) -> Objective:
        images = backend.asarray(data.images[indices].astype(np.float32) / 255)
        for _ in range(halved):
            images = restrict_images(images)
        level = hierarchy[number]
        return Objective(level.network, level.classifier, hierarchy.images(number, images), data.labels[indices])

    theta = backend.to_host(he_normal(finest.network, stream, np.float32))
    w = (DEVIATION * stream.standard_normal(finest.classifier.parameters.size)).astype(np.float32)
    return Family(
        [objective(number, chosen[sizes[1] :]) for number in range(len(hierarchy))],
        objective(last, chosen[: sizes[1]]),
        [hierarchy.prolongation(number) for number in range(last)],
        [hierarchy.restriction(number + 1) for number in range(last)],
        backend.asarray(np.concatenate([theta, w])),
    )


def in_space(data: ImageSet, backend: Backend, sizes: tuple[int, int], key: tuple[int, int]) -> Family:
    """Return a network with two time steps on the images and on those of half the width.

    Stencils are copied, the classifier's weights interpolated.

    Parameters
    ----------
    data, backend
    sizes : pair of int
        Examples for training and validation.
    key : pair of int
        Seed and trial.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments.questions.full_batch import in_space
    >>> family = in_space(load_digits(), get_backend("numpy"), (20, 10), (0, 0))
    >>> family.works, family.prolongations[0].shape
    ([0.25, 1.0], (31702, 8182))
    """
    shape = data.images.shape[1:]
    copied = Transfer(up="copy", down="copy", interpolation="linear")
    grids = shape[2] // 2, shape[2]
    hierarchy = multilevel.in_space(_network(shape, 2, backend), data.classes, grids, copied)
    return _family(data, hierarchy, sizes, key)


def in_depth(data: ImageSet, backend: Backend, sizes: tuple[int, int], key: tuple[int, int]) -> Family:
    """Return a network with 2, 4 and 8 time steps on images of half the width; parameters as for `in_space`."""
    channels, height, width = data.images.shape[1:]
    network = _network((channels, height // 2, width // 2), STEPS[-1], backend)
    return _family(data, multilevel.in_depth(network, data.classes, STEPS), sizes, key, halved=1)


@dataclass
class Trace:
    """What a run reached, over the work and the seconds it took; evaluations for the table are not counted.

    Parameters
    ----------
    family : Family
    budget : float
        In gradients of the finest level, after which a run is stopped.

    Examples
    --------
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments.questions.full_batch import Trace, in_depth
    >>> family = in_depth(load_digits(), get_backend("numpy"), (20, 10), (0, 0))
    >>> trace = Trace(family, budget=5)
    >>> trace.note(family.x0, 3.0), trace.note(family.x0, 6.0), trace.at(4.0)["work"]
    (False, True, 3.0)
    """

    family: Family
    budget: float
    rows: list[dict[str, float]] = field(default_factory=list)
    work: float = 0.0
    paused: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.perf_counter()

    def note(self, x: Array, work: float, level: int = -1) -> bool:
        """Take down what weights of a level are worth on the finest; whether the budget is used up."""
        now = time.perf_counter()
        for p in self.family.prolongations[level % len(self.family.training) :]:
            x = p @ x
        seconds = now - self.started - self.paused
        row = {"work": self.work + work, "seconds": seconds}
        row["objective"] = float(self.family.training[-1].evaluate(x).objective)
        row["accuracy"] = 100 * float(self.family.validation.evaluate(x).accuracy)
        self.rows.append(row)
        self.paused += time.perf_counter() - now
        return row["work"] >= self.budget

    def of(self, level: int, limit: float, share: float) -> Callable[[Result], bool]:
        """Return a callback for an optimiser on a level where a gradient costs a share of one on the finest."""

        def callback(result: Result) -> bool:
            row = result.history[-1]
            spent = row["work"] if "work" in row else share * (row["evaluations"] + row["products"])
            return self.note(result.x, spent, level) or spent >= limit

        return callback

    def at(self, amount: float, column: str = "work") -> dict[str, float]:
        """Return the last row within an amount of work or seconds."""
        return [row for row in self.rows if row[column] <= amount * (1 + 1e-9)][-1]
