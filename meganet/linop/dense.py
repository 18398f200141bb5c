"""The dense matrix as an operator on tensors: every number of the input reaches every output."""

from __future__ import annotations

from typing import Any

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.linop.parametric import ParametricOperator


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

    def _images(self, tensors: Array) -> Array:
        """Return tensors as images; what is none counts as channels of a single pixel. Axes before these stay.

        Videos (C, T, H, W) are images of H W rows of T pixels: that is how their memory is, see `backend.layout`.
        """
        k = len(self.domain_shape)
        if k == 3:
            return tensors
        if k == 4:
            return tensors.reshape(*tensors.shape[:-2], -1).swapaxes(-1, -2)
        return tensors.reshape(*tensors.shape[:-k], -1, 1, 1)

    def _tensors(self, images: Array) -> Array:
        """Return the inverse of `_images`."""
        if len(self.domain_shape) == 3:
            return images
        moved = images.swapaxes(-1, -2) if len(self.domain_shape) == 4 else images
        return moved.reshape(*images.shape[:-3], *self.domain_shape)

    def recorded_unchecked(self, x: Array) -> tuple[Array, Any]:
        return self.backend.dense(self._images(x), self._images(self.kernel))

    def gradients_unchecked(self, record: Any, y: Array, out: Array, need_x: bool) -> Any:
        in_x = self.backend.dense_gradients(record, y, self._images(out), need_x)
        return None if in_x is None else self._tensors(in_x)

    def apply_unchecked(self, x: Array) -> Array:
        return self.recorded_unchecked(x)[0]

    def adjoint_unchecked(self, y: Array) -> Array:
        return self._tensors(self.backend.dense_adjoint(y, self._images(self.kernel)))

    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        gradient = self.backend.xp.empty(self.kernel.shape, dtype=x.dtype)
        self.backend.dense_kernel_adjoint(self._images(x), y, self._images(gradient))
        return gradient

    def resized(self, domain_shape: tuple[int, ...]) -> Dense:
        """Return the operator for examples of another shape; its kernel, zeros, grows with them."""
        kernel = self.backend.xp.zeros((self.kernel_shape[0], *domain_shape), dtype=self.dtype)
        return Dense(kernel, self.backend)

    def tosparse(self) -> Any:
        """Return the matrix as CSR (all its entries); a stack of kernels has none."""
        self._single()
        return self.backend.csr(self.backend.to_host(self.kernel).reshape(self.shape))
