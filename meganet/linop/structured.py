"""Operators with a simple structure: identity, diagonal, block diagonal, finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import mul
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend, get_backend
from meganet.ground import validate
from meganet.linop.base import LinearOperator


class Identity(LinearOperator):
    """The identity, ``I x = x``, on tensors of one shape; self-adjoint.

    Parameters
    ----------
    domain_shape : tuple of int
        Shape of one example on both sides.

    Examples
    --------
    >>> from meganet.linop import Difference, Identity
    >>> D = Difference(3, axis=0)
    >>> A = D.T @ D + 0.5 * Identity(3)
    >>> A.tosparse().toarray()
    array([[ 1.5, -1. ,  0. ],
           [-1. ,  2.5, -1. ],
           [ 0. , -1. ,  1.5]])
    """

    takes_stacks = True

    def __init__(self, domain_shape: Any, dtype: Any = np.float64, backend: str | Backend | None = None) -> None:
        super().__init__(domain_shape, domain_shape, dtype, backend)

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.copied(x)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.apply_unchecked(y)

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        return y * (1 / (alpha + gamma))

    def tosparse(self) -> Any:
        """Return the identity matrix."""
        return self.backend.csr(scipy.sparse.eye_array(self.shape[0], dtype=self.dtype))


class Diagonal(LinearOperator):
    """A diagonal matrix, ``D x = diagonal * x`` entry by entry; self-adjoint.

    Parameters
    ----------
    diagonal : array
        The factors, float32 or float64; its shape is that of one example on both sides, its dtype the operator's.
    backend : str or Backend, optional

    Raises
    ------
    InputError
        For an array of another backend, or in a product for an input of another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Diagonal
    >>> D = Diagonal(np.array([[1.0, 2.0], [4.0, 0.0]]))
    >>> D.shape
    (4, 4)
    >>> D @ np.ones((2, 2))
    array([[1., 2.],
           [4., 0.]])
    >>> D.solve_normal(np.ones((2, 2)))  # the pseudo-inverse of D.T D
    array([[1.    , 0.25  ],
           [0.0625, 0.    ]])
    """

    stores_numbers = takes_stacks = True

    def __init__(self, diagonal: Array, backend: str | Backend | None = None) -> None:
        home = get_backend(backend)
        home.require("diagonal", diagonal)
        super().__init__(tuple(diagonal.shape), tuple(diagonal.shape), diagonal.dtype, home)
        self.diagonal = diagonal

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.elementwise(mul, self.diagonal, x)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.apply_unchecked(y)

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        return y * _inverted(self.backend, alpha * self.diagonal * self.diagonal + gamma)

    def tosparse(self) -> Any:
        """Return the diagonal matrix."""
        return self.backend.csr(scipy.sparse.diags_array(self.backend.to_host(self.diagonal).ravel()))


class BlockDiagonal(LinearOperator):
    """The block diagonal matrix of operators, ``[x_1; ...; x_m] -> [A_1 x_1; ...; A_m x_m]`` on flat vectors.

    The adjoint is the block diagonal of ``A_1.T, ..., A_m.T``. Each part of the vector is the C-order flattening of
    that block's tensor.

    Parameters
    ----------
    operators : iterable of LinearOperator
        At least one, all of one dtype and backend.

    Raises
    ------
    InputError
        If there is none, or if their dtypes or backends differ.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import BlockDiagonal, Diagonal, Difference
    >>> A = BlockDiagonal([Diagonal(np.array([2.0, 3.0])), Difference(3, axis=0)])
    >>> A.shape
    (4, 5)
    >>> A.tosparse().toarray()
    array([[ 2.,  0.,  0.,  0.,  0.],
           [ 0.,  3.,  0.,  0.,  0.],
           [ 0.,  0., -1.,  1.,  0.],
           [ 0.,  0.,  0., -1.,  1.]])
    >>> A @ np.array([1.0, 1.0, 0.0, 1.0, 4.0])
    array([2., 3., 1., 3.])
    """

    def __init__(self, operators: Iterable[LinearOperator]) -> None:
        operators = validate.items("operators", operators, LinearOperator, "at least one operator")
        first = operators[0]
        for operator in operators:
            if operator.stack:
                validate.reject("operators", "single operators", "a stack of them")
            if operator.backend is not first.backend or operator.dtype != first.dtype:
                validate.reject("operators", f"all in {first.dtype} on {first.backend.name}", repr(operator))
        rows, columns = (sum(o.shape[axis] for o in operators) for axis in (0, 1))
        super().__init__((columns,), (rows,), first.dtype, first.backend)
        self.operators = operators
        self.stores_numbers = any(o.stores_numbers for o in operators)

    def apply_unchecked(self, x: Array) -> Array:
        return self._blocks(x, [(o.domain_shape, o.apply_unchecked) for o in self.operators])

    def adjoint_unchecked(self, y: Array) -> Array:
        return self._blocks(y, [(o.range_shape, o.adjoint_unchecked) for o in self.operators])

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        return self._blocks(
            y, [(o.domain_shape, partial(o.solve_normal_unchecked, alpha=alpha, gamma=gamma)) for o in self.operators]
        )

    def _blocks(self, x: Array, products: list[tuple[tuple[int, ...], Callable[[Array], Array]]]) -> Array:
        offsets = np.cumsum([0, *(math.prod(shape) for shape, _ in products)]).tolist()
        results = [
            product(x[:, a:b].reshape(-1, *shape)).reshape(x.shape[0], -1)
            for (shape, product), a, b in zip(products, offsets[:-1], offsets[1:], strict=True)
        ]
        return self.backend.concatenate(results)

    def tosparse(self) -> Any:
        """Return the block diagonal matrix."""
        return self.backend.sparse.block_diag([o.tosparse() for o in self.operators], format="csr")


class Difference(LinearOperator):
    """Forward difference along one axis, ``(D x)_i = (x_{i+1} - x_i) / h``.

    The result is one entry shorter along the axis. The adjoint is ``(D.T y)_i = (y_{i-1} - y_i) / h`` with ``y``
    continued by zeros. Along the first axis of weights ordered in time, ``||D W||^2`` penalises weights that change
    quickly in time.

    Parameters
    ----------
    domain_shape : tuple of int
    axis : int
        Axis of the tensor, with at least 2 entries; a negative one counts from the last.
    h : float
        Mesh width, from 1e-150 to 1e150.

    Raises
    ------
    InputError
        For an axis that the tensor does not have or that has a single entry.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Difference
    >>> Difference(4, axis=0).tosparse().toarray()
    array([[-1.,  1.,  0.,  0.],
           [ 0., -1.,  1.,  0.],
           [ 0.,  0., -1.,  1.]])
    >>> D = Difference((2, 4), axis=1, h=0.5)
    >>> D @ np.array([[0.0, 1.0, 4.0, 9.0], [0.0, 0.0, 1.0, 1.0]])
    array([[ 2.,  6., 10.],
           [ 0.,  2.,  0.]])
    >>> (D.T @ np.ones((5, 2, 3))).shape  # five examples at once
    (5, 2, 4)
    """

    def __init__(
        self,
        domain_shape: Any,
        axis: int,
        h: float = 1.0,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        axis = validate.integer("axis", axis, minimum=-len(domain))
        if axis >= len(domain):
            validate.reject("axis", f"an axis of a tensor of shape {domain}", repr(axis))
        self.axis = axis % len(domain)
        if domain[self.axis] < 2:
            validate.reject("domain_shape", f"at least 2 entries along axis {self.axis}", str(domain))
        self.h = validate.mesh_width("h", h)
        out = tuple(n - (k == self.axis) for k, n in enumerate(domain))
        super().__init__(domain, out, dtype, backend)

    def _slices(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        lead = (slice(None),) * (self.axis + 1)
        return (*lead, slice(1, None)), (*lead, slice(None, -1))

    def apply_unchecked(self, x: Array) -> Array:
        upper, lower = self._slices()
        return (x[upper] - x[lower]) * (1 / self.h)

    def normal_unchecked(self, x: Array) -> Array:
        """Return ``D.T D x`` by two long differences of the flattened tensor, instead of many short ones.

        Neighbours along the axis lie `stride` apart. The difference across the end of the axis is set to zero.
        """
        stride = math.prod(self.domain_shape[self.axis + 1 :])
        flat = x.reshape(-1)
        difference = self.backend.xp.empty(x.shape, dtype=x.dtype)
        steps, last = difference.reshape(-1), (slice(None),) * (self.axis + 1) + (slice(-1, None),)
        self.backend.xp.subtract(flat[stride:], flat[:-stride], out=steps[:-stride])
        difference[last] = 0
        result = self.backend.xp.empty(x.shape, dtype=x.dtype)
        sums = result.reshape(-1)
        self.backend.xp.subtract(steps[:-stride], steps[stride:], out=sums[stride:])
        sums[:stride] = -steps[:stride]
        if self.h != 1:
            result *= 1 / self.h**2
        return result

    def adjoint_unchecked(self, y: Array) -> Array:
        upper, lower = self._slices()
        x = self.backend.xp.zeros((y.shape[0], *self.domain_shape), dtype=y.dtype)
        scaled = y * (1 / self.h)
        x[upper] += scaled
        x[lower] -= scaled
        return x

    def eigenvalues(self) -> np.ndarray[Any, Any]:
        """Return the n eigenvalues of ``D.T D`` along the axis, ``(2 - 2 cos(pi k / n)) / h^2``, on the host.

        The eigenvectors are the basis of the discrete cosine transform (DCT-II).
        """
        n = self.domain_shape[self.axis]
        return (2 - 2 * np.cos(np.pi * np.arange(n) / n)) / self.h**2

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        return _cosine_solve(self.backend, y, {self.axis - len(self.domain_shape): self}, alpha, gamma)

    def tosparse(self) -> Any:
        """Return ``I (x) D (x) I``, a Kronecker product."""
        n = self.domain_shape[self.axis]
        one = scipy.sparse.diags_array([-1 / self.h, 1 / self.h], offsets=[0, 1], shape=(n - 1, n))
        before, after = math.prod(self.domain_shape[: self.axis]), math.prod(self.domain_shape[self.axis + 1 :])
        left = scipy.sparse.kron(scipy.sparse.eye_array(before), one)
        return self.backend.csr(scipy.sparse.kron(left, scipy.sparse.eye_array(after)).astype(self.dtype))


class Gradient(LinearOperator):
    """Finite-difference gradient of images, which are the last two axes of a tensor.

    ``x -> [d_1 x; d_2 x]``: forward differences from row to row, divided by ``h[0]``, and from column to column,
    divided by ``h[1]``, each flattened and then joined, so that the range is ``(..., (H-1) W + H (W-1))``. The adjoint
    is ``[y_1; y_2] -> d_1.T y_1 + d_2.T y_2``, minus the divergence.

    Parameters
    ----------
    domain_shape : tuple of int
        ``(..., H, W)``. An axis of length 1, as of signals ``(..., 1, L)``, has no differences; one must be longer.
    h : float or pair of float
        Mesh width between rows and between columns, from 1e-150 to 1e150.

    Notes
    -----
    ``R(W) = alpha/2 ||Gradient @ W||^2`` is the regulariser of the thesis' section 3.2.1, ``opGrad`` in Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Gradient
    >>> G = Gradient((2, 3, 4))  # two images of 3 x 4 pixels
    >>> G.domain_shape, G.range_shape
    ((2, 3, 4), (2, 17))
    >>> x = np.arange(24.0).reshape(2, 3, 4)
    >>> (G @ x)[0]  # 2 x 4 differences between rows, 3 x 3 between columns
    array([4., 4., 4., 4., 4., 4., 4., 4., 1., 1., 1., 1., 1., 1., 1., 1., 1.])
    >>> float(0.5 * np.sum((G @ x) ** 2))
    137.0
    """

    def __init__(
        self,
        domain_shape: Any,
        h: float | Sequence[float] = 1.0,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        if len(domain) < 2:
            validate.reject("domain_shape", "at least two axes, the image's last", str(domain))
        if len(widths := tuple(h) if isinstance(h, Sequence) else (h, h)) != 2:
            validate.reject("h", "one mesh width or a pair of them", repr(h))
        widths = tuple(validate.mesh_width("h", width) for width in widths)
        if max(domain[-2:]) < 2:
            validate.reject("domain_shape", "images of more than one pixel", str(domain))
        axes = [axis for axis in (-2, -1) if domain[axis] > 1]
        self.differences = tuple(Difference(domain, axis, widths[axis], dtype, backend) for axis in axes)
        self._ends = np.cumsum([0, *(math.prod(d.range_shape[-2:]) for d in self.differences)]).tolist()
        super().__init__(domain, (*domain[:-2], self._ends[-1]), dtype, backend)
        self.h = widths
        self.image_differences = (widths[0] ** -2, widths[1] ** -2) if type(self) is Gradient else None

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, h={self.h})"

    def apply_unchecked(self, x: Array) -> Array:
        lead = x.shape[:-2]
        parts = [d.apply_unchecked(x).reshape(*lead, -1) for d in self.differences]
        return self.backend.concatenate(parts)

    def normal_unchecked(self, x: Array) -> Array:
        flat = x.reshape(-1, *self.domain_shape)
        result = self.differences[0].normal_unchecked(flat)
        for difference in self.differences[1:]:
            result += difference.normal_unchecked(flat)
        return result

    def adjoint_unchecked(self, y: Array) -> Array:
        parts = [y[..., a:b] for a, b in zip(self._ends[:-1], self._ends[1:], strict=True)]
        adjoints = [
            d.adjoint_unchecked(p.reshape(-1, *d.range_shape)) for d, p in zip(self.differences, parts, strict=True)
        ]
        for more in adjoints[1:]:
            adjoints[0] += more
        return adjoints[0]

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        return _cosine_solve(
            self.backend, y, {d.axis - len(self.domain_shape): d for d in self.differences}, alpha, gamma
        )

    def tosparse(self) -> Any:
        """Return ``I (x) [D_1 (x) I; I (x) D_2]``."""
        plane = self.domain_shape[-2:]
        blocks = [
            Difference(plane, axis, h, self.dtype, "numpy").tosparse()
            for axis, h in enumerate(self.h)
            if plane[axis] > 1
        ]
        images = math.prod(self.domain_shape[:-2])
        return self.backend.csr(
            scipy.sparse.kron(scipy.sparse.eye_array(images), scipy.sparse.vstack(blocks)).astype(self.dtype)
        )


def _inverted(backend: Backend, factors: Array) -> Array:
    """Return ``1 / factors``, and 0 where a factor is 0."""
    empty = factors == 0
    return backend.xp.where(empty, 0 * factors, 1 / (factors + empty))


def _cosine_solve(backend: Backend, y: Array, differences: dict[int, Difference], alpha: float, gamma: float) -> Array:
    """Return ``(alpha sum D.T D + gamma I)^-1 y`` for differences along some axes of a batch, by cosine transforms."""
    axes = tuple(differences)
    factors = np.full((1,) * y.ndim, gamma)
    for axis, difference in differences.items():
        shape = [1] * y.ndim
        shape[axis] = -1
        factors = factors + alpha * difference.eigenvalues().reshape(shape)
    inverse = _inverted(backend, backend.asarray(factors, y.dtype))
    return backend.fft.idctn(backend.fft.dctn(y, axes=axes, norm="ortho") * inverse, axes=axes, norm="ortho")
