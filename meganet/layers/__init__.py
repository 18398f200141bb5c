"""Layers: differentiable maps of weights and examples."""

from meganet.layers.base import Layer
from meganet.layers.convolution import ConvolutionLayer
from meganet.layers.initialisation import he_normal, normal, smoothed_normal
from meganet.layers.linear import DenseLayer
from meganet.layers.parameters import Parameter, Parameters
from meganet.layers.pooling import PoolingLayer

__all__ = [
    "ConvolutionLayer",
    "DenseLayer",
    "Layer",
    "Parameter",
    "Parameters",
    "PoolingLayer",
    "he_normal",
    "normal",
    "smoothed_normal",
]
