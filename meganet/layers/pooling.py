"""Average pooling as a layer."""

from __future__ import annotations

from typing import Any

from meganet.backend import Array, Backend
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters
from meganet.linop import AveragePooling


class PoolingLayer(Layer):
    """``y = M x`` with `linop.AveragePooling`; no weights.

    ``jvp`` is ``M dx``; ``vjp`` is ``M' dy`` and an empty vector.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W).
    factor : int or pair of int
        Block size; 2 in the thesis' net B.
    backend : str or Backend, optional

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import PoolingLayer
    >>> layer = PoolingLayer((3, 8, 8), 2)
    >>> y, tape = layer.forward(np.zeros(0), np.ones((5, 3, 8, 8)))
    >>> dtheta, dx = layer.vjp(y, tape)
    >>> y.shape, dtheta.shape, dx.shape
    ((5, 3, 4, 4), (0,), (5, 3, 8, 8))
    >>> float(dx.max())
    0.25
    """

    def __init__(
        self, domain_shape: Any, factor: int | tuple[int, int] = 2, *, backend: str | Backend | None = None
    ) -> None:
        self.pooling = AveragePooling(domain_shape, factor, backend=backend)
        super().__init__(self.pooling.domain_shape, self.pooling.range_shape, Parameters(), self.pooling.backend)

    def __repr__(self) -> str:
        return f"PoolingLayer({self.domain_shape} -> {self.range_shape})"

    @property
    def factor(self) -> tuple[int, int]:
        """Block size."""
        return self.pooling.factor

    def resized(self, domain_shape: tuple[int, ...]) -> PoolingLayer:
        """Return the same pooling for images of another resolution."""
        return type(self)(domain_shape, self.factor, backend=self.backend)

    def _forward(self, theta: Array, x: Array) -> tuple[Array, None]:
        return self.pooling._apply(x), None

    def _jvp(self, dtheta: Array, dx: Array, record: None) -> Array:
        return self.pooling._apply(dx)

    def _vjp(self, dy: Array, record: None) -> tuple[Array, Array]:
        return self._no_weights(dy), self.pooling._adjoint(dy)

    def _curvature(self, dtheta: Array, dx: Array, dy: Array, record: None) -> tuple[Array, Array]:
        return self._no_weights(dy), self.backend.xp.zeros_like(dx)
