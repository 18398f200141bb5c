"""Whether two operators, layers, losses or regularisers compute the same."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import Any

import scipy.sparse

from meganet.backend import backend_of, to_host
from meganet.linop.tensor import Matrix


def alike(a: Any, b: Any) -> bool:
    """Whether two parts of objectives are the same in everything that they hold, numbers included."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (FunctionType, MethodType, partial)):
        # what they compute cannot be compared
        return bool(a == b)
    if scipy.sparse.issparse(a):
        return a.shape == b.shape and (a != b).nnz == 0
    if backend_of(a).owns(a):
        return a.shape == b.shape and a.dtype == b.dtype and bool((to_host(a) == to_host(b)).all())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        # what only one of them has is a cache
        return all(alike(a[key], b[key]) for key in a.keys() & b.keys())
    if isinstance(a, Matrix):
        shapes = (a.domain_shape, a.range_shape) == (b.domain_shape, b.range_shape)
        return shapes and alike(a.matrix, b.matrix)
    return alike(vars(a), vars(b)) if hasattr(a, "__dict__") else a == b
