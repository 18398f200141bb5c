"""The sides of a comparison: ours, in the variants at hand, and the peers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from peers import MODULES, Peer, Variant, library
from suite.cases import Problem, Training

from meganet.backend import loops
from meganet.ground import validate

OURS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "meganet": nullcontext,
    "meganet, NumPy": lambda: loops.use_loops(False),
}
"""Our variants, each with the context in which it is made and runs; the first is what a user gets."""
ROUND_OFF = 1000
"""Units of round-off in which the sides may differ, relative to the norm."""


def add_against(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the peers."""
    text = "libraries, with commas between: xla is TensorFlow, by XLA and by its own kernels"
    parser.add_argument("--against", default=",".join(MODULES), help=text)


def named(against: str) -> list[str]:
    """Return the libraries that an option names."""
    return [name.strip() for name in against.split(",")]


def kernels(against: str) -> list[str]:
    """Return the instruction sets that the libraries name."""
    return [library(name).kernels() for name in named(against)]


def made(
    case: Problem, peers: Mapping[str, Variant], examples: int | None = None, seed: int = 0
) -> dict[str, Training | Peer]:
    """Return all sides of a case, ours first: the same weights, images and labels."""
    found: dict[str, Training | Peer] = {}
    for name, context in OURS.items():
        with context():
            found[name] = Training(case, examples, seed)
    return found | {name: variant.make(found["meganet"]) for name, variant in peers.items()}


def difference(sides: Mapping[str, Training | Peer], case: Problem) -> float:
    """Return by how much the gradients of the sides differ at most from ours, relative to its norm.

    Raises
    ------
    InputError
        If outputs or gradients differ by more than round-off.
    """
    worst, bound = 0.0, ROUND_OFF * float(np.finfo(case.dtype).eps)
    for what in ("outputs", "gradient"):
        found = {}
        for name, side in sides.items():
            with OURS.get(name, nullcontext)():
                found[name] = getattr(side, what)()
        own = found["meganet"]
        scale = float(np.linalg.norm(own)) or 1.0
        errors = {name: float(np.linalg.norm(other - own)) / scale for name, other in found.items()}
        name = max(errors, key=errors.__getitem__)
        if not errors[name] <= bound:
            validate.reject(f"{case}", f"the same {what} on all sides", f"{name} differs by {errors[name]:.1e}")
        worst = errors[name]
    return worst
