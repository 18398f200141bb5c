"""Networks like the thesis' with fewer channels, for images of many pixels and for many trainings."""

from __future__ import annotations

from meganet.backend import Backend
from meganet.experiments.setup.shapes import along_image
from meganet.layers import ConvolutionLayer, PoolingLayer
from meganet.networks import Chain

TITLES = {
    "narrow": "net A with half the channels, 16 and 32",
    "narrow-pooled": "net B with a quarter of the channels, 8 and 16",
}
ORDER = 1


def narrow(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return the network without pooling for images (C, H, W); signals (C, 1, L) have kernels of one row."""
    kernel = along_image(shape, 3)
    return Chain([ConvolutionLayer(shape, 16, kernel, backend=backend), ConvolutionLayer(..., 32, kernel)])


def narrow_pooled(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return the network with pooling for images (C, H, W)."""
    kernel, factor = along_image(shape, 3), along_image(shape, 2)
    first = ConvolutionLayer(shape, 8, kernel, backend=backend)
    return Chain([first, PoolingLayer(..., factor), ConvolutionLayer(..., 16, kernel)])


NETWORKS = {"narrow": narrow, "narrow-pooled": narrow_pooled}
