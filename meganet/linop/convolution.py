"""Periodic two-dimensional convolution, the circulant operator of the thesis' networks."""

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

    Parameters
    ----------
    kernel : array, (O, I, k1, k2)
        float32 or float64, odd sizes, no larger than the image. Its dtype is the operator's.
    image_shape : pair of int
        (H, W).
    stride : int or pair of int
        Distance in pixels between the results that are kept, from the first pixel on: the range is
        ``(O, ceil(H / s1), ceil(W / s2))``. Compiled loops of "auto" and "direct" compute no others; else the
        convolution is computed everywhere first.
    dilation : int or pair of int
        Distance in pixels between those that neighbouring numbers of the kernel are multiplied with:
        ``i + d1 (a - k1 // 2)`` in place of ``i + a - k1 // 2``. It must divide the image, whose every d-th pixels must
        not be fewer than the kernel's numbers; not beside a stride.
    engine : {"auto", "winograd", "direct", "sparse"}
        How products are computed; "sparse" multiplies with the explicit matrix, which defines the operator.
        "winograd" is for 3x3 kernels; "auto" takes it for these and eight channels or more on both sides, on the CPU
        only if neither images nor kernel have outliers or non-finite numbers, else "direct" (see Notes), which
        compiled loops take with every stride.
    backend : str or Backend, optional

    Raises
    ------
    InputError
        For an even kernel size, a kernel larger than the image, another dtype or a foreign array.

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
    """

    def __init__(
        self,
        kernel: Array,
        image_shape: Any,
        engine: str = "auto",
        backend: str | Backend | None = None,
        *,
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        image = validate.pair("image_shape", image_shape)
        validate.plain("kernel", kernel)
        if getattr(kernel, "ndim", None) != 4:
            validate.reject("kernel", "an array of shape (O, I, k1, k2)", f"shape {getattr(kernel, 'shape', kernel)}")
        out_channels, in_channels, k1, k2 = kernel.shape
        validate.odd_shape("kernel", (k1, k2))
        self.stride, self.dilation = validate.pair("stride", stride), validate.pair("dilation", dilation)
        seen = self._seen(image)
        if k1 > seen[0] or k2 > seen[1]:
            validate.reject("kernel", f"a kernel no larger than the {seen[0]}x{seen[1]} image", f"{k1}x{k2}")
        coarse = tuple(-(-n // s) for n, s in zip(image, self.stride, strict=True))
        super().__init__(kernel, (in_channels, *image), (out_channels, *coarse), backend)
        self.image_shape = image
        self.engine = validate.choice("engine", engine, ["auto", *NAMES])
        if not has_engine(engine, self.backend, self.kernel_shape):
            validate.reject("engine", f"one for {k1}x{k2} kernels on {self.backend.name}", repr(engine))

    def _seen(self, image: tuple[int, int]) -> tuple[int, int]:
        """Return the shape of the smaller images of every d-th pixel."""
        (d1, d2), (height, width) = self.dilation, image
        if (d1, d2) != (1, 1) and self.stride != (1, 1):
            validate.reject("dilation", f"1 beside a stride of {self.stride}", str(self.dilation))
        if height % d1 or width % d2:
            validate.reject("dilation", f"one that divides the {height}x{width} image", f"{d1}x{d2}")
        return height // d1, width // d2

    @property
    def _engine(self) -> Engine:
        engine = cast(Engine, choose_engine(self.engine, self.backend, self.kernel_shape))
        if self.stride != (1, 1):
            engine = engine.at_stride(self.stride, self.image_shape)
        if self.dilation != (1, 1):
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
        if self.stride == (1, 1):
            return matrix
        kept = np.arange(self.kernel_shape[0] * math.prod(self.image_shape))
        kept = kept.reshape(-1, *self.image_shape)[:, :: self.stride[0], :: self.stride[1]].ravel()
        unit = scipy.sparse.eye_array(matrix.shape[0], dtype=self.dtype).tocsr()
        return self.backend.csr(unit[kept]) @ matrix

    def symbol(self) -> Array:
        """Return the eigenvalues of every channel pair, (O, I, H, W), complex.

        ``symbol[o, c, k, l] = sum_{a, b} kernel[o, c, a, b] exp(2 pi i (k (a - k1//2) / H + l (b - k2//2) / W))`` is
        the factor with which the pair (o, c) multiplies the Fourier mode (k, l) of an image.
        """
        self._single()
        if self.stride != (1, 1):
            validate.reject("stride", "1, without which there are no eigenvalues", str(self.stride))
        height, width = self.image_shape
        out_channels, in_channels, k1, k2 = self.kernel.shape
        xp = self.backend.xp
        unit = xp.zeros((out_channels, in_channels, height, width), dtype=self.dtype)
        d1, d2 = self.dilation
        unit[:, :, : k1 * d1 : d1, : k2 * d2 : d2] = self.kernel
        centred = xp.roll(unit, (-(k1 // 2) * d1, -(k2 // 2) * d2), axis=(2, 3))
        return xp.conj(self.backend.fft.fft2(centred, axes=(2, 3)))
