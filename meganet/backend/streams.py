"""Random numbers, drawn on the host from a seed."""

from __future__ import annotations

import numpy as np

from meganet.ground import validate


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """Return the host random stream number `key` of `seed`.

    Streams with different keys are independent, and a stream depends on nothing but (`seed`, `key`). Numbers are
    always drawn on the host, in float64, and then moved and rounded: so both backends start from the same weights.

    Examples
    --------
    >>> from meganet.backend import random_stream
    >>> first, again, other = random_stream(0, 1), random_stream(0, 1), random_stream(0, 2)
    >>> x = first.standard_normal(3)
    >>> x.shape, bool((x == again.standard_normal(3)).all()), bool((x == other.standard_normal(3)).any())
    ((3,), True, False)
    """
    for name, number in (("seed", seed), *(("key", k) for k in key)):
        validate.integer(name, number, minimum=0)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
