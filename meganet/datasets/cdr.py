"""Parameters and measurements of a differential equation, from a file."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from meganet.datasets.samples import Samples
from meganet.ground import validate
from meganet.ground.mat5 import NUMBERS, read_mat5

CDR_LARGEST = 2**22
"""Most numbers in a matrix of ``CDR_Data.mat``; as published, they have 44,000 and 57,600."""


def load_cdr(path: str | Path) -> Samples:
    """Return the parameters (800, 55) and measurements (800, 72) of a convection-diffusion-reaction equation.

    ``du/dt = div(D grad u) - v . grad u + f + y' r(u)``: the targets are measurements of u, the features the
    parameters. A problem for `losses.LeastSquares`; ``setupCDR`` of Meganet.

    Parameters
    ----------
    path : path
        ``CDR_Data.mat`` of Newman, Ruthotto, Hart and van Bloemen Waanders, *Train like a (Var)Pro* (2021), from
        http://www.mathcs.emory.edu/~lruthot/publication/newman-et-al-2020/CDR_Data.mat. No digest of it is published.

    Raises
    ------
    InputError
        If there is no such file, or not with matrices Y and C of one column for each example.

    Examples
    --------
    A file of ten examples in the form of the one that was published.

    >>> import tempfile
    >>> import numpy as np
    >>> from scipy.io import savemat
    >>> from meganet.datasets import load_cdr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     savemat(f"{folder}/CDR_Data.mat", {"Y": np.ones((55, 10)), "C": np.ones((72, 10))})
    ...     samples = load_cdr(f"{folder}/CDR_Data.mat")
    >>> samples.features.shape, samples.targets.shape
    ((10, 55), (10, 72))
    """
    path = validate.path("path", path)
    if not os.path.isfile(path):
        validate.reject("path", "the file CDR_Data.mat", str(path))
    expected = "a MAT-file with matrices Y and C"

    def check(name: str, kind: str, shape: tuple[int, ...]) -> None:
        if kind not in NUMBERS or len(shape) != 2 or math.prod(shape) > CDR_LARGEST:
            validate.reject("path", f"{expected} of real numbers", f"{name} of {kind} and shape {shape} ({path})")

    stored = read_mat5(path, ("Y", "C"), check)
    for name in ("Y", "C"):
        if name not in stored:
            validate.reject("path", expected, f"no {name} ({path})")
    features, targets = (np.ascontiguousarray(stored.pop(name).T, dtype=np.float64) for name in ("Y", "C"))
    if len(features) != len(targets) or not len(features):
        validate.reject("path", "as many columns of Y as of C", f"{features.shape[::-1]} and {targets.shape[::-1]}")
    return Samples(features, targets)
