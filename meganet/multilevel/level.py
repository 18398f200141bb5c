"""One level of a hierarchy: the network that is trained there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meganet.backend import Array
from meganet.layers import DenseLayer, Layer, initial_weights
from meganet.networks.work import step_flop


@dataclass(frozen=True)
class Level:
    """A network with its classifier, on one grid or with one number of time steps.

    Attributes
    ----------
    name : str
        Such as "14x14".
    network : Layer
    classifier : DenseLayer

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import Level
    >>> network = mn.ConvolutionLayer((1, 14, 14), 4)
    >>> level = Level("14x14", network, mn.DenseLayer(network.range_shape, 10))
    >>> level.unknowns, level.flop
    (7886, 75264.0)
    >>> level.initial(np.random.default_rng(0), np.float32).shape
    (7886,)
    """

    name: str
    network: Layer
    classifier: DenseLayer

    @property
    def unknowns(self) -> int:
        """Number of weights, the network's and the classifier's."""
        return self.network.parameters.size + self.classifier.parameters.size

    @property
    def flop(self) -> float:
        """Arithmetic of a gradient for one example, of products as they are written; see `networks.work.step_flop`."""
        return step_flop(self.network, self.classifier.range_shape[0])

    def initial(self, rng: np.random.Generator, dtype: object) -> Array:
        """Return random weights ``[theta; W]``, see `layers.initial_weights`."""
        return initial_weights(self.network, self.classifier, rng, dtype)
