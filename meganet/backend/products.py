"""The products and functions for which a device has kernels, as expressions of arrays.

These define what is computed; `device.CupyBackend` computes the same by the kernels of `cuda`. Nobody else asks which
of the two he has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meganet.backend.layout import Array, from_memory, to_memory


class Products:
    """Expressions of arrays of the library `xp`.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> backend = mn.get_backend("numpy")
    >>> backend.pool(np.ones((5, 3, 8, 8)), (2, 2)).shape
    (5, 3, 4, 4)
    >>> print(np.exp(backend.log_softmax(np.zeros((1, 4)))))
    [[0.25 0.25 0.25 0.25]]
    """

    xp: Any

    def product(self, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
        """Return the products of matrices (..., M, K) and (..., K, N), either transposed before."""
        return (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)

    def summed_product(self, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
        """Return the sums over s of the products of matrices (..., S, M, K) and (..., S, K, N), (..., M, N)."""
        return self.product(a, b, transpose_a, transpose_b).sum(axis=-3)

    def dense(self, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``y[n, k] = <kernel[k], x[n]>`` and what `dense_gradients` needs.

        Images are (..., N, C, H, W), the kernel (..., K, C, H, W), y is (..., N, K). Both are one matrix for each
        pixel; y is a sum over pixels of products of small matrices.
        """
        inputs, matrices = self._by_pixel(x), self._by_pixel(kernel)
        return self.summed_product(inputs, matrices, transpose_b=True), (inputs, matrices, kernel.shape)

    def dense_gradients(self, record: Any, y: Array, in_kernel: Array, need_x: bool) -> Array | None:
        """Write the gradient of ``<y, K x>`` in the kernel into `in_kernel`; return the one in x if it is needed."""
        inputs, matrices, shape = record
        self._write_kernel_gradient(inputs, y, in_kernel)
        return self._images(self.product(y[..., None, :, :], matrices), shape) if need_x else None

    def dense_adjoint(self, y: Array, kernel: Array) -> Array:
        """Return ``K' y``, images."""
        return self._images(self.product(y[..., None, :, :], self._by_pixel(kernel)), kernel.shape)

    def dense_kernel_adjoint(self, x: Array, y: Array, in_kernel: Array) -> None:
        """Write the gradient of ``<y, K x>`` in the kernel into `in_kernel`."""
        self._write_kernel_gradient(self._by_pixel(x), y, in_kernel)

    def _write_kernel_gradient(self, inputs: Array, y: Array, in_kernel: Array) -> None:
        products = self.product(y[..., None, :, :], inputs, transpose_a=True)
        self.write_images(in_kernel, self._images(products, in_kernel.shape))

    def write_images(self, target: Array, images: Array) -> None:
        """Write images into an array whose memory may have another order."""
        target[...] = images

    def _by_pixel(self, images: Array) -> Array:
        """Return images (..., N, C, H, W) as a matrix (N, C) for each pixel, (..., H W, N, C)."""
        *lead, count, channels, _, _ = images.shape
        return to_memory(self, images).reshape(*lead, -1, count, channels)

    def _images(self, matrices: Array, shape: tuple[int, ...]) -> Array:
        """Return the inverse of `_by_pixel`, as the view of memory; `shape` ends in (C, H, W)."""
        *lead, _, count, channels = matrices.shape
        return from_memory(matrices.reshape(*lead, *shape[-2:], count, channels))

    def dot(self, a: Array, b: Array) -> Array:
        """Return ``<a, b>``, an array of shape ()."""
        return self.xp.vdot(a, b)

    def positive_part(self, z: Array) -> Array:
        """Return ``max(z, 0)``, written over `z`."""
        # zeros of one pixel's or one example's size: with the scalar 0 NumPy's maximum takes thrice the time
        shape = (*z.shape[:-2], 1, 1) if z.ndim >= 4 else (z.shape[-1],)
        return self.xp.maximum(z, self.xp.zeros(shape, dtype=z.dtype), out=z)

    def relu(self, z: Array) -> tuple[Array, Array]:
        """Return ``max(z, 0)``, which may be written over `z`, and ``z >= 0``."""
        slope = z >= 0
        return self.positive_part(z), slope

    def pool(self, x: Array, factor: tuple[int, int]) -> Array:
        """Return the means over blocks of ``f1 x f2`` pixels of images (..., N, C, H, W)."""
        f1, f2 = factor
        blocks = [x[..., a::f1, b::f2] for a in range(f1) for b in range(f2)]
        total = blocks[0].copy() if len(blocks) == 1 else blocks[0] + blocks[1]
        for block in blocks[2:]:
            total += block
        return total * (1 / (f1 * f2))

    def pool_adjoint(self, y: Array, factor: tuple[int, int]) -> Array:
        """Return the adjoint of `pool`: every mean spread evenly over its block."""
        f1, f2 = factor
        *lead, n, channels, height, width = y.shape
        x = from_memory(self.xp.empty((*lead, f1 * height, f2 * width, n, channels), dtype=y.dtype))
        share = y * (1 / (f1 * f2))
        for a in range(f1):
            for b in range(f2):
                x[..., a::f1, b::f2] = share
        return x

    def depthwise(self, x: Array, kernel: Array, sign: int) -> Array:
        """Return images with each channel correlated periodically with its stencil (..., C, k1, k2).

        With sign -1 it is the adjoint.
        """
        rolled = ((kernel, (-sign * a, -sign * b)) for kernel, a, b in _entries(kernel))
        return sum(factor * self.xp.roll(x, shift, axis=(-2, -1)) for factor, shift in rolled)

    def depthwise_gradient(self, x: Array, y: Array, kernel: Array) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` in the stencils, an array like `kernel`."""
        parts = [(y * self.xp.roll(x, (-a, -b), axis=(-2, -1))).sum(axis=(-4, -2, -1)) for _, a, b in _entries(kernel)]
        return self.xp.stack(parts, axis=-1).reshape(kernel.shape)

    def log_softmax(self, logits: Array) -> Array:
        """Return the logarithms of the softmax of logits (..., K), the largest subtracted before the exponential."""
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return shifted - self.xp.log(self.xp.exp(shifted).sum(axis=-1, keepdims=True))

    def cross_entropy(self, logits: Array, labels: Array) -> Array:
        """Return the mean over n of ``log sum_k exp(z_k) - z_c`` for logits (..., N, K) and classes c (..., N)."""
        return self._mean_loss(self.log_softmax(logits), self._hot(logits, labels))

    def cross_entropy_and_gradient(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean cross-entropy and its gradient in the logits."""
        log_p, hot = self.log_softmax(logits), self._hot(logits, labels)
        return self._mean_loss(log_p, hot), (self.xp.exp(log_p) - hot) * (1 / logits.shape[-2])

    def _mean_loss(self, log_p: Array, hot: Array) -> Array:
        # not a product with hot: a logit -inf of another class has the logarithm -inf, and 0 times that is nan
        chosen = self.xp.where(hot, log_p, self.xp.zeros(1, dtype=log_p.dtype))
        return chosen.sum(axis=(-2, -1)) * (-1 / log_p.shape[-2])

    def _hot(self, logits: Array, labels: Array) -> Array:
        return labels[..., None] == self.xp.arange(logits.shape[-1])

    def penalty(self, operator: Any, alpha: float, x: Array) -> tuple[Array, Array]:
        """Return ``alpha/2 ||B x||^2`` and its gradient ``alpha B' B x``, for a linear operator B.

        For x of the operator's domain the value has the shape (), for a stack (T, *domain) of them (T,).
        """
        gradient = alpha * operator.normal(x)
        if x.ndim > len(operator.domain_shape):
            value = (x * gradient).reshape(x.shape[0], -1).sum(axis=1)
        else:
            value = self.dot(x, gradient)
        return 0.5 * value, gradient

    def momentum_step(
        self, x: Array, gradient: Array, velocity: Array | None, rate: float, momentum: float
    ) -> tuple[Array, Array | None]:
        """Return ``x - d`` and ``d = rate gradient + momentum velocity``; None for it without a velocity."""
        move = rate * gradient
        if velocity is None:
            return x - move, None
        move += momentum * velocity
        return x - move, move


def _entries(kernel: Array) -> Iterator[tuple[Array, int, int]]:
    """Yield the factors of every entry of stencils, ready to multiply images, and its place."""
    k1, k2 = kernel.shape[-2:]
    for a in range(k1):
        for b in range(k2):
            yield kernel[..., None, :, a, b, None, None], a - k1 // 2, b - k2 // 2
