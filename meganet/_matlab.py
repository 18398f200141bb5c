"""Weights in the order of MATLAB's Meganet, and ``.mat`` files of them (level 5 and 7.3)."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from meganet.backend import Array, backend_of, to_host
from meganet.ground import validate
from meganet.ground.files import write_named
from meganet.ground.mat5 import HEADER as HEADER_BYTES
from meganet.ground.mat5 import NUMBERS, Check, byte_order, read_mat5
from meganet.ground.mat73 import read_mat73, require_h5py
from meganet.layers.parameters import Parameter, Parameters

FORMATS = ("5", "7.3")
USER_BLOCK = 512
HEADER = b"MATLAB 7.3 MAT-file"
LARGEST_5 = 2**31
"""Variables of level 5 have less bytes."""
REAL = "fiu"
"""Kinds of NumPy dtypes that hold real numbers."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
KEYWORDS = (
    "break case catch classdef continue else elseif end for function global if otherwise parfor persistent return "
    "spmd switch try while"
)


def matlab_positions(parameters: Parameters) -> np.ndarray[Any, Any]:
    """Return for every entry of MATLAB's flat vector where it lies in ours.

    Arrays follow one another in the same order on both sides. Within an array MATLAB's first index runs fastest, and
    its order of axes is the reverse of ours, with rows before columns: stencils are [k1, k2, in, out], the weights of
    a dense layer [outputs, rows, columns, channels].

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.interop.matlab import matlab_positions
    >>> print(matlab_positions(mn.ConvolutionLayer((1, 8, 8), 2).parameters))
    [ 0  3  6  1  4  7  2  5  8  9 12 15 10 13 16 11 14 17]
    """
    return _in_matlab_order(parameters, np.arange(parameters.size))


def _views(parameters: Parameters, vector: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return views into our vector that give, read in C order one after the other, MATLAB's vector."""
    views = parameters.view_unchecked(vector)
    return [views[p.name].transpose(_axes(p)) for p in parameters]


def _in_matlab_order(parameters: Parameters, vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([view.ravel() for view in _views(parameters, vector)] or [vector])


def _axes(p: Parameter) -> tuple[int, ...]:
    """Return the order of our axes in which a C-ordered reading gives MATLAB's vector."""
    axes = list(range(len(p.shape)))
    if p.role == "matrix":
        axes = axes[1:] + axes[:1]
        return tuple([*axes[:-3], axes[-2], axes[-3], axes[-1]] if len(axes) >= 4 else axes)
    return (*axes[:-2], *axes[:-3:-1])


def _check_parameters(argument: str, parameters: Any) -> None:
    validate.instance(argument, parameters, Parameters, "the parameters of a network, a classifier or an objective")


def to_matlab(parameters: Parameters, vector: Array) -> np.ndarray[Any, Any]:
    """Return weights as MATLAB's column vector.

    Parameters
    ----------
    parameters : Parameters
        Of a network, a classifier or an objective (``[theta; W]``).
    vector : array, (parameters.size,)
        On any backend.

    Returns
    -------
    ndarray, (parameters.size, 1), on the host

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.interop import to_matlab
    >>> layer = mn.DenseLayer((2,), 3)
    >>> column = to_matlab(layer.parameters, np.arange(9.0))
    >>> column.shape
    (9, 1)
    >>> print(column.ravel())
    [0. 2. 4. 1. 3. 5. 6. 7. 8.]
    """
    _check_parameters("parameters", parameters)
    backend_of(vector).require("vector", vector)
    validate.array_shape("vector", vector, (parameters.size,))
    numbers = validate.numbers("vector", backend_of(vector).to_host(vector), "real numbers", REAL)
    return _in_matlab_order(parameters, numbers)[:, None]


def from_matlab(parameters: Parameters, vector: Any, dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Return weights from MATLAB's vector, or a classifier's from its matrix [classes, features + 1].

    Parameters
    ----------
    parameters : Parameters
    vector : array
        With ``parameters.size`` entries; a matrix is read column by column.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, (parameters.size,), on the host

    Raises
    ------
    InputError
        If these are not real numbers (text and logical values are none), not that many, or beyond the range of
        `dtype`.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.interop import from_matlab
    >>> layer = mn.DenseLayer((2,), 3)
    >>> W = from_matlab(layer.parameters, np.array([[1, 2, 7], [3, 4, 8], [5, 6, 9]]), "float32")
    >>> W.shape, W.dtype
    ((9,), dtype('float32'))
    >>> print(W)
    [1. 2. 3. 4. 5. 6. 7. 8. 9.]
    """
    _check_parameters("parameters", parameters)
    numbers = validate.numbers("vector", to_host(vector), "real numbers", REAL)
    flat = numbers.ravel(order="F")
    if flat.size != parameters.size:
        validate.reject("vector", f"{parameters.size} weights", str(flat.size))
    ours = np.empty(parameters.size, dtype=validate.float_dtype("dtype", dtype))
    start = 0
    try:
        with np.errstate(over="raise", invalid="ignore"):  # NaN that signals is NaN
            for view in _views(parameters, ours):
                view[...] = flat[start : start + view.size].reshape(view.shape)
                start += view.size
    except FloatingPointError:
        validate.reject("dtype", "float64 for weights as large as these", str(ours.dtype))
    return ours


def save_mat(
    path: str | os.PathLike[str], weights: Mapping[str, tuple[Parameters, Array]], *, version: str = "5"
) -> None:
    """Write weights as MATLAB reads them with ``load``; the file appears whole or not at all.

    Parameters
    ----------
    path : path
    weights : mapping from str to (Parameters, array)
        Variables, for instance ``{"theta": (network.parameters, theta), "W": (classifier.parameters, W)}``. Each
        becomes a column vector; for the matrix in MATLAB: ``W = reshape(W, nc, [])``.
    version : {"5", "7.3"}
        7.3 is for more than 2 GB, and needs h5py.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import scipy.io
    >>> import meganet as mn
    >>> from meganet.interop import save_mat
    >>> layer = mn.ConvolutionLayer((1, 8, 8), 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.mat")
    ...     save_mat(path, {"theta": (layer.parameters, np.zeros(36))})
    ...     scipy.io.loadmat(path)["theta"].shape
    (36, 1)
    """
    validate.choice("version", version, FORMATS)
    _check_names(weights)
    columns = {}
    for name, pair in weights.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            validate.reject(f"weights[{name!r}]", "a pair of parameters and vector", validate.shown(pair))
        parameters, vector = pair
        _check_parameters(f"weights[{name!r}][0]", parameters)
        backend_of(vector).require("vector", vector)
        dtype = validate.float_dtype(f"weights[{name!r}]", vector.dtype.newbyteorder("="))
        column = to_matlab(parameters, vector).astype(dtype, copy=False)
        columns[name] = column
        if version == "5" and column.nbytes >= LARGEST_5:
            validate.reject("version", f"'7.3' for 2 GB or more in the variable {name!r}", "'5'")
    write_variables(path, columns, version)


def write_variables(path: str | os.PathLike[str], columns: dict[str, np.ndarray[Any, Any]], version: str = "5") -> None:
    """Write arrays under names that MATLAB accepts; the file appears whole or not at all."""
    path = validate.path("path", path)
    write_named(path, _level_5(columns) if version == "5" else _level_7_3(columns))


def load_mat(
    path: str | os.PathLike[str], weights: Mapping[str, Parameters], dtype: Any = np.float64
) -> dict[str, Any]:
    """Read weights that MATLAB has saved, vectors or matrices of real numbers.

    The classes are double, single and integers; text and logical values are no weights. Other variables of the file
    are passed over.

    Parameters
    ----------
    path : path
        Level 5 or 7.3, which is found out; 7.3 needs h5py. Files of 7.3 whose data lie in other files, or went through
        other filters than deflate and shuffle, are refused.
    weights : mapping from str to Parameters
        The variables to read and whose weights they are.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    dict from str to ndarray
        Flat vectors in our order, on the host.

    Raises
    ------
    InputError
        For a file that is none of MATLAB's or damaged, a variable that is missing, of another class or of another
        size; the size is checked before memory is taken for it.

    Notes
    -----
    Compressed variables carry a checksum. A change in the numbers of an uncompressed one cannot be noticed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.interop import load_mat, save_mat
    >>> layer, theta = mn.ConvolutionLayer((1, 8, 8), 4), np.arange(36.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.mat")
    ...     save_mat(path, {"theta": (layer.parameters, theta)})
    ...     found = load_mat(path, {"theta": layer.parameters})
    >>> found["theta"].shape, bool((found["theta"] == theta).all())
    ((36,), True)
    """
    path = validate.path("path", path)
    _check_names(weights)
    for name, parameters in weights.items():
        _check_parameters(f"weights[{name!r}]", parameters)
    dtype = validate.float_dtype("dtype", dtype)

    def check(name: str, kind: str, shape: tuple[int, ...]) -> None:
        size, found = weights[name].size, math.prod(shape)
        if kind not in NUMBERS or found != size:
            what = f"{found} of {kind} ({path})"
            validate.reject("path", f"{size} real numbers in the variable {name!r}", what)

    stored = read_variables(path, list(weights), check)
    # each is freed once it is in our order
    return {name: from_matlab(parameters, stored.pop(name), dtype) for name, parameters in weights.items()}


def read_variables(path: Path, names: list[str], check: Check) -> dict[str, np.ndarray[Any, Any]]:
    """Read variables of a MAT-file of level 5 or 7.3, all of which it must have; arguments as of `read_mat5`."""
    if not os.path.isfile(path):
        validate.reject("path", "a file", str(path))
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        validate.reject("path", "a file that can be read", f"{path} ({error.strerror})")
    is_hdf5 = header.startswith(HEADER)
    if not is_hdf5 and byte_order(header) is None:
        validate.reject("path", "a MAT-file of level 5 or 7.3", f"{path}, which begins with {header[:16]!r}")
    stored = (read_mat73 if is_hdf5 else read_mat5)(path, names, check)
    for name in names:
        if name not in stored:
            validate.reject("path", f"a file with the variable {name!r}", str(path))
    return stored


def _check_names(weights: Any) -> None:
    validate.instance("weights", weights, Mapping, "a mapping from the names of variables")
    for name in weights:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in KEYWORDS.split():
            validate.reject("weights", "names that MATLAB accepts", repr(name))


def _level_5(columns: dict[str, np.ndarray[Any, Any]]) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, columns)
    return buffer.getvalue()


def _level_7_3(columns: dict[str, np.ndarray[Any, Any]]) -> bytes:
    h5py, buffer = require_h5py(), io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=USER_BLOCK) as file:
        for name, column in columns.items():
            # HDF5 stores the axes in the opposite order; an empty array is stored as its sizes
            stored = column.T if column.size else np.array(column.shape, np.uint64)
            data = file.create_dataset(name, data=stored)
            data.attrs["MATLAB_class"] = np.bytes_("single" if column.dtype == np.float32 else "double")
            if not column.size:
                data.attrs["MATLAB_empty"] = np.uint8(1)
    text = HEADER + b", Platform: meganet, HDF5 schema 1.00 ."
    # subsystem data offset zero, version 2.0, byte order mark, as MATLAB writes them
    block = text.ljust(116) + bytes(8) + b"\x00\x02IM"
    return block.ljust(USER_BLOCK, b"\0") + buffer.getvalue()[USER_BLOCK:]
