"""The networks of the thesis, section 3.2."""

from __future__ import annotations

from meganet.backend import Backend
from meganet.experiments.setup.shapes import along_image
from meganet.layers import ConvolutionLayer, PoolingLayer
from meganet.networks import Chain

ORDER = 1
TITLES = {
    "A": "convolution to 32 channels, ReLU, convolution to 64, ReLU",
    "B": "the same with 2x2 pooling between the two",
}


def net_a(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return net A for images (C, H, W)."""
    kernel = along_image(shape, 3)
    return Chain([ConvolutionLayer(shape, 32, kernel, backend=backend), ConvolutionLayer(..., 64, kernel)])


def net_b(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return net B for images (C, H, W)."""
    kernel, factor = along_image(shape, 3), along_image(shape, 2)
    first = ConvolutionLayer(shape, 32, kernel, backend=backend)
    return Chain([first, PoolingLayer(..., factor), ConvolutionLayer(..., 64, kernel)])


NETWORKS = {"A": net_a, "B": net_b}
