"""The active backend, and the backend of an array."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from meganet.backend.base import Array, Backend, BackendError
from meganet.backend.cuda.probe import cupy_problem
from meganet.backend.device import cupy_backend
from meganet.backend.processor import numpy_backend
from meganet.ground import validate

ENVIRONMENT_VARIABLE = "MEGANET_BACKEND"
NUMBERS_AT_ONCE = 2**22
"""Numbers of an array that are looked at together."""

_FACTORIES = {"numpy": (numpy_backend, lambda: None), "cupy": (cupy_backend, cupy_problem)}
_loaded: dict[str, Backend] = {}
_active: ContextVar[Backend | None] = ContextVar("meganet_backend", default=None)


def available_backends() -> dict[str, str | None]:
    """Return every backend's name with None where it is usable, else with the reason why it is not.

    Examples
    --------
    >>> from meganet.backend import available_backends
    >>> backends = available_backends()
    >>> list(backends), backends["numpy"] is None
    (['numpy', 'cupy'], True)
    """
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

    Examples
    --------
    >>> import meganet as mn
    >>> mn.get_backend("numpy")
    Backend('numpy')
    >>> with mn.use_backend("numpy"):
    ...     mn.get_backend()
    Backend('numpy')
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
    name = validate.choice(argument, backend, _FACTORIES)
    if name not in _loaded:
        factory, problem = _FACTORIES[name]
        reason = problem()
        if reason is not None:
            validate.reject(argument, "a backend that can be used here", f"{name!r}: {reason}", BackendError)
        _loaded[name] = factory()
    return _loaded[name]


@contextmanager
def use_backend(backend: str | Backend) -> Iterator[Backend]:
    """Make `backend` the active one inside a ``with`` block.

    Examples
    --------
    >>> import meganet as mn
    >>> with mn.use_backend("numpy") as backend:
    ...     x, layer = backend.xp.zeros((5, 1, 8, 8)), mn.ConvolutionLayer((1, 8, 8), 4)
    >>> layer.backend, layer(backend.xp.zeros(36), x).shape
    (Backend('numpy'), (5, 4, 8, 8))
    """
    chosen = get_backend(backend)
    token = _active.set(chosen)
    try:
        yield chosen
    finally:
        _active.reset(token)


def backend_of(x: Any) -> Backend:
    """Return the backend that the array `x` belongs to; a plain NumPy array unless it says otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import backend_of
    >>> backend_of(np.zeros(3))
    Backend('numpy')
    """
    active = _active.get()
    for backend in ([active] if active is not None else []) + list(_loaded.values()):
        if backend.owns(x):
            return backend
    return get_backend("cupy" if type(x).__module__.split(".")[0] == "cupy" else "numpy")


def to_host(x: Any) -> Any:
    """Return `x` on the host: a device array is downloaded, anything else comes back as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import get_backend, to_host
    >>> type(to_host(get_backend("numpy").xp.zeros(3)))
    <class 'numpy.ndarray'>
    >>> to_host([1, 2])
    [1, 2]
    """
    return x if isinstance(x, (np.ndarray, np.generic)) else _download(x)


def _download(x: Any) -> Any:
    backend = backend_of(x)
    return backend.to_host(x) if backend.owns(x) else x


def is_finite(x: Array) -> bool:
    """Whether all numbers of an array are finite; on a device the host waits for the answer.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.backend import is_finite
    >>> is_finite(np.zeros((5, 3))), is_finite(np.array([1.0, np.inf]))
    (True, False)
    """
    backend = backend_of(x)
    if isinstance(x, np.ndarray) and x.size > NUMBERS_AT_ONCE and len(x) > 1:
        # the answers for a file that is larger than the memory would fill it
        return all(is_finite(part) for part in np.array_split(x, min(len(x), -(-x.size // NUMBERS_AT_ONCE))))
    return bool(backend.to_host(backend.xp.isfinite(x).all()))
