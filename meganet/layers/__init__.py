"""Layers: differentiable maps of weights and examples."""

from meganet.ground.deprecated import moved_names
from meganet.layers.activations import Activation, SmoothReLU
from meganet.layers.affine import AffineLayer
from meganet.layers.base import Layer
from meganet.layers.convolution import ConvolutionLayer
from meganet.layers.dense import DenseLayer
from meganet.layers.elementwise import ActivationLayer, BiasLayer, ScalingLayer
from meganet.layers.initialisation import clipped_normal, he_normal, initial_weights, normal, smoothed_normal
from meganet.layers.linear import LinearLayer
from meganet.layers.normalisation import (
    FixedNormalisationLayer,
    NormalisationLayer,
    Statistics,
    TVNormalisationLayer,
)
from meganet.layers.parameters import Parameter, Parameters
from meganet.layers.pooling import GlobalPoolingLayer, PoolingLayer, UpsamplingLayer
from meganet.layers.unshaped import Unshaped

__all__ = [
    "Activation",
    "ActivationLayer",
    "AffineLayer",
    "BiasLayer",
    "ConvolutionLayer",
    "DenseLayer",
    "FixedNormalisationLayer",
    "GlobalPoolingLayer",
    "Layer",
    "LinearLayer",
    "NormalisationLayer",
    "Parameter",
    "Parameters",
    "PoolingLayer",
    "ScalingLayer",
    "SmoothReLU",
    "Statistics",
    "TVNormalisationLayer",
    "Unshaped",
    "UpsamplingLayer",
    "clipped_normal",
    "he_normal",
    "initial_weights",
    "normal",
    "smoothed_normal",
]

moved_names(__name__, {"ConnectorLayer": "meganet.layers:LinearLayer", "connector": "meganet.layers"})
moved_names("meganet.layers.linear", {"DenseLayer": "meganet.layers.dense:DenseLayer"})
