"""Average pooling, over blocks and over whole images, and its opposite, as layers."""

from __future__ import annotations

from typing import Any

from meganet.backend import Backend
from meganet.ground import validate
from meganet.layers.linear import LinearLayer
from meganet.linop import AveragePooling, PixelMean


class PoolingLayer(LinearLayer):
    """``y = M x`` with `linop.AveragePooling`; no weights.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W), or (C, T, H, W) of videos.
    factor : int or tuple of int
        Block size, of videos in time, rows and columns; 2 in the thesis' net B.
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
        self, domain_shape: Any, factor: int | tuple[int, ...] = 2, *, backend: str | Backend | None = None
    ) -> None:
        pooling = AveragePooling(domain_shape, factor, backend=backend)
        self.factor = pooling.factor
        super().__init__(pooling)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape})"

    def resized(self, domain_shape: tuple[int, ...]) -> PoolingLayer:
        """Return the same pooling for images of another resolution."""
        return type(self)(domain_shape, self.factor, backend=self.backend)


class GlobalPoolingLayer(LinearLayer):
    """``y = M x`` with `linop.PixelMean`, the mean of each channel over all pixels; no weights.

    A classifier behind it has one weight for each channel and class whatever the resolution, so that
    `multigrid.prolongate` and `restrict` leave it as it is.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W), or (C, T, H, W) of videos.
    backend : str or Backend, optional

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.layers import GlobalPoolingLayer
    >>> layer = GlobalPoolingLayer((3, 8, 8))
    >>> y, tape = layer.forward(np.zeros(0), np.ones((5, 3, 8, 8)))
    >>> dtheta, dx = layer.vjp(y, tape)
    >>> y.shape, dtheta.shape, dx.shape
    ((5, 3, 1, 1), (0,), (5, 3, 8, 8))
    >>> model = mn.Model([mn.ConvolutionLayer((1, 14, 14), 4), GlobalPoolingLayer(...)], classes=10)
    >>> rng = np.random.default_rng(0)
    >>> model = model.fit(rng.standard_normal((40, 1, 14, 14)), np.arange(40) % 10, epochs=1)
    >>> fine = model.prolongate()
    >>> fine.network.domain_shape, bool((fine.W == model.W).all())
    ((1, 28, 28), True)
    """

    def __init__(self, domain_shape: Any, *, backend: str | Backend | None = None) -> None:
        super().__init__(PixelMean(domain_shape, backend=backend))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape})"

    def resized(self, domain_shape: tuple[int, ...]) -> GlobalPoolingLayer:
        """Return the same pooling for images of another resolution."""
        return type(self)(domain_shape, backend=self.backend)


class UpsamplingLayer(LinearLayer):
    """``y = P x``: each pixel is copied to a block of ``f1 x f2``, constant interpolation; no weights.

    P is ``f1 f2`` times the transposed `linop.AveragePooling`, and pooling undoes it.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W).
    factor : int or pair of int
        Block size.
    backend : str or Backend, optional

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import UpsamplingLayer
    >>> layer = UpsamplingLayer((1, 1, 2))
    >>> layer.range_shape
    (1, 2, 4)
    >>> print(layer(np.zeros(0), np.array([[[[1.0, 2.0]]]]))[0, 0])
    [[1. 1. 2. 2.]
     [1. 1. 2. 2.]]
    """

    def __init__(
        self, domain_shape: Any, factor: int | tuple[int, int] = 2, *, backend: str | Backend | None = None
    ) -> None:
        channels, height, width = validate.shape("domain_shape", domain_shape, ndim=3)
        self.factor = f1, f2 = validate.pair("factor", factor)
        pooling = AveragePooling((channels, f1 * height, f2 * width), self.factor, backend=backend)
        super().__init__((f1 * f2) * pooling.T)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape})"

    def resized(self, domain_shape: tuple[int, ...]) -> UpsamplingLayer:
        """Return the same layer for images of another resolution."""
        return type(self)(domain_shape, self.factor, backend=self.backend)
