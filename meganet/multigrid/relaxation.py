"""Relaxation: iterations that are cheap and make the error smooth, section 2.4 of the thesis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from meganet.backend import Array
from meganet.ground import validate
from meganet.linop import LinearOperator, Matrix


class Relaxation(ABC):
    """Relaxation of ``A u = f`` (2.11), ``u <- u + M^-1 (f - A u)``, where M is a part of A that is easily inverted.

    The error ``e = u* - u`` (2.12) becomes ``(I - M^-1 A) e``: where it oscillates it is damped in a few sweeps, where
    it is smooth it stays. A new relaxation defines `sweep_unchecked`.

    Parameters
    ----------
    operator : LinearOperator
        A, from a shape to the same shape, with a diagonal without zeros.

    Attributes
    ----------
    operator : Matrix
        A as an explicit matrix.

    Raises
    ------
    InputError
        For an operator that is not square, has a zero on its diagonal, or holds inf or nan.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GaussSeidel, Poisson, modes
    >>> relaxation = GaussSeidel(Poisson(32))
    >>> smooth, oscillating = modes(32)[[0, 24]]
    >>> zero = np.zeros(32)
    >>> for error in (smooth, oscillating):  # the norms that remain after three sweeps
    ...     print(f"{np.linalg.norm(relaxation(error, zero, sweeps=3)):.3f}")
    0.972
    0.049
    """

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = explicit(operator)
        if not (abs(self.operator.matrix.diagonal()) > np.finfo(np.float64).tiny).all():
            validate.reject("operator", "a matrix without zeros on its diagonal", repr(operator))

    @abstractmethod
    def sweep_unchecked(self, u: Array, f: Array) -> Array:
        """Return a batch of approximations after one sweep, ``(N, *shape)``, as new arrays."""

    def __call__(self, u: Array, f: Array, sweeps: int = 1) -> Array:
        """Return an approximation after some sweeps.

        Parameters
        ----------
        u, f : array, shape of the operator's domain, or (N, ...) of it
            Approximation and right-hand side, float32 or float64, on the operator's backend.
        sweeps : int
            0 or more.

        Returns
        -------
        array
            New, like `u`.

        Raises
        ------
        InputError
            For other shapes, dtypes or backends, or a negative number of sweeps.
        """
        check_pair(self.operator, u, f)
        sweeps = validate.integer("sweeps", sweeps, minimum=0)
        v, right = (x.reshape(-1, *self.operator.domain_shape) for x in (u, f))
        for _ in range(sweeps):
            v = self.sweep_unchecked(v, right)
        return v.reshape(u.shape) if sweeps else self.operator.backend.copied(u)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.operator.domain_shape})"


class Coloured(Relaxation):
    """Relaxation of one set of cells after the other, of all cells in a set at once, with a weight.

    Parameters
    ----------
    operator : LinearOperator
    colours : sequence of array of bool, (cells,)
        The sets, as masks of the flattened cells.
    weight : float
        Of each correction, positive.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Poisson
    >>> from meganet.multigrid.relaxation import Coloured
    >>> halves = np.arange(4) < 2
    >>> Coloured(Poisson(4, h=1.0), [halves, ~halves])(np.zeros(4), np.ones(4))
    array([0.33333333, 0.5       , 0.75      , 0.33333333])
    """

    def __init__(self, operator: LinearOperator, colours: Sequence[np.ndarray[Any, Any]], weight: float = 1.0) -> None:
        super().__init__(operator)
        cells = self.operator.shape[1]
        colours = [validate.read("colours", colour, "masks of bool") for colour in colours]
        if any(colour.dtype != bool or colour.shape != (cells,) for colour in colours):
            validate.reject("colours", f"masks of bool, ({cells},)", ", ".join(f"{c.dtype} {c.shape}" for c in colours))
        self.weight = validate.real("weight", weight, above=0)
        inverse = self.weight / self.operator.matrix.diagonal()
        scalings = [scipy.sparse.diags_array(np.where(colour, inverse, 0)) for colour in colours]
        self._parts = [(self._matrix(s), self._matrix(s @ self.operator.matrix)) for s in scalings]

    def _matrix(self, matrix: Any) -> Matrix:
        """Return a matrix of the operator's shape, without the rows of other colours."""
        matrix = scipy.sparse.csr_array(matrix)
        matrix.eliminate_zeros()
        shape = self.operator.domain_shape
        return Matrix(matrix, shape, shape, self.operator.dtype, self.operator.backend)

    def sweep_unchecked(self, u: Array, f: Array) -> Array:
        for scaling, rows in self._parts:
            u = u + (scaling.apply_unchecked(f) - rows.apply_unchecked(u))
        return u


class Jacobi(Coloured):
    """Weighted Jacobi relaxation: every cell at once, ``M = D / weight`` with the diagonal D of A.

    Parameters
    ----------
    operator : LinearOperator
    weight : float, optional
        Positive. 1 is Jacobi's method, which leaves the most oscillatory modes of `Poisson` undamped; if not given
        ``2 d / (2 d + 1)`` in d dimensions, 2/3 or 4/5, which damps the oscillatory half best.

    Notes
    -----
    Section 2.4 of the thesis. A sweep multiplies the mode of angle theta of a one-dimensional, periodic `Poisson` by
    ``1 - 2 weight sin^2(theta / 2)``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Jacobi, Poisson
    >>> Jacobi(Poisson(4, h=1.0), weight=1.0)(np.zeros(4), np.array([3.0, 2.0, 2.0, 3.0]))
    array([1., 1., 1., 1.])
    >>> round(Jacobi(Poisson((4, 4))).weight, 2)
    0.8
    """

    def __init__(self, operator: LinearOperator, weight: float | None = None) -> None:
        operator = explicit(operator)
        twice = 2 * max(1, sum(n > 1 for n in operator.domain_shape))
        every = np.ones(operator.shape[1], bool)
        super().__init__(operator, [every], twice / (twice + 1) if weight is None else weight)


class RedBlack(Coloured):
    """Gauss-Seidel relaxation of the red cells, whose indices have an even sum, and then of the black ones.

    Cells of one colour are relaxed at once, which suits a GPU. Where they are not coupled, as by the five-point
    stencil, this is Gauss-Seidel's method in another order.

    Parameters
    ----------
    operator : LinearOperator

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Poisson, RedBlack
    >>> RedBlack(Poisson(4, h=1.0))(np.zeros(4), np.ones(4))
    array([0.33333333, 0.91666667, 0.5       , 0.5       ])
    """

    def __init__(self, operator: LinearOperator) -> None:
        operator = explicit(operator)
        red = np.indices(operator.domain_shape).sum(axis=0).ravel() % 2 == 0
        super().__init__(operator, [red, ~red])


class GaussSeidel(Relaxation):
    """Gauss-Seidel relaxation: cell after cell in C order, each with the newest values; M is the lower triangle of A.

    Parameters
    ----------
    operator : LinearOperator
        On NumPy: the cells are relaxed one after the other, which a GPU cannot do in parallel.

    Raises
    ------
    InputError
        For an operator on another backend.

    Notes
    -----
    Section 2.4 of the thesis.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GaussSeidel, Poisson
    >>> GaussSeidel(Poisson(4, h=1.0))(np.zeros(4), np.array([3.0, 2.0, 2.0, 3.0]))
    array([1.        , 1.5       , 1.75      , 1.58333333])
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator)
        if self.operator.backend.name != "numpy":
            validate.reject("operator", "one on numpy; on a GPU use RedBlack or Jacobi", self.operator.backend.name)
        shape, home = self.operator.domain_shape, (self.operator.dtype, self.operator.backend)
        self._rest = Matrix(scipy.sparse.triu(self.operator.matrix, 1), shape, shape, *home)
        # a triangular matrix is its own factor: nothing is permuted, nothing fills in
        self._factor = scipy.sparse.linalg.splu(
            scipy.sparse.tril(self.operator.matrix).tocsc(),
            permc_spec="NATURAL",
            diag_pivot_thresh=0,
            options={"SymmetricMode": True},
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the operator: the factor cannot be."""
        return GaussSeidel, (self.operator,)

    def sweep_unchecked(self, u: Array, f: Array) -> Array:
        right = (f - self._rest.apply_unchecked(u)).reshape(len(u), -1).astype(np.float64, copy=False)
        return np.stack([self._factor.solve(row) for row in right]).astype(u.dtype, copy=False).reshape(u.shape)


RELAXATIONS = {"jacobi": Jacobi, "gauss-seidel": GaussSeidel, "red-black": RedBlack}
"""Relaxations by name."""


def explicit(operator: LinearOperator) -> Matrix:
    """Return a square operator as an explicit matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import CirculantConvolution
    >>> from meganet.multigrid.relaxation import explicit
    >>> explicit(CirculantConvolution(np.ones((1, 1, 3, 3)), (8, 8)))
    Matrix((1, 8, 8) -> (1, 8, 8), float64, numpy)
    """
    validate.instance("operator", operator, LinearOperator, "a LinearOperator")
    if operator.domain_shape != operator.range_shape:
        validate.reject("operator", f"one to its own domain, {operator.domain_shape}", str(operator.range_shape))
    if not isinstance(operator, Matrix):
        matrix = operator.to("numpy").tosparse()
        matrix.eliminate_zeros()
        operator = Matrix(matrix, operator.domain_shape, operator.range_shape, operator.dtype, operator.backend)
    if not np.isfinite(operator.matrix.data).all():
        validate.reject("operator", "finite numbers", "inf or nan")
    return operator


def check_grid_functions(operator: LinearOperator, name: str, x: Array) -> None:
    """Raise `InputError`, by a name, unless x is a grid function of an operator's domain, or a batch of them.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Poisson
    >>> from meganet.multigrid.relaxation import check_grid_functions
    >>> check_grid_functions(Poisson((4, 4)), "f", np.zeros((7, 4, 4)))
    """
    shape = operator.domain_shape
    operator.backend.require_floats(name, x)
    if tuple(x.shape[-len(shape) :]) != shape or x.ndim > len(shape) + 1:
        validate.reject(name, f"shape {shape} or (N, {', '.join(map(str, shape))})", f"shape {x.shape}")
    validate.not_empty(name, x)


def check_pair(operator: LinearOperator, u: Array, f: Array) -> None:
    """Raise `InputError` unless u and f are an approximation of ``A u = f`` and the right-hand side, or many of both.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Poisson
    >>> from meganet.multigrid.relaxation import check_pair
    >>> check_pair(Poisson((4, 4)), np.zeros((7, 4, 4)), np.zeros((7, 4, 4)))
    """
    for name, x in (("u", u), ("f", f)):
        check_grid_functions(operator, name, x)
    if u.shape != f.shape or u.dtype != f.dtype:
        validate.reject("f", f"the shape and dtype of u, {u.shape}, {u.dtype}", f"{f.shape}, {f.dtype}")
