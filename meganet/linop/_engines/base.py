"""What a convolution engine computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import iadd, imul
from typing import Any

from meganet.backend import Array, Backend
from meganet.backend.layout import from_memory, videos_from_memory


def adjoint_kernel(kernel: Array) -> Array:
    """Return the kernel of the adjoint: both image axes flipped, channels exchanged."""
    return kernel[..., ::-1, ::-1].swapaxes(-4, -3)


class Engine(ABC):
    """Products of images ``x`` (N, I, H, W), ``y`` (N, O, H, W) and a kernel (O, I, k1, k2), or of videos likewise.

    An engine defines `correlate`, ``K(kernel) x``, and `kernel_gradient`, the kernel's gradient of
    ``<y, K(kernel) x>``. The adjoint in x needs no product of its own: ``K(kernel)' = K(adjoint_kernel(kernel))``.
    An engine that can share work between the forward product and the two gradients overrides `recorded` and
    `gradients` too, one that can leave out results `at_stride`, and one that computes along with the product what a
    layer does beside it is a `FusedEngine`.
    """

    name: str
    #: Whether the products take a stack of kernels (T, O, I, k1, k2) with images (T, N, C, H, W).
    stacks = False
    #: Whether it computes by compiled loops, and so only where these are in use.
    compiled = False

    def serves(self, backend: Backend, kernel_shape: tuple[int, ...]) -> bool:
        """Whether the engine can compute products with such a kernel on this backend."""
        return True

    def at_stride(self, stride: tuple[int, ...], image_shape: tuple[int, ...]) -> Engine:
        """Return an engine for images (H, W) of whose results only those at distances `stride` are kept."""
        return Sampled(self, stride, image_shape)

    @abstractmethod
    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""

    def adjoint(self, backend: Backend, y: Array, kernel: Array) -> Array:
        """Return ``K(kernel)' y``."""
        return self.correlate(backend, y, adjoint_kernel(kernel))

    @abstractmethod
    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel) x`` and what `gradients` needs."""
        return self.correlate(backend, x, kernel), (x, kernel)

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and in x, the latter only if it is needed."""
        x, kernel = record
        in_kernel = self.kernel_gradient(backend, x, y, tuple(kernel.shape[-4:]))
        return in_kernel, self.adjoint(backend, y, kernel) if need_x else None

    def activated(
        self, backend: Backend, x: Array, kernel: Array, bias: Array | None, relu: bool, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return y, its slope and what `sloped_gradients` needs, for ``z = K(kernel) x + bias``, the bias (O,) or None.

        y is ``max(z, 0)`` and the slope ``z >= 0``, or without `relu` z and None. The last two are None unless
        `recorded`.
        """
        y, record = self.recorded(backend, x, kernel) if recorded else (self.correlate(backend, x, kernel), None)
        if bias is not None:
            backend.elementwise(iadd, y, bias[(..., None, slice(None), *(None,) * (y.ndim - bias.ndim - 1))])
        if not relu:
            return y, None, record
        if not recorded:
            return backend.elementwise(backend.positive_part, y), None, None
        return (*backend.elementwise(backend.relu, y), record)

    def sloped_gradients(
        self, backend: Backend, record: Any, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Any]:
        """Return the `gradients` of ``<slope * y, K(kernel) x>``, for a slope or None; `y` may be written over."""
        if slope is not None:
            backend.elementwise(imul, y, slope)
        return self.gradients(backend, record, y, need_x)

    def correlate_two(
        self, backend: Backend, x: Array, kernel: Array, x2: Array, kernel2: Array, slope: Array | None
    ) -> Array:
        """Return ``slope * (K(kernel) x + K(kernel2) x2)``, for a slope or None."""
        y = self.correlate(backend, x, kernel)
        backend.elementwise(iadd, y, self.correlate(backend, x2, kernel2))
        if slope is not None:
            backend.elementwise(imul, y, slope)
        return y


class FusedEngine(Engine):
    """An engine whose products do what stands beside them in a layer in the same pass over the images."""

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel) x``."""
        return self.activated(backend, x, kernel, None, relu=False, recorded=False)[0]

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel) x`` and what `gradients` needs."""
        y, _, record = self.activated(backend, x, kernel, None, relu=False, recorded=True)
        return y, record

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        return self.sloped_gradients(backend, record, y, None, need_x)


class Sampled(Engine):
    """An engine that computes everything, and keeps the results at some distances."""

    def __init__(self, engine: Engine, stride: tuple[int, ...], image_shape: tuple[int, ...]) -> None:
        self.name, self.stacks = engine.name, engine.stacks
        self.engine, self.stride, self.image_shape = engine, stride, image_shape

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return what is kept of ``K(kernel) x``."""
        return self._kept(self.engine.correlate(backend, x, kernel))

    def adjoint(self, backend: Backend, y: Array, kernel: Array) -> Array:
        """Return ``K(kernel)' y`` with zeros in y where results were dropped."""
        return self.engine.adjoint(backend, self._spread(backend, y), kernel)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        return self.engine.kernel_gradient(backend, x, self._spread(backend, y), kernel_shape)

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return what is kept of ``K(kernel) x`` and what `gradients` needs."""
        y, record = self.engine.recorded(backend, x, kernel)
        return self._kept(y), record

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients of ``<y, K(kernel) x>`` in the kernel and, if needed, in x."""
        return self.engine.gradients(backend, record, self._spread(backend, y), need_x)

    def _kept(self, y: Array) -> Array:
        return y[(..., *(slice(None, None, s) for s in self.stride))]

    def _spread(self, backend: Backend, y: Array) -> Array:
        """Return the adjoint of `_kept`: zeros where results were dropped."""
        *frames, height, width = self.image_shape
        axes = 2 + len(self.image_shape)
        shape = (*y.shape[:-axes], height, width, *frames, *y.shape[-axes : 2 - axes])
        full = (videos_from_memory if frames else from_memory)(backend.xp.zeros(shape, dtype=y.dtype))
        backend.elementwise(_assign, self._kept(full), y)
        return full


def _assign(target: Array, source: Array) -> None:
    target[...] = source


class OneByOne(Engine):
    """An engine for one kernel applied to each of a stack in turn."""

    stacks = True

    def __init__(self, engine: Engine) -> None:
        self.name, self.engine = engine.name, engine

    def correlate(self, backend: Backend, x: Array, kernel: Array) -> Array:
        """Return ``K(kernel[t]) x[t]`` for all t."""
        return backend.stack([self.engine.correlate(backend, x[t], kernel[t]) for t in range(x.shape[0])])

    def adjoint(self, backend: Backend, y: Array, kernel: Array) -> Array:
        """Return ``K(kernel[t])' y[t]`` for all t."""
        return backend.stack([self.engine.adjoint(backend, y[t], kernel[t]) for t in range(y.shape[0])])

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradients of ``<y[t], K(kernel[t]) x[t]>`` with respect to the kernels."""
        numbers = range(x.shape[0])
        return backend.stack([self.engine.kernel_gradient(backend, x[t], y[t], kernel_shape) for t in numbers])

    def recorded(self, backend: Backend, x: Array, kernel: Array) -> tuple[Array, Any]:
        """Return ``K(kernel[t]) x[t]`` for all t and what `gradients` needs."""
        results = [self.engine.recorded(backend, x[t], kernel[t]) for t in range(x.shape[0])]
        return backend.stack([y for y, _ in results]), [record for _, record in results]

    def gradients(self, backend: Backend, record: Any, y: Array, need_x: bool) -> tuple[Array, Any]:
        """Return the gradients in the kernels and, if needed, in the images."""
        results = [self.engine.gradients(backend, one, y[t], need_x) for t, one in enumerate(record)]
        in_x = backend.stack([dx for _, dx in results]) if need_x else None
        return backend.stack([dkernel for dkernel, _ in results]), in_x
