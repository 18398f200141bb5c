"""An operator as a `scipy.sparse.linalg.LinearOperator`, in whatever dtype a solver works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from meganet.backend import Array
from meganet.ground import validate


def adapted(operator: Any) -> Any:
    """Return an operator as SciPy's, or CuPy's, linear operator; see `LinearOperator.aslinearoperator`.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import lsqr
    >>> from meganet.linop import Matrix
    >>> from meganet.linop.adapter import adapted
    >>> A = adapted(Matrix([[2.0, 0.0], [0.0, 4.0], [0.0, 0.0]]))
    >>> A.shape, A.dtype
    ((3, 2), dtype('float64'))
    >>> lsqr(A, np.array([2.0, 2.0, 5.0]))[0].round(6)
    array([1. , 0.5])
    """
    if operator.stack:
        validate.reject("operator", "a single one, which has a matrix", f"a stack of {operator.stack[0]}")
    backend, made = operator.backend, {operator.dtype: operator}

    def product(argument: str, x: Array, adjoint: bool) -> Array:
        """Return ``A X`` or ``A.T X`` for columns X, (n, k), computed in the dtype that both are promoted to."""
        backend.require(argument, x)
        x = backend.xp.asarray(x)
        if x.dtype.kind not in "biufc":
            validate.reject(f"dtype of {argument}", "real or complex numbers", str(x.dtype))
        promoted = np.result_type(operator.dtype, x.dtype)
        if promoted.kind == "c":
            parts = [product(argument, part, adjoint) for part in (x.real, x.imag)]
            return (parts[0] + 1j * parts[1]).astype(promoted)
        dtype = np.dtype(np.float32 if promoted == np.float32 else np.float64)
        if dtype not in made:
            made[dtype] = operator.with_dtype(dtype)
        one = made[dtype].T if adjoint else made[dtype]
        if not x.shape[1]:
            return backend.xp.zeros((one.shape[0], 0), dtype=promoted)
        examples = backend.xp.ascontiguousarray(x.T.astype(dtype)).reshape(-1, *one.domain_shape)
        # in memory of its own: a solver may work in place
        return (one @ examples).reshape(x.shape[1], -1).T.astype(promoted)

    def columns(adjoint: bool) -> Callable[[Array], Array]:
        return lambda x: product("x", x, adjoint)

    def vectors(adjoint: bool) -> Callable[[Array], Array]:
        return lambda x: product("x", x.reshape(-1, 1), adjoint)[:, 0]

    return backend.linalg.LinearOperator(
        operator.shape,
        matvec=vectors(False),
        rmatvec=vectors(True),
        matmat=columns(False),
        rmatmat=columns(True),
        dtype=operator.dtype,
    )
