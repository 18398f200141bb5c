"""Average pooling, over blocks and over whole images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend
from meganet.backend.layout import folded, from_memory, to_memory, unfolded
from meganet.ground import validate
from meganet.linop.base import LinearOperator


class AveragePooling(LinearOperator):
    """Mean over blocks of ``f1 x f2`` pixels that do not overlap, of videos ``ft x f1 x f2``; no weights.

    Forward ``y[n, c, i, j] = mean of x[n, c, f1 i : f1 (i+1), f2 j : f2 (j+1)]``; the adjoint spreads each value
    evenly over its block, ``x[n, c, i, j] = y[n, c, i // f1, j // f2] / (f1 f2)``.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W), or (C, T, H, W) of videos; all but C must be multiples of the factors.
    factor : int or tuple of int
        Block size in rows and columns, of videos in time, rows and columns.

    Raises
    ------
    InputError
        For a height, a width or a number of frames that is no multiple of the block's.

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
    >>> AveragePooling((3, 8, 28, 28), factor=(2, 1, 1)).range_shape  # pairs of frames
    (3, 4, 28, 28)
    """

    takes_stacks = True

    def __init__(
        self,
        domain_shape: Any,
        factor: int | tuple[int, ...] = 2,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        channels, *image = validate.shape("domain_shape", domain_shape, ndim=(3, 4))
        self.factor = validate.sizes("factor", factor, len(image))
        if any(n % f for n, f in zip(image, self.factor, strict=True)):
            kind = "an image" if len(image) == 2 else "a video"
            validate.reject("domain_shape", f"{kind} that {validate.by(self.factor)} blocks cover", validate.by(image))
        pooled = (n // f for n, f in zip(image, self.factor, strict=True))
        super().__init__((channels, *image), (channels, *pooled), dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        if len(self.factor) == 2:
            return self.backend.pool(x, self.factor)
        for _, after, factor, in_time in self._steps():
            means = self.backend.pool(folded(self.backend, x, in_time), factor)
            x = unfolded(self.backend, means, after, in_time)
        return x

    def adjoint_unchecked(self, y: Array) -> Array:
        if len(self.factor) == 2:
            return self.backend.pool_adjoint(y, self.factor)
        for before, _, factor, in_time in reversed(self._steps()):
            spread = self.backend.pool_adjoint(folded(self.backend, y, in_time), factor)
            y = unfolded(self.backend, spread, before, in_time)
        return y

    def _steps(self) -> list[tuple[Any, Any, tuple[int, int], bool]]:
        """Return how videos are pooled as images, in space, then in time: shapes before and after, factor, in time."""
        frames, height, width = self.domain_shape[1:]
        ft, f1, f2 = self.factor
        small = (frames, height // f1, width // f2)
        space = ((frames, height, width), small, (f1, f2), False)
        time = (small, self.range_shape[1:], (1, ft), True)
        return [space, time] if ft > 1 else [space]

    def tosparse(self) -> Any:
        """Return ``I (x) M_1 (x) M_2`` with the one-dimensional means, of videos with one more."""
        channels, *image = self.domain_shape
        matrix = scipy.sparse.eye_array(channels)
        for n, f in zip(image, self.factor, strict=True):
            mean = scipy.sparse.kron(scipy.sparse.eye_array(n // f), np.full((1, f), 1 / f))
            matrix = scipy.sparse.kron(matrix, mean)
        return self.backend.csr(matrix.astype(self.dtype))


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
        lead = y.shape[: -len(pixels)]
        if len(pixels) not in (2, 3):
            x = self.backend.xp.empty((*lead, *pixels), dtype=y.dtype)
            x[...] = share
            return x
        means = to_memory(self.backend, share.reshape(*lead, 1, 1))
        rows, columns = pixels if len(pixels) == 2 else (pixels[1] * pixels[2], pixels[0])
        memory = self.backend.xp.empty((*means.shape[:-4], rows, columns, *means.shape[-2:]), dtype=y.dtype)
        memory[...] = means
        images = from_memory(memory)
        return images if len(pixels) == 2 else unfolded(self.backend, images, pixels, in_time=True)

    def tosparse(self) -> Any:
        """Return ``I (x) M`` with the row M of the mean."""
        channels, *pixels = self.domain_shape
        mean = np.full((1, math.prod(pixels)), self._share)
        return self.backend.csr(scipy.sparse.kron(scipy.sparse.eye_array(channels), mean).astype(self.dtype))
