"""Other libraries at the same work, each behind a `Peer`; comparisons are with the fastest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from suite.cases import Measured

from meganet.ground import validate

from .base import Peer

MODULES = {"torch": "pytorch", "xla": "xla"}
"""The libraries by the names that ``--against`` takes.

A module has the functions ``limit(threads)``; ``kernels()``, what instruction sets it uses, in words; and
``variants()``, what makes a peer of a training, by name.
"""


class Variant(NamedTuple):
    """A way in which a library can be used."""

    library: str
    make: Callable[[Measured], Peer]


def peers(names: Sequence[str], threads: int) -> dict[str, Variant]:
    """Return the variants of libraries, by their names in tables; the libraries are held to so many threads."""
    found = {}
    for name in names:
        module = library(name)
        module.limit(threads)
        found |= {variant: Variant(name, make) for variant, make in module.variants().items()}
    return found


def library(name: str) -> Any:
    """Return the module of a library."""
    module = MODULES[validate.choice("--against", name, MODULES)]
    try:
        return import_module(f".{module}", __name__)
    except ImportError as error:
        validate.reject("--against", f"{name} to be installed, as by the extra bench", str(error))
