"""What a convolution engine computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from meganet.backend import Array, Backend


def adjoint_kernel(kernel: Array) -> Array:
    """Return the kernel of the adjoint: both image axes flipped, channels exchanged."""
    return kernel[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)


class Engine(ABC):
    """Products of images ``x`` (N, I, H, W), ``y`` (N, O, H, W) and a kernel (O, I, k1, k2).

    An engine defines `correlate`, ``K(kernel) x``, and `kernel_gradient`, the kernel's gradient of
    ``<y, K(kernel) x>``. The adjoint in x needs no product of its own: ``K(kernel)' = K(adjoint_kernel(kernel))``.
    An engine that can share work between the forward product and the two gradients overrides `recorded` and
    `gradients` too.
    """

    name: str

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the engine can compute products with such a kernel on this backend."""
        return True

    @abstractmethod
    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""

    @abstractmethod
    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel) x`` and what `gradients` needs."""
        return self.correlate(backend, x, kernel), (x, kernel)

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and in x, the latter only if it is needed."""
        x, kernel = record
        in_kernel = self.kernel_gradient(backend, x, y, tuple(kernel.shape))
        return in_kernel, self.correlate(backend, y, adjoint_kernel(kernel)) if need_x else None
