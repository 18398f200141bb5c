"""Residual networks on several levels, trained on all examples: the problems, and runs that are traced over work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, random_stream
from meganet.datasets import ImageSet
from meganet.layers import ConvolutionLayer, DenseLayer, Layer, he_normal
from meganet.linop import BlockDiagonal, CirculantConvolution, Identity, LinearOperator, Matrix
from meganet.multigrid import restrict_images, weights_prolongation, weights_restriction
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


def _network(shape: tuple[int, ...], steps: int) -> Chain:
    kernel = CirculantConvolution(np.zeros((CHANNELS, CHANNELS, 3, 3)), shape[1:], backend="numpy")
    residual = ResidualNetwork(SymmetricLayer(kernel, "tanh", bias_in=True), steps, TIME / steps)
    return Chain([ConvolutionLayer(shape, CHANNELS, activation="tanh", backend="numpy"), residual])


def _family(
    data: ImageSet,
    backend: Backend,
    sizes: tuple[int, int],
    key: tuple[int, int],
    networks: Sequence[Chain],
    grids: Sequence[int],
    ways: Callable[[int], tuple[LinearOperator, LinearOperator]],
) -> Family:
    """Make the problems with images that were halved so many times, by level."""
    seed, trial = key
    stream = random_stream(seed, STREAM, trial)
    chosen = stream.permutation(len(data))[: sum(sizes)]
    sets = chosen[sizes[1] :], chosen[: sizes[1]]

    def objective(network: Layer, halved: int, indices: np.ndarray[Any, Any]) -> Objective:
        images = data.images[indices].astype(np.float32) / 255
        for _ in range(halved):
            images = restrict_images(images)
        network = network.to(backend)
        classifier = DenseLayer(network.range_shape, data.classes, backend=backend)
        return Objective(network, classifier, backend.asarray(images), data.labels[indices])

    training = [objective(network, halved, sets[0]) for network, halved in zip(networks, grids, strict=True)]
    operators = [ways(level) for level in range(len(networks) - 1)]
    theta = he_normal(networks[-1], stream, np.float32)
    size = training[-1].parameters.size - len(theta)
    w = (DEVIATION * stream.standard_normal(size)).astype(np.float32)
    return Family(
        training,
        objective(networks[-1], grids[-1], sets[1]),
        [p.to(backend) for p, _ in operators],
        [r.to(backend) for _, r in operators],
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
    channels, height, width = data.images.shape[1:]
    networks = [_network((channels, height // k, width // k), 2) for k in (2, 1)]
    how: dict[str, Any] = {"kernels": "copy", "interpolation": "linear"}

    def ways(level: int) -> tuple[LinearOperator, LinearOperator]:
        up = weights_prolongation(networks[level], data.classes, **how)
        return up, weights_restriction(networks[level + 1], data.classes, **how)

    return _family(data, backend, sizes, key, networks, (1, 0), ways)


def in_depth(data: ImageSet, backend: Backend, sizes: tuple[int, int], key: tuple[int, int]) -> Family:
    """Return a network with 2, 4 and 8 time steps on images of half the width; parameters as for `in_space`.

    Weights are interpolated in time by `ResidualNetwork.refined_in_time`; coarser ones are those at every second time.
    """
    channels, height, width = data.images.shape[1:]
    networks = [_network((channels, height // 2, width // 2), steps) for steps in STEPS]
    rest = data.classes * (1 + CHANNELS * (height // 2) * (width // 2))

    def ways(level: int) -> tuple[LinearOperator, LinearOperator]:
        first, residual = networks[level].layers
        steps, n = STEPS[level], residual.parameters.size
        each = n // steps
        refined = np.column_stack([residual.refined_in_time(e)[1][::each] for e in np.eye(n)[::each]])
        every_second = np.eye(2 * steps)[::2]
        ends = [Identity(first.parameters.size, backend="numpy"), Identity(rest, backend="numpy")]
        one = scipy.sparse.eye_array(each)
        up, down = (Matrix(scipy.sparse.kron(t, one), backend="numpy") for t in (refined, every_second))
        return BlockDiagonal([ends[0], up, ends[1]]), BlockDiagonal([ends[0], down, ends[1]])

    return _family(data, backend, sizes, key, networks, (1, 1, 1), ways)


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
