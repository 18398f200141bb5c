"""The dense matrix as an operator on tensors: every number of the input reaches every output."""

from __future__ import annotations

from typing import Any

from meganet import _validate
from meganet.backend import Array, Backend
from meganet.linop._layout import from_memory, to_memory
from meganet.linop.base import ParametricOperator


class Dense(ParametricOperator):
    """``(K x)[n, k] = <kernel[k], x[n]>``: one inner product with the whole example for each output.

    The adjoint is ``(K' y)[n] = sum_k y[n, k] kernel[k]``, in the kernel ``sum_n y[n, k] x[n]``.

    Parameters
    ----------
    kernel : array, ``(K, *domain_shape)``
        float32 or float64.
    backend : str or Backend, optional
    """

    def __init__(self, kernel: Array, backend: str | Backend | None = None) -> None:
        if getattr(kernel, "ndim", 0) < 2:
            _validate.reject("kernel", "an array of shape (K, *domain_shape)", f"{getattr(kernel, 'shape', kernel)}")
        super().__init__(kernel, tuple(kernel.shape[1:]), (kernel.shape[0],), backend)
        # images keep their memory order: a sum over pixels of products (N, C) times (C, K)
        self._pixels = len(self.domain_shape) == 3

    def with_kernel(self, kernel: Array) -> Dense:
        """Return the operator with another matrix."""
        return Dense(kernel, self.backend)

    def _matrices(self) -> Array:
        """Return the kernel as one matrix (K, C) for each pixel."""
        return to_memory(self.backend, self.kernel).reshape(-1, self.kernel.shape[0], self.domain_shape[0])

    def _pixel_matrices(self, x: Array) -> Array:
        return to_memory(self.backend, x).reshape(-1, x.shape[0], self.domain_shape[0])

    def _apply(self, x: Array) -> Array:
        if self._pixels:
            return (self._pixel_matrices(x) @ self._matrices().transpose(0, 2, 1)).sum(axis=0)
        return x.reshape(x.shape[0], -1) @ self.kernel.reshape(self.kernel.shape[0], -1).T

    def _adjoint(self, y: Array) -> Array:
        if self._pixels:
            channels, height, width = self.domain_shape
            return from_memory((y @ self._matrices()).reshape(height, width, y.shape[0], channels))
        return (y @ self.kernel.reshape(self.kernel.shape[0], -1)).reshape(y.shape[0], *self.domain_shape)

    def _kernel_adjoint(self, x: Array, y: Array) -> Array:
        if self._pixels:
            channels, height, width = self.domain_shape
            products = (y.T @ self._pixel_matrices(x)).reshape(height, width, y.shape[1], channels)
            return self.backend.xp.ascontiguousarray(from_memory(products))
        return (y.T @ x.reshape(x.shape[0], -1)).reshape(self.kernel.shape)

    def tosparse(self) -> Any:
        """Return the matrix as CSR (all its entries)."""
        return self.backend.csr(self.backend.to_host(self.kernel).reshape(self.shape))
