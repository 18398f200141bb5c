"""What a peer offers, and how it carries weights there and gradients back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from suite.cases import Measured

from meganet.layers import Parameter

from .twin import Library, Twin, twin


class Products(NamedTuple):
    """The products of one convolution layer: functions without arguments, and what makes our arrays of their results.

    Attributes
    ----------
    forward : callable
        Returns the images.
    gradients : callable
        Returns the gradients in kernel and images.
    ours : callable
        Takes kernel or images, and whether it is the kernel.
    """

    forward: Callable[[], Any]
    gradients: Callable[[], Sequence[Any]]
    ours: Callable[[Any, bool], np.ndarray]


class Peer(ABC):
    """The step, gradient, outputs and evaluation of what is `Measured`, from its weights, images and labels.

    The twin of its network and classifier is built from their layers (`twin`); `weights` are in the library's layout.
    """

    def __init__(self, ours: Measured, library: Library) -> None:
        self.ours, self.library = ours, library
        network, classifier = ours.fun.network, ours.fun.classifier
        self.network: Twin = twin(network, library)
        self.classifier: Twin = twin(classifier, library)
        self.parameters = [*network.parameters, *classifier.parameters]
        self.count = len(network.parameters)
        views = ours.fun.parameters.view(ours.x).values()
        self.weights = [self.variable(p, self.placed(p, v)) for p, v in zip(self.parameters, views, strict=True)]

    @abstractmethod
    def variable(self, parameter: Parameter, numbers: np.ndarray) -> Any:
        """Return an array of weights that is trained."""

    @abstractmethod
    def step(self) -> Any:
        """Compute the gradient of a mini-batch and move."""

    @abstractmethod
    def gradients(self) -> Sequence[np.ndarray]:
        """Return the gradient of the mini-batch in the library's layout."""

    @abstractmethod
    def outputs(self) -> np.ndarray:
        """Return the classifier's outputs of the mini-batch."""

    @abstractmethod
    def evaluate(self) -> tuple[float, float]:
        """Return loss and accuracy over all images."""

    def placed(self, parameter: Parameter, numbers: np.ndarray) -> np.ndarray:
        """Return weights in the library's layout, in an array of their own."""
        return np.transpose(numbers, self._order(parameter)).copy()

    def gradient(self) -> np.ndarray:
        """Return the gradient of the mini-batch as our flat vector."""
        return self.flat(self.gradients())

    def flat(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return arrays in the library's layout, one for each of the weights, as our flat vector."""
        pairs = zip(self.parameters, arrays, strict=True)
        return np.concatenate([np.transpose(a, np.argsort(self._order(p))).ravel() for p, a in pairs])

    def _order(self, parameter: Parameter) -> list[int]:
        """Return our axes in the library's order: kernels (O, I, k1, k2) and (K, C, H, W) become (k1, k2, I, O)."""
        axes = list(range(len(parameter.shape)))
        if not self.library.channels_last or parameter.role not in ("stencil", "matrix"):
            return axes
        return [*axes[2:], 1, 0] if len(axes) == 4 else [*axes[1:], 0]

    def logits(self, images: Any) -> Any:
        """Return the classifier's outputs."""
        return self.classifier(self.weights[self.count :], self.network(self.weights[: self.count], images))

    def penalty(self) -> Any:
        """Return the penalties of network and classifier."""
        kernel, total, ours = self.weights[self.count], self.library.squares, self.ours
        differences = self.library.differences(kernel) if ours.smooth else [kernel]
        terms = [(ours.W_alpha, d) for d in differences]
        terms += [(ours.theta_alpha, w) for w in self.weights[: self.count]]
        return sum(alpha / 2 * total(array) for alpha, array in terms if alpha)
