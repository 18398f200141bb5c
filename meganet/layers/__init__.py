"""Layers: differentiable maps of weights and examples."""

from meganet.layers.activations import Activation, SmoothReLU
from meganet.layers.affine import AffineLayer
from meganet.layers.base import Layer
from meganet.layers.connector import ConnectorLayer
from meganet.layers.convolution import ConvolutionLayer
from meganet.layers.elementwise import ActivationLayer, BiasLayer, ScalingLayer
from meganet.layers.initialisation import clipped_normal, he_normal, normal, smoothed_normal
from meganet.layers.linear import DenseLayer
from meganet.layers.normalisation import (
    FixedNormalisationLayer,
    NormalisationLayer,
    Statistics,
    TVNormalisationLayer,
)
from meganet.layers.parameters import Parameter, Parameters
from meganet.layers.pooling import PoolingLayer
from meganet.layers.unshaped import Unshaped

__all__ = [
    "Activation",
    "ActivationLayer",
    "AffineLayer",
    "BiasLayer",
    "ConnectorLayer",
    "ConvolutionLayer",
    "DenseLayer",
    "FixedNormalisationLayer",
    "Layer",
    "NormalisationLayer",
    "Parameter",
    "Parameters",
    "PoolingLayer",
    "ScalingLayer",
    "SmoothReLU",
    "Statistics",
    "TVNormalisationLayer",
    "Unshaped",
    "clipped_normal",
    "he_normal",
    "normal",
    "smoothed_normal",
]
