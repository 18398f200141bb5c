"""Which array library is active: NumPy on the CPU or CuPy on a GPU.

Everything that touches array memory asks a `Backend` for its namespaces. Operators and layers keep the
backend that was active when they were built; nothing migrates inside a product. Arrays move only through
`Backend.asarray` and `Backend.to_host`, which say so in the code.
"""

from meganet.backend.active import (
    ENVIRONMENT_VARIABLE,
    available_backends,
    backend_of,
    get_backend,
    host,
    is_finite,
    use_backend,
)
from meganet.backend.base import Array, Backend, BackendError
from meganet.backend.copies import moved, recast
from meganet.backend.streams import random_stream

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "Array",
    "Backend",
    "BackendError",
    "available_backends",
    "backend_of",
    "get_backend",
    "host",
    "is_finite",
    "moved",
    "random_stream",
    "recast",
    "use_backend",
]
