"""Periodic convolution in space, and in space and time, the circulant operator of the thesis' networks."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.linop._engines import NAMES, choose_engine, has_engine
from meganet.linop._engines.base import Engine, OneByOne
from meganet.linop._engines.circulant import circulant_matrix
from meganet.linop._engines.dilated import Dilated
from meganet.linop.parametric import ParametricOperator

RULES: dict[str | None, bool] = {"identity": False, "relu": True}
"""Activations that engines compute with the product: whether they are the ReLU."""


class CirculantConvolution(ParametricOperator):
    """Convolution ``K(kernel)`` of images with periodic boundary conditions, from I to O channels.

    Forward, with the indices of ``x`` taken modulo the image::

        (K x)[n, o, i, j] = sum_{c, a, b} kernel[o, c, a, b] x[n, c, i + a - k1 // 2, j + b - k2 // 2]

    This is a cross-correlation, without a flip of the kernel, as in Meganet and PyTorch. Adjoint::

        (K' y)[n, c, i, j] = sum_{o, a, b} kernel[o, c, a, b] y[n, o, i - a + k1 // 2, j - b + k2 // 2]

    The adjoint in the kernel is ``sum_{n, i, j} y[n, o, i, j] x[n, c, i + a - k1 // 2, j + b - k2 // 2]``.

    With a kernel of five axes it acts on videos (N, I, T, H, W): the same sums with one index more, periodic in time.

    Parameters
    ----------
    kernel : array, (O, I, k1, k2) or (O, I, kt, k1, k2)
        float32 or float64, odd sizes, no larger than the image or video. Its dtype is the operator's.
    image_shape : tuple of int
        (H, W), or (T, H, W) of videos.
    stride : int or tuple of int
        Distance in pixels between the results that are kept, from the first pixel on: the range is
        ``(O, ceil(H / s1), ceil(W / s2))``. Compiled loops of "auto" and "direct" compute no others of images; else the
        convolution is computed everywhere first.
    dilation : int or pair of int
        Distance in pixels between those that neighbouring numbers of the kernel are multiplied with:
        ``i + d1 (a - k1 // 2)`` in place of ``i + a - k1 // 2``. It must divide the image, whose every d-th pixels must
        not be fewer than the kernel's numbers; not beside a stride, nor for videos.
    engine : {"auto", "winograd", "direct", "sparse"}
        How products are computed; "sparse" multiplies with the explicit matrix, which defines the operator.
        "winograd" is for 3x3 kernels; "auto" takes it for these and eight channels or more on both sides, on the CPU
        only if neither images nor kernel have outliers or non-finite numbers, else "direct" (see Notes), which
        compiled loops take with every stride.
    backend : str or Backend, optional

    Raises
    ------
    InputError
        For an even kernel size, a kernel larger than the image or video, another dtype or a foreign array.

    Notes
    -----
    ``tosparse()`` is the sparse circulant matrix ``K1(theta)`` of equation (2.6). It is built once as a pattern of
    parameter numbers: K(theta) gathers the kernel into it.

    *Accuracy.* With u the unit round-off, every entry of "direct" and "sparse" has ``|error| <= I k1 k2 u |K| |x|``.
    One of "winograd" has ``200 u sum_c max |x_c| |kernel_c|_1``, the maximum over the inputs, at most 6x6, of its tile
    of at most 4x4 outputs. On the CPU "auto" therefore computes a call by "direct" if in any image the pixels within
    1/64 of the largest are rare (a single one, 1/64 of all, 1/12 of those that are not zero), if a kernel has such
    outliers, or if a number is not finite: a pixel of 1e8, an infinity or a NaN then changes nothing beyond its 3x3
    neighbourhood. With "winograd", and with "auto" on a GPU, it spoils whole tiles.

    *Videos* go through the products of images. Kernels (O, I, 1, k1, k2) take the frames as more images, and
    (O, I, kt, 1, 1) the pixels of a frame as rows and its time as columns, both without a copy: "2-D + time" is one
    after the other. With other kernels each frame is gathered with its neighbours as ``kt I`` channels of an image.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import CirculantConvolution
    >>> CirculantConvolution(np.array([[[[-1.0, 0.0, 1.0]]]]), (1, 4)).tosparse().toarray()
    array([[ 0.,  1.,  0., -1.],
           [-1.,  0.,  1.,  0.],
           [ 0., -1.,  0.,  1.],
           [ 1.,  0., -1.,  0.]])
    >>> K = CirculantConvolution(np.ones((16, 3, 3, 3)), (8, 8))
    >>> x = np.ones((5, 3, 8, 8))
    >>> y = K @ x
    >>> y.shape, (K.T @ y).shape, K.kernel_adjoint(x, y).shape
    ((5, 16, 8, 8), (5, 3, 8, 8), (16, 3, 3, 3))
    >>> CirculantConvolution(K.kernel, (8, 8), stride=2).range_shape
    (16, 4, 4)
    >>> CirculantConvolution(np.array([[[[-1.0, 0.0, 1.0]]]]), (1, 6), dilation=(1, 2)).tosparse().toarray()[0]
    array([ 0.,  0.,  1.,  0., -1.,  0.])
    >>> in_time = CirculantConvolution(np.array([[[[[-1.0]], [[0.0]], [[1.0]]]]]), (4, 1, 1))  # next frame minus last
    >>> (in_time @ np.array([0.0, 1.0, 4.0, 9.0]).reshape(1, 4, 1, 1)).ravel()
    array([-8.,  4.,  8., -4.])
    """

    def __init__(
        self,
        kernel: Array,
        image_shape: Any,
        engine: str = "auto",
        backend: str | Backend | None = None,
        *,
        stride: int | tuple[int, ...] = 1,
        dilation: int | tuple[int, ...] = 1,
    ) -> None:
        validate.plain("kernel", kernel)
        if getattr(kernel, "ndim", None) not in (4, 5):
            expected = "an array of shape (O, I, k1, k2) or (O, I, kt, k1, k2)"
            validate.reject("kernel", expected, f"shape {getattr(kernel, 'shape', kernel)}")
        out_channels, in_channels, *stencil = kernel.shape
        image = validate.sizes("image_shape", image_shape, len(stencil))
        validate.odd_shape("kernel", stencil, len(stencil))
        self.stride = validate.sizes("stride", stride, len(image))
        self.dilation = validate.sizes("dilation", dilation, len(image))
        seen = self._seen(image)
        if any(k > n for k, n in zip(stencil, seen, strict=True)):
            kind = "image" if len(image) == 2 else "video"
            expected = f"a kernel no larger than the {validate.by(seen)} {kind}"
            validate.reject("kernel", expected, validate.by(stencil))
        coarse = tuple(-(-n // s) for n, s in zip(image, self.stride, strict=True))
        super().__init__(kernel, (in_channels, *image), (out_channels, *coarse), backend)
        self.image_shape = image
        self.engine = validate.choice("engine", engine, ["auto", *NAMES])
        if not has_engine(engine, self.backend, self.kernel_shape):
            kernels = f"{validate.by(stencil)} kernels"
            validate.reject("engine", f"one for {kernels} on {self.backend.name}", repr(engine))

    def _seen(self, image: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the smaller images of every d-th pixel."""
        if max(self.dilation) > 1 and len(image) > 2:
            validate.reject("dilation", "1 for videos", str(self.dilation))
        if max(self.dilation) > 1 and max(self.stride) > 1:
            validate.reject("dilation", f"1 beside a stride of {self.stride}", str(self.dilation))
        if any(n % d for n, d in zip(image, self.dilation, strict=True)):
            expected = f"one that divides the {validate.by(image)} image"
            validate.reject("dilation", expected, validate.by(self.dilation))
        return tuple(n // d for n, d in zip(image, self.dilation, strict=True))

    @property
    def _engine(self) -> Engine:
        engine = cast(Engine, choose_engine(self.engine, self.backend, self.kernel_shape))
        if max(self.stride) > 1:
            engine = engine.at_stride(self.stride, self.image_shape)
        if max(self.dilation) > 1:
            engine = Dilated(engine, self.dilation)
        return OneByOne(engine) if self.stack and not engine.stacks else engine

    role = "stencil"

    @property
    def fan_in(self) -> int:
        """Number of products that are summed for one output."""
        return math.prod(self.kernel_shape[1:])

    @property
    def fan_out(self) -> int:
        """Number of outputs in which one input occurs, on average."""
        return max(1, self.kernel_shape[0] * math.prod(self.kernel_shape[2:]) // math.prod(self.stride))

    def resized(self, domain_shape: tuple[int, ...]) -> CirculantConvolution:
        """Return the same stencils for images of another resolution."""
        spacing = {"stride": self.stride, "dilation": self.dilation}
        return CirculantConvolution(self.kernel, domain_shape[1:], self.engine, self.backend, **spacing)

    def with_range(self, range_shape: tuple[int, ...]) -> CirculantConvolution:
        """Return the same stencils for results of another resolution."""
        if tuple(range_shape) == self.range_shape:
            return self
        image = tuple(n * s for n, s in zip(range_shape[1:], self.stride, strict=True))
        return self.resized((self.domain_shape[0], *image))

    def apply_unchecked(self, x: Array) -> Array:
        return self._engine.correlate(self.backend, x, self.kernel)

    def adjoint_unchecked(self, y: Array) -> Array:
        return self._engine.adjoint(self.backend, y, self.kernel)

    def kernel_adjoint_unchecked(self, x: Array, y: Array) -> Array:
        return self._engine.kernel_gradient(self.backend, x, y, self.kernel_shape)

    @property
    def _is_plain(self) -> bool:
        """Whether it is of this class itself: one derived from it may define other products, and they count."""
        return type(self) is CirculantConvolution

    # a record goes with the engine that made it, whichever is chosen by then

    def recorded_unchecked(self, x: Array) -> tuple[Array, Any]:
        engine = self._engine
        y, record = engine.recorded(self.backend, x, self.kernel)
        return y, (engine, record)

    def gradients_unchecked(self, record: Any, y: Array, out: Array, need_x: bool) -> Any:
        engine, kept = record
        out[...], in_x = engine.gradients(self.backend, kept, y, need_x)
        return in_x

    def activated_unchecked(
        self, x: Array, bias: Array | None, activation: Any, recorded: bool
    ) -> tuple[Array, Array | None, Any]:
        # of the class itself: one derived from it may compute something else
        relu = RULES.get(vars(type(activation)).get("rule"))
        if relu is None or not self._is_plain:
            return super().activated_unchecked(x, bias, activation, recorded)
        engine = self._engine
        y, slope, record = engine.activated(self.backend, x, self.kernel, bias, relu, recorded)
        return y, slope, (engine, record)

    def sloped_gradients_unchecked(self, record: Any, y: Array, slope: Array | None, out: Array, need_x: bool) -> Any:
        if slope is None or slope.dtype != bool or not self._is_plain:
            return super().sloped_gradients_unchecked(record, y, slope, out, need_x)
        engine, kept = record
        out[...], in_x = engine.sloped_gradients(self.backend, kept, y, slope, need_x)
        return in_x

    def derivative_unchecked(self, x: Array, dx: Array, dkernel: Array, slope: Array | None) -> Array:
        if not self._is_plain or (slope is not None and slope.dtype != bool):
            return super().derivative_unchecked(x, dx, dkernel, slope)
        return self._engine.correlate_two(self.backend, x, dkernel, dx, self.kernel, slope)

    def tosparse(self) -> Any:
        """Return the circulant matrix, (O H W, I H W) without stride, as canonical CSR; a stack of kernels has none."""
        self._single()
        matrix = circulant_matrix(self.backend, self.kernel, self.image_shape, self.dilation)
        if max(self.stride) == 1:
            return matrix
        kept = np.arange(self.kernel_shape[0] * math.prod(self.image_shape)).reshape(-1, *self.image_shape)
        kept = kept[(slice(None), *(slice(None, None, s) for s in self.stride))].ravel()
        unit = scipy.sparse.eye_array(matrix.shape[0], dtype=self.dtype).tocsr()
        return self.backend.csr(unit[kept]) @ matrix

    def symbol(self) -> Array:
        """Return the eigenvalues of every channel pair, (O, I, H, W), of videos (O, I, T, H, W), complex.

        ``symbol[o, c, k, l] = sum_{a, b} kernel[o, c, a, b] exp(2 pi i (k (a - k1//2) / H + l (b - k2//2) / W))`` is
        the factor with which the pair (o, c) multiplies the Fourier mode (k, l) of an image.
        """
        self._single()
        if max(self.stride) > 1:
            validate.reject("stride", "1, without which there are no eigenvalues", str(self.stride))
        out_channels, in_channels, *stencil = self.kernel.shape
        xp, axes = self.backend.xp, tuple(range(2, self.kernel.ndim))
        unit = xp.zeros((out_channels, in_channels, *self.image_shape), dtype=self.dtype)
        unit[(..., *(slice(0, k * d, d) for k, d in zip(stencil, self.dilation, strict=True)))] = self.kernel
        shift = tuple(-(k // 2) * d for k, d in zip(stencil, self.dilation, strict=True))
        centred = xp.roll(unit, shift, axis=axes)
        return xp.conj(self.backend.fft.fftn(centred, axes=axes))
