"""A network like the thesis' net A that is a quarter of its work, for images of many pixels."""

from __future__ import annotations

from meganet.backend import Backend
from meganet.layers import ConvolutionLayer
from meganet.networks import Chain

TITLES = {"narrow": "net A with half the channels: convolutions to 16 and to 32, ReLU"}
ORDER = 1


def narrow(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return the network for images (C, H, W)."""
    kernel = 1 if shape[1] == 1 else 3, 3
    return Chain([ConvolutionLayer(shape, 16, kernel, backend=backend), ConvolutionLayer(..., 32, kernel)])


NETWORKS = {"narrow": narrow}
