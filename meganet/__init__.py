"""meganet: a neural-network engine for multiresolution convolutional networks, on NumPy and CuPy."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from meganet._deprecated import moved, moved_modules
from meganet._version import __version__

if TYPE_CHECKING:
    from meganet import checks as checks
    from meganet import datasets as datasets
    from meganet import interop as interop
    from meganet import layers as layers
    from meganet import linop as linop
    from meganet import multigrid as multigrid
    from meganet import networks as networks
    from meganet import optim as optim
    from meganet import plotting as plotting
    from meganet import stencils as stencils
    from meganet.backend import available_backends, backend_of, get_backend, use_backend
    from meganet.layers import (
        ActivationLayer,
        BiasLayer,
        ConnectorLayer,
        ConvolutionLayer,
        DenseLayer,
        NormalisationLayer,
        PoolingLayer,
        ScalingLayer,
        TVNormalisationLayer,
        he_normal,
        normal,
        smoothed_normal,
    )
    from meganet.losses import LeastSquares, LogisticLoss, SoftmaxCrossEntropy
    from meganet.model import Model, load
    from meganet.multigrid import prolongate, restrict
    from meganet.networks import (
        Chain,
        DoubleHamiltonian,
        DoubleLayer,
        Hamiltonian,
        Leapfrog,
        Reparametrised,
        ResidualNetwork,
        RungeKutta4,
        SingleLayer,
        SymmetricLayer,
    )
    from meganet.objective import Objective, StackedObjective, VariableProjection, observer
    from meganet.optim import (
        Adam,
        Control,
        Momentum,
        bfgs,
        lbfgs,
        newton_cg,
        nonlinear_cg,
        steepest_descent,
    )
    from meganet.optim.sgd import sgd
    from meganet.optim.trust_region import trust_region
    from meganet.regularizers import BlockRegularizer, SmoothedL1, Tikhonov

__all__ = [
    "ActivationLayer",
    "Adam",
    "BiasLayer",
    "BlockRegularizer",
    "Chain",
    "ConnectorLayer",
    "Control",
    "ConvolutionLayer",
    "DenseLayer",
    "DoubleHamiltonian",
    "DoubleLayer",
    "Hamiltonian",
    "Leapfrog",
    "LeastSquares",
    "LogisticLoss",
    "Model",
    "Momentum",
    "NormalisationLayer",
    "Objective",
    "PoolingLayer",
    "Reparametrised",
    "ResidualNetwork",
    "RungeKutta4",
    "ScalingLayer",
    "SingleLayer",
    "SmoothedL1",
    "SoftmaxCrossEntropy",
    "StackedObjective",
    "SymmetricLayer",
    "TVNormalisationLayer",
    "Tikhonov",
    "VariableProjection",
    "__version__",
    "available_backends",
    "backend_of",
    "bfgs",
    "get_backend",
    "he_normal",
    "lbfgs",
    "load",
    "newton_cg",
    "nonlinear_cg",
    "normal",
    "observer",
    "prolongate",
    "restrict",
    "sgd",
    "smoothed_normal",
    "steepest_descent",
    "trust_region",
    "use_backend",
]

_MODULES = (
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
    "checks",
    "datasets",
    "interop",
    "layers",
    "linop",
    "multigrid",
    "networks",
    "optim",
    "plotting",
    "stencils",
)
"""Modules that are shown beside them, and imported likewise."""

_MOVED = {
    "hessian": "meganet.objective.hessian",
    "stacked": "meganet.objective.stacked",
    "varpro": "meganet.objective.varpro",
}
"""Modules that were elsewhere in earlier versions."""
moved_modules(__name__, _MOVED)


def __getattr__(name: str) -> Any:
    if name in __all__:
        modules = (import_module(f"meganet.{module}") for module in _MODULES)
        value = next(getattr(module, name) for module in modules if hasattr(module, name))
    elif name in _MOVED:
        # not kept, so that each place that asks is told
        return moved(__name__, _MOVED, name)
    elif not name.startswith("_") and find_spec(f"meganet.{name}") is not None:
        value = import_module(f"meganet.{name}")
    else:
        # the usual error
        return object.__getattribute__(sys.modules[__name__], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
