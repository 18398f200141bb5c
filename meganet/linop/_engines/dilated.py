"""Convolutions whose kernels take every d-th pixel, by the products of those that take every pixel."""

from __future__ import annotations

from typing import Any

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, to_memory
from meganet.linop._engines.base import Engine


class Dilated(Engine):
    """An engine of which every kernel entry reaches `dilation` times as far.

    On a periodic grid that the dilation divides, pixels whose numbers agree modulo the dilation see only each other:
    they are a smaller periodic image of their own (the polyphase components of an image), and on each the convolution
    is an ordinary one. So the images are taken apart, the other engine computes, and the results are put together.
    """

    def __init__(self, engine: Engine, dilation: tuple[int, ...]) -> None:
        self.name, self.stacks, self.compiled = engine.name, engine.stacks, engine.compiled
        self.engine, self.dilation = engine, dilation

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        return self._together(backend, self.engine.correlate(backend, self._apart(backend, x), kernel))

    def adjoint(self, backend: Backend, y: Array, kernel: Array) -> Array:
        """Return ``K(kernel)' y``."""
        return self._together(backend, self.engine.adjoint(backend, self._apart(backend, y), kernel))

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        parts = self._apart(backend, x), self._apart(backend, y)
        return self.engine.kernel_gradient(backend, *parts, kernel_shape)

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel) x`` and what `gradients` needs."""
        y, record = self.engine.recorded(backend, self._apart(backend, x), kernel)
        return self._together(backend, y), record

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        in_kernel, in_x = self.engine.gradients(backend, record, self._apart(backend, y), need_x)
        return in_kernel, self._together(backend, in_x) if need_x else None

    def activated(
        self, backend: Backend, x: Array, kernel: Array, bias: Array | None, relu: bool, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return y, its slope and what `sloped_gradients` needs, see `Engine.activated`."""
        y, slope, record = self.engine.activated(backend, self._apart(backend, x), kernel, bias, relu, recorded)
        whole = None if slope is None else self._together(backend, slope)
        return self._together(backend, y), whole, record

    def sloped_gradients(
        self, backend: Backend, record: Any, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Any]:
        """Return the `gradients` of ``<slope * y, K(kernel) x>``, for a slope or None."""
        apart = None if slope is None else self._apart(backend, slope)
        in_kernel, in_x = self.engine.sloped_gradients(backend, record, self._apart(backend, y), apart, need_x)
        return in_kernel, self._together(backend, in_x) if need_x else None

    def correlate_two(
        self, backend: Backend, x: Array, kernel: Array, x2: Array, kernel2: Array, slope: Array | None
    ) -> Array:
        """Return ``slope * (K(kernel) x + K(kernel2) x2)``, for a slope or None."""
        images = self._apart(backend, x), self._apart(backend, x2)
        apart = None if slope is None else self._apart(backend, slope)
        y = self.engine.correlate_two(backend, images[0], kernel, images[1], kernel2, apart)
        return self._together(backend, y)

    def _apart(self, backend: Backend, images: Array) -> Array:
        """Return (..., N, C, H, W) as (..., d1 d2 N, C, H / d1, W / d2)."""
        d1, d2 = self.dilation
        memory = to_memory(backend, images)
        *lead, height, width, n, channels = memory.shape
        parts = _exchanged(backend, memory.reshape(*lead, height // d1, d1, width // d2, d2, n, channels))
        return from_memory(parts.reshape(*lead, height // d1, width // d2, d1 * d2 * n, channels))

    def _together(self, backend: Backend, parts: Array) -> Array:
        """Return what `_apart` made these of."""
        d1, d2 = self.dilation
        memory = to_memory(backend, parts)
        *lead, height, width, n, channels = memory.shape
        images = _exchanged(backend, memory.reshape(*lead, height, width, d1, d2, n // (d1 * d2), channels))
        return from_memory(images.reshape(*lead, height * d1, width * d2, n // (d1 * d2), channels))


def _exchanged(backend: Backend, memory: Array) -> Array:
    """Return (..., a, b, c, d, N, C) as contiguous (..., a, c, b, d, N, C)."""
    k = memory.ndim - 6
    return backend.xp.ascontiguousarray(memory.transpose(*range(k), k, k + 2, k + 1, k + 3, k + 4, k + 5))
