"""Convolution of videos by the engines for images: time is folded into the batch, the pixels or the channels.

The kernel (O, I, kt, k1, k2) and the videos (N, I, T, H, W) become those of images without a copy (see
`backend.layout`) if the kernel has one entry in time, where the frames are T N images, or one pixel, where the H W
pixels of a frame are the rows of N images and its time their columns. Other kernels take every frame together with its
neighbours in time as one of ``kt I`` channels: the videos are copied kt times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from meganet.backend import Array, Backend
from meganet.backend.layout import folded, from_memory, to_memory, unfolded, videos_from_memory, videos_to_memory
from meganet.linop._engines.base import Engine, FusedEngine


def kernel_of_images(kernel_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the kernel for images that does the work of one for videos."""
    out_channels, in_channels, kt, k1, k2 = kernel_shape
    return (out_channels, in_channels, 1, kt) if _in_time(kernel_shape) else (out_channels, kt * in_channels, k1, k2)


def _in_time(kernel_shape: tuple[int, ...]) -> bool:
    return kernel_shape[2] > 1 and tuple(kernel_shape[3:]) == (1, 1)


class Fold(NamedTuple):
    """How videos of some shape (T, H, W) and kernels of some shape become images and kernels for these."""

    video_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]

    @property
    def in_time(self) -> bool:
        """Whether time becomes an axis of the images."""
        return _in_time(self.kernel_shape)

    def kernel(self, kernel: Array) -> Array:
        """Return the kernel for images."""
        return (kernel if self.in_time else kernel.swapaxes(1, 2)).reshape(kernel_of_images(self.kernel_shape))

    def kernel_of_videos(self, kernel: Array) -> Array:
        """Return the inverse of `kernel`."""
        out_channels, in_channels, *stencil = self.kernel_shape
        if self.in_time:
            return kernel.reshape(self.kernel_shape)
        return kernel.reshape(out_channels, stencil[0], in_channels, *stencil[1:]).swapaxes(1, 2)

    def inputs(self, backend: Backend, x: Array) -> Array:
        """Return images of which the product with the kernel for images is that of the videos, as `images` of it."""
        kt = self.kernel_shape[2]
        if self.in_time or kt == 1:
            return self.images(backend, x)
        memory = videos_to_memory(backend, x)
        height, width, frames, n, channels = memory.shape
        gathered = backend.xp.empty((height, width, frames, n, kt, channels), dtype=x.dtype)
        for entry, frame, source in self._meetings():
            gathered[:, :, frame, :, entry] = memory[:, :, source]
        return from_memory(gathered.reshape(height, width, frames * n, kt * channels))

    def inputs_adjoint(self, backend: Backend, images: Array) -> Array:
        """Return the adjoint of `inputs`, videos."""
        kt = self.kernel_shape[2]
        if self.in_time or kt == 1:
            return self.videos(backend, images)
        frames, height, width = self.video_shape
        gathered = to_memory(backend, images).reshape(height, width, frames, -1, kt, self.kernel_shape[1])
        memory = backend.xp.ascontiguousarray(gathered[..., kt // 2, :])
        for entry, frame, source in self._meetings():
            if entry != kt // 2:
                memory[:, :, source] += gathered[:, :, frame, :, entry]
        return videos_from_memory(memory)

    def _meetings(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield each entry of the kernel in time, results' frames and the inputs' frames that it meets there."""
        frames, kt = self.video_shape[0], self.kernel_shape[2]
        for entry in range(kt):
            shift = (entry - kt // 2) % frames
            yield entry, slice(0, frames - shift), slice(shift, frames)
            if shift:
                yield entry, slice(frames - shift, frames), slice(0, shift)

    def images(self, backend: Backend, videos: Array) -> Array:
        """Return videos as images, without neighbours in time."""
        return folded(backend, videos, self.in_time)

    def videos(self, backend: Backend, images: Array) -> Array:
        """Return the inverse of `images`."""
        return unfolded(backend, images, self.video_shape, self.in_time)


class FoldedEngine(FusedEngine):
    """Products of videos (N, C, T, H, W) by an engine for images."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.engine = engine.name, engine

    def activated(
        self, backend: Backend, x: Array, kernel: Array, bias: Array | None, relu: bool, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        """Return y, its slope and what the gradients need, see `Engine`."""
        fold = Fold(tuple(x.shape[2:]), tuple(kernel.shape))
        images = fold.inputs(backend, x)
        y, slope, kept = self.engine.activated(backend, images, fold.kernel(kernel), bias, relu, recorded)
        return fold.videos(backend, y), None if slope is None else fold.videos(backend, slope), (fold, kept)

    def sloped_gradients(
        self, backend: Backend, record: Any, y: Array, slope: Array | None, need_x: bool
    ) -> tuple[Array, Any]:
        """Return the gradients of ``<slope * y, K(kernel) x>`` in the kernel and, if needed, in x."""
        fold, kept = record
        slope = None if slope is None else fold.images(backend, slope)
        in_kernel, in_x = self.engine.sloped_gradients(backend, kept, fold.images(backend, y), slope, need_x)
        return fold.kernel_of_videos(in_kernel), fold.inputs_adjoint(backend, in_x) if need_x else None

    def adjoint(self, backend: Backend, y: Array, kernel: Array) -> Array:
        """Return ``K(kernel)' y``."""
        fold = Fold(tuple(y.shape[2:]), tuple(kernel.shape))
        in_x = self.engine.adjoint(backend, fold.images(backend, y), fold.kernel(kernel))
        return fold.inputs_adjoint(backend, in_x)

    def kernel_gradient(self, backend: Backend, x: Array, y: Array, kernel_shape: tuple[int, ...]) -> Array:
        """Return the gradient of ``<y, K(kernel) x>`` with respect to the kernel."""
        fold = Fold(tuple(x.shape[2:]), tuple(kernel_shape))
        images, shape = fold.inputs(backend, x), kernel_of_images(kernel_shape)
        return fold.kernel_of_videos(self.engine.kernel_gradient(backend, images, fold.images(backend, y), shape))

    def correlate_two(
        self, backend: Backend, x: Array, kernel: Array, x2: Array, kernel2: Array, slope: Array | None
    ) -> Array:
        """Return ``slope * (K(kernel) x + K(kernel2) x2)``."""
        fold = Fold(tuple(x.shape[2:]), tuple(kernel.shape))
        first, second = ((fold.inputs(backend, v), fold.kernel(k)) for v, k in ((x, kernel), (x2, kernel2)))
        slope = None if slope is None else fold.images(backend, slope)
        return fold.videos(backend, self.engine.correlate_two(backend, *first, *second, slope))
