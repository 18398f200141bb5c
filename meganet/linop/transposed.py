"""The adjoint of an operator with parameters, as an operator with the same parameters."""

from __future__ import annotations

from typing import Any, Self

from meganet import _validate
from meganet.backend import Array
from meganet.linop.base import ParametricOperator


class Transposed(ParametricOperator):
    """``x -> K(kernel)' x``, for a convolution the transposed convolution.

    The adjoint is ``K(kernel) y``, and in the kernel ``<y, K' x> = <x, K y>``: that of K with x and y exchanged.
    Unlike ``K.T`` it still knows its kernel.

    Parameters
    ----------
    operator : ParametricOperator
        K.
    """

    def __init__(self, operator: ParametricOperator) -> None:
        _validate.instance("operator", operator, ParametricOperator, "a ParametricOperator, whose kernel is known")
        super().__init__(operator.kernel, operator.range_shape, operator.domain_shape, operator.backend)
        self.operator, self.kernel_shape, self.role = operator, operator.kernel_shape, operator.role

    def _with_kernel(self, kernel: Array) -> Self:
        other = super()._with_kernel(kernel)
        other.operator = self.operator._with_kernel(kernel)
        return other

    def _apply(self, x: Array) -> Array:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Array) -> Array:
        return self.operator._apply(y)

    def _kernel_adjoint(self, x: Array, y: Array) -> Array:
        return self.operator._kernel_adjoint(y, x)

    @property
    def fan_in(self) -> int:
        """Number of products in one output."""
        return self.operator.fan_out

    @property
    def fan_out(self) -> int:
        """In how many outputs one input occurs."""
        return self.operator.fan_in

    def resized(self, domain_shape: tuple[int, ...]) -> Self:
        """Return the adjoint of the operator for another resolution, whose range is `domain_shape`."""
        return type(self)(self.operator.with_range(domain_shape))

    def tosparse(self) -> Any:
        """Return the transposed matrix."""
        return self.operator.tosparse().T.tocsr()
