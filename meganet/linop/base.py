"""Linear operators between spaces of tensors: products, adjoints, algebra, explicit matrices, adapters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from meganet.backend import Array, Backend, get_backend, to_backend, to_dtype
from meganet.ground import validate
from meganet.ground.deprecated import renamed_methods
from meganet.linop.adapter import adapted

OLD_NAMES = {
    "_apply": "apply_unchecked",
    "_adjoint": "adjoint_unchecked",
    "_normal": "normal_unchecked",
    "_forward_each": "apply_each_unchecked",
    "_adjoint_each": "adjoint_each_unchecked",
    "_solve_normal": "solve_normal_unchecked",
    "_astype": "with_dtype",
    "_with_kernel": "with_kernel_unchecked",
    "_kernel_adjoint": "kernel_adjoint_unchecked",
    "_recorded": "recorded_unchecked",
    "_gradients": "gradients_unchecked",
}
"""What methods that operators define were called."""


class LinearOperator(ABC):
    """A linear map ``A`` from tensors of shape `domain_shape` to tensors of shape `range_shape`.

    ``A @ x`` takes one example, of shape `domain_shape`, or many, of shape ``(N, *domain_shape)``, and returns
    the same number of results; ``A.T @ y`` is the adjoint with respect to the Euclidean inner product,
    ``<A x, y> = <x, A.T y>``. The result has the dtype of `x`. Operators compose (``A @ B``), add
    (``A + B``, ``A - B``) and scale (``2 * A``).

    A new operator defines ``apply_unchecked``, ``adjoint_unchecked`` (both get a batch ``(N, ...)``) and ``tosparse``.
    *Unchecked* is a product without the checks of its arguments, for code that knows them to be right.

    Parameters
    ----------
    domain_shape, range_shape : tuple of int
        Shapes of one example on either side.
    dtype : dtype, optional
        float32 or float64: the dtype of ``tosparse()`` and of the adapters.
    backend : str or Backend, optional
        Where the operator lives; the active backend if not given.

    Attributes
    ----------
    shape : tuple of int
        ``(prod(range_shape), prod(domain_shape))``, the shape of the matrix between flattened examples (C order).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import AveragePooling, Gradient
    >>> A = Gradient((1, 2, 2)) @ AveragePooling((1, 4, 4))  # pool first, then differences
    >>> A.domain_shape, A.range_shape, A.shape
    ((1, 4, 4), (1, 4), (4, 16))
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((5, 1, 4, 4)), rng.standard_normal((5, 1, 4))
    >>> (A @ x).shape, (A.T @ y).shape  # five examples at once
    ((5, 1, 4), (5, 1, 4, 4))
    >>> np.allclose(np.sum((A @ x) * y), np.sum(x * (A.T @ y)))
    True
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        renamed_methods(cls, OLD_NAMES)

    # NumPy must not try to broadcast an operator: array @ A and array * A are errors, not object arrays
    __array_ufunc__ = None

    #: Whether the operator stores numbers, whose dtype a product's input must then have.
    stores_numbers = False
    #: Whether `apply_unchecked` and `adjoint_unchecked` take any axes in front of those of an example, not just one.
    takes_stacks = False
    #: Number of operators that work side by side, as a tuple: () for one.
    stack: tuple[int, ...] = ()

    #: ``(f_1, f_2)`` where ``B' B = f_1 D_1' D_1 + f_2 D_2' D_2``, with the differences between neighbouring rows and
    #: columns of the images in the last two axes: there are kernels and loops for that. None in a class derived from
    #: one of which it is true, which may define other products.
    image_differences: tuple[float, float] | None = None

    def __init__(
        self,
        domain_shape: Any,
        range_shape: Any,
        dtype: Any = np.float64,
        backend: str | Backend | None = None,
    ) -> None:
        self.domain_shape = validate.shape("domain_shape", domain_shape)
        self.range_shape = validate.shape("range_shape", range_shape)
        self.dtype = validate.float_dtype("dtype", dtype)
        self.backend = get_backend(backend)

    @abstractmethod
    def apply_unchecked(self, x: Array) -> Array:
        """Return ``A x`` for a batch ``(N, *domain_shape)``."""

    @abstractmethod
    def adjoint_unchecked(self, y: Array) -> Array:
        """Return ``A.T y`` for a batch ``(N, *range_shape)``."""

    @abstractmethod
    def tosparse(self) -> Any:
        """Return the explicit matrix, of shape `shape`, as canonical CSR of the operator's backend."""

    def normal_unchecked(self, x: Array) -> Array:
        """Return ``A.T A x`` for a batch; an operator made of parts may know a shorter way."""
        return self.adjoint_unchecked(self.apply_unchecked(x))

    def apply_each_unchecked(self, x: Array) -> Array:
        """Return ``A x`` for an array with any axes in front of those of the domain."""
        return self._each(self.apply_unchecked, x, self.domain_shape)

    def adjoint_each_unchecked(self, y: Array) -> Array:
        """Return ``A.T y`` for an array with any axes in front of those of the range."""
        return self._each(self.adjoint_unchecked, y, self.range_shape)

    def _each(self, product: Any, x: Array, shape: tuple[int, ...]) -> Array:
        if self.stores_numbers:
            validate.same_dtype("x", x, self.dtype, f"the fixed operator {self!r}")
        lead = x.shape[: x.ndim - len(shape)]
        if len(lead) == 1 or (lead and self.takes_stacks):
            return product(x)
        y = product(x.reshape(-1, *shape))
        return y.reshape(*lead, *y.shape[1:])

    def normal(self, x: Array) -> Array:
        """Return ``A.T (A x)`` for one example or many: the gradient of ``||A x||^2 / 2``."""
        return self._product("x", x, self.domain_shape, self.normal_unchecked)

    def solve_normal(self, y: Array, alpha: float = 1.0, gamma: float = 0.0) -> Array:
        """Return ``(alpha A.T A + gamma I)^-1 y``, for ``gamma = 0`` the pseudo-inverse, where a fast way is known.

        Parameters
        ----------
        y : array, `domain_shape` or ``(N, *domain_shape)``
        alpha : float
            Positive.
        gamma : float
            At least 0.

        Raises
        ------
        InputError
            For an operator without a fast solver.

        Notes
        -----
        The preconditioner ``PCmv`` of Meganet's operators, and the proximal operator of a Tikhonov term.
        """
        alpha, gamma = validate.real("alpha", alpha, above=0), validate.real("gamma", gamma, minimum=0)
        return self._product("y", y, self.domain_shape, lambda x: self.solve_normal_unchecked(x, alpha, gamma))

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        """Return what `solve_normal` does for a batch."""
        validate.reject("operator", "one whose normal equations have a fast solver", repr(self))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix between flattened examples."""
        return math.prod(self.range_shape), math.prod(self.domain_shape)

    @property
    def T(self) -> LinearOperator:
        """The adjoint operator."""
        return Adjoint(self)

    def to(self, backend: str | Backend) -> Any:
        """Return the same operator on another backend."""
        return to_backend(self, backend)

    def _product(self, argument: str, x: Array, shape: tuple[int, ...], function: Any) -> Array:
        self.backend.require(argument, x)
        if self.stack:
            validate.array_shape(argument, x, (*self.stack, "N", *shape))
        elif tuple(x.shape) != shape and tuple(x.shape[1:]) != shape:
            validate.reject(argument, f"shape {shape} or (N, {', '.join(map(str, shape))})", f"shape {x.shape}")
        validate.float_dtype(f"dtype of {argument}", x.dtype)
        if self.stores_numbers:
            validate.same_dtype(argument, x, self.dtype, "the operator")
        if self.stack or tuple(x.shape) != shape:
            validate.not_empty(argument, x)
            return function(x)
        return function(x[None])[0]

    def __matmul__(self, other: Any) -> Any:
        """Apply the operator to a tensor, or compose it with another operator."""
        if isinstance(other, LinearOperator):
            return Composition(self, other)
        return self._product("x", other, self.domain_shape, self.apply_unchecked)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        return Sum(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return Sum(self, -1.0 * other) if isinstance(other, LinearOperator) else NotImplemented

    def __neg__(self) -> LinearOperator:
        return Scaled(-1.0, self)

    def __mul__(self, factor: float) -> LinearOperator:
        return Scaled(factor, self)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape}, {self.dtype}, {self.backend.name})"

    def aslinearoperator(self) -> Any:
        """Return the operator as a `scipy.sparse.linalg.LinearOperator` (CuPy's on that backend).

        It acts on flat vectors, the C-order flattening of one example, and on columns of them. Unlike the operator
        itself it takes any numbers, real or complex, and computes in the dtype that its own and theirs are promoted to:
        solvers work in float64 whatever an operator's dtype. For that an operator in float32 is cast to float64 once,
        at the first product that needs it; a Hessian then makes its forward pass again.
        """
        return adapted(self)

    def with_dtype(self, dtype: np.dtype[Any]) -> Any:
        """Return the same operator with its numbers in another dtype."""
        return to_dtype(self, validate.float_dtype("dtype", dtype))


renamed_methods(LinearOperator, OLD_NAMES)


class Adjoint(LinearOperator):
    """The adjoint ``A.T`` of an operator; its own adjoint is `A` again.

    Examples
    --------
    >>> from meganet.linop import AveragePooling
    >>> M = AveragePooling((1, 4, 4))
    >>> M.T
    Adjoint((1, 2, 2) -> (1, 4, 4), float64, numpy)
    >>> M.T.T is M
    True
    >>> M.T.shape
    (16, 4)
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.range_shape, operator.domain_shape, operator.dtype, operator.backend)
        self.operator, self.stack = operator, operator.stack
        self.stores_numbers, self.takes_stacks = operator.stores_numbers, operator.takes_stacks

    @property
    def T(self) -> LinearOperator:
        """The operator itself."""
        return self.operator

    def apply_unchecked(self, x: Array) -> Array:
        return self.operator.adjoint_unchecked(x)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.operator.apply_unchecked(y)

    def tosparse(self) -> Any:
        """Return the transposed matrix."""
        return self.operator.tosparse().T.tocsr()


class Composition(LinearOperator):
    """The composition ``A @ B`` of two operators, ``(A B) x = A (B x)``, with the adjoint ``B.T (A.T y)``.

    Examples
    --------
    >>> from meganet.linop import Difference
    >>> A = Difference(3, axis=0) @ Difference(4, axis=0)  # second differences
    >>> A.tosparse().toarray()
    array([[ 1., -2.,  1.,  0.],
           [ 0.,  1., -2.,  1.]])
    """

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if outer.domain_shape != inner.range_shape:
            validate.reject("A @ B", f"B to map to {outer.domain_shape}, the domain of A", str(inner.range_shape))
        _same_home("A @ B", outer, inner)
        super().__init__(inner.domain_shape, outer.range_shape, outer.dtype, outer.backend)
        self.outer, self.inner = outer, inner
        self.stores_numbers = outer.stores_numbers or inner.stores_numbers
        self.takes_stacks = outer.takes_stacks and inner.takes_stacks

    def apply_unchecked(self, x: Array) -> Array:
        return self.outer.apply_unchecked(self.inner.apply_unchecked(x))

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.inner.adjoint_unchecked(self.outer.adjoint_unchecked(y))

    def tosparse(self) -> Any:
        """Return the product of the two matrices."""
        return (self.outer.tosparse() @ self.inner.tosparse()).tocsr()


class Sum(LinearOperator):
    """The sum ``A + B`` of two operators, ``(A + B) x = A x + B x``, with the adjoint ``A.T y + B.T y``.

    Examples
    --------
    >>> from meganet.linop import Difference, Identity
    >>> D = Difference(3, axis=0)
    >>> (D.T @ D + Identity(3)).tosparse().toarray()
    array([[ 2., -1.,  0.],
           [-1.,  3., -1.],
           [ 0., -1.,  2.]])
    """

    def __init__(self, first: LinearOperator, second: LinearOperator) -> None:
        for name in ("domain_shape", "range_shape"):
            if getattr(first, name) != getattr(second, name):
                validate.reject("A + B", f"both with {name} {getattr(first, name)}", str(getattr(second, name)))
        _same_home("A + B", first, second)
        super().__init__(first.domain_shape, first.range_shape, first.dtype, first.backend)
        self.first, self.second = first, second
        self.stores_numbers = first.stores_numbers or second.stores_numbers
        self.takes_stacks = first.takes_stacks and second.takes_stacks

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.elementwise(
            lambda a, b: a + b, self.first.apply_unchecked(x), self.second.apply_unchecked(x)
        )

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.backend.elementwise(
            lambda a, b: a + b, self.first.adjoint_unchecked(y), self.second.adjoint_unchecked(y)
        )

    def tosparse(self) -> Any:
        """Return the sum of the two matrices."""
        return (self.first.tosparse() + self.second.tosparse()).tocsr()


class Scaled(LinearOperator):
    """A multiple ``a * A`` of an operator, ``(a A) x = a (A x)``, with the adjoint ``a (A.T y)``.

    Examples
    --------
    >>> from meganet.linop import Difference
    >>> A = 2 * Difference(3, axis=0)
    >>> A.tosparse().toarray()
    array([[-2.,  2.,  0.],
           [ 0., -2.,  2.]])
    >>> A.shape, A.factor
    ((2, 3), 2.0)
    """

    def __init__(self, factor: float, operator: LinearOperator) -> None:
        _same_home("a * A", operator, operator)
        super().__init__(operator.domain_shape, operator.range_shape, operator.dtype, operator.backend)
        self.factor, self.operator = validate.real("factor", factor), operator
        self.stores_numbers, self.takes_stacks = operator.stores_numbers, operator.takes_stacks

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.elementwise(lambda y: self.factor * y, self.operator.apply_unchecked(x))

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.backend.elementwise(lambda y: self.factor * y, self.operator.adjoint_unchecked(y))

    def solve_normal_unchecked(self, y: Array, alpha: float, gamma: float) -> Array:
        if self.factor == 0:
            return y * (1 / gamma if gamma else 0.0)
        return self.operator.solve_normal_unchecked(y, alpha * self.factor**2, gamma)

    def tosparse(self) -> Any:
        """Return the scaled matrix."""
        return (self.operator.tosparse() * self.factor).tocsr()


def _same_home(what: str, first: LinearOperator, second: LinearOperator) -> None:
    if first.stack or second.stack:
        validate.reject(what, "single operators", "a stack of them")
    if first.backend is not second.backend:
        validate.reject(what, f"operators of one backend, {first.backend.name}", second.backend.name)
    if first.dtype != second.dtype:
        validate.reject(what, f"operators of one dtype, {first.dtype}", str(second.dtype))
