"""The convolution layer of the thesis' networks."""

from __future__ import annotations

from typing import Any

from meganet.backend import Backend, get_backend
from meganet.ground import validate
from meganet.layers.activations import Activation
from meganet.layers.affine import AffineLayer, shape_alone
from meganet.linop import CirculantConvolution


class ConvolutionLayer(AffineLayer):
    """Periodic convolution, bias and activation, ``sigma(K(kernel) x + b)`` with `linop.CirculantConvolution`.

    Images are convolved in space, videos in space and time. "2-D + time" is a layer with a kernel (1, k1, k2) and one
    with (kt, 1, 1) after it, which take less arithmetic than one with (kt, k1, k2).

    Parameters
    ----------
    domain_shape : tuple of int
        (C, H, W) of the input, (C, T, H, W) of videos.
    out_channels : int
    kernel_shape : int or tuple of int
        Odd sizes, 3x3 in the thesis; of videos (kt, k1, k2).
    activation : {"relu", "smooth_relu", "tanh", "identity"} or Activation
    bias : bool
        One number per output channel; the thesis' networks have none.
    stride : int or tuple of int
        Distance in pixels between results, from the first pixel on.
    dilation : int or pair of int
        Distance in pixels between those that the kernel takes, see `linop.CirculantConvolution`.
    engine : {"auto", "winograd", "direct", "sparse"}
        See `linop.CirculantConvolution`.
    backend : str or Backend, optional

    Raises
    ------
    InputError
        For an even kernel size or a kernel larger than the image or video.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import ConvolutionLayer, he_normal
    >>> layer = ConvolutionLayer((3, 8, 8), 16, bias=True)
    >>> layer
    ConvolutionLayer((3, 8, 8) -> (16, 8, 8), relu, bias)
    >>> print(layer.parameters)
    kernel  16x3x3x3  432
    bias    16         16
    total             448
    >>> theta = he_normal(layer, np.random.default_rng(0))
    >>> y, tape = layer.forward(theta, np.ones((5, 3, 8, 8)))
    >>> dtheta, dx = layer.vjp(y, tape)
    >>> y.shape, dtheta.shape, dx.shape
    ((5, 16, 8, 8), (448,), (5, 3, 8, 8))
    >>> in_space = ConvolutionLayer((3, 4, 8, 8), 16, (1, 3, 3))  # of videos of four frames
    >>> in_time = ConvolutionLayer(in_space.range_shape, 16, (3, 1, 1))
    >>> in_time.range_shape, in_time.parameters.size
    ((16, 4, 8, 8), 768)
    """

    def __init__(
        self,
        domain_shape: Any,
        out_channels: int,
        kernel_shape: int | tuple[int, ...] = 3,
        *,
        activation: str | Activation = "relu",
        bias: bool = False,
        stride: int | tuple[int, ...] = 1,
        dilation: int | tuple[int, ...] = 1,
        engine: str = "auto",
        backend: str | Backend | None = None,
    ) -> None:
        channels, *image = validate.shape("domain_shape", domain_shape, ndim=(3, 4))
        out = validate.size("out_channels", out_channels)
        self.kernel_shape = validate.odd_shape("kernel_shape", kernel_shape, len(image))
        fitting = tuple(min(k, n - (n + 1) % 2) for k, n in zip(self.kernel_shape, image, strict=True))
        if fitting != self.kernel_shape:
            kind = "image" if len(image) == 2 else "video"
            expected = f"one no larger than the {validate.by(image)} {kind}, such as {fitting}"
            validate.reject("kernel_shape", expected, str(self.kernel_shape))
        self.engine, self.stride = engine, validate.sizes("stride", stride, len(image))
        kernel = shape_alone((out, channels, *self.kernel_shape), get_backend(backend))
        operator = CirculantConvolution(kernel, image, engine, backend, stride=stride, dilation=dilation)
        self.dilation = operator.dilation
        super().__init__(operator, activation=activation, bias=bias)

    def arguments(self) -> dict[str, Any]:
        """Return what the layer is made of, see `networks.architecture`."""
        return {
            "domain_shape": self.domain_shape,
            "out_channels": self.range_shape[0],
            "kernel_shape": self.kernel_shape,
            "activation": self.activation,
            "bias": self.bias,
            "stride": self.stride,
            "dilation": self.dilation,
            "engine": self.engine,
        }

    def resized(self, domain_shape: tuple[int, ...]) -> ConvolutionLayer:
        """Return the layer for images of another resolution; the kernel's shape stays."""
        return type(self)(**{**self.arguments(), "domain_shape": domain_shape}, backend=self.backend)
