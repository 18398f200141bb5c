"""Bridges to other software. Each module needs its peer only when it is imported or used.

`matlab`: weights in MATLAB's order, MAT-files. `scipy`: an objective for `scipy.optimize`. `sklearn`: a classifier, of
which scikit-learn is needed when it is first asked for. `torch`: weights to and from PyTorch modules.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from meganet.interop.matlab import from_matlab, load_mat, save_mat, to_matlab
from meganet.interop.scipy import scipy_arguments
from meganet.interop.torch import from_torch, to_torch

if TYPE_CHECKING:
    from meganet.interop import sklearn as sklearn

__all__ = ["from_matlab", "from_torch", "load_mat", "save_mat", "scipy_arguments", "to_matlab", "to_torch"]


def __dir__() -> list[str]:
    return sorted({*globals(), "sklearn"})


def __getattr__(name: str) -> Any:
    if name == "sklearn":
        return import_module("meganet.interop.sklearn")
    # the usual error
    return object.__getattribute__(sys.modules[__name__], name)
