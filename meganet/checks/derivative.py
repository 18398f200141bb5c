"""Taylor test of a derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from meganet.backend import Array, backend_of
from meganet.checks.adjoint import CheckError
from meganet.checks.slopes import EPS, FIRST_STEP, SHARE, Line, norms, positive, round_off, slope_of
from meganet.ground import validate

FLOOR_MAXIMUM = 1e-8
SAFETY = 10.0
"""Accepted error of a slope in units of its uncertainty."""
SLOPE_ROUND_OFF = 100 * EPS
"""Accepted error of a derivative in units of its sizes along directions with the same entries up to sign."""
ROWS = 30
MOST_ROWS = 80
Column = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TaylorTable:
    """What `check_derivative` measured: one row per step length.

    Attributes
    ----------
    h, error0, error1 : ndarray
        Step lengths ``2**-k``, or a power of 2 longer if the direction is far shorter than the point;
        ``E0 = ||f(x + h d) - f(x)||``; ``E1 = ||f(x + h d) - f(x) - h f'(x) d||``.
    order : float
        Exponent of h in E1, the median over the rows that stand above round-off and cross no kink: 2 for a right
        derivative, 1 for a wrong one; nan if `exact`.
    floor : float
        Relative error of the derivative along the direction, the limit of E1/E0 for small h without round-off: from
        extrapolated central differences, in the Euclidean norm or the largest entry, whichever is closer to failing.
    exact : bool
        No such rows: the function is linear along the direction, between kinks.
    tolerance : float
        Largest accepted `floor`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks import check_derivative
    >>> x = np.linspace(-1, 1, 5)
    >>> table = check_derivative(lambda x: (x**3).sum(), lambda v: 3 * x**2 @ v, x, np.ones(5))
    >>> table.h.shape, table.error1.shape
    ((30,), (30,))
    >>> table.floor < table.tolerance, table.exact
    (True, False)
    >>> check_derivative(lambda x: 2 * x, lambda v: 2 * v, x, np.ones(5)).exact
    True
    """

    h: np.ndarray[Any, Any]
    error0: np.ndarray[Any, Any]
    error1: np.ndarray[Any, Any]
    order: float
    floor: float
    exact: bool
    tolerance: float

    def __str__(self) -> str:
        """Return the table as text with a last line of order and floor."""
        lines = ["       h          E0          E1    E1/E0"]
        rows = zip(self.h.tolist(), self.error0.tolist(), self.error1.tolist(), strict=True)
        lines += [f"{h:8.2e}  {e0:10.4e}  {e1:10.4e}  {e1 / e0 if e0 else 0:7.1e}" for h, e0, e1 in rows]
        order = "linear along this direction" if self.exact else f"order {self.order:.3f}"
        return "\n".join([*lines, f"{order}, floor of E1/E0 {self.floor:.1e}, at most {self.tolerance:.1e}"])


def check_derivative(
    function: Callable[[Array], Array],
    derivative: Callable[[Array], Array],
    x: Array,
    direction: Array,
    *,
    name: str = "function",
    floor_maximum: float = FLOOR_MAXIMUM,
    verbose: bool = False,
) -> TaylorTable:
    """Taylor-remainder test of a derivative along one direction.

    ``E1(h) = ||f(x + h d) - f(x) - h f'(x) d||`` falls with order 2 in h if the derivative is right, and
    ``E0 = ||f(x + h d) - f(x)||`` with order 1, so that E1/E0 tends to 0. The limit, the relative error of the
    derivative, is measured by central differences, extrapolated and so short that no kink (ReLU) is crossed. It must be
    at most `floor_maximum` plus ten times what truncation and round-off leave uncertain: those of the values, measured
    next to `x`, and of the slope. So it is in the Euclidean norm and for the largest entry.

    A relative error of 1e-6 of the slope is seen, and one of single entries that is 1e-6 of the largest, whatever the
    scales of f, x and d, unless the values change by less than 1e8 units of their round-off. Where an entry of f has
    a kink at `x` itself, its derivative may be anything between the slopes on both sides; where several kinks that
    lie at `x` at once add up in an entry, take another point.

    Parameters
    ----------
    function : callable
        ``x -> f(x)``, a float64 array or number, evaluated at ``x + h d`` with ``abs(h) <= 1``, and beyond only
        if `direction` is short against `x`. Where it is not finite, shorter steps are taken.
    derivative : callable
        ``d -> f'(x) d`` at `x`, linear.
    x, direction : array
        Point and direction, of one shape, on any backend; the point in float64.
    floor_maximum : float
        Accepted relative error of the derivative, 1e-8 if not given.
    verbose : bool
        Print the table.

    Returns
    -------
    TaylorTable

    Raises
    ------
    CheckError
        With the table, if the floor is too high; for results that are not finite or of different shapes.
    InputError
        For a point or value in float32, or a direction of another shape, zero or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks import check_derivative
    >>> x, d = np.linspace(-1, 1, 5), np.ones(5)
    >>> table = check_derivative(np.tanh, lambda v: v / np.cosh(x) ** 2, x, d)
    >>> round(table.order, 1)
    2.0
    """
    for argument, given in (("function", function), ("derivative", derivative)):
        if not callable(given):
            validate.reject(argument, "a function", repr(given))
    floor_maximum = validate.real("floor_maximum", floor_maximum, above=0)
    backend_of(x).require("x", x)
    backend_of(direction).require("direction", direction)
    if direction.dtype.kind not in "iuf":
        validate.reject("direction", "real numbers", str(direction.dtype))
    point, length = _check_point(x, direction)
    direction = direction.astype(np.float64)
    f0, slope = function(x), derivative(direction)
    for argument, result in (("function", f0), ("derivative", slope)):
        if not isinstance(result, Real):
            backend_of(result).require(argument, result)
    size, slope_size = norms(f0), norms(slope)
    if getattr(f0, "dtype", np.float64) == np.float32:
        validate.reject("function", "one that keeps to float64", "float32")
    shapes = [getattr(a, "shape", ()) for a in (f0, slope)]
    if shapes[0] != shapes[1] or not np.isfinite([size, slope_size]).all():
        raise CheckError(
            f"{name}: value of shape {shapes[0]} and size {size[0]:.3g}, "
            f"derivative of shape {shapes[1]} and size {slope_size[0]:.3g}"
        )

    def line(h: float) -> Array:
        return function(x + h * direction) if h else f0

    reach = max(point, 1.0) / length
    ratio = (point or 1.0) / length
    # so short that the function is straight, but at least some units of the entries of x
    noise = round_off(line, size, max(2.0**-36 * min(1.0, ratio), 64 * EPS * ratio))
    accuracy = 0.1 * floor_maximum / SAFETY
    longest = 2.0 ** max(0, math.floor(math.log2(ratio)) - 10)
    measured = slope_of(line, noise, accuracy, FIRST_STEP * longest * min(1.0, 1024 * reach), reach)
    if measured is None:
        raise CheckError(f"{name}: the values next to x are not finite")
    uncertain = SAFETY * measured.error + SLOPE_ROUND_OFF * norms(derivative(direction * _signs(direction)))
    error = norms(positive(abs(measured.value - slope) - 0.5 * measured.jump))
    slope_size = np.maximum(slope_size, norms(measured.value))
    accepted = floor_maximum * slope_size + uncertain
    worse = int(np.argmax(error * accepted[::-1]))  # the larger of error / accepted
    scale = float(slope_size[worse]) or 1.0
    floor, tolerance = float(error[worse]) / scale, float(accepted[worse]) / scale
    h, error0, error1, order = _remainders(line, f0, slope, float(noise[0]), longest)
    exact = math.isnan(order)
    table = TaylorTable(h, error0, error1, order, floor, exact, tolerance)
    if verbose:
        print(f"{name}\n{table}")
    if not floor <= tolerance:
        kink = "; x lies on a kink: try another" if (norms(measured.jump) > SHARE * slope_size).any() else ""
        raise CheckError(
            f"{name}: the derivative test fails, order {order:.3f} (of a right one 2) and floor "
            f"{floor:.1e} (at most {tolerance:.1e}){kink}\n{table}",
            table,
        )
    return table


def _check_point(x: Array, direction: Array) -> tuple[float, float]:
    """Return the typical sizes of the entries of point and direction."""
    length = float(norms(direction)[0])
    kind = getattr(x, "dtype", type(x).__name__)
    if kind != np.float64 or not 0 < length < math.inf:
        validate.reject("x, direction", "float64 and a direction that is not zero", f"{kind}, {length}")
    if getattr(direction, "shape", None) != x.shape:
        validate.reject("direction", f"an array of shape {x.shape}", f"shape {getattr(direction, 'shape', ())}")
    root = math.sqrt(math.prod(x.shape))
    return float(norms(x)[0]) / root, length / root


def _signs(direction: Array) -> Array:
    signs = 1.0 - 2.0 * np.random.default_rng(0).integers(2, size=direction.shape)
    return backend_of(direction).asarray(signs)


@np.errstate(all="ignore")
def _remainders(
    line: Line, f0: Array, slope: Array, noise: float, longest: float
) -> tuple[Column, Column, Column, float]:
    """Return the rows of the table, and the order of E1 over those that show it."""
    steps: list[float] = []
    sizes: list[list[float]] = []
    difference = bend = 0 * f0
    while len(steps) < ROWS or (len(steps) < MOST_ROWS and sizes[-1][1] > 20 * noise):
        h = longest * 0.5 ** len(steps)
        before, bend_before = difference, bend
        difference = line(h) - f0
        # f(x + 2h d) - 2 f(x + h d) + f(x) falls by 4, or by 8 where f'' = 0, unless a kink is within 2h
        bend = before - 2 * difference
        steps.append(h)
        columns = (difference, difference - h * slope, bend, bend_before - 4 * bend)
        sizes.append([float(norms(a)[0]) for a in columns])
    h_all, (error0, error1, bends, misfits) = np.array(steps), np.array(sizes).T
    noise = max(20 * noise, 4 * float(np.median(bends[-8:])))
    # rows k, k + 1 and k + 2 lie on one smooth piece
    smooth = misfits[2:] <= 0.6 * bends[1:-1] + noise
    shown = smooth & (h_all[:-2] <= longest / 8) & (error1[1:-1] > noise)
    orders = np.log2(error1[:-2][shown] / error1[1:-1][shown])
    return h_all, error0, error1, float(np.median(orders)) if len(orders) >= 3 else math.nan
