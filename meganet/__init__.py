"""meganet: a neural-network engine for multiresolution convolutional networks, on NumPy and CuPy."""

from meganet._version import __version__
from meganet.backend import available_backends, backend_of, get_backend, use_backend
from meganet.layers import ConvolutionLayer, DenseLayer, PoolingLayer, he_normal, normal, smoothed_normal
from meganet.losses import SoftmaxCrossEntropy
from meganet.multigrid import prolongate, restrict
from meganet.networks import Chain
from meganet.objective import Objective, observer
from meganet.optim import Adam, Momentum, sgd
from meganet.regularizers import Tikhonov
from meganet.stacked import StackedObjective

__all__ = [
    "Adam",
    "Chain",
    "ConvolutionLayer",
    "DenseLayer",
    "Momentum",
    "Objective",
    "PoolingLayer",
    "SoftmaxCrossEntropy",
    "StackedObjective",
    "Tikhonov",
    "__version__",
    "available_backends",
    "backend_of",
    "get_backend",
    "he_normal",
    "normal",
    "observer",
    "prolongate",
    "restrict",
    "sgd",
    "smoothed_normal",
    "use_backend",
]
