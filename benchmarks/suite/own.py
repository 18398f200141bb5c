"""A network of a user's own as a case: what a function in a file of theirs returns."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from meganet import DenseLayer, Model, SoftmaxCrossEntropy
from meganet.ground import validate
from meganet.layers import Layer

from .cases import CLASSES

ARGUMENT = "--net"


@dataclass(frozen=True, repr=False)
class Own:
    """What ``FILE.py:function`` makes: a `Model` with classes, or a network alone, which then gets ten of them.

    The function takes no arguments; its file may import others beside it. Weights and images are drawn here; only
    layers and classes count.
    """

    net: str
    batch: int = 32
    dtype: str = "float32"

    def __repr__(self) -> str:
        return Path(self.net).name

    def parts(self) -> tuple[Layer, DenseLayer]:
        """Return network and classifier."""
        function = _function(self.net)
        try:
            made = function()
        except Exception as error:
            validate.reject(ARGUMENT, f"{self.net} to return a Model or a Layer", f"{type(error).__name__}: {error}")
        if not isinstance(made, (Model, Layer)):
            validate.reject(ARGUMENT, f"{self.net} to return a Model or a Layer", validate.shown(made))
        model = made if isinstance(made, Model) else Model(made, CLASSES)
        if not isinstance(model.loss, SoftmaxCrossEntropy):
            validate.reject(ARGUMENT, "a Model with classes, as the peers' twins have", repr(model.loss))
        if model.backend.name != "numpy":
            validate.reject(ARGUMENT, "layers on numpy", model.backend.name)
        return model.network, model.classifier


@lru_cache
def _function(net: str) -> Callable[[], Any]:
    """Return the function that ``FILE.py:function`` names."""
    file, colon, name = net.rpartition(":")
    if not colon or not name.isidentifier():
        validate.reject(ARGUMENT, "FILE.py:function", repr(net))
    if not Path(file).is_file():
        validate.reject(ARGUMENT, "a Python file before the colon", f"{file!r}, which is no file")
    # behind all others: a file of theirs may have the name of one of ours
    sys.path.append(str(Path(file).resolve().parent))
    try:
        found = runpy.run_path(file)
    except (Exception, SystemExit) as error:
        validate.reject(ARGUMENT, f"{file} to be Python that runs", f"{type(error).__name__}: {error}")
    function = found.get(name)
    if not callable(function):
        own = [key for key, value in found.items() if getattr(value, "__module__", None) == found["__name__"]]
        validate.reject(ARGUMENT, f"a function in {file} ({', '.join(own) or 'which has none'})", repr(name))
    return function
