"""What a backend offers: namespaces, transfers, work in parts, and the order of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend.cuda import Kernels
from meganet.backend.cuda.graph import State, Step
from meganet.backend.cuda.order import in_memory_order, joined, memory_axes
from meganet.backend.layout import Array
from meganet.backend.products import Products
from meganet.ground import validate


class BackendError(validate.InputError):
    """The backend that was asked for cannot be used on this machine.

    Examples
    --------
    >>> from meganet.backend import BackendError, get_backend
    >>> try:
    ...     backend = get_backend("cupy")
    ... except BackendError:
    ...     backend = get_backend("numpy")
    >>> backend.name in ("cupy", "numpy")
    True
    """


class Backend(Products):
    """Array namespace, sparse namespace and FFT namespace of one array library.

    Attributes
    ----------
    name : str
        "numpy" or "cupy".
    xp, sparse, linalg, fft : module
        The array library and its counterparts of `scipy.sparse`, `scipy.sparse.linalg` and `scipy.fft`.
    array_type : type
        The library's array class.
    tile_bytes : int or None
        Size of the work buffer of a convolution that stays in the processor's cache; None: no tiling.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> backend = mn.get_backend("numpy")
    >>> x = backend.asarray([1.0, 2.0, 3.0], np.float32)
    >>> backend.owns(x), x.dtype, float(backend.dot(x, x))
    (True, dtype('float32'), 14.0)
    >>> backend.product(np.ones((5, 2, 3)), np.ones((5, 4, 3)), transpose_b=True).shape
    (5, 2, 4)
    """

    def __init__(
        self,
        name: str,
        xp: Any,
        sparse: Any,
        linalg: Any,
        fft: Any,
        array_type: type,
        tile_bytes: int | None = None,
    ) -> None:
        self.name, self.xp, self.sparse, self.linalg, self.fft = name, xp, sparse, linalg, fft
        self.array_type, self.tile_bytes = array_type, tile_bytes

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name: what is unpickled elsewhere finds its backend there, or says why it cannot."""
        from meganet.backend.active import get_backend

        return get_backend, (self.name,)

    def owns(self, x: object) -> bool:
        """Whether `x` is an array of this backend (a NumPy scalar counts as a NumPy array)."""
        return isinstance(x, self.array_type) or (self.array_type is np.ndarray and isinstance(x, np.generic))

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """Return `x` as an array of this backend, moved there if it lives elsewhere."""
        validate.plain("x", x)
        if self.owns(x):
            return self.xp.asarray(x, dtype=dtype)
        from meganet.backend.active import to_host  # which knows every backend

        return self._uploaded(to_host(x), dtype)

    def _uploaded(self, x: Any, dtype: Any) -> Array:
        return self.xp.asarray(x, dtype=dtype)

    def to_host(self, x: Any) -> np.ndarray[Any, Any]:
        """Return `x`, an array of this backend, as a NumPy array."""
        return np.asarray(x)

    def csr(self, matrix: Any) -> Any:
        """Return a SciPy sparse matrix as canonical CSR of this backend."""
        csr = scipy.sparse.csr_array(matrix)
        csr.sum_duplicates()
        return self.sparse.csr_array(
            (self.asarray(csr.data), self.asarray(csr.indices), self.asarray(csr.indptr)), shape=csr.shape
        )

    def rows_matrix(self, matrix: Any) -> Any:
        """Return a SciPy sparse matrix as `rows_product` takes it."""
        return self.csr(matrix)

    def rows_product(self, matrix: Any, x: Array) -> Array:
        """Return ``A x`` for every row x of (N, n), with a matrix made by `rows_matrix`: (N, m)."""
        return (matrix @ x.T).T

    def require(self, argument: str, x: Any) -> None:
        """Raise `InputError` unless `x` is an array of this backend, and a plain one."""
        if type(x) is self.array_type:
            return
        validate.plain(argument, x)
        if not self.owns(x):
            validate.reject(argument, f"an array of the {self.name} backend", f"{_describe(x)}")

    def require_floats(self, argument: str, x: Any) -> None:
        """Raise `InputError` unless `x` is an array of this backend, float32 or float64."""
        self.require(argument, x)
        validate.float_dtype(f"dtype of {argument}", x.dtype)

    def synchronize(self) -> None:
        """Wait until the work given to the device is done."""

    #: Hand-written kernels, on a device.
    kernels: Kernels | None = None
    #: Whether a stack of networks goes through the layers as one; else one by one is faster.
    takes_stacks = True

    def shares(self, examples: int) -> list[slice]:
        """Return the parts of a batch that are worked on side by side: the whole batch on a device."""
        return [slice(0, examples)]

    def run(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """Return the results of independent tasks, in order."""
        return [task() for task in tasks]

    @property
    def keeps_order(self) -> bool:
        """Whether elementwise functions of the library give their results the memory order of the arguments."""
        return self.array_type is np.ndarray

    def elementwise(self, function: Callable[..., Any], *arrays: Array) -> Any:
        """Return ``function(*arrays)``, for a function of every entry, in the memory order of the largest array.

        `function` may broadcast arrays, change them in place and return several. On images everything elementwise goes
        through here, see `backend.layout`; what is called must not name an axis.
        """
        return function(*arrays) if self.keeps_order else in_memory_order(function, *arrays)

    def copied(self, x: Array) -> Array:
        """Return a copy; on a device in the memory order of `x`."""
        return self.elementwise(lambda array: array.copy(), x)

    def concatenate(self, parts: Sequence[Array], axis: int = -1) -> Array:
        """Return arrays joined along an axis; on a device in their memory order."""
        if self.keeps_order:
            return self.xp.concatenate(parts, axis=axis)
        axes = memory_axes(*parts) or range(parts[0].ndim)
        return joined(self.xp, parts, list(axes), axis % parts[0].ndim)

    def stack(self, parts: Sequence[Array]) -> Array:
        """Return arrays of one shape joined along a new axis in front; on a device in their memory order."""
        if self.keeps_order:
            return self.xp.stack(parts)
        axes = memory_axes(*parts) or range(parts[0].ndim)
        return joined(self.xp, [part[None] for part in parts], [0, *(axis + 1 for axis in axes)], 0)

    def free_bytes(self) -> int | None:
        """Return how much memory arrays can still take, None where nobody needs to ask."""
        return None

    def iterate(self, step: Step, state: State, inputs: Array, advance: Callable[[], Any]) -> State:
        """Return the state after ``state = step(state, inputs[k])`` for every k, calling `advance` after each.

        On a GPU the step is recorded once and then launched as a whole, so it may depend on its arguments only.
        """
        for number in range(inputs.shape[0]):
            state = step(state, inputs[number])
            advance()
        return state


def _describe(x: object) -> str:
    return f"{type(x).__module__.split('.')[0]} {type(x).__name__}"
