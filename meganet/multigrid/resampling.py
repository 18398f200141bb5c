"""Images between grids of any two sizes, of which R and P of neighbouring grids are the cases with half the cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, backend_of, get_backend
from meganet.ground import validate
from meganet.multigrid.transfer import INTERPOLATIONS


def resampling(
    image_shape: Any,
    new_shape: Any,
    interpolation: str = "linear",
    *,
    dtype: Any = np.float64,
    backend: str | Backend | None = None,
) -> Any:
    """Return the sparse matrix from images of one shape to those of another.

    Along an axis on which there are fewer cells than before, each is the mean of what it covers. Where there are more,
    they are interpolated linearly between cell centres, and copied at the edge; with "constant" interpolation they too
    are the mean of what they cover.

    Parameters
    ----------
    image_shape, new_shape : pair of int
        (H, W).
    interpolation : {"linear", "constant"}
    dtype : dtype
        float32 or float64.
    backend : str or Backend, optional

    Returns
    -------
    sparse array, (H' W', H W), canonical CSR; its rows sum to 1. To half the cells it is `restriction`, to twice the
    cells `prolongation`.

    Examples
    --------
    >>> from meganet.multigrid import resampling
    >>> print(resampling((1, 3), (1, 2)).toarray().round(3))
    [[0.667 0.333 0.   ]
     [0.    0.333 0.667]]
    >>> print(resampling((1, 2), (1, 3)).toarray().round(3))
    [[1.  0. ]
     [0.5 0.5]
     [0.  1. ]]
    """
    old, new = validate.pair("image_shape", image_shape), validate.pair("new_shape", new_shape)
    linear = validate.choice("interpolation", interpolation, INTERPOLATIONS) == "linear"
    factors = [_interpolated(n, m) if linear and m > n else _means(n, m) for n, m in zip(old, new, strict=True)]
    return get_backend(backend).csr(scipy.sparse.kron(*factors).astype(validate.float_dtype("dtype", dtype)))


def resample_images(images: Array, new_shape: Any) -> Array:
    """Return images (..., H, W) with another number of pixels, see `resampling`; dtype kept.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import resample_images
    >>> resample_images(np.ones((5, 3, 28, 28)), (20, 20)).shape
    (5, 3, 20, 20)
    """
    backend_of(images).require("images", images)
    if len(images.shape) < 2:
        validate.reject("images", "at least two axes, (..., H, W)", f"shape {images.shape}")
    validate.float_images("images", images)
    height, width = validate.pair("new_shape", new_shape)
    matrix = resampling(images.shape[-2:], (height, width), dtype=images.dtype, backend=backend_of(images))
    flat = images.reshape(-1, matrix.shape[1])
    return backend_of(images).xp.ascontiguousarray((matrix @ flat.T).T).reshape(*images.shape[:-2], height, width)


def _means(n: int, m: int) -> Any:
    """Return the matrix from n to m cells along one axis, each the mean of what it covers."""
    edges, cells = np.arange(m + 1) * n / m, np.arange(n)
    covered = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return scipy.sparse.csr_array(np.clip(covered, 0, None) * (m / n))


def _interpolated(n: int, m: int) -> Any:
    """Return the matrix from n to m cells along one axis, interpolated between cell centres."""
    centres = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    return scipy.sparse.csr_array(np.column_stack([np.interp(centres, np.arange(n), unit) for unit in np.eye(n)]))
