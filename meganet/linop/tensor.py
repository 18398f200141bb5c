"""Fixed maps between tensors: explicit matrices, changes of shape, copies along axes, removal of means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from operator import sub
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, get_backend
from meganet.ground import validate
from meganet.linop.base import LinearOperator


class Matrix(LinearOperator):
    """An explicit matrix, ``A x``, between flattened tensors (C order); the adjoint is ``A' y``.

    Its numbers are kept in float64 on the host and rounded to the dtype of the input.

    Parameters
    ----------
    matrix : array or SciPy sparse array, (m, n)
        Real numbers, on the host.
    domain_shape, range_shape : tuple of int, optional
        Shapes with n and m entries; vectors if not given.

    Raises
    ------
    InputError
        For complex numbers, or shapes with another number of entries.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Matrix
    >>> A = Matrix([[1.0, 2.0], [0.0, 3.0], [4.0, 0.0]])
    >>> A
    Matrix((2,) -> (3,), float64, numpy)
    >>> A @ np.array([1.0, 1.0])
    array([3., 3., 4.])
    >>> x = A.T @ np.ones((5, 3), dtype=np.float32)  # five examples at once
    >>> x.shape, x.dtype
    ((5, 2), dtype('float32'))
    """

    def __init__(
        self,
        matrix: Any,
        domain_shape: Any = None,
        range_shape: Any = None,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        if not scipy.sparse.issparse(matrix):
            matrix = validate.numbers("matrix", matrix, "real numbers", "biuf")
            if matrix.ndim != 2:
                validate.reject("matrix", "two axes", f"shape {matrix.shape}")
        if matrix.dtype.kind == "c":
            validate.reject("matrix", "real numbers", str(matrix.dtype))
        self.matrix = scipy.sparse.csr_array(matrix).astype(np.float64)
        rows, columns = self.matrix.shape
        domain = validate.shape("domain_shape", columns if domain_shape is None else domain_shape)
        range_ = validate.shape("range_shape", rows if range_shape is None else range_shape)
        for name, shape, size in (("domain_shape", domain, columns), ("range_shape", range_, rows)):
            if math.prod(shape) != size:
                validate.reject(name, f"a shape of {size} entries, as the matrix has", str(shape))
        super().__init__(domain, range_, dtype, backend)
        self._rounded: dict[tuple[str, str], tuple[Any, Any]] = {}

    def _pair(self, dtype: Any) -> tuple[Any, Any]:
        """Return the matrix and its transpose on the backend in a dtype."""
        key = (self.backend.name, str(dtype))
        if key not in self._rounded:
            rounded = self.matrix.astype(dtype)
            self._rounded[key] = self.backend.rows_matrix(rounded), self.backend.rows_matrix(rounded.T)
        return self._rounded[key]

    def _product_with(self, number: int, x: Array) -> Array:
        """Return the matrix, or with number 1 its transpose, times the flattened examples."""
        return self.backend.rows_product(self._pair(x.dtype)[number], x.reshape(x.shape[0], -1))

    def apply_unchecked(self, x: Array) -> Array:
        return self._product_with(0, x).reshape(-1, *self.range_shape)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self._product_with(1, y).reshape(-1, *self.domain_shape)

    def tosparse(self) -> Any:
        """Return the matrix as CSR."""
        return self.backend.csr(self.matrix.astype(self.dtype))


class Reshape(LinearOperator):
    """The same numbers in another shape and, if wanted, another order of axes; the adjoint puts them back.

    Parameters
    ----------
    domain_shape : tuple of int
    range_shape : tuple of int, optional
        With as many entries; a vector if not given.
    axes : sequence of int, optional
        A permutation of the domain's axes, applied before the numbers are read in C order; their own order if not
        given. Reversed axes read the numbers in MATLAB's order.

    Raises
    ------
    InputError
        For a range with another number of entries, or axes that are no permutation.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Reshape
    >>> Reshape((3, 28, 28)).range_shape
    (2352,)
    >>> A = Reshape((2, 3), axes=(1, 0))  # columns first, as MATLAB reads a matrix
    >>> y = A @ np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float64)
    >>> y
    array([1., 4., 2., 5., 3., 6.])
    >>> A.T @ y
    array([[1., 2., 3.],
           [4., 5., 6.]])
    """

    def __init__(
        self,
        domain_shape: Any,
        range_shape: Any = None,
        axes: Sequence[int] | None = None,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        range_ = validate.shape("range_shape", math.prod(domain) if range_shape is None else range_shape)
        if math.prod(domain) != math.prod(range_):
            validate.reject("range_shape", f"a shape of {math.prod(domain)} entries, as the domain has", str(range_))
        expected = f"a permutation of 0 to {len(domain) - 1}"
        given = validate.items("axes", range(len(domain)) if axes is None else axes, Integral, expected)
        if sorted(given) != list(range(len(domain))):
            validate.reject("axes", expected, repr(axes))
        self.axes = tuple(map(int, given))
        super().__init__(domain, range_, dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        return x.transpose(0, *(a + 1 for a in self.axes)).reshape(-1, *self.range_shape)

    def adjoint_unchecked(self, y: Array) -> Array:
        moved = y.reshape(-1, *(self.domain_shape[a] for a in self.axes))
        return moved.transpose(0, *(int(a) + 1 for a in np.argsort(self.axes)))

    def tosparse(self) -> Any:
        """Return the permutation matrix."""
        order = np.arange(self.shape[1]).reshape(self.domain_shape).transpose(self.axes).ravel()
        return self.backend.csr(scipy.sparse.eye_array(self.shape[1], dtype=self.dtype).tocsr()[order])


class Broadcast(LinearOperator):
    """Copies of a small tensor along the remaining axes of a large one, such as a channel's bias at all its pixels.

    Forward ``(B b)[i] = b[i at axes]``; the adjoint sums over the other axes.

    Parameters
    ----------
    range_shape : tuple of int
    axes : sequence of int
        Axes of the range along which `b` varies; their lengths are the shape of `b`. (0,) is ``opCNNBias`` of Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Broadcast
    >>> B = Broadcast((2, 3))  # two channels of three pixels each
    >>> B @ np.array([1.0, -1.0])
    array([[ 1.,  1.,  1.],
           [-1., -1., -1.]])
    >>> B.T @ np.ones((2, 3))
    array([3., 3.])
    >>> Broadcast((16, 28, 28)).domain_shape
    (16,)
    """

    def __init__(
        self,
        range_shape: Any,
        axes: Sequence[int] = (0,),
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        range_ = validate.shape("range_shape", range_shape)
        self.axes = validate.axes("axes", axes, len(range_))
        super().__init__(tuple(range_[a] for a in self.axes), range_, dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        shape = tuple(n if a in self.axes else 1 for a, n in enumerate(self.range_shape))
        result = self.backend.xp.empty((x.shape[0], *self.range_shape), dtype=x.dtype)
        result[...] = x.reshape(-1, *shape)
        return result

    def adjoint_unchecked(self, y: Array) -> Array:
        return y.sum(axis=tuple(a + 1 for a in range(len(self.range_shape)) if a not in self.axes))

    def tosparse(self) -> Any:
        """Return the matrix of zeros and ones, one in each row."""
        numbers = np.arange(self.shape[1]).reshape(self.domain_shape)
        others = tuple(a for a in range(len(self.range_shape)) if a not in self.axes)
        columns = np.broadcast_to(np.expand_dims(numbers, others), self.range_shape).ravel()
        rows = np.arange(self.shape[0])
        ones = np.ones(self.shape[0], dtype=self.dtype)
        return self.backend.csr(scipy.sparse.coo_array((ones, (rows, columns)), shape=self.shape))


class RemoveMean(LinearOperator):
    """Subtraction of the mean over some axes, ``P x = x - mean(x)``: an orthogonal projection, so self-adjoint.

    Parameters
    ----------
    domain_shape : tuple of int
    axes : sequence of int
        Axes over which the mean is taken; the last two of kernels (O, I, k1, k2) give ``opRemoveAvg`` of Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import RemoveMean
    >>> P = RemoveMean((2, 3), axes=(-1,))
    >>> P @ np.array([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]])
    array([[-2., -1.,  3.],
           [ 0.,  0.,  0.]])
    >>> RemoveMean(2, axes=(0,)).tosparse().toarray()
    array([[ 0.5, -0.5],
           [-0.5,  0.5]])
    """

    takes_stacks = True

    def __init__(
        self,
        domain_shape: Any,
        axes: Sequence[int] = (-2, -1),
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        self.axes = validate.axes("axes", axes, len(domain))
        super().__init__(domain, domain, dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        axes = tuple(a - len(self.domain_shape) for a in self.axes)
        share = 1 / math.prod(self.domain_shape[a] for a in self.axes)
        return self.backend.elementwise(sub, x, x.sum(axis=axes, keepdims=True) * share)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.apply_unchecked(y)

    def tosparse(self) -> Any:
        """Return ``I - mean``, a Kronecker product."""
        mean = scipy.sparse.eye_array(1)
        for axis, n in enumerate(self.domain_shape):
            one = np.full((n, n), 1 / n) if axis in self.axes else scipy.sparse.eye_array(n)
            mean = scipy.sparse.kron(mean, one)
        return self.backend.csr((scipy.sparse.eye_array(self.shape[0]) - mean).astype(self.dtype))


class Kronecker(LinearOperator):
    """The Kronecker product ``A (x) B`` as a map of matrices, ``X -> A X B'``; the adjoint is ``Y -> A' Y B``.

    With C-order flattening, ``vec(A X B') = (A (x) B) vec(X)``.

    Parameters
    ----------
    left, right : LinearOperator
        A (m x n) and B (p x q), from vectors to vectors, of one dtype and backend: X is (n, q), A X B' is (m, p).

    Raises
    ------
    InputError
        For operators between other tensors than vectors, or of different dtypes or backends.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Kronecker, Matrix
    >>> A = Kronecker(Matrix([[1.0, -1.0]]), Matrix([[1.0, 0.0], [1.0, 1.0]]))
    >>> A.domain_shape, A.range_shape
    ((2, 2), (1, 2))
    >>> A @ np.array([[3.0, 2.0], [1.0, 1.0]])
    array([[2., 3.]])
    >>> A.tosparse().toarray()
    array([[ 1.,  0., -1.,  0.],
           [ 1.,  1., -1., -1.]])
    """

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        for name, operator in (("left", left), ("right", right)):
            validate.instance(name, operator, LinearOperator, "a LinearOperator")
            if len(operator.domain_shape) != 1 or len(operator.range_shape) != 1 or operator.stack:
                validate.reject(name, "one operator between vectors", repr(operator))
        if left.backend is not right.backend or left.dtype != right.dtype:
            validate.reject("right", f"an operator in {left.dtype} on {left.backend.name}", repr(right))
        shapes = ((a, b) for a, b in zip(left.shape, right.shape, strict=True))
        range_, domain = shapes
        super().__init__(domain, range_, left.dtype, get_backend(left.backend))
        self.left, self.right = left, right
        self.stores_numbers = left.stores_numbers or right.stores_numbers

    @staticmethod
    def _both(left: LinearOperator, right: LinearOperator, x: Array) -> Array:
        return left.apply_each_unchecked(right.apply_each_unchecked(x).swapaxes(-1, -2)).swapaxes(-1, -2)

    def apply_unchecked(self, x: Array) -> Array:
        return self._both(self.left, self.right, x)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self._both(self.left.T, self.right.T, y)

    def tosparse(self) -> Any:
        """Return the Kronecker product of the two matrices."""
        parts = (operator.to("numpy").tosparse() for operator in (self.left, self.right))
        return self.backend.csr(scipy.sparse.kron(*parts))
