"""Weights in the order of MATLAB's Meganet, and ``.mat`` files of them (level 5 and 7.3)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from meganet import _validate
from meganet._files import write_atomic
from meganet.backend import Array, backend_of, host
from meganet.layers.parameters import Parameter, Parameters

FORMATS = ("5", "7.3")
USER_BLOCK = 512
HEADER = b"MATLAB 7.3 MAT-file"
LEVEL_5_HEADER = 128
REAL = "fiub"
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
    """
    numbers = np.arange(parameters.size)
    views = parameters._view(numbers)
    parts = [views[p.name].transpose(_axes(p)).ravel() for p in parameters]
    return np.concatenate([*parts, numbers[:0]])


def _axes(p: Parameter) -> tuple[int, ...]:
    """Return the order of our axes in which a C-ordered reading gives MATLAB's vector."""
    axes = list(range(len(p.shape)))
    if p.role == "matrix":
        axes = axes[1:] + axes[:1]
        return tuple([*axes[:-3], axes[-2], axes[-3], axes[-1]] if len(axes) >= 4 else axes)
    return (*axes[:-2], *axes[:-3:-1])


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
    """
    _validate.array_shape("vector", vector, (parameters.size,))
    return np.asarray(backend_of(vector).to_host(vector))[matlab_positions(parameters)][:, None]


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
    """
    numbers = np.asarray(host(vector))
    if numbers.dtype.kind not in REAL:
        _validate.reject("vector", "real numbers", str(numbers.dtype))
    flat = numbers.ravel(order="F")
    if flat.size != parameters.size:
        _validate.reject("vector", f"{parameters.size} weights", str(flat.size))
    ours = np.empty(parameters.size, dtype=_validate.float_dtype("dtype", dtype))
    ours[matlab_positions(parameters)] = flat
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
    """
    _validate.choice("version", version, FORMATS)
    for name in weights:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in KEYWORDS.split():
            _validate.reject("weights", "names that MATLAB accepts", repr(name))
    columns = {name: to_matlab(*pair) for name, pair in weights.items()}
    path = Path(path)
    if not path.parent.is_dir():
        _validate.reject("path", "a file in an existing folder", str(path))
    write_atomic(path, _level_5(columns) if version == "5" else _level_7_3(columns))


def load_mat(
    path: str | os.PathLike[str], weights: Mapping[str, Parameters], dtype: Any = np.float64
) -> dict[str, Any]:
    """Read weights that MATLAB has saved, vectors or matrices of doubles or singles.

    Parameters
    ----------
    path : path
        Level 5 or 7.3, which is found out; 7.3 needs h5py.
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
        For a file that is none of MATLAB's, a variable that is missing, or one of another size.
    """
    path = Path(path)
    if not path.is_file():
        _validate.reject("path", "a file", str(path))
    with path.open("rb") as file:
        header = file.read(LEVEL_5_HEADER)
    is_hdf5 = header.startswith(HEADER)
    if not is_hdf5 and (len(header) < LEVEL_5_HEADER or header[-2:] not in (b"IM", b"MI")):
        _validate.reject("path", "a MAT-file of level 5 or 7.3", f"{path}, which begins with {header[:16]!r}")
    stored = _read_7_3(path, weights) if is_hdf5 else _read_5(path, list(weights))
    for name in weights:
        if name not in stored:
            _validate.reject("path", f"a file with the variable {name!r}", str(path))
    return {name: from_matlab(parameters, stored[name], dtype) for name, parameters in weights.items()}


def _level_5(columns: dict[str, np.ndarray[Any, Any]]) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, columns)
    return buffer.getvalue()


def _read_5(path: Path, names: list[str]) -> dict[str, Any]:
    try:
        return scipy.io.loadmat(path, variable_names=names)
    except Exception as error:  # whatever SciPy stumbles over in a damaged file
        _validate.reject("path", "a MAT-file", f"{path} ({type(error).__name__}: {error})")


def _h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError:
        _validate.reject("version", "h5py for MAT-files of version 7.3 (pip install 'meganet[matlab]')", "none")
    return h5py


def _level_7_3(columns: dict[str, np.ndarray[Any, Any]]) -> bytes:
    h5py, buffer = _h5py(), io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=USER_BLOCK) as file:
        for name, column in columns.items():
            # HDF5 stores the axes in the opposite order
            data = file.create_dataset(name, data=column.T)
            kind = "single" if column.dtype == np.float32 else "double"
            data.attrs["MATLAB_class"] = np.bytes_(kind)
    text = HEADER + b", Platform: meganet, HDF5 schema 1.00 ."
    # subsystem data offset zero, version 2.0, byte order mark, as MATLAB writes them
    block = text.ljust(116) + bytes(8) + b"\x00\x02IM"
    return block.ljust(USER_BLOCK, b"\0") + buffer.getvalue()[USER_BLOCK:]


def _read_7_3(path: Path, weights: Mapping[str, Parameters]) -> dict[str, Any]:
    h5py = _h5py()
    found: dict[str, Any] = {}
    try:
        with h5py.File(path, "r") as file:
            for name, parameters in weights.items():
                data = file.get(name)
                if not isinstance(data, h5py.Dataset):
                    continue
                # known before a number is read; an empty array is stored as its sizes
                size = 0 if data.attrs.get("MATLAB_empty") or data.shape is None else data.size
                kind = data.attrs.get("MATLAB_class", np.bytes_(b"double"))
                if size != parameters.size or data.dtype.kind not in REAL or kind in (b"char", b"cell"):
                    what = f"{size} of {kind.decode()} {data.dtype}"
                    _validate.reject("path", f"{parameters.size} real numbers in the variable {name!r}", what)
                found[name] = np.asarray(data).T
    except _validate.InputError:
        raise
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        _validate.reject("path", "a MAT-file of version 7.3", f"{path} ({error})")
    return found
