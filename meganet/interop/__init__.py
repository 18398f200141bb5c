"""Bridges to other software. Each module needs its peer only when it is imported or used.

`matlab`: weights in MATLAB's order, MAT-files. `scipy`: an objective for `scipy.optimize`. `sklearn`: a classifier, of
which scikit-learn is needed when it is first asked for. `torch`: weights to and from PyTorch modules.
"""

import sys
from importlib import import_module
from typing import Any

from meganet.interop.matlab import from_matlab, load_mat, save_mat, to_matlab
from meganet.interop.scipy import scipy_arguments
from meganet.interop.torch import from_torch, to_torch

__all__ = ["from_matlab", "from_torch", "load_mat", "save_mat", "scipy_arguments", "to_matlab", "to_torch"]


def __getattr__(name: str) -> Any:
    if name == "sklearn":
        return import_module("meganet.interop.sklearn")
    # the usual error
    return object.__getattribute__(sys.modules[__name__], name)
