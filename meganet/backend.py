"""Which array library is active: NumPy on the CPU or CuPy on a GPU.

Everything that touches array memory asks a `Backend` for its namespaces. Operators and layers keep the
backend that was active when they were built; nothing migrates inside a product. Arrays move only through
`Backend.asarray` and `Backend.to_host`, which say so in the code.
"""

from __future__ import annotations

import copy
import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse
import scipy.sparse.linalg

from meganet import _threads, _validate
from meganet._cuda import Kernels
from meganet._cuda.graph import State, Step, iterate, usual_allocator
from meganet._cuda.order import in_memory_order, joined, memory_axes
from meganet._cuda.probe import cupy_problem

Array = Any
"""An array of some backend: ``numpy.ndarray`` or ``cupy.ndarray``."""

ENVIRONMENT_VARIABLE = "MEGANET_BACKEND"
SMALLEST_SHARE = 4
"""Examples of a batch for which another thread is worth its own copy of the gradient."""
AT_ONCE = 2**22  # numbers of an array that are looked at
# names and numbers of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


class BackendError(_validate.InputError):
    """The backend that was asked for cannot be used on this machine."""


class Backend:
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
        return get_backend, (self.name,)

    def owns(self, x: object) -> bool:
        """Whether `x` is an array of this backend (a NumPy scalar counts as a NumPy array)."""
        return isinstance(x, self.array_type) or (self.array_type is np.ndarray and isinstance(x, np.generic))

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """Return `x` as an array of this backend, moved there if it lives elsewhere."""
        _validate.plain("x", x)
        return self.xp.asarray(x, dtype=dtype) if self.owns(x) else self._uploaded(host(x), dtype)

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

    def require(self, argument: str, x: Any) -> None:
        """Raise `InputError` unless `x` is an array of this backend, and a plain one."""
        if type(x) is self.array_type:
            return
        _validate.plain(argument, x)
        if not self.owns(x):
            _validate.reject(argument, f"an array of the {self.name} backend", f"{_describe(x)}")

    def require_floats(self, argument: str, x: Any) -> None:
        """Raise `InputError` unless `x` is an array of this backend, float32 or float64."""
        self.require(argument, x)
        _validate.float_dtype(f"dtype of {argument}", x.dtype)

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

    def product(self, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
        """Return the products of matrices (..., M, K) and (..., K, N), either transposed before."""
        if self.kernels is not None:
            return self.kernels.product(a, b, transpose_a, transpose_b)
        return (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)

    def dot(self, a: Array, b: Array) -> Array:
        """Return ``<a, b>``, an array of shape ()."""
        # on a device without its linear algebra library, which a recorded step cannot hold
        return (a * b).sum() if self.kernels is not None else self.xp.vdot(a, b)

    @property
    def keeps_order(self) -> bool:
        """Whether elementwise functions of the library give their results the memory order of the arguments."""
        return self.array_type is np.ndarray

    def elementwise(self, function: Callable[..., Any], *arrays: Array) -> Any:
        """Return ``function(*arrays)``, for a function of every entry, in the memory order of the largest array.

        `function` may broadcast arrays, change them in place and return several. On images everything elementwise goes
        through here, see `linop._layout`; what is called must not name an axis.
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


class _NumpyBackend(Backend):
    takes_stacks = False

    def shares(self, examples: int) -> list[slice]:
        count = max(1, min(_threads.thread_count(), examples // SMALLEST_SHARE))
        return [slice(k * examples // count, (k + 1) * examples // count) for k in range(count)]

    def run(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        return _threads.run(tasks)


class _CupyBackend(Backend):
    """CuPy, or what stands in for it."""

    @cached_property
    def kernels(self) -> Kernels:  # type: ignore[override]
        return Kernels(self.xp)

    def to_host(self, x: Any) -> np.ndarray[Any, Any]:
        return self.xp.asnumpy(x)

    def synchronize(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def _uploaded(self, x: Any, dtype: Any) -> Array:
        # within a recorded step it is a constant that outlives it, and so must its memory
        with usual_allocator(self.xp):
            return self.xp.asarray(x, dtype=dtype)

    def free_bytes(self) -> int:
        pool, (free, _) = self.xp.get_default_memory_pool(), self.xp.cuda.Device().mem_info
        limit = pool.get_limit()
        free += pool.free_bytes()
        return int(min(free, limit - pool.used_bytes()) if limit else free)

    def iterate(self, step: Step, state: State, inputs: Array, advance: Callable[[], Any]) -> State:
        return iterate(self.xp, step, state, inputs, advance)


def _describe(x: object) -> str:
    return f"{type(x).__module__.split('.')[0]} {type(x).__name__}"


def _keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next arrays instead of returning it to the system.

    A training step makes the same arrays of some megabytes again and again. By default glibc returns memory of
    that size at each ``free`` and has it faulted in again, page by page, which takes up to half of the step. Other C
    libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
    mallopt(M_TRIM_THRESHOLD, 256 * 2**20)


def _numpy() -> Backend:
    _keep_freed_memory()
    return _NumpyBackend("numpy", np, scipy.sparse, scipy.sparse.linalg, scipy.fft, np.ndarray, tile_bytes=5 * 2**19)


def _cupy() -> Backend:
    import cupy
    import cupyx.scipy.fft
    import cupyx.scipy.sparse
    import cupyx.scipy.sparse.linalg

    return _CupyBackend("cupy", cupy, cupyx.scipy.sparse, cupyx.scipy.sparse.linalg, cupyx.scipy.fft, cupy.ndarray)


_FACTORIES = {"numpy": (_numpy, lambda: None), "cupy": (_cupy, cupy_problem)}
_loaded: dict[str, Backend] = {}
_active: ContextVar[Backend | None] = ContextVar("meganet_backend", default=None)


def available_backends() -> dict[str, str | None]:
    """Return every backend's name with None where it is usable, else with the reason why it is not."""
    return {name: problem() for name, (_, problem) in _FACTORIES.items()}


def get_backend(backend: str | Backend | None = None) -> Backend:
    """Return a backend by name, or the active one.

    Parameters
    ----------
    backend : str, Backend or None
        "numpy", "cupy", a backend (returned as it is), or None for the active one: the innermost
        `use_backend`, else the environment variable ``MEGANET_BACKEND``, else NumPy.

    Raises
    ------
    InputError
        For an unknown name.
    BackendError
        If the backend cannot be used; the message says what is missing.
    """
    if isinstance(backend, Backend):
        return backend
    argument = "backend"
    if backend is None:
        active = _active.get()
        if active is not None:
            return active
        backend = os.environ.get(ENVIRONMENT_VARIABLE) or "numpy"
        argument = ENVIRONMENT_VARIABLE if os.environ.get(ENVIRONMENT_VARIABLE) else argument
    name = _validate.choice(argument, backend, _FACTORIES)
    if name not in _loaded:
        factory, problem = _FACTORIES[name]
        reason = problem()
        if reason is not None:
            _validate.reject(argument, "a backend that can be used here", f"{name!r}: {reason}", BackendError)
        _loaded[name] = factory()
    return _loaded[name]


@contextmanager
def use_backend(backend: str | Backend) -> Iterator[Backend]:
    """Make `backend` the active one inside a ``with`` block.

    Examples
    --------
    >>> from meganet import use_backend
    >>> with use_backend("numpy") as backend:
    ...     x = backend.xp.zeros(3)
    """
    chosen = get_backend(backend)
    token = _active.set(chosen)
    try:
        yield chosen
    finally:
        _active.reset(token)


def backend_of(x: Any) -> Backend:
    """Return the backend that the array `x` belongs to; a plain NumPy array unless it says otherwise."""
    active = _active.get()
    for backend in ([active] if active is not None else []) + list(_loaded.values()):
        if backend.owns(x):
            return backend
    return get_backend("cupy" if type(x).__module__.split(".")[0] == "cupy" else "numpy")


def host(x: Any) -> Any:
    """Return `x` on the host: a device array is downloaded, anything else comes back as it is."""
    return x if isinstance(x, (np.ndarray, np.generic)) else _download(x)


def _download(x: Any) -> Any:
    backend = backend_of(x)
    return backend.to_host(x) if backend.owns(x) else x


def is_finite(x: Array) -> bool:
    """Whether all numbers of an array are finite; on a device the host waits for the answer."""
    backend = backend_of(x)
    if isinstance(x, np.ndarray) and x.size > AT_ONCE and len(x) > 1:
        # the answers for a file that is larger than the memory would fill it
        return all(is_finite(part) for part in np.array_split(x, min(len(x), -(-x.size // AT_ONCE))))
    return bool(backend.to_host(backend.xp.isfinite(x).all()))


def moved(obj: Any, backend: str | Backend) -> Any:
    """Return a copy of an operator or layer whose arrays and parts, attributes or tuples of them, are moved."""
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


def recast(obj: Any, dtype: np.dtype[Any]) -> Any:
    """Return a copy of an operator, or what is made of operators, whose floating-point arrays are cast to `dtype`.

    A part that has a method `_astype` is asked for its own copy.
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
    if hasattr(value, "_astype"):
        return value._astype(dtype)
    if isinstance(getattr(value, "backend", None), Backend):
        return recast(value, dtype)
    return value.astype(dtype) if backend_of(value).owns(value) and value.dtype.kind == "f" else value


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """Return the host random stream number `key` of `seed`.

    Streams with different keys are independent, and a stream depends on nothing but (`seed`, `key`). Numbers are
    always drawn on the host, in float64, and then moved and rounded: so both backends start from the same weights.
    """
    for name, number in (("seed", seed), *(("key", k) for k in key)):
        _validate.integer(name, number, minimum=0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
