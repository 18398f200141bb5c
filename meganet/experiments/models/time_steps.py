"""Networks of time steps: residual, Hamiltonian and leapfrog, in two stages of one width each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from meganet.backend import Backend, get_backend
from meganet.experiments.setup.shapes import along_image
from meganet.layers import ConvolutionLayer, GlobalPoolingLayer, Layer, NormalisationLayer, PoolingLayer
from meganet.layers.affine import shape_alone
from meganet.linop import CirculantConvolution
from meganet.networks import Chain, DoubleLayer, Hamiltonian, Leapfrog, ResidualNetwork, SymmetricLayer

TITLES = {
    "resnet": "16 and 32 channels, two residual steps of two convolutions each, 64 channels, global pooling",
    "resnet-flat": "the same with a classifier of all pixels",
    "hamiltonian": "16 and 32 channels, four Hamiltonian steps each, 64 channels, global pooling",
    "hamiltonian-flat": "the same with a classifier of all pixels",
    "leapfrog": "16 and 32 channels, four leapfrog steps of symmetric layers each, 64 channels, global pooling",
    "leapfrog-flat": "the same with a classifier of all pixels",
}
WIDTHS = 16, 32, 64
"""Channels of the two stages and of the features."""
STEPS, LENGTH = 2, 0.5
"""Residual steps of a stage, of two convolutions each, and their length; other schemes take twice as many."""

Shape = tuple[int, ...]
Stage = Callable[[Shape, Backend], Layer]


def _residual(shape: Shape, backend: Backend) -> Layer:
    """Return residual steps of two convolutions, normalised between them."""
    first, second = _convolution(shape, backend), _convolution(shape, backend)
    normal = _normalisation(shape, backend)
    layer = DoubleLayer(first, second, "relu", "identity", bias1=True, bias_out=True, normalisation1=normal)
    return ResidualNetwork(layer, STEPS, LENGTH)


def _hamiltonian(shape: Shape, backend: Backend) -> Layer:
    """Return Hamiltonian steps, whose layers are not normalised: the tanh bounds them."""
    return Hamiltonian(_convolution(shape, backend), 2 * STEPS, LENGTH, activation="tanh", bias=True)


def _leapfrog(shape: Shape, backend: Backend) -> Layer:
    """Return leapfrog steps of symmetric layers, normalised between K and its transpose."""
    normal = _normalisation(shape, backend)
    layer = SymmetricLayer(_convolution(shape, backend), "relu", bias_in=True, normalisation1=normal)
    return Leapfrog(layer, 2 * STEPS, LENGTH)


def _chained(stage: Stage, pooled: bool, shape: Shape, backend: str | Backend | None) -> Chain:
    """Return a network of two stages for images (C, H, W), with global pooling behind it or not.

    Pooling between the stages halves the resolution; what they make is normalised before the last convolution.
    """
    home, kernel, factor = get_backend(backend), along_image(shape, 3), along_image(shape, 2)
    network = Chain(
        [
            ConvolutionLayer(shape, WIDTHS[0], kernel, bias=True, backend=home),
            lambda shape: stage(shape, home),
            PoolingLayer(..., factor),
            ConvolutionLayer(..., WIDTHS[1], kernel, bias=True),
            lambda shape: stage(shape, home),
            lambda shape: _normalisation(shape, home),
            ConvolutionLayer(..., WIDTHS[2], kernel, bias=True),
        ]
    )
    return Chain([*network.layers, GlobalPoolingLayer(...)]) if pooled else network


def _convolution(shape: Shape, backend: Backend) -> CirculantConvolution:
    channels, *image = shape
    stencils = shape_alone((channels, channels, *along_image(shape, 3)), backend)
    return CirculantConvolution(stencils, image, backend=backend)


def _normalisation(shape: Shape, backend: Backend) -> NormalisationLayer:
    """Return that over channels and pixels: of each image alone, and its means over pixels are alike on every grid."""
    return NormalisationLayer(shape, ("channels", "pixels"), backend=backend)


NETWORKS = {
    "resnet": partial(_chained, _residual, True),
    "resnet-flat": partial(_chained, _residual, False),
    "hamiltonian": partial(_chained, _hamiltonian, True),
    "hamiltonian-flat": partial(_chained, _hamiltonian, False),
    "leapfrog": partial(_chained, _leapfrog, True),
    "leapfrog-flat": partial(_chained, _leapfrog, False),
}
