"""meganet: a neural-network engine for multiresolution convolutional networks, on NumPy and CuPy."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from meganet._version import __version__
from meganet.ground.deprecated import moved, moved_modules

if TYPE_CHECKING:
    from meganet import backend as backend
    from meganet import checks as checks
    from meganet import datasets as datasets
    from meganet import interop as interop
    from meganet import layers as layers
    from meganet import linop as linop
    from meganet import losses as losses
    from meganet import multigrid as multigrid
    from meganet import multilevel as multilevel
    from meganet import networks as networks
    from meganet import objective as objective
    from meganet import optim as optim
    from meganet import plotting as plotting
    from meganet import regularizers as regularizers
    from meganet import stencils as stencils
    from meganet.backend import available_backends, get_backend, use_backend
    from meganet.ground.validate import InputError
    from meganet.layers import (
        ActivationLayer,
        ConvolutionLayer,
        DenseLayer,
        NormalisationLayer,
        PoolingLayer,
        he_normal,
    )
    from meganet.losses import SoftmaxCrossEntropy
    from meganet.model import Model, load
    from meganet.multigrid import prolongate, restrict
    from meganet.networks import Chain, ResidualNetwork
    from meganet.objective import Objective
    from meganet.optim import Adam, Control, Momentum, lbfgs
    from meganet.optim.sgd import sgd
    from meganet.optim.trust_region import trust_region
    from meganet.regularizers import Tikhonov

__all__ = [
    "ActivationLayer",
    "Adam",
    "Chain",
    "Control",
    "ConvolutionLayer",
    "DenseLayer",
    "InputError",
    "Model",
    "Momentum",
    "NormalisationLayer",
    "Objective",
    "PoolingLayer",
    "ResidualNetwork",
    "SoftmaxCrossEntropy",
    "Tikhonov",
    "__version__",
    "available_backends",
    "get_backend",
    "he_normal",
    "lbfgs",
    "load",
    "prolongate",
    "restrict",
    "sgd",
    "trust_region",
    "use_backend",
]

_MODULES = (
    "ground.validate",
    "backend",
    "layers",
    "losses",
    "model",
    "multigrid",
    "networks",
    "objective",
    "optim",
    "regularizers",
)
"""Where the names are from. The modules are imported when one is first asked for, since importing the package must take
no time: `meganet.cli` has to be ready for an interrupt before the numerical libraries are imported."""

_ROOMS = (
    "backend",
    "checks",
    "datasets",
    "interop",
    "layers",
    "linop",
    "losses",
    "multigrid",
    "multilevel",
    "networks",
    "objective",
    "optim",
    "plotting",
    "regularizers",
    "stencils",
)
"""Modules that are shown beside them, and imported likewise; all other names are there."""

_MOVED = {
    "_validate": "meganet.ground.validate",
    "BiasLayer": "meganet.layers:BiasLayer",
    "BlockRegularizer": "meganet.regularizers:BlockRegularizer",
    "ConnectorLayer": "meganet.layers:LinearLayer",
    "DoubleHamiltonian": "meganet.networks:DoubleHamiltonian",
    "DoubleLayer": "meganet.networks:DoubleLayer",
    "Hamiltonian": "meganet.networks:Hamiltonian",
    "Leapfrog": "meganet.networks:Leapfrog",
    "LeastSquares": "meganet.losses:LeastSquares",
    "LogisticLoss": "meganet.losses:LogisticLoss",
    "Reparametrised": "meganet.networks:Reparametrised",
    "RungeKutta4": "meganet.networks:RungeKutta4",
    "ScalingLayer": "meganet.layers:ScalingLayer",
    "SingleLayer": "meganet.networks:SingleLayer",
    "SmoothedL1": "meganet.regularizers:SmoothedL1",
    "StackedObjective": "meganet.objective:StackedObjective",
    "SymmetricLayer": "meganet.networks:SymmetricLayer",
    "TVNormalisationLayer": "meganet.layers:TVNormalisationLayer",
    "VariableProjection": "meganet.objective:VariableProjection",
    "backend_of": "meganet.backend:backend_of",
    "bfgs": "meganet.optim:bfgs",
    "hessian": "meganet.objective.hessian",
    "newton_cg": "meganet.optim:newton_cg",
    "nonlinear_cg": "meganet.optim:nonlinear_cg",
    "normal": "meganet.layers:normal",
    "observer": "meganet.objective:observer",
    "smoothed_normal": "meganet.layers:smoothed_normal",
    "stacked": "meganet.objective.stacked",
    "steepest_descent": "meganet.optim:steepest_descent",
    "varpro": "meganet.objective.varpro",
}
"""Names and modules that were here, and where they are; they keep working and warn."""

moved_modules(__name__, _MOVED)


def __getattr__(name: str) -> Any:
    if name in __all__:
        modules = (import_module(f"meganet.{module}") for module in _MODULES)
        value = next(getattr(module, name) for module in modules if hasattr(module, name))
    elif name not in _MOVED and not name.startswith("_") and find_spec(f"meganet.{name}") is not None:
        value = import_module(f"meganet.{name}")
    else:
        return moved(__name__, _MOVED, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS, *(name for name in globals() if name.startswith("__"))})
