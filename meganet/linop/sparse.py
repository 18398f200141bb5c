"""A matrix with a given pattern of nonzeros, whose values are the parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, to_host
from meganet.ground import validate
from meganet.linop.parametric import ParametricOperator
from meganet.linop.tensor import Matrix


class Pattern(NamedTuple):
    """The places of the nonzeros of a `Sparse` matrix and a basis of its values, ``values = basis @ theta``.

    Attributes
    ----------
    rows, columns : array of int, (nonzeros,)
    shape : tuple of int
        (m, n).
    basis : array or SciPy sparse array, (nonzeros, parameters)

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Pattern, Sparse
    >>> basis = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # the first value and the last are one parameter
    >>> pattern = Pattern(np.array([0, 1, 2]), np.array([1, 2, 0]), (3, 3), basis)
    >>> values = pattern.basis @ np.array([5.0, 7.0])
    >>> Sparse(values, pattern.rows, pattern.columns, pattern.shape).tosparse().toarray()
    array([[0., 5., 0.],
           [0., 0., 7.],
           [5., 0., 0.]])
    """

    rows: np.ndarray[Any, Any]
    columns: np.ndarray[Any, Any]
    shape: tuple[int, int]
    basis: Any


def zero_padded_convolution(kernel_shape: Any, image_shape: Any) -> Pattern:
    """Return the pattern of a convolution with zero padding, instead of a periodic boundary.

    ``Sparse(basis @ kernel.ravel(), rows, columns, shape)`` maps flattened images (I, H, W) to flattened images
    (O, H, W). Away from the boundary the result is that of `CirculantConvolution`.

    Parameters
    ----------
    kernel_shape : tuple of int
        (O, I, k1, k2), odd k1 and k2.
    image_shape : pair of int
        (H, W).

    Returns
    -------
    Pattern
        rows, columns, the matrix's shape (O H W, I H W), and the basis as a SciPy sparse array (nonzeros, O I k1 k2).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Sparse, zero_padded_convolution
    >>> pattern = zero_padded_convolution((1, 1, 1, 3), (1, 4))
    >>> pattern.shape, pattern.basis.shape
    ((4, 4), (10, 3))
    >>> values = pattern.basis @ np.array([-1.0, 0.0, 1.0])
    >>> Sparse(values, pattern.rows, pattern.columns, pattern.shape).tosparse().toarray()
    array([[ 0.,  1.,  0.,  0.],
           [-1.,  0.,  1.,  0.],
           [ 0., -1.,  0.,  1.],
           [ 0.,  0., -1.,  0.]])
    """
    outs, ins, k1, k2 = validate.shape("kernel_shape", kernel_shape, ndim=4)
    validate.odd_shape("kernel_shape", (k1, k2))
    height, width = validate.pair("image_shape", image_shape)
    o, c, a, b, i, j = np.ogrid[:outs, :ins, :k1, :k2, :height, :width]
    y, x = i + a - k1 // 2, j + b - k2 // 2
    inside = (o >= 0) & (c >= 0) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    row = (o * height + i) * width + j
    column = (c * height + y) * width + x
    number = ((o * ins + c) * k1 + a) * k2 + b
    rows, columns, numbers = (np.broadcast_to(v, inside.shape)[inside] for v in (row, column, number))
    basis = scipy.sparse.csr_array(
        (np.ones(len(rows)), (np.arange(len(rows)), numbers)), shape=(len(rows), outs * ins * k1 * k2)
    )
    return Pattern(rows, columns, (outs * height * width, ins * height * width), basis)


class Sparse(ParametricOperator):
    """A sparse matrix with its values as kernel, ``(K x)[i] = sum_{p: rows[p] = i} kernel[p] x[columns[p]]``.

    The adjoint exchanges rows and columns; in the kernel it is ``sum_n y[n, rows[p]] x[n, columns[p]]``. With
    `networks.Reparametrised` the values become ``Q theta``: ``sparseKernel`` of Meganet with its basis.

    Parameters
    ----------
    kernel : array, (nonzeros,)
        The values; float32 or float64.
    rows, columns : sequence of int, (nonzeros,)
        Their places, counted from 0, on the host. Values at the same place add up.
    shape : pair of int
        (m, n).

    Raises
    ------
    InputError
        For no value at all, or for places that are no integers, too many, too few or outside the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Sparse
    >>> K = Sparse(np.array([1.0, 2.0, 3.0]), rows=[0, 0, 1], columns=[0, 2, 1], shape=(2, 3))
    >>> K.tosparse().toarray()
    array([[1., 0., 2.],
           [0., 3., 0.]])
    >>> K @ np.array([1.0, 1.0, 10.0])
    array([21.,  3.])
    >>> K.kernel_adjoint(np.ones((5, 3)), np.ones((5, 2)))  # summed over five examples
    array([5., 5., 5.])
    """

    def __init__(
        self, kernel: Array, rows: Any, columns: Any, shape: Any, backend: str | Backend | None = None
    ) -> None:
        m, n = validate.pair("shape", shape)
        validate.plain("kernel", kernel)
        if getattr(kernel, "ndim", 0) != 1:
            validate.reject("kernel", "a vector of values", f"shape {getattr(kernel, 'shape', kernel)}")
        validate.not_empty("kernel", kernel, "value")
        super().__init__(kernel, (n,), (m,), backend)
        self.rows = self._places("rows", rows, m)
        self.columns = self._places("columns", columns, n)

    def arguments(self) -> dict[str, Any]:
        """Return what the operator is made of, see `networks.architecture`."""
        places = {"rows": self.rows.matrix.indices, "columns": self.columns.matrix.indices}
        return {"kernel": self.kernel, **places, "shape": self.shape}

    def _places(self, name: str, numbers: Any, size: int) -> Matrix:
        """Return the matrix that takes the entries at the given places out of a vector."""
        places = validate.read(name, to_host(numbers), f"{self.kernel_shape[0]} integers")
        if places.shape != self.kernel_shape or places.dtype.kind not in "iu":
            validate.reject(name, f"{self.kernel_shape[0]} integers", f"shape {places.shape}, dtype {places.dtype}")
        if ((places < 0) | (places >= size)).any():
            validate.reject(name, f"numbers 0 to {size - 1}", f"{places.min()} to {places.max()}")
        ones, count = np.ones(len(places)), np.arange(len(places))
        return Matrix(scipy.sparse.coo_array((ones, (count, places)), shape=(len(places), size)), backend=self.backend)

    def apply_unchecked(self, x: Array) -> Array:
        return self.rows.adjoint_each_unchecked(self.kernel[..., None, :] * self.columns.apply_each_unchecked(x))

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.columns.adjoint_each_unchecked(self.kernel[..., None, :] * self.rows.apply_each_unchecked(y))

    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        return (self.rows.apply_each_unchecked(y) * self.columns.apply_each_unchecked(x)).sum(axis=-2)

    @property
    def fan_in(self) -> int:
        """Mean number of values in a row, at least 1."""
        return max(1, round(self.kernel_shape[0] / self.range_shape[0]))

    @property
    def fan_out(self) -> int:
        """Mean number of values in a column, at least 1."""
        return max(1, round(self.kernel_shape[0] / self.domain_shape[0]))

    def tosparse(self) -> Any:
        """Return the matrix as CSR; a stack of kernels has none."""
        self._single()
        values = scipy.sparse.diags_array(self.backend.to_host(self.kernel))
        return self.backend.csr((self.rows.matrix.T @ values @ self.columns.matrix).astype(self.dtype))
