"""One level of a hierarchy: the network that is trained there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meganet.backend import Array
from meganet.ground import validate
from meganet.layers import DenseLayer, Layer, LinearLayer, initial_weights
from meganet.linop import Reshape
from meganet.networks.work import step_flop


@dataclass(frozen=True)
class Level:
    """A network with its classifier, on one grid or with one number of time steps.

    Attributes
    ----------
    name : str
        Such as "14x14".
    network : Layer
    classifier : Layer
        A `DenseLayer`; for results that are images, a layer without weights that makes vectors of them.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import Level
    >>> level = Level.of("14x14", mn.ConvolutionLayer((1, 14, 14), 4), outputs=10)
    >>> level.unknowns, level.flop
    (7886, 75264.0)
    >>> level.initial(np.random.default_rng(0), np.float32).shape
    (7886,)
    """

    name: str
    network: Layer
    classifier: Layer

    @classmethod
    def of(cls, name: str, network: Layer, outputs: int | None) -> Level:
        """Return the level of a network with so many outputs; of None they are images, like the network's examples."""
        if outputs is not None:
            return cls(name, network, DenseLayer(network.range_shape, outputs, backend=network.backend))
        if len(network.range_shape) != 3 or network.range_shape[1:] != network.domain_shape[1:]:
            validate.reject("network", f"images as large as its own as results, {network.domain_shape}", repr(network))
        return cls(name, network, LinearLayer(Reshape(network.range_shape, backend=network.backend)))

    @property
    def outputs(self) -> int | None:
        """Number of the classifier's outputs; None if they are images."""
        return self.classifier.range_shape[0] if self.classifier.parameters.size else None

    @property
    def unknowns(self) -> int:
        """Number of weights, the network's and the classifier's."""
        return self.network.parameters.size + self.classifier.parameters.size

    @property
    def flop(self) -> float:
        """Arithmetic of a gradient for one example, of products as they are written; see `networks.work.step_flop`."""
        return step_flop(self.network, self.outputs or 0)

    def initial(self, rng: np.random.Generator, dtype: object) -> Array:
        """Return random weights ``[theta; W]``, see `layers.initial_weights`."""
        return initial_weights(self.network, self.classifier, rng, dtype)
