"""The slope of a function along a line, measured from its values alone, and how far the measurement can be trusted.

The function need be smooth in pieces only: where its slope jumps (ReLU) the steps become shorter until none crosses a
jump, and a jump at the point itself shows in the two one-sided slopes. A long step may leave the domain of a function;
what is not finite there is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, backend_of

EPS = float(np.finfo(np.float64).eps)
FIRST_STEP = 0.9
"""No power of 2: with such steps a function whose period is one would look constant."""
HALVINGS = 64
GROWTH = 256.0
SHARE = 1e-3
"""Uncertainty relative to the slope from which on a slope is told from 0."""
Line = Callable[[float], Array]
"""Values ``h -> f(x + h d)``."""
Norms = np.ndarray[Any, Any]
"""Euclidean norm and largest entry: a mistake may be a small one everywhere or a larger one in a single entry."""


class Slope(NamedTuple):
    """A slope, the jump between the one-sided slopes at the point, and the uncertainty in both norms at a step.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks.slopes import EPS, FIRST_STEP, norms, slope_of
    >>> kink = slope_of(lambda h: np.array([np.sin(h), abs(h)]), np.full(2, EPS), 1e-9, FIRST_STEP, 1.0)
    >>> print(kink.value.round(6), kink.jump.round(6))
    [1. 0.] [0. 2.]
    """

    value: Array
    jump: Array
    error: Norms
    step: float
    rank: tuple[int, float]


def norms(a: Array) -> Norms:
    """Return Euclidean norm and largest absolute value, for entries of any size.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks.slopes import norms
    >>> print(norms(np.array([3.0, -4.0])), norms(np.array([3e200, -4e200])))
    [5. 4.] [5.e+200 4.e+200]
    """
    if not hasattr(a, "reshape"):
        return np.full(2, abs(float(a)))
    if not math.prod(a.shape):
        return np.zeros(2)
    flat = a.reshape(-1).astype(np.float64)
    to_host = backend_of(flat).to_host
    largest = float(to_host(abs(flat).max()))
    if largest == 0 or not math.isfinite(largest):
        return np.full(2, largest)
    scaled = flat / largest
    return largest * np.array([math.sqrt(float(to_host((scaled * scaled).sum()))), 1.0])


def positive(a: Array) -> Array:
    """Return max(a, 0) for arrays and numbers alike.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks.slopes import positive
    >>> positive(-2.0), positive(np.array([-1.0, 3.0])).tolist()
    (0.0, [0.0, 3.0])
    """
    return 0.5 * (a + abs(a))


@np.errstate(all="ignore")
def round_off(line: Line, size: Norms, step: float) -> Norms:
    """Return the standard deviation of the noise in the values of a function of the given size.

    From differences of order 5 and 6 of values at tiny steps, where only noise is left: J. Moré and S. Wild,
    Estimating computational noise, SIAM J. Sci. Comput. 33 (2011). At least one unit of round-off.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks.slopes import norms, round_off
    >>> rng = np.random.default_rng(0)
    >>> noise = round_off(lambda h: np.exp(h) + 1e-6 * rng.standard_normal(100), norms(np.ones(100)), 1e-9)
    >>> print(noise.shape, f"{noise[0]:.0e}")
    (2,) 1e-05
    """
    rows = [line(k * step) for k in range(1, 8)]
    noise = EPS * size
    for order in range(1, 7):
        rows = [b - a for a, b in zip(rows, rows[1:], strict=False)]
        if order >= 5:
            share = math.factorial(order) ** 2 / math.factorial(2 * order)
            noise = np.fmax(noise, np.sqrt(share * np.mean([norms(row) ** 2 for row in rows], axis=0)))
    return noise


def slope_of(line: Line, noise: Norms, accuracy: float, first: float, longest: float) -> Slope | None:
    """Return the slope at 0, found as accurately as asked, relative to its size, or else as noise allows.

    Steps begin at `first`; where noise hides the slope they begin further out, up to `longest`. None if the function is
    finite nowhere near.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks.slopes import EPS, FIRST_STEP, slope_of
    >>> found = slope_of(np.exp, np.full(2, EPS), 1e-9, FIRST_STEP, 1.0)
    >>> round(float(found.value), 9), bool((found.error < 1e-9).all())
    (1.0, True)
    """
    best = _search(line, noise, accuracy, first)
    while best is not None and first * GROWTH <= longest:
        enough = np.all(best.error <= accuracy * norms(best.value))
        if enough or best.error[0] > 8 * noise[0] / best.step:
            break
        first *= GROWTH
        other = _search(line, noise, accuracy, first)
        if other is None or other.rank > best.rank:
            break
        best = other
    return best


@np.errstate(all="ignore")
def _search(line: Line, noise: Norms, accuracy: float, first: float) -> Slope | None:
    """Halve the step; every step gives a central difference, extrapolated twice to an error of order 6.

    The uncertainty is what the last two halvings changed, plus noise. The least uncertain slope is kept, a jump counted
    as uncertain: a bend that is only sharp is smooth for shorter steps.
    """
    centre, best = line(0.0), None
    central: list[Array] = []
    jumps: list[Array] = []
    change = bend = np.full(2, np.inf)
    for k in range(HALVINGS):
        h = first * 0.5**k
        if best is not None and noise[0] / h > best.error[0] + float(norms(best.jump)[0]):
            break
        plus, minus = line(h), line(-h)
        before, jumps_before = central, jumps
        central = _extrapolated((plus - minus) * (0.5 / h), before, 2)
        jumps = _extrapolated((plus + minus - 2 * centre) * (1 / h), jumps_before, 1)
        if not np.isfinite(norms(central[0])[0]):
            central, jumps, change = [], [], np.full(2, np.inf)
            continue
        if len(before) < 3:
            continue
        last, change = change, norms(central[2] - before[2])
        last_bend, bend = bend, norms(jumps[1]) - 0.1 * norms(jumps[0])
        if not np.isfinite(last[0]):
            continue
        rounding = np.maximum(noise, EPS * np.maximum(norms(plus), norms(minus))) / h
        error = np.maximum(last, change) + rounding
        # a jump that is no smaller than its own uncertainty
        jump = positive(abs(jumps[2]) - abs(jumps[2] - jumps_before[2]))
        size, doubt = norms(central[2]), error + 0.5 * norms(jump)
        if np.all(error <= SHARE * size):
            rank = (0, float((doubt / size).max()))
        else:  # a slope of 0, if the values change regularly, else too long a step or too much noise
            rank = (1 + bool(np.any(np.maximum(bend, last_bend) > 8 * rounding)), float(doubt[0]))
        if best is None or rank < best.rank:
            best = Slope(central[2], jump, error, h, rank)
            if np.all(doubt <= accuracy * size):
                break
    return best


def _extrapolated(new: Array, before: list[Array], order: int) -> list[Array]:
    """Return a row of Richardson's scheme, at most two columns, for errors of orders `order`, `order` + 2, ..."""
    row = [new]
    for j, old in enumerate(before[:2]):
        row.append(row[j] + (row[j] - old) * (1 / (2 ** (order + 2 * j) - 1)))
    return row
