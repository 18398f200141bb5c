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
    is_finite,
    to_host,
    use_backend,
)
from meganet.backend.base import Array, Backend, BackendError
from meganet.backend.copies import to_backend, to_dtype
from meganet.backend.streams import random_stream
from meganet.ground.deprecated import moved_names

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "Array",
    "Backend",
    "BackendError",
    "available_backends",
    "backend_of",
    "get_backend",
    "is_finite",
    "random_stream",
    "to_backend",
    "to_dtype",
    "to_host",
    "use_backend",
]

moved_names(
    __name__,
    {
        "host": "meganet.backend:to_host",
        "moved": "meganet.backend:to_backend",
        "recast": "meganet.backend:to_dtype",
    },
)
