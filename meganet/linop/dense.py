"""The dense matrix as an operator on tensors: every number of the input reaches every output."""

from __future__ import annotations

from typing import Any

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, to_memory
from meganet.ground import validate
from meganet.linop.parametric import ParametricOperator

PIXELS_AT_ONCE = 128
"""How many pixels of an image change their memory order at once: as many cache lines as the first cache holds."""


class Dense(ParametricOperator):
    """A dense matrix, ``(K x)[n, k] = <kernel[k], x[n]>``: each output is an inner product with a whole example.

    The adjoint is ``(K' y)[n] = sum_k y[n, k] kernel[k]``; in the kernel it is ``sum_n y[n, k] x[n]``.

    Parameters
    ----------
    kernel : array, ``(K, *domain_shape)``
        float32 or float64; its dtype is the operator's.
    backend : str or Backend, optional

    Raises
    ------
    InputError
        For a kernel with a single axis, of another dtype or of another backend.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Dense
    >>> K = Dense(np.ones((10, 3, 8, 8)))
    >>> K.domain_shape, K.range_shape, K.shape
    ((3, 8, 8), (10,), (10, 192))
    >>> x = np.ones((5, 3, 8, 8))
    >>> y = K @ x
    >>> y.shape, (K.T @ y).shape, K.kernel_adjoint(x, y).shape
    ((5, 10), (5, 3, 8, 8), (10, 3, 8, 8))
    >>> float(y[0, 0])
    192.0
    """

    def __init__(self, kernel: Array, backend: str | Backend | None = None) -> None:
        validate.plain("kernel", kernel)
        if getattr(kernel, "ndim", 0) < 2:
            validate.reject("kernel", "an array of shape (K, *domain_shape)", f"{getattr(kernel, 'shape', kernel)}")
        super().__init__(kernel, tuple(kernel.shape[1:]), (kernel.shape[0],), backend)

    def _by_pixel(self, tensors: Array) -> Array:
        """Return M tensors as one matrix (M, C) for each pixel; what is no image counts as one pixel.

        Images keep their memory order that way, and the products are sums over pixels of small matrix products.
        Axes before these stay.
        """
        k = len(self.domain_shape)
        lead, count = tensors.shape[: -k - 1], tensors.shape[-k - 1]
        if k == 3:
            return to_memory(self.backend, tensors).reshape(*lead, -1, count, self.domain_shape[0])
        return tensors.reshape(*lead, 1, count, -1)

    def _tensors(self, matrices: Array) -> Array:
        """Return the inverse of `_by_pixel`: images as the view of their memory."""
        lead, count = matrices.shape[:-3], matrices.shape[-2]
        if len(self.domain_shape) == 3:
            channels, height, width = self.domain_shape
            return from_memory(matrices.reshape(*lead, height, width, count, channels))
        return matrices.reshape(*lead, count, *self.domain_shape)

    def recorded_unchecked(self, x: Array) -> tuple[Array, Any]:
        matrices, inputs = self._by_pixel(self.kernel), self._by_pixel(x)
        return self.backend.summed_product(inputs, matrices, transpose_b=True), (inputs, matrices)

    def gradients_unchecked(self, record: Any, y: Array, out: Array, need_x: bool) -> Any:
        inputs, matrices = record
        self._write_kernel_gradient(inputs, y, out)
        return self._spread(y, matrices) if need_x else None

    def apply_unchecked(self, x: Array) -> Array:
        return self.recorded_unchecked(x)[0]

    def adjoint_unchecked(self, y: Array) -> Array:
        return self._spread(y, self._by_pixel(self.kernel))

    def _spread(self, y: Array, matrices: Array) -> Array:
        """Return ``K' y``."""
        return self._tensors(self.backend.product(y[..., None, :, :], matrices))

    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        gradient = self.backend.xp.empty(self.kernel.shape, dtype=x.dtype)
        self._write_kernel_gradient(self._by_pixel(x), y, gradient)
        return gradient

    def _write_kernel_gradient(self, inputs: Array, y: Array, out: Array) -> None:
        products = self._tensors(self.backend.product(y[..., None, :, :], inputs, transpose_a=True))
        # some image rows at a time: the whole at once would read every cache line of the products many times
        if len(self.domain_shape) != 3 or self.backend.tile_bytes is None:
            out[...] = products
            return
        step = max(1, PIXELS_AT_ONCE // self.domain_shape[2])
        for start in range(0, self.domain_shape[1], step):
            out[..., start : start + step, :] = products[..., start : start + step, :]

    def resized(self, domain_shape: tuple[int, ...]) -> Dense:
        """Return the operator for examples of another shape; its kernel, zeros, grows with them."""
        kernel = self.backend.xp.zeros((self.kernel_shape[0], *domain_shape), dtype=self.dtype)
        return Dense(kernel, self.backend)

    def tosparse(self) -> Any:
        """Return the matrix as CSR (all its entries); a stack of kernels has none."""
        self._single()
        return self.backend.csr(self.backend.to_host(self.kernel).reshape(self.shape))
