"""Linear operators between spaces of tensors."""

from meganet.linop.base import LinearOperator, ParametricOperator
from meganet.linop.convolution import CirculantConvolution
from meganet.linop.dense import Dense
from meganet.linop.pooling import AveragePooling
from meganet.linop.structured import BlockDiagonal, Diagonal, Difference, Gradient, Identity

__all__ = [
    "AveragePooling",
    "BlockDiagonal",
    "CirculantConvolution",
    "Dense",
    "Diagonal",
    "Difference",
    "Gradient",
    "Identity",
    "LinearOperator",
    "ParametricOperator",
]
