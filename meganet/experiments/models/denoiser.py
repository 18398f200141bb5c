"""A network from images to images: what is to be subtracted from them, seen on two grids."""

from __future__ import annotations

from meganet.backend import Backend
from meganet.experiments.setup.shapes import along_image
from meganet.layers import ConvolutionLayer, PoolingLayer, UpsamplingLayer
from meganet.networks import Chain, ResidualNetwork

TITLES = {"denoiser": "images from images: convolutions of 16 channels, and of 32 on the next coarser grid, added"}
CHANNELS, COARSE_CHANNELS = 16, 32
CORRECTION = 0.1
"""Factor of the network's result, which the image is added to: at the start little is changed."""


def denoiser(shape: tuple[int, int, int], backend: str | Backend | None) -> Chain:
    """Return the denoiser for images (C, H, W): ``x + 0.1 F(x)``, and within F ``y + up(G(down(y)))``."""
    channels, kernel, factor = shape[0], along_image(shape, 3), along_image(shape, 2)
    first = ConvolutionLayer(shape, CHANNELS, kernel, bias=True, backend=backend)
    coarse = Chain(
        [
            PoolingLayer(first.range_shape, factor, backend=backend),
            ConvolutionLayer(..., COARSE_CHANNELS, kernel, bias=True),
            ConvolutionLayer(..., CHANNELS, kernel, bias=True),
            UpsamplingLayer(..., factor),
        ]
    )
    fine = Chain(
        [
            first,
            ResidualNetwork(coarse, 1),
            ConvolutionLayer(..., CHANNELS, kernel, bias=True),
            ConvolutionLayer(..., channels, kernel, activation="identity", bias=True),
        ]
    )
    return Chain([ResidualNetwork(fine, 1, CORRECTION)])


NETWORKS = {"denoiser": denoiser}
