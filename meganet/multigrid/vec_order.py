"""MATLAB's ``vec(W)`` taken for images, as the original's MNIST example does.

There W is a matrix, classes by features, stored column by column: the classes run fastest. Who takes this vector for
images of (H, W) pixels, column by column, finds other classes and pixels where he expects the neighbours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, backend_of
from meganet.layers import Layer
from meganet.linop import LinearOperator, Matrix


@lru_cache(maxsize=8)
def vec_as_images(shape: tuple[int, ...], dtype: Any, backend: Backend) -> LinearOperator:
    """Return the permutation that takes the vector for images; `shape` is that of the kernel, (K, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend
    >>> from meganet.multigrid.vec_order import vec_as_images
    >>> kernel = np.arange(4.0).reshape(2, 1, 2, 1)
    >>> (vec_as_images(kernel.shape, kernel.dtype, get_backend("numpy")) @ kernel).ravel()
    array([0., 2., 1., 3.])
    """
    classes, channels, height, width = shape
    place = np.arange(classes * channels * height * width).reshape(-1, width, height).swapaxes(1, 2).ravel()
    rest, k = np.divmod(place, classes)
    rest, i = np.divmod(rest, height)
    c, j = np.divmod(rest, width)
    columns = ((k * channels + c) * height + i) * width + j
    matrix = scipy.sparse.csr_array((np.ones(len(columns), dtype), columns, np.arange(len(columns) + 1)))
    return Matrix(matrix, domain_shape=shape, range_shape=shape, backend=backend)


def from_vec(classifier: Layer, w: Array) -> Array:
    """Return a classifier's weights, kernel and bias, with the kernel as the images that its vector is taken for.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer
    >>> from meganet.multigrid.vec_order import from_vec
    >>> from_vec(DenseLayer((1, 2, 1), 2), np.arange(6.0))
    array([0., 2., 1., 3., 4., 5.])
    """
    return _permuted(_of(classifier, w), w)


def to_vec(classifier: Layer, w: Array) -> Array:
    """Return the weights of which `from_vec` makes these.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer
    >>> from meganet.multigrid.vec_order import from_vec, to_vec
    >>> classifier, w = DenseLayer((3, 4, 4), 10), np.arange(490.0)
    >>> bool((to_vec(classifier, from_vec(classifier, w)) == w).all())
    True
    """
    return _permuted(_of(classifier, w).T, w)


def _of(classifier: Layer, w: Array) -> LinearOperator:
    return vec_as_images(classifier.parameters[0].shape, w.dtype, classifier.backend)


def _permuted(order: LinearOperator, w: Array) -> Array:
    size = order.shape[1]
    kernel = order @ w[:size].reshape(order.domain_shape)
    return backend_of(w).xp.concatenate([kernel.reshape(-1), w[size:]])
