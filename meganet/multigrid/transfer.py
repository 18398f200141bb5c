"""Restriction R and prolongation P between an image grid and the one with half as many cells in each direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from meganet import _validate
from meganet.backend import Array, Backend, backend_of, get_backend

INTERPOLATIONS = ("constant", "linear")


def restriction(fine_shape: Any, *, dtype: Any = np.float64, backend: str | Backend | None = None) -> Any:
    """Return R as a sparse matrix: the mean of each 2x2 block of cells.

    Parameters
    ----------
    fine_shape : pair of int
        (H, W) of the fine image, both even.
    dtype : dtype
        float32 or float64.
    backend : str or Backend, optional

    Returns
    -------
    sparse array, (H W / 4, H W), canonical CSR; its rows sum to 1.

    Examples
    --------
    >>> from meganet.multigrid import restriction
    >>> print(restriction((2, 4)).toarray())
    [[0.25 0.25 0.   0.   0.25 0.25 0.   0.  ]
     [0.   0.   0.25 0.25 0.   0.   0.25 0.25]]
    """
    height, width = _validate.even_shape("fine_shape", fine_shape)
    means = [scipy.sparse.kron(scipy.sparse.eye_array(n // 2), np.full((1, 2), 0.5)) for n in (height, width)]
    matrix = scipy.sparse.kron(*means).astype(_validate.float_dtype("dtype", dtype))
    return get_backend(backend).csr(matrix)


def prolongation(
    fine_shape: Any,
    interpolation: str = "linear",
    *,
    dtype: Any = np.float64,
    backend: str | Backend | None = None,
) -> Any:
    """Return P as a sparse matrix from the coarse to the fine image.

    Parameters
    ----------
    fine_shape : pair of int
        (H, W) of the fine image, both even.
    interpolation : {"linear", "constant"}
        "linear" interpolates between cell centres, the thesis' "weighted averaging": in one dimension 3/4 of
        the own coarse cell and 1/4 of the nearest neighbour; edge cells copy. "constant" copies each coarse cell to its
        four fine cells, ``P = 4 R.T``, the default of the original package.
    dtype, backend
        As for `restriction`.

    Returns
    -------
    sparse array, (H W, H W / 4), canonical CSR; its rows sum to 1.

    Examples
    --------
    >>> from meganet.multigrid import prolongation
    >>> print(prolongation((2, 4)).toarray())
    [[1.   0.  ]
     [0.75 0.25]
     [0.25 0.75]
     [0.   1.  ]
     [1.   0.  ]
     [0.75 0.25]
     [0.25 0.75]
     [0.   1.  ]]
    """
    height, width = _validate.even_shape("fine_shape", fine_shape)
    _validate.choice("interpolation", interpolation, INTERPOLATIONS)
    one = _linear if interpolation == "linear" else _constant
    matrix = scipy.sparse.kron(one(height), one(width)).astype(_validate.float_dtype("dtype", dtype))
    return get_backend(backend).csr(matrix)


def _constant(n: int) -> Any:
    return scipy.sparse.kron(scipy.sparse.eye_array(n // 2), np.ones((2, 1)))


def _linear(n: int) -> Any:
    fine = np.arange(n)
    own = fine // 2
    neighbour = np.clip(own + np.where(fine % 2, 1, -1), 0, n // 2 - 1)
    weights = np.concatenate([np.full(n, 0.75), np.full(n, 0.25)])
    # at an edge the neighbour is the cell itself: the two weights add up to 1
    rows, columns = np.concatenate([fine, fine]), np.concatenate([own, neighbour])
    return scipy.sparse.coo_array((weights, (rows, columns)), shape=(n, n // 2)).tocsr()


def restrict_images(images: Array) -> Array:
    """Return ``R x`` for every channel of every image, (..., H, W) -> (..., H/2, W/2), dtype kept."""
    shape = _validate.even_shape("images", _image_shape(images))
    matrix = restriction(shape, dtype=images.dtype, backend=backend_of(images))
    return _apply(matrix, images, (shape[0] // 2, shape[1] // 2))


def prolongate_images(images: Array, interpolation: str = "linear") -> Array:
    """Return ``P x`` for every channel of every image, (..., H, W) -> (..., 2H, 2W), dtype kept."""
    height, width = _image_shape(images)
    fine = (2 * height, 2 * width)
    return _apply(prolongation(fine, interpolation, dtype=images.dtype, backend=backend_of(images)), images, fine)


def _image_shape(images: Array) -> tuple[int, int]:
    backend_of(images).require("images", images)
    if len(images.shape) < 2:
        _validate.reject("images", "at least two axes, (..., H, W)", f"shape {images.shape}")
    _validate.float_dtype("dtype of images", images.dtype)
    return int(images.shape[-2]), int(images.shape[-1])


def _apply(matrix: Any, images: Array, shape: tuple[int, int]) -> Array:
    flat = images.reshape(-1, matrix.shape[1])
    return backend_of(images).xp.ascontiguousarray((matrix @ flat.T).T).reshape(*images.shape[:-2], *shape)
