"""Classes as users have them: integers from 0, whole floats, one-hot matrices either way round."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from meganet.backend import to_host
from meganet.ground import validate


def class_numbers(argument: str, labels: Any, classes: int) -> np.ndarray[Any, Any]:
    """Return `labels` as a host array of integers in ``0 ... classes - 1``, one for each example.

    What can be read in one way only is taken: vectors of integers, of booleans for two classes or of whole floats, and
    one-hot matrices, (N, K) or, as MATLAB's Meganet has them, (K, N). For the rest the error says what to write.

    Raises
    ------
    InputError
        For labels that are none of these, or name a class outside of the range.

    Examples
    --------
    >>> from meganet.datasets.labels import class_numbers
    >>> class_numbers("labels", [[0, 1, 0], [1, 0, 0]], classes=3)
    array([1, 0])
    """
    array = validate.read(argument, to_host(labels), "a vector of integers")
    kind = array.dtype.kind
    if kind in "USO":
        advice = "text is numbered by np.unique(labels, return_inverse=True)[1]"
        validate.reject(argument, f"a vector of integers; {advice}", f"dtype {array.dtype}")
    if kind not in "biuf":
        _refuse(argument, array, "a vector of integers")
    if array.ndim == 2 and min(array.shape) > 0:
        return _of_matrix(argument, array, classes)
    if array.ndim != 1 or (kind == "b" and classes != 2):
        _refuse(argument, array, "a vector of integers")
    if kind == "f":
        fractional = ~np.isfinite(array) | (array != np.round(array))
        if fractional.any():
            first = int(np.flatnonzero(fractional)[0])
            validate.reject(argument, "whole numbers", f"{array[first]} at position {first}")
    wrong = (array < 0) | (array >= classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        from_one = array.min() == 1 and array.max() == classes
        advice = f"; MATLAB's classes 1 to {classes} are labels - 1 here" if from_one else ""
        validate.reject(argument, f"classes 0 to {classes - 1}", f"{array[first]:g} at position {first}{advice}")
    return array.astype(np.int64)


def _of_matrix(argument: str, array: np.ndarray[Any, Any], classes: int) -> np.ndarray[Any, Any]:
    """Return the classes of a one-hot matrix, whichever way round it is."""
    hot = array == 1
    found = []
    if (hot | (array == 0)).all():
        # examples in rows, then examples in columns
        for axis in (1, 0):
            if array.shape[axis] == classes and (hot.sum(axis=axis) == 1).all():
                found.append(hot.argmax(axis=axis))
    if not found:
        if 1 in array.shape:
            _refuse(argument, array, "a vector of integers; a row or column of classes is labels.ravel()")
        _refuse(argument, array, f"a vector of integers, or {classes} one-hot columns or rows")
    if len(found) == 2 and not np.array_equal(*found):
        advice = "labels.argmax(axis=1) for examples in rows, labels.argmax(axis=0) for examples in columns"
        _refuse(argument, array, f"an unambiguous one-hot matrix; write {advice}")
    return found[0].astype(np.int64)


def _refuse(argument: str, array: np.ndarray[Any, Any], expected: str) -> NoReturn:
    validate.reject(argument, expected, f"shape {array.shape}, dtype {array.dtype}")
