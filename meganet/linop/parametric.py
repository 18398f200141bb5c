"""Operators that depend on an array of numbers, which a layer learns, and their adjoints, with the same numbers."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import partial
from operator import iadd, imul
from typing import Any, Self

from meganet.backend import Array, Backend, get_backend
from meganet.ground import validate
from meganet.linop.base import LinearOperator


class ParametricOperator(LinearOperator):
    """An operator ``K(kernel)`` that depends linearly on an array of numbers, its `kernel`.

    Besides the products it knows the adjoint of ``kernel -> K(kernel) x``, `kernel_adjoint`. The derivative of
    ``K(kernel) x`` is ``K(dkernel) x + K(kernel) dx``, so nothing else has to be derived.

    `with_kernel` also takes a stack of T kernels, an array with one more axis in front. The products then map
    ``(T, N, *domain_shape)`` to ``(T, N, *range_shape)``, each part with its own kernel: T networks at once.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import CirculantConvolution
    >>> K = CirculantConvolution(np.ones((16, 3, 3, 3)), (8, 8))
    >>> K.kernel_shape, K.fan_in
    ((16, 3, 3, 3), 27)
    >>> x, y = np.ones((5, 3, 8, 8)), np.ones((5, 16, 8, 8))
    >>> K.kernel_adjoint(x, y).shape
    (16, 3, 3, 3)
    >>> stack = K.with_kernel(np.ones((2, 16, 3, 3, 3)))  # two kernels, each with examples of its own
    >>> (stack @ np.ones((2, 5, 3, 8, 8))).shape
    (2, 5, 16, 8, 8)
    """

    stores_numbers = True

    def __init__(self, kernel: Array, domain_shape: Any, range_shape: Any, backend: str | Backend | None) -> None:
        home = get_backend(backend)
        home.require("kernel", kernel)
        super().__init__(domain_shape, range_shape, kernel.dtype, home)
        self.kernel = kernel
        self.kernel_shape = tuple(kernel.shape)

    @property
    def stack(self) -> tuple[int, ...]:  # type: ignore[override]
        """``(T,)`` for a stack of T kernels, else ``()``."""
        return tuple(self.kernel.shape[: self.kernel.ndim - len(self.kernel_shape)])

    def with_kernel(self, kernel: Array) -> Self:
        """Return the same operator with another kernel of the same shape, or a stack of them; it takes their dtype."""
        self.backend.require("kernel", kernel)
        stack = ("T",) if kernel.ndim > len(self.kernel_shape) else ()
        validate.array_shape("kernel", kernel, (*stack, *self.kernel_shape))
        validate.float_dtype("dtype of kernel", kernel.dtype)
        return self.with_kernel_unchecked(kernel)

    @property
    def T(self) -> ParametricOperator:
        """The adjoint operator, with the same kernel."""
        return Transposed(self)

    def with_kernel_unchecked(self, kernel: Array) -> Self:
        """Return what `with_kernel` does, unchecked."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.kernel, other.dtype = kernel, kernel.dtype
        return other

    #: What the numbers of the kernel do, see `layers.Parameter`.
    role = "matrix"

    @property
    def fan_in(self) -> int:
        """Number of products that are summed for one output."""
        return math.prod(self.domain_shape)

    @property
    def fan_out(self) -> int:
        """Number of outputs in which one input occurs."""
        return math.prod(self.range_shape)

    def resized(self, domain_shape: tuple[int, ...]) -> ParametricOperator:
        """Return the same operator for examples of another shape; where its kernel grows with them, with zeros."""
        if tuple(domain_shape) != self.domain_shape:
            validate.reject("domain_shape", f"{self.domain_shape}, for which {self!r} is made", str(domain_shape))
        return self

    def with_range(self, range_shape: tuple[int, ...]) -> ParametricOperator:
        """Return the same operator for results of another shape."""
        if tuple(range_shape) != self.range_shape:
            validate.reject("range_shape", f"{self.range_shape}, for which {self!r} is made", str(range_shape))
        return self

    def _single(self) -> None:
        """Refuse a stack of kernels where there must be one."""
        if self.stack:
            validate.reject("kernel", "one kernel, which has a matrix", f"a stack of {self.stack[0]}")

    @abstractmethod
    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` in the kernel for batches."""

    def recorded_unchecked(self, x: Array) -> tuple[Array, Any]:
        """Return ``K x`` and what `gradients_unchecked` needs; an operator whose products share work overrides both."""
        return self.apply_unchecked(x), x

    def gradients_unchecked(self, record: Any, y: Array, out: Array, need_x: bool) -> Any:
        """Write the gradient of ``<y, K(kernel) x>`` in the kernel into `out`; return the one in x if it is needed."""
        out[...] = self.kernel_adjoint_unchecked(record, y)
        return self.adjoint_unchecked(y) if need_x else None

    def activated_unchecked(
        self, x: Array, bias: Array | None, activation: Any, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return ``sigma(K x + b)``, its slope and what `sloped_gradients_unchecked` needs; the last two if `recorded`.

        An operator whose product can do more in one pass overrides this method and the next two.

        Parameters
        ----------
        x : array, ``(N, *domain_shape)``
        bias : array or None
            One number for each channel of the result, (C,), with the axis of the stack in front, if there is one.
        activation : layers.Activation
            sigma.
        recorded : bool
        """
        z, record = self.recorded_unchecked(x) if recorded else (self.apply_unchecked(x), None)
        if bias is not None:
            bias = bias.reshape(*bias.shape[:-1], 1, -1, *(1,) * (len(self.range_shape) - 1))
            self.backend.elementwise(iadd, z, bias)
        if not recorded:
            return self.backend.elementwise(partial(activation.value, self.backend), z), None, None
        return (*self.backend.elementwise(partial(activation.evaluate, self.backend), z), record)

    def sloped_gradients_unchecked(self, record: Any, y: Array, slope: Array | None, out: Array, need_x: bool) -> Any:
        """Return what `gradients_unchecked` does for ``slope * y``; `y` may be written over."""
        if slope is not None:
            self.backend.elementwise(imul, y, slope)
        return self.gradients_unchecked(record, y, out, need_x)

    def derivative_unchecked(self, x: Array, dx: Array, dkernel: Array, slope: Array | None) -> Array:
        """Return ``slope * (K(dkernel) x + K dx)``."""
        dz = self.with_kernel_unchecked(dkernel).apply_unchecked(x)
        self.backend.elementwise(iadd, dz, self.apply_unchecked(dx))
        if slope is not None:
            self.backend.elementwise(imul, dz, slope)
        return dz

    def kernel_adjoint(self, x: Array, y: Array) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel.

        Parameters
        ----------
        x : array, ``(N, *domain_shape)``
        y : array, ``(N, *range_shape)``
            Both with the axis of the stack in front, if there is one.

        Returns
        -------
        array, the shape and dtype of the kernel; summed over the N examples.
        """
        for name, array, shape in (("x", x, self.domain_shape), ("y", y, self.range_shape)):
            self.backend.require(name, array)
            validate.array_shape(name, array, (*self.stack, "N", *shape))
            validate.same_dtype(name, array, self.dtype, "the operator")
        axis = len(self.stack)
        if x.shape[axis] != y.shape[axis]:
            validate.reject("y", f"{x.shape[axis]} examples, as in x", str(y.shape[axis]))
        return self.kernel_adjoint_unchecked(x, y)


class Transposed(ParametricOperator):
    """The adjoint with the same kernel, ``x -> K(kernel)' x``: of a convolution, the transposed convolution.

    ``K.T`` makes it; its own adjoint is K again. Since ``<y, K' x> = <x, K y>``, its adjoint in the kernel is that of K
    with x and y exchanged.

    Parameters
    ----------
    operator : ParametricOperator
        K.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import CirculantConvolution
    >>> K = CirculantConvolution(np.ones((16, 3, 3, 3)), (8, 8), stride=2)
    >>> K.T
    Transposed((16, 4, 4) -> (3, 8, 8), float64, numpy)
    >>> K.T.kernel_shape
    (16, 3, 3, 3)
    >>> y, x = np.ones((5, 16, 4, 4)), np.ones((5, 3, 8, 8))
    >>> (K.T @ y).shape, K.T.kernel_adjoint(y, x).shape
    ((5, 3, 8, 8), (16, 3, 3, 3))
    """

    def __init__(self, operator: ParametricOperator) -> None:
        validate.instance("operator", operator, ParametricOperator, "a ParametricOperator, whose kernel is known")
        super().__init__(operator.kernel, operator.range_shape, operator.domain_shape, operator.backend)
        self.operator, self.kernel_shape, self.role = operator, operator.kernel_shape, operator.role
        self.takes_stacks = operator.takes_stacks

    @property
    def T(self) -> ParametricOperator:
        """The operator itself."""
        return self.operator

    def with_kernel_unchecked(self, kernel: Array) -> Self:
        other = super().with_kernel_unchecked(kernel)
        other.operator = self.operator.with_kernel_unchecked(kernel)
        return other

    def apply_unchecked(self, x: Array) -> Array:
        return self.operator.adjoint_unchecked(x)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.operator.apply_unchecked(y)

    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        return self.operator.kernel_adjoint_unchecked(y, x)

    @property
    def fan_in(self) -> int:
        """Number of products that are summed for one output."""
        return self.operator.fan_out

    @property
    def fan_out(self) -> int:
        """Number of outputs in which one input occurs."""
        return self.operator.fan_in

    def resized(self, domain_shape: tuple[int, ...]) -> Self:
        """Return the adjoint of the operator for another resolution, whose range is `domain_shape`."""
        return type(self)(self.operator.with_range(domain_shape))

    def tosparse(self) -> Any:
        """Return the transposed matrix."""
        return self.operator.tosparse().T.tocsr()
