"""The Galerkin condition between convolution stencils: ``K_2h(theta_2h) = R K_h(theta_h) P``."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from meganet.backend import Array, Backend, backend_of
from meganet.ground import validate
from meganet.linop import CirculantConvolution
from meganet.multigrid.transfer import INTERPOLATIONS, Axes, image_axes, prolongation, restriction, scaled

SINGULAR = 1e12
"""Condition number above which the Galerkin equations are called unsolvable."""


def galerkin_matrix(kernel_shape: Any, interpolation: str = "linear", *, axes: Axes = None) -> np.ndarray[Any, Any]:
    """Return the matrix A of the linear map from fine to coarse stencils, ``theta_2h = A theta_h``.

    For each unit stencil the product ``R K P`` of sparse matrices is formed on a grid large enough to have an interior,
    and the coarse stencil is read off the row of an interior cell. Nothing is typed in.

    Parameters
    ----------
    kernel_shape : int or sequence of int
        (k1, k2), odd, of videos (kt, k1, k2).
    interpolation : {"linear", "constant"}
        The choice of P, see `prolongation`.
    axes : int or sequence of int, optional
        The image axes along which the coarse grid has half the cells, of -2 and -1, of videos -3 to -1; all if not
        given.

    Returns
    -------
    ndarray, (k1 k2, k1 k2), of videos (kt k1 k2, kt k1 k2), float64
        On the C-order flattening of the stencil. The same A serves every pair of channels.

    Raises
    ------
    InputError
        If the coarse stencil does not fit into k1 x k2, as for 1x1 stencils with linear interpolation.

    Notes
    -----
    Equation (3.5) of the thesis. A is the Kronecker product of one-dimensional maps.

    Examples
    --------
    >>> from meganet.multigrid import galerkin_matrix
    >>> print(galerkin_matrix((1, 3), "constant"))
    [[0.5 0.  0. ]
     [0.5 1.  0.5]
     [0.  0.  0.5]]
    """
    shape = validate.odd_shape("kernel_shape", kernel_shape)
    interpolation = validate.choice("interpolation", interpolation, INTERPOLATIONS)
    return _assembled(shape, interpolation, image_axes(axes, (2,) * len(shape))).copy()


@lru_cache(maxsize=32)
def _assembled(kernel_shape: tuple[int, ...], interpolation: str, axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    # the coarse stencil reaches at most one cell further than the fine one; one more keeps the edge of P away
    coarse = tuple(k + 4 for k in kernel_shape)
    fine = scaled(coarse, axes, finer=True)
    r = restriction(fine, axes=axes, backend="numpy")
    p = prolongation(fine, interpolation, axes=axes, backend="numpy")
    centre = tuple(n // 2 for n in coarse)
    own = r[[int(np.ravel_multi_index(centre, coarse))]]
    reach = tuple(slice(c - k // 2, c + k // 2 + 1) for c, k in zip(centre, kernel_shape, strict=True))
    size = math.prod(kernel_shape)
    matrix = np.empty((size, size))
    for number in range(size):
        unit = np.zeros((1, 1, *kernel_shape))
        unit.flat[number] = 1
        product = own @ CirculantConvolution(unit, fine, backend="numpy").tosparse() @ p
        stencil = product.toarray().reshape(coarse)
        matrix[:, number] = stencil[reach].ravel()
        if abs(stencil).sum() > abs(matrix[:, number]).sum():
            validate.reject(
                "kernel_shape",
                f"a stencil whose coarse version fits into its own size with {interpolation} interpolation",
                f"{validate.by(kernel_shape)}, whose product R K P reaches further",
            )
    return matrix


def galerkin_condition(kernel_shape: Any, interpolation: str = "linear", *, axes: Axes = None) -> float:
    """Return the condition number of `galerkin_matrix` in the 2-norm; infinite if it cannot be inverted.

    Examples
    --------
    >>> from meganet.multigrid import galerkin_condition
    >>> round(galerkin_condition((3, 3)), 2)
    26.85
    >>> galerkin_condition((5, 5), "constant")
    inf
    """
    condition = float(np.linalg.cond(galerkin_matrix(kernel_shape, interpolation, axes=axes)))
    return condition if condition < SINGULAR else float("inf")


def restrict_kernels(kernels: Array, interpolation: str = "linear", *, axes: Axes = None) -> Array:
    """Return the coarse stencils ``A theta`` of fine ones.

    Parameters
    ----------
    kernels : array, (O, I, k1, k2) or (O, I, kt, k1, k2)
        float32 or float64, on any backend; the result is alike. The arithmetic is done in float64.
    interpolation : {"linear", "constant"}
    axes : int or sequence of int, optional
        As for `galerkin_matrix`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import restrict_kernels
    >>> laplace = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    >>> coarse = restrict_kernels(laplace[None, None], "constant")
    >>> coarse.shape
    (1, 1, 3, 3)
    >>> print(coarse[0, 0])
    [[ 0.   0.5  0. ]
     [ 0.5 -2.   0.5]
     [ 0.   0.5  0. ]]
    """
    matrix, flat, backend = _prepare(kernels, interpolation, axes)
    return (flat @ backend.asarray(matrix).T).astype(kernels.dtype).reshape(kernels.shape)


def prolongate_kernels(kernels: Array, interpolation: str = "linear", *, axes: Axes = None) -> Array:
    """Return the fine stencils whose Galerkin restriction is `kernels`: solves ``A theta_h = theta_2h``.

    Parameters
    ----------
    kernels : array, (O, I, k1, k2) or (O, I, kt, k1, k2)
        float32 or float64, on any backend; the result is alike. The arithmetic is done in float64.
    interpolation : {"linear", "constant"}
    axes : int or sequence of int, optional
        As for `galerkin_matrix`.

    Raises
    ------
    InputError
        If A is singular, as for 5x5 stencils with constant interpolation, whose coarse stencils are only 3x3.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import prolongate_kernels, restrict_kernels
    >>> kernels = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    >>> fine = prolongate_kernels(kernels)
    >>> fine.shape, fine.dtype
    ((8, 4, 3, 3), dtype('float32'))
    >>> bool(np.allclose(restrict_kernels(fine), kernels, atol=1e-5))
    True
    """
    matrix, flat, backend = _prepare(kernels, interpolation, axes)
    if galerkin_condition(kernels.shape[2:], interpolation, axes=axes) == float("inf"):
        size = "x".join(str(k) for k in kernels.shape[2:])
        validate.reject(
            "kernels", f"stencils whose Galerkin matrix can be inverted with {interpolation} interpolation", size
        )
    fine = backend.xp.linalg.solve(backend.asarray(matrix), flat.T).T
    return backend.xp.ascontiguousarray(fine).astype(kernels.dtype).reshape(kernels.shape)


def _prepare(kernels: Array, interpolation: str, axes: Axes) -> tuple[np.ndarray[Any, Any], Array, Backend]:
    backend_of(kernels).require("kernels", kernels)
    in_time = ("kt",) if getattr(kernels, "ndim", 4) == 5 else ()
    validate.array_shape("kernels", kernels, ("O", "I", *in_time, "k1", "k2"))
    validate.float_dtype("dtype of kernels", kernels.dtype)
    matrix = galerkin_matrix(tuple(int(k) for k in kernels.shape[2:]), interpolation, axes=axes)
    return matrix, kernels.reshape(-1, matrix.shape[0]).astype(np.float64), backend_of(kernels)
