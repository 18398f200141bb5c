"""What is measured: a training problem of the thesis' shape, of any size, or one around any other network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, PoolingLayer, Tikhonov, he_normal
from meganet.layers import Layer, smoothed_normal
from meganet.linop import Gradient, Identity

from . import floors

CLASSES, RATE = 10, 1e-3
THETA_ALPHA, W_ALPHA = 2.0**-3, 2.0**-5
EXAMPLES_AT_ONCE = 128
"""In an evaluation, on all sides."""


class Problem(Protocol):
    """A network with its classifier, the size of the mini-batches and the dtype."""

    batch: int
    dtype: str

    def parts(self) -> tuple[Layer, DenseLayer]:
        """Return network and classifier."""


@dataclass(frozen=True, repr=False)
class Case:
    """Net A or B on square images: convolution, ReLU, for B pooling, convolution, ReLU, softmax classifier."""

    network: str = "A"
    size: int = 28
    batch: int = 32
    channels: int = 32
    dtype: str = "float32"

    def __repr__(self) -> str:
        return f"net {self.network}, {self.size}x{self.size}"

    def parts(self) -> tuple[Layer, DenseLayer]:
        """Return network and classifier."""
        layers: list[Any] = [ConvolutionLayer((1, self.size, self.size), self.channels)]
        layers += [PoolingLayer(...)] if self.network == "B" else []
        network = Chain([*layers, ConvolutionLayer(..., 2 * self.channels)])
        return network, DenseLayer(network.range_shape, CLASSES)


STEP_CASES = (Case("A", 28), Case("B", 28), Case("A", 14))


def step_flop(case: Problem, winograd: bool) -> float:
    """Return the arithmetic of a step, see `floors`."""
    return floors.step_flop(*case.parts(), case.batch, winograd)


class Measured:
    """An objective at some weights, with a mini-batch of its examples: all that a peer makes a twin of."""

    theta_alpha = W_alpha = 0.0
    #: whether the classifier is penalised for differences
    smooth = False

    def __init__(self, fun: Objective, x: np.ndarray, batch: int) -> None:
        self.fun, self.x, self.indices = fun, x, np.arange(batch)
        self.at_once = fun.examples if fun.network.couples_examples else EXAMPLES_AT_ONCE

    def step(self) -> None:
        """Compute the gradient of a mini-batch and move."""
        self.x = self.x - RATE * self.fun(self.x, self.indices)[1]

    def gradient(self) -> np.ndarray:
        """Return the gradient of the mini-batch."""
        return self.fun(self.x, self.indices)[1]

    def outputs(self) -> np.ndarray:
        """Return the classifier's outputs of the mini-batch."""
        return self.fun.outputs(self.x, self.fun.images[self.indices])

    def evaluate(self) -> tuple[float, float]:
        """Return loss and accuracy over all images."""
        _, loss, accuracy = self.fun.evaluate(self.x)
        return loss, accuracy


class Training(Measured):
    """The training problem of a case over some random images, with random weights.

    The penalties are the thesis': the squares of the network's weights, and of the differences between neighbours in
    the classifier's images; where its features are no images, of its weights.
    """

    theta_alpha, W_alpha = THETA_ALPHA, W_ALPHA

    def __init__(self, case: Problem, examples: int | None = None, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.case = case
        network, classifier = case.parts()
        kernel = classifier.parameters[0].shape
        self.smooth = len(kernel) == 4 and max(kernel[2:]) > 1
        count = case.batch if examples is None else examples
        penalty = Tikhonov(Identity(network.parameters.size), THETA_ALPHA) if network.parameters.size else None
        fun = Objective(
            network,
            classifier,
            rng.standard_normal((count, *network.domain_shape)).astype(case.dtype),
            rng.integers(0, kernel[0], count),
            theta_regularizer=penalty,
            W_regularizer=Tikhonov((Gradient if self.smooth else Identity)(kernel), W_ALPHA),
        )
        draw = smoothed_normal if self.smooth else he_normal
        x = np.concatenate([he_normal(network, rng, case.dtype), draw(classifier, rng, dtype=case.dtype)])
        super().__init__(fun, x, case.batch)
