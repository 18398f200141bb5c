"""Restriction R and prolongation P between an image grid and the one with half as many cells in each direction.

An axis of length 1, as of signals (1, L), has no coarser grid and is left alone; `axes` names others to leave alone.
The grid of videos has three axes, (T, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, backend_of, get_backend
from meganet.ground import validate

INTERPOLATIONS = ("constant", "linear")
BOUNDARIES = ("neumann", "dirichlet", "periodic")
Axes = int | Sequence[int] | None


def image_axes(axes: Axes, image_shape: Sequence[int] = (2, 2)) -> tuple[int, ...]:
    """Return the image axes, 0 and 1 or one of them, of videos 0, 1 and 2, along which a transfer goes.

    Parameters
    ----------
    axes : int or sequence of int, optional
        Of the two last axes, -2 and -1 (0 and 1), of videos -3, -2 and -1; if not given those along which the image is
        longer than one pixel, all for an image of a single pixel.
    image_shape : sequence of int
        (H, W) or (T, H, W).

    Examples
    --------
    >>> from meganet.multigrid.transfer import image_axes
    >>> image_axes(None, (28, 28)), image_axes(None, (1, 64)), image_axes(-1), image_axes(-3, (8, 28, 28))
    ((0, 1), (1,), (1,), (0,))
    """
    every = tuple(range(len(image_shape)))
    if axes is None:
        return tuple(k for k in every if image_shape[k] > 1) or every
    return validate.axes("axes", axes, len(every))


def scaled(image_shape: Sequence[int], axes: Sequence[int], finer: bool) -> tuple[int, ...]:
    """Return the shape of images on the next finer or coarser grid.

    Examples
    --------
    >>> from meganet.multigrid.transfer import scaled
    >>> scaled((28, 28), (0, 1), finer=False), scaled((1, 64), (1,), finer=True)
    ((14, 14), (1, 128))
    """
    return tuple((2 * n if finer else n // 2) if k in axes else n for k, n in enumerate(image_shape))


def _fine_shape(argument: str, value: Any, axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a fine image's shape, even along the axes of the transfer, and these."""
    shape = validate.grid(argument, value)
    along = image_axes(axes, shape)
    return validate.even_shape(argument, shape, along), along


def restriction(
    fine_shape: Any, *, axes: Axes = None, dtype: Any = np.float64, backend: str | Backend | None = None
) -> Any:
    """Return R as a sparse matrix: the mean of each 2x2 block of cells.

    Parameters
    ----------
    fine_shape : sequence of int
        (H, W) of the fine image, both even, or (T, H, W) of the fine video; an axis of length 1 is left alone.
    axes : int or sequence of int, optional
        The image axes along which blocks have two cells, of -2 and -1, of videos -3 to -1; all that are longer than one
        pixel if not given.
    dtype : dtype
        float32 or float64.
    backend : str or Backend, optional

    Returns
    -------
    sparse array, (H W / 4, H W), along one axis (H W / 2, H W), canonical CSR; its rows sum to 1.

    Examples
    --------
    >>> from meganet.multigrid import restriction
    >>> print(restriction((2, 4)).toarray())
    [[0.25 0.25 0.   0.   0.25 0.25 0.   0.  ]
     [0.   0.   0.25 0.25 0.   0.   0.25 0.25]]
    """
    shape, along = _fine_shape("fine_shape", fine_shape, axes)
    return _product(_means, shape, along, dtype, backend)


def prolongation(
    fine_shape: Any,
    interpolation: str = "linear",
    *,
    axes: Axes = None,
    boundary: str = "neumann",
    dtype: Any = np.float64,
    backend: str | Backend | None = None,
) -> Any:
    """Return P as a sparse matrix from the coarse to the fine image.

    Parameters
    ----------
    fine_shape : sequence of int
        (H, W) of the fine image, both even, or (T, H, W) of the fine video; an axis of length 1 is left alone.
    interpolation : {"linear", "constant"}
        "linear" interpolates between cell centres, the thesis' "weighted averaging": in one dimension 3/4 of
        the own coarse cell and 1/4 of the nearest neighbour; edge cells copy. "constant" copies each coarse cell to its
        four fine cells, ``P = 4 R.T``, the default of the original package.
    boundary : {"neumann", "dirichlet", "periodic"}
        What linear interpolation finds beyond the edge: the edge cell again, its negative (the image vanishes at the
        edge), or the opposite edge, as a circulant convolution does.
    axes, dtype, backend
        As for `restriction`.

    Returns
    -------
    sparse array, (H W, H W / 4), along one axis (H W, H W / 2), canonical CSR; its rows sum to 1, except at the edges
    with "dirichlet".

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
    >>> print(prolongation((1, 4), boundary="dirichlet").toarray())
    [[0.5  0.  ]
     [0.75 0.25]
     [0.25 0.75]
     [0.   0.5 ]]
    """
    shape, along = _fine_shape("fine_shape", fine_shape, axes)
    validate.choice("interpolation", interpolation, INTERPOLATIONS)
    validate.choice("boundary", boundary, BOUNDARIES)
    one = partial(_linear, boundary=boundary) if interpolation == "linear" else _constant
    return _product(one, shape, along, dtype, backend)


def _product(one: Callable[[int], Any], shape: Sequence[int], along: Sequence[int], dtype: Any, backend: Any) -> Any:
    """Return the Kronecker product of a map along the axes of a transfer and of the identity along the others."""
    factors = [one(n) if k in along else scipy.sparse.eye_array(n) for k, n in enumerate(shape)]
    product = scipy.sparse.csr_array(reduce(scipy.sparse.kron, factors), dtype=validate.float_dtype("dtype", dtype))
    product.eliminate_zeros()  # the format of the product has blocks
    return get_backend(backend).csr(product)


def _means(n: int) -> Any:
    return scipy.sparse.kron(scipy.sparse.eye_array(n // 2), np.full((1, 2), 0.5))


def _constant(n: int) -> Any:
    return scipy.sparse.kron(scipy.sparse.eye_array(n // 2), np.ones((2, 1)))


def _linear(n: int, boundary: str) -> Any:
    fine = np.arange(n)
    own = fine // 2
    neighbour = own + np.where(fine % 2, 1, -1)
    inside = np.clip(neighbour, 0, n // 2 - 1)
    beyond = np.where((neighbour != inside) & (boundary == "dirichlet"), -0.25, 0.25)
    neighbour = neighbour % (n // 2) if boundary == "periodic" else inside
    weights = np.concatenate([np.full(n, 0.75), beyond])
    # where the neighbour is the cell itself, the two weights are added
    rows, columns = np.concatenate([fine, fine]), np.concatenate([own, neighbour])
    return scipy.sparse.coo_array((weights, (rows, columns)), shape=(n, n // 2)).tocsr()


def restrict_images(images: Array, *, axes: Axes = None) -> Array:
    """Return ``R x`` for every channel of every image, (..., H, W) -> (..., H/2, W/2), dtype kept.

    An axis of length 1 is left alone: signals (N, C, 1, L) become (N, C, 1, L/2). `axes` as for `restriction`; with -3
    among them images are videos (..., T, H, W), whose frames alone change without it.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import restrict_images
    >>> restrict_images(np.ones((5, 3, 28, 28))).shape, restrict_images(np.ones((5, 1, 1, 64))).shape
    ((5, 3, 14, 14), (5, 1, 1, 32))
    >>> videos = np.ones((5, 1, 16, 28, 28))
    >>> restrict_images(videos, axes=-3).shape, restrict_images(videos, axes=(-3, -2, -1)).shape
    ((5, 1, 8, 28, 28), (5, 1, 8, 14, 14))
    """
    shape, along = _fine_shape("images", _image_shape(images, axes), axes)
    matrix = restriction(shape, axes=along, dtype=images.dtype, backend=backend_of(images))
    return _apply(matrix, images, scaled(shape, along, finer=False))


def prolongate_images(images: Array, interpolation: str = "linear", *, axes: Axes = None) -> Array:
    """Return ``P x`` for every channel of every image, (..., H, W) -> (..., 2H, 2W), dtype kept.

    An axis of length 1 is left alone: signals (N, C, 1, L) become (N, C, 1, 2L); an image of a single pixel becomes
    2x2. `axes` as for `restrict_images`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import prolongate_images
    >>> prolongate_images(np.ones((5, 3, 14, 14), dtype=np.float32)).shape
    (5, 3, 28, 28)
    >>> print(prolongate_images(np.array([[0.0, 4.0]]), "linear"))
    [[0. 1. 3. 4.]]
    >>> print(prolongate_images(np.array([[0.0, 4.0]]), "constant"))
    [[0. 0. 4. 4.]]
    """
    shape = _image_shape(images, axes)
    along = image_axes(axes, shape)
    fine = scaled(shape, along, finer=True)
    matrix = prolongation(fine, interpolation, axes=along, dtype=images.dtype, backend=backend_of(images))
    return _apply(matrix, images, fine)


def _image_shape(images: Array, axes: Axes) -> tuple[int, ...]:
    backend_of(images).require("images", images)
    in_time = -3 in (list(axes) if isinstance(axes, Sequence) else [axes] if isinstance(axes, int) else [])
    if len(images.shape) < 2 + in_time:
        expected = "three axes, (..., T, H, W)" if in_time else "two axes, (..., H, W)"
        validate.reject("images", f"at least {expected}", f"shape {images.shape}")
    validate.float_images("images", images)
    return tuple(int(n) for n in images.shape[-2 - in_time :])


def _apply(matrix: Any, images: Array, shape: tuple[int, ...]) -> Array:
    flat = images.reshape(-1, matrix.shape[1])
    return backend_of(images).xp.ascontiguousarray((matrix @ flat.T).T).reshape(*images.shape[: -len(shape)], *shape)
