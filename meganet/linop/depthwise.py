"""Convolution of every channel with a stencil of its own."""

from __future__ import annotations

from typing import Any, Self

import scipy.sparse

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.linop._engines.circulant import circulant_matrix
from meganet.linop.parametric import ParametricOperator


class DepthwiseConvolution(ParametricOperator):
    """Periodic convolution of every channel with its own stencil, without a sum over channels.

    Forward ``(K x)[n, c, i, j] = sum_{a, b} kernel[c, a, b] x[n, c, i + a - k1 // 2, j + b - k2 // 2]`` with indices
    modulo the image; the adjoint shifts the other way. The adjoint in the kernel is
    ``sum_{n, i, j} y[n, c, i, j] x[n, c, i + a - k1 // 2, j + b - k2 // 2]``.

    Parameters
    ----------
    kernel : array, (C, k1, k2)
        float32 or float64, odd sizes, no larger than the image. Its dtype is the operator's.
    image_shape : pair of int
        (H, W).

    Raises
    ------
    InputError
        For an even kernel size, a kernel larger than the image, another dtype or a foreign array.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import DepthwiseConvolution
    >>> kernel = np.array([[[0.0, 1.0, 0.0]], [[-1.0, 0.0, 1.0]]])  # (2, 1, 3)
    >>> K = DepthwiseConvolution(kernel, (1, 4))
    >>> K.shape
    (8, 8)
    >>> x = np.array([0.0, 1.0, 4.0, 9.0]) * np.ones((2, 1, 4))
    >>> (K @ x)[1]
    array([[-8.,  4.,  8., -4.]])
    >>> K.kernel_adjoint(x[None], x[None]).shape
    (2, 1, 3)
    """

    def __init__(self, kernel: Array, image_shape: Any, backend: str | Backend | None = None) -> None:
        image = validate.pair("image_shape", image_shape)
        validate.plain("kernel", kernel)
        if getattr(kernel, "ndim", None) != 3:
            validate.reject("kernel", "an array of shape (C, k1, k2)", f"shape {getattr(kernel, 'shape', kernel)}")
        channels, k1, k2 = kernel.shape
        validate.odd_shape("kernel", (k1, k2))
        if k1 > image[0] or k2 > image[1]:
            validate.reject("kernel", f"a kernel no larger than the {image[0]}x{image[1]} image", f"{k1}x{k2}")
        super().__init__(kernel, (channels, *image), (channels, *image), backend)
        self.image_shape = image

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.depthwise(x, self.kernel, 1)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.backend.depthwise(y, self.kernel, -1)

    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        return self.backend.depthwise_gradient(x, y, self.kernel)

    role = "stencil"

    @property
    def fan_in(self) -> int:
        """Number of entries of a stencil."""
        return self.kernel_shape[1] * self.kernel_shape[2]

    fan_out = fan_in

    def resized(self, domain_shape: tuple[int, ...]) -> Self:
        """Return the same stencils for images of another resolution."""
        return type(self)(self.kernel, domain_shape[1:], self.backend)

    def with_range(self, range_shape: tuple[int, ...]) -> Self:
        """Return the same stencils for results of another resolution."""
        return self.resized(range_shape)

    def tosparse(self) -> Any:
        """Return the block diagonal of circulant matrices; a stack of kernels has none."""
        self._single()
        kernel = self.backend.to_host(self.kernel)
        host = self.to("numpy").backend
        blocks = [circulant_matrix(host, kernel[c : c + 1, None], self.image_shape) for c in range(len(kernel))]
        return self.backend.csr(scipy.sparse.block_diag(blocks, format="csr"))
