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
        For an operator that is not square or has a zero on its diagonal.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import GaussSeidel, modes, poisson
    >>> relaxation = GaussSeidel(poisson(32))
    >>> smooth, oscillating = modes(32)[[0, 24]]
    >>> zero = np.zeros(32)
    >>> for error in (smooth, oscillating):  # what is left of them after three sweeps
    ...     print(f"{np.linalg.norm(relaxation(error, zero, sweeps=3)):.3f}")
    0.972
    0.049
    """

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = explicit(operator)
        if (self.operator.matrix.diagonal() == 0).any():
            validate.reject("operator", "a matrix without zeros on its diagonal", repr(operator))

    @abstractmethod
    def sweep_unchecked(self, u: Array, f: Array) -> Array:
        """Return a batch of approximations after one sweep, ``(N, *shape)``."""

    def __call__(self, u: Array, f: Array, sweeps: int = 1) -> Array:
        """Return an approximation after some sweeps; `u` is not changed.

        Parameters
        ----------
        u, f : array, shape of the operator's domain, or (N, ...) of it
            float32 or float64.
        sweeps : int
            0 or more.
        """
        shape = self.operator.domain_shape
        for name, x in (("u", u), ("f", f)):
            self.operator.backend.require_floats(name, x)
            if tuple(x.shape[-len(shape) :]) != shape or x.ndim > len(shape) + 1:
                validate.reject(name, f"shape {shape} or (N, {', '.join(map(str, shape))})", f"shape {x.shape}")
        if u.shape != f.shape or u.dtype != f.dtype:
            validate.reject("f", f"the shape and dtype of u, {u.shape}, {u.dtype}", f"{f.shape}, {f.dtype}")
        sweeps = validate.integer("sweeps", sweeps, minimum=0)
        v, right = u.reshape(-1, *shape), f.reshape(-1, *shape)
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
        Of each correction.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import poisson
    >>> from meganet.multigrid.relaxation import Coloured
    >>> halves = np.arange(4) < 2
    >>> Coloured(poisson(4, h=1.0), [halves, ~halves])(np.zeros(4), np.ones(4))
    array([0.33333333, 0.5       , 0.75      , 0.33333333])
    """

    def __init__(self, operator: LinearOperator, colours: Sequence[np.ndarray[Any, Any]], weight: float = 1.0) -> None:
        super().__init__(operator)
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
    weight : float
        1 is Jacobi's method, which leaves the most oscillatory modes of `poisson` undamped; 2/3 in one dimension and
        4/5 in two damp the oscillatory half best.

    Notes
    -----
    Section 2.4 of the thesis. In one dimension ``poisson`` has the modes ``sin(theta (j + 1/2))``, which a sweep
    multiplies by ``1 - 2 weight sin^2(theta / 2)``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import Jacobi, poisson
    >>> Jacobi(poisson(4, h=1.0), weight=1.0)(np.zeros(4), np.array([3.0, 2.0, 2.0, 3.0]))
    array([1., 1., 1., 1.])
    """

    def __init__(self, operator: LinearOperator, weight: float = 0.8) -> None:
        operator = explicit(operator)
        super().__init__(operator, [np.ones(operator.shape[1], bool)], weight)


class RedBlack(Coloured):
    """Gauss-Seidel relaxation of the red cells, whose indices have an even sum, and then of the black ones.

    Cells of one colour are relaxed at once. Where they are not coupled, as in `poisson`, this is Gauss-Seidel's method
    in another order; it suits a GPU.

    Parameters
    ----------
    operator : LinearOperator
    weight : float

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid import RedBlack, poisson
    >>> RedBlack(poisson(4, h=1.0))(np.zeros(4), np.ones(4))
    array([0.33333333, 0.91666667, 0.5       , 0.5       ])
    """

    def __init__(self, operator: LinearOperator, weight: float = 1.0) -> None:
        operator = explicit(operator)
        red = np.indices(operator.domain_shape).sum(axis=0).ravel() % 2 == 0
        super().__init__(operator, [red, ~red], weight)


class GaussSeidel(Relaxation):
    """Gauss-Seidel relaxation: cell after cell in C order, each with the newest values; M is the lower triangle of A.

    Parameters
    ----------
    operator : LinearOperator
        On NumPy: the cells are relaxed one after the other, for which a GPU has no use.
    backward : bool
        From the last cell to the first: M is the upper triangle.

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
    >>> from meganet.multigrid import GaussSeidel, poisson
    >>> GaussSeidel(poisson(4, h=1.0))(np.zeros(4), np.array([3.0, 2.0, 2.0, 3.0]))
    array([1.        , 1.5       , 1.75      , 1.58333333])
    """

    def __init__(self, operator: LinearOperator, backward: bool = False) -> None:
        super().__init__(operator)
        if self.operator.backend.name != "numpy":
            validate.reject("operator", "one on numpy; on a GPU use RedBlack or Jacobi", self.operator.backend.name)
        triangle = (scipy.sparse.triu if backward else scipy.sparse.tril)(self.operator.matrix)
        self.backward = backward
        # a triangular matrix is its own factor: nothing is permuted, nothing fills in
        self._factor = scipy.sparse.linalg.splu(
            triangle.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0, options={"SymmetricMode": True}
        )

    def sweep_unchecked(self, u: Array, f: Array) -> Array:
        residual = (f - self.operator.apply_unchecked(u)).reshape(len(u), -1)
        return u + self._factor.solve(residual.T.astype(np.float64)).T.astype(u.dtype).reshape(u.shape)


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
    if type(operator) is Matrix:
        return operator
    return Matrix(
        operator.to("numpy").tosparse(), operator.domain_shape, operator.range_shape, operator.dtype, operator.backend
    )
