"""What is measured: a training problem of the thesis' shape, of any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meganet import Chain, ConvolutionLayer, DenseLayer, Objective, PoolingLayer, Tikhonov, he_normal
from meganet.layers import smoothed_normal
from meganet.linop import Gradient, Identity

CLASSES, RATE = 10, 1e-3
THETA_ALPHA, W_ALPHA = 2.0**-3, 2.0**-5


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

    @property
    def second_size(self) -> int:
        """Image size that the second convolution sees."""
        return self.size // 2 if self.network == "B" else self.size

    def step_flop(self, winograd: bool) -> float:
        """Return the multiplications and additions of a step: forward, two gradients; none in the images.

        With `winograd` the matrix products of F(4x4, 3x3) are counted, without its transforms.
        """
        c, first, second = self.channels, self.size**2, self.second_size**2
        direct = 2 * 9 * c * 2 * c * second
        tiles = 2 * 36 * c * 2 * c * (-(-self.second_size // 4)) ** 2
        dense = 2 * CLASSES * 2 * c * second
        return self.batch * (3 * (tiles if winograd else direct) + 2 * 2 * 9 * c * first + 3 * dense)

    def step_bytes(self) -> float:
        """Return the least memory traffic of a step.

        Every activation is written, read by the next layer and read again for a gradient; every gradient of an
        activation is written and read; every weight is read twice, its gradient written and read, the weight updated.
        """
        pooled = self.channels * self.second_size**2 if self.network == "B" else 0
        activations = self.channels * self.size**2 + pooled + 2 * self.channels * self.second_size**2
        weights = 9 * self.channels + 18 * self.channels**2 + CLASSES * 2 * self.channels * self.second_size**2
        return np.dtype(self.dtype).itemsize * (5 * self.batch * activations + 5 * weights)


STEP_CASES = (Case("A", 28), Case("B", 28), Case("A", 14))


class Training:
    """The training problem of a case over some random images, with random weights."""

    def __init__(self, case: Case, examples: int | None = None, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.case = case
        shape = (1, case.size, case.size)
        layers = [ConvolutionLayer(shape, case.channels)]
        if case.network == "B":
            layers.append(PoolingLayer(layers[-1].range_shape))
        layers.append(ConvolutionLayer(layers[-1].range_shape, 2 * case.channels))
        network = Chain(layers)
        classifier = DenseLayer(network.range_shape, CLASSES)
        count = case.batch if examples is None else examples
        self.fun = Objective(
            network,
            classifier,
            rng.standard_normal((count, *shape)).astype(case.dtype),
            rng.integers(0, CLASSES, count),
            theta_regularizer=Tikhonov(Identity(network.parameters.size), THETA_ALPHA),
            W_regularizer=Tikhonov(Gradient((CLASSES, *network.range_shape)), W_ALPHA),
        )
        self.indices = np.arange(case.batch)
        weights = he_normal(network, rng, case.dtype), smoothed_normal(classifier, rng, dtype=case.dtype)
        self.x = np.concatenate(weights)

    def step(self) -> None:
        """Compute the gradient of a mini-batch and move."""
        self.x = self.x - RATE * self.fun(self.x, self.indices)[1]

    def evaluate(self) -> tuple[float, float]:
        """Return loss and accuracy over all images."""
        _, loss, accuracy = self.fun.evaluate(self.x)
        return loss, accuracy
