"""The networks of the thesis, section 3.2."""

from __future__ import annotations

from meganet.backend import Backend
from meganet.layers import ConvolutionLayer, PoolingLayer
from meganet.networks import Chain

TITLES = {
    "A": "convolution to 32 channels, ReLU, convolution to 64, ReLU",
    "B": "the same with 2x2 pooling between the two",
}


def net_a(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return net A for images (C, H, W)."""
    return Chain([ConvolutionLayer(shape, 32, backend=backend), ConvolutionLayer(..., 64)])


def net_b(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return net B for images (C, H, W)."""
    return Chain([ConvolutionLayer(shape, 32, backend=backend), PoolingLayer(...), ConvolutionLayer(..., 64)])


NETWORKS = {"A": net_a, "B": net_b}
