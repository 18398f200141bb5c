"""Average pooling, over blocks and over whole images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, to_memory
from meganet.ground import validate
from meganet.linop.base import LinearOperator


class AveragePooling(LinearOperator):
    """Mean over blocks of ``f1 x f2`` pixels that do not overlap; no weights.

    Forward ``y[n, c, i, j] = mean of x[n, c, f1 i : f1 (i+1), f2 j : f2 (j+1)]``; the adjoint spreads each value
    evenly over its block, ``x[n, c, i, j] = y[n, c, i // f1, j // f2] / (f1 f2)``.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W); H and W must be multiples of the factors.
    factor : int or pair of int
        Block size in rows and columns.

    Raises
    ------
    InputError
        For a height or width that is no multiple of the block's.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import AveragePooling
    >>> M = AveragePooling((3, 28, 28))
    >>> M.range_shape, M.shape
    ((3, 14, 14), (588, 2352))
    >>> A = AveragePooling((1, 2, 4), factor=(2, 2))
    >>> A @ np.array([[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]])
    array([[[2.5, 4.5]]])
    >>> A.tosparse().toarray()
    array([[0.25, 0.25, 0.  , 0.  , 0.25, 0.25, 0.  , 0.  ],
           [0.  , 0.  , 0.25, 0.25, 0.  , 0.  , 0.25, 0.25]])
    """

    takes_stacks = True

    def __init__(
        self,
        domain_shape: Any,
        factor: int | tuple[int, int] = 2,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        channels, height, width = validate.shape("domain_shape", domain_shape, ndim=3)
        self.factor = validate.pair("factor", factor)
        f1, f2 = self.factor
        if height % f1 or width % f2:
            validate.reject("domain_shape", f"an image that {f1}x{f2} blocks cover", f"{height}x{width}")
        super().__init__((channels, height, width), (channels, height // f1, width // f2), dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.pool(x, self.factor)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.backend.pool_adjoint(y, self.factor)

    def tosparse(self) -> Any:
        """Return ``I (x) M_1 (x) M_2`` with the one-dimensional means."""
        channels, height, width = self.domain_shape
        means = [
            scipy.sparse.kron(scipy.sparse.eye_array(n // f), np.full((1, f), 1 / f))
            for n, f in zip((height, width), self.factor, strict=True)
        ]
        plane = scipy.sparse.kron(means[0], means[1])
        return self.backend.csr(scipy.sparse.kron(scipy.sparse.eye_array(channels), plane).astype(self.dtype))


class PixelMean(LinearOperator):
    """Mean over all pixels of each channel, global average pooling; no weights.

    Forward ``y[n, c] = mean of x[n, c, ...]``; the adjoint spreads each value evenly over its channel's pixels. The
    range is the same for images of every resolution, and of ``P x`` with constant interpolation the mean is that of x.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...): channels first, the other axes are pixels. The range has as many axes, (C, 1, ..., 1).

    Raises
    ------
    InputError
        For a shape without axes of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import PixelMean
    >>> M = PixelMean((64, 28, 28))
    >>> M.range_shape, M.shape
    ((64, 1, 1), (64, 50176))
    >>> A = PixelMean((2, 1, 3))
    >>> A @ np.array([[[0.0, 1.0, 2.0]], [[3.0, 3.0, 3.0]]])
    array([[[1.]],
    <BLANKLINE>
           [[3.]]])
    >>> A.tosparse().toarray().round(2)
    array([[0.33, 0.33, 0.33, 0.  , 0.  , 0.  ],
           [0.  , 0.  , 0.  , 0.33, 0.33, 0.33]])
    """

    takes_stacks = True

    def __init__(self, domain_shape: Any, dtype: Any = np.float64, backend: str | Backend | None = None) -> None:
        channels, *pixels = validate.shape("domain_shape", domain_shape)
        if not pixels:
            validate.reject("domain_shape", "channels and axes of pixels, (C, ...)", str((channels,)))
        self._share = 1 / math.prod(pixels)
        super().__init__((channels, *pixels), (channels, *(1 for _ in pixels)), dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        return x.sum(axis=tuple(range(1 - len(self.domain_shape), 0)), keepdims=True) * self._share

    def adjoint_unchecked(self, y: Array) -> Array:
        share, pixels = y * self._share, self.domain_shape[1:]
        if len(pixels) != 2:
            x = self.backend.xp.empty((*y.shape[: -len(pixels)], *pixels), dtype=y.dtype)
            x[...] = share
            return x
        means = to_memory(self.backend, share)
        memory = self.backend.xp.empty((*means.shape[:-4], *pixels, *means.shape[-2:]), dtype=y.dtype)
        memory[...] = means
        return from_memory(memory)

    def tosparse(self) -> Any:
        """Return ``I (x) M`` with the row M of the mean."""
        channels, *pixels = self.domain_shape
        mean = np.full((1, math.prod(pixels)), self._share)
        return self.backend.csr(scipy.sparse.kron(scipy.sparse.eye_array(channels), mean).astype(self.dtype))
