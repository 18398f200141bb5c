"""Operators and layers on another backend or in another dtype."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from meganet.backend.active import backend_of, get_backend
from meganet.backend.base import Backend


def to_backend(obj: Any, backend: str | Backend) -> Any:
    """Return a copy of an operator or layer whose arrays and parts, attributes or tuples of them, are moved.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import to_backend
    >>> from meganet.linop import Matrix
    >>> operator = Matrix(np.eye(3)[:2])
    >>> copy = to_backend(operator, "numpy")
    >>> copy is operator, copy.shape, copy.backend
    (False, (2, 3), Backend('numpy'))
    """
    target = get_backend(backend)
    new = copy.copy(obj)
    for name, value in vars(obj).items():
        if name == "backend":
            setattr(new, name, target)
        elif hasattr(value, "to"):
            setattr(new, name, value.to(target))
        elif isinstance(value, tuple) and value and all(hasattr(v, "to") for v in value):
            setattr(new, name, tuple(v.to(target) for v in value))
        elif obj.backend.owns(value):
            setattr(new, name, target.asarray(value))
    return new


def to_dtype(obj: Any, dtype: np.dtype[Any]) -> Any:
    """Return a copy of an operator, or what is made of operators, whose floating-point arrays are cast to `dtype`.

    A part that has a method `with_dtype` is asked for its own copy.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import to_dtype
    >>> from meganet.linop import Matrix
    >>> operator = Matrix(np.eye(3)[:2])
    >>> operator.dtype, to_dtype(operator, np.dtype("float32")).dtype
    (dtype('float64'), dtype('float32'))
    """
    new = copy.copy(obj)
    new.__dict__.update({name: _recast(value, dtype) for name, value in vars(obj).items()})
    return new


def _recast(value: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(value, np.dtype):
        return dtype if value.kind == "f" else value
    if isinstance(value, (tuple, list)):
        parts = [_recast(part, dtype) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if hasattr(value, "with_dtype"):
        return value.with_dtype(dtype)
    if isinstance(getattr(value, "backend", None), Backend):
        return to_dtype(value, dtype)
    return value.astype(dtype) if backend_of(value).owns(value) and value.dtype.kind == "f" else value
