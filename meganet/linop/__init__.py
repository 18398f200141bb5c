"""Linear operators between spaces of tensors."""

from meganet.ground.deprecated import moved_names
from meganet.linop.base import LinearOperator
from meganet.linop.convolution import CirculantConvolution
from meganet.linop.dense import Dense
from meganet.linop.depthwise import DepthwiseConvolution
from meganet.linop.parametric import ParametricOperator, Transposed
from meganet.linop.pooling import AveragePooling, PixelMean
from meganet.linop.sparse import Pattern, Sparse, zero_padded_convolution
from meganet.linop.structured import BlockDiagonal, Diagonal, Difference, Gradient, Identity
from meganet.linop.tensor import Broadcast, Kronecker, Matrix, RemoveMean, Reshape

__all__ = [
    "AveragePooling",
    "BlockDiagonal",
    "Broadcast",
    "CirculantConvolution",
    "Dense",
    "DepthwiseConvolution",
    "Diagonal",
    "Difference",
    "Gradient",
    "Identity",
    "Kronecker",
    "LinearOperator",
    "Matrix",
    "ParametricOperator",
    "Pattern",
    "PixelMean",
    "RemoveMean",
    "Reshape",
    "Sparse",
    "Transposed",
    "zero_padded_convolution",
]

moved_names(__name__, {"transposed": "meganet.linop.parametric"})
moved_names("meganet.linop.base", {"ParametricOperator": "meganet.linop.parametric:ParametricOperator"})
