"""Checks of operators, derivatives and layers, for users and for our own tests.

Each check raises `CheckError` with everything it measured, and returns what it measured otherwise. They are strict
enough to see a relative error of 1e-5 in a derivative and of some ten units of round-off in an adjoint. Use float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet import _validate
from meganet.backend import Array, backend_of
from meganet.layers.base import Layer
from meganet.linop.base import LinearOperator

ADJOINT_TOLERANCE = 4.0
"""Largest accepted adjoint error in units of ``eps (||A v|| ||w|| + ||v|| ||A' w||)``; honest ones stay below 1."""
ORDER_MINIMUM = 1.95
FLOOR_MAXIMUM = 1e-7
CURVATURE_FLOOR_MAXIMUM = 1e-6
"""Of second derivatives: a gradient may change by far less than its own size, of which its round-off is a share."""
HALVINGS = 30
STACK_TOLERANCE = 1e-12
FLOAT32_TOLERANCE = 1e-4
"""Largest accepted relative difference of a float32 evaluation; a kink (ReLU) crossed by rounding may cost some."""


class CheckError(AssertionError):
    """A check failed: the operator, derivative or layer is wrong."""


def check_adjoint(
    operator: LinearOperator | Callable[[Array], Array],
    adjoint: Callable[[Array], Array] | None = None,
    *,
    v: Array | None = None,
    w: Array | None = None,
    seed: int = 0,
    name: str = "operator",
) -> float:
    """Dot-product test: ``<A v, w> = <v, A' w>`` up to round-off.

    Parameters
    ----------
    operator : LinearOperator or callable
        An operator, or the function ``v -> A v``.
    adjoint : callable, optional
        ``w -> A' w``; not needed for an operator.
    v, w : array, optional
        The vectors; drawn from `seed` (three examples, in the operator's dtype) for an operator.

    Returns
    -------
    float
        The error in units of ``eps (||A v|| ||w|| + ||v|| ||A' w||)``.

    Raises
    ------
    CheckError
        If the error is above 4 such units.

    Examples
    --------
    >>> from meganet.checks import check_adjoint
    >>> from meganet.linop import AveragePooling
    >>> check_adjoint(AveragePooling((2, 4, 6), 2)) < 4
    True
    """
    if isinstance(operator, LinearOperator):
        rng = np.random.default_rng(seed)
        draw = operator.backend.asarray
        v = draw(rng.standard_normal((3, *operator.domain_shape)), operator.dtype) if v is None else v
        w = draw(rng.standard_normal((3, *operator.range_shape)), operator.dtype) if w is None else w
        forward, backward = operator.__matmul__, operator.T.__matmul__
        name = repr(operator)
    else:
        if adjoint is None or v is None or w is None:
            _validate.reject("adjoint, v, w", "all three for a check of functions", "None among them")
        forward, backward = operator, adjoint
    a_v, at_w = forward(v), backward(w)
    if a_v.shape != w.shape or at_w.shape != v.shape:
        raise CheckError(f"{name}: A maps {v.shape} to {a_v.shape} and its adjoint {w.shape} to {at_w.shape}")
    scale = _norm(a_v) * _norm(w) + _norm(v) * _norm(at_w)
    eps = float(np.finfo(v.dtype).eps)
    error = abs(_dot(a_v, w) - _dot(v, at_w)) / (eps * scale) if scale else 0.0
    if not error <= ADJOINT_TOLERANCE:
        raise CheckError(
            f"{name}: the adjoint test fails: <A v, w> = {_dot(a_v, w):.16g}, <v, A' w> = {_dot(v, at_w):.16g}, "
            f"error {error:.3g} eps (||Av|| ||w|| + ||v|| ||A'w||), accepted {ADJOINT_TOLERANCE}"
        )
    return error


@dataclass(frozen=True)
class TaylorTable:
    """What `check_derivative` measured: one row per step length.

    Attributes
    ----------
    h, error0, error1 : ndarray
        Step lengths ``2**-k``; ``E0 = ||f(x + h d) - f(x)||``; ``E1 = ||f(x + h d) - f(x) - h f'(x) d||``.
    order : float
        Slope of log E1 against log h over the rows above round-off, 2 for a right derivative; nan if `exact`.
    floor : float
        Smallest E1 / E0.
    exact : bool
        No row stands above round-off: the function is linear along the direction.
    """

    h: np.ndarray[Any, Any]
    error0: np.ndarray[Any, Any]
    error1: np.ndarray[Any, Any]
    order: float
    floor: float
    exact: bool

    def __str__(self) -> str:
        """Return the table as text with a last line of order and floor."""
        lines = ["       h          E0          E1    E1/E0"]
        rows = zip(self.h, self.error0, self.error1, strict=True)
        lines += [f"{h:8.2e}  {e0:10.4e}  {e1:10.4e}  {e1 / e0 if e0 else 0:7.1e}" for h, e0, e1 in rows]
        order = "linear along this direction" if self.exact else f"order {self.order:.3f}"
        return "\n".join([*lines, f"{order}, floor of E1/E0 {self.floor:.1e}"])


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

    ``E1(h) = ||f(x + h d) - f(x) - h f'(x) d||`` must fall with order 2 in h, fitted over every halving
    with ``h <= 1/8`` above round-off, and E1/E0 must become as small as 1e-7 on the way.

    Parameters
    ----------
    function : callable
        ``x -> f(x)``, a float64 array or number.
    derivative : callable
        ``d -> f'(x) d`` at `x`.
    x, direction : array
        Point and direction, of one shape. Keep kinks (ReLU) away: scale the direction down.
    floor_maximum : float
        What E1/E0 must reach, 1e-7 if not given.
    verbose : bool
        Print the table.

    Returns
    -------
    TaylorTable

    Raises
    ------
    CheckError
        With the table, if the order is below 1.95 or the floor above 1e-7.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.checks import check_derivative
    >>> x, d = np.linspace(-1, 1, 5), np.ones(5)
    >>> table = check_derivative(np.tanh, lambda v: v / np.cosh(x) ** 2, x, d)
    >>> round(table.order, 1)
    2.0
    """
    if x.dtype != np.float64 or not _norm(direction) > 0:
        _validate.reject("x, direction", "float64 and a direction that is not zero", f"{x.dtype}, {_norm(direction)}")
    f0, slope = function(x), derivative(direction)
    size = _norm(f0)
    h = 0.5 ** np.arange(HALVINGS)
    error0, error1 = np.empty(HALVINGS), np.empty(HALVINGS)
    for k in range(HALVINGS):
        difference = function(x + float(h[k]) * direction) - f0
        error0[k] = _norm(difference)
        error1[k] = _norm(difference - float(h[k]) * slope)
    round_off = 1000 * float(np.finfo(np.float64).eps) * max(size, float(error0[0]))
    counted = (h <= 1 / 8) & (error1 > round_off)
    exact = int(counted.sum()) < 3
    order = math.nan if exact else float(np.polyfit(np.log(h[counted]), np.log(error1[counted]), 1)[0])
    moving = error0 > 0
    floor = float((error1[moving] / error0[moving]).min()) if moving.any() else float(error1.max())
    table = TaylorTable(h, error0, error1, order, floor, exact)
    if verbose:
        print(f"{name}\n{table}")
    if not floor <= floor_maximum or not (exact or order >= ORDER_MINIMUM):
        raise CheckError(
            f"{name}: the derivative test fails, order {order:.3f} (at least {ORDER_MINIMUM}) and floor "
            f"{floor:.1e} (at most {floor_maximum})\n{table}"
        )
    return table


def check_layer(
    layer: Layer,
    *,
    seed: int = 0,
    examples: int = 3,
    scale: float = 1e-2,
    floor_maximum: float = FLOOR_MAXIMUM,
) -> TaylorTable:
    """Check a layer: Taylor test in (theta, x) together, `vjp` against `jvp`, float32 against float64, stacks.

    Where the layer has a `curvature`, that too: Taylor test of `vjp`, symmetry.

    Parameters
    ----------
    layer : Layer
        A layer or network; it is evaluated in float64 at random weights and inputs.
    scale : float
        Length of the direction, relative to unit normal numbers: small keeps ReLU's kinks away.
    floor_maximum : float
        See `check_derivative`; that of the second derivatives is 1e-6 at least.

    Raises
    ------
    CheckError
        If a product is wrong, a shape does not fit, an input was modified, float32 input does not give float32
        results close to those in float64, or a stack of networks does not give what each gives alone.
    """
    rng = np.random.default_rng(seed)
    draw = layer.backend.asarray
    n, m = layer.parameters.size, (examples, *layer.domain_shape)
    theta, dtheta = draw(0.5 * rng.standard_normal(n)), draw(scale * rng.standard_normal(n))
    x, dx = draw(rng.standard_normal(m)), draw(scale * rng.standard_normal(m))
    y, tape = layer.forward(theta, x)
    dy = draw(rng.standard_normal(y.shape))
    before = [a.copy() for a in (theta, x, y, dtheta, dx, dy)]
    j = layer.jvp(dtheta, dx, tape)
    g_theta, g_x = layer.vjp(dy, tape)
    only_theta = layer.vjp_theta(dy, tape)
    for label, now, then in zip(
        ("theta", "x", "y", "dtheta", "dx", "dy"), (theta, x, y, dtheta, dx, dy), before, strict=True
    ):
        if _norm(now - then) != 0:
            raise CheckError(f"{layer!r}: {label} was modified by a product")
    if g_theta.shape != theta.shape or g_x.shape != x.shape or j.shape != y.shape:
        raise CheckError(f"{layer!r}: products of shapes {g_theta.shape}, {g_x.shape}, {j.shape}")
    if _norm(only_theta - g_theta) > 1e-14 * _norm(g_theta):
        raise CheckError(f"{layer!r}: vjp_theta differs from vjp")
    _check_float32(layer, [theta, x, dtheta, dx, dy], [y, j, g_theta, g_x])
    _check_stack(layer, [theta, x, dtheta, dx, dy])
    pack = layer.backend.xp.concatenate

    def joint_vjp(w: Array) -> Array:
        parts = layer.vjp(w, tape)
        return pack([parts[0], parts[1].reshape(-1)])

    def joint_jvp(v: Array) -> Array:
        return layer.jvp(v[:n], v[n:].reshape(m), tape)

    v = pack([dtheta, dx.reshape(-1)])
    check_adjoint(joint_jvp, joint_vjp, v=v, w=dy, name=repr(layer))
    if layer.twice_differentiable:
        _check_curvature(layer, [theta, x, dtheta, dx, dy], draw(rng.standard_normal(v.shape)))

    def value(v: Array) -> Array:
        return layer.forward(v[:n], v[n:].reshape(m))[0]

    point = pack([theta, x.reshape(-1)])
    return check_derivative(value, joint_jvp, point, v, name=repr(layer), floor_maximum=floor_maximum)


def _check_curvature(layer: Layer, inputs: list[Array], w: Array) -> None:
    """Check the derivative of `vjp` along a direction: its order, that it is symmetric, what it leaves alone."""
    theta, x, dtheta, dx, dy = inputs
    pack, n = layer.backend.xp.concatenate, layer.parameters.size
    tape = layer.forward(theta, x)[1]

    def gradient(v: Array) -> Array:
        parts = layer.vjp(dy, layer.forward(v[:n], v[n:].reshape(x.shape))[1])
        return pack([parts[0], parts[1].reshape(-1)])

    def curvature(v: Array) -> Array:
        parts = layer.curvature(v[:n], v[n:].reshape(x.shape), dy, tape)
        return pack([parts[0], parts[1].reshape(-1)])

    before = dy.copy()
    v = pack([dtheta, dx.reshape(-1)])
    check_adjoint(curvature, curvature, v=v, w=w, name=f"curvature of {layer!r}")
    if _norm(dy - before) != 0:
        raise CheckError(f"{layer!r}: dy was modified by curvature")
    point = pack([theta, x.reshape(-1)])
    name = f"curvature of {layer!r}"
    check_derivative(gradient, curvature, point, v, name=name, floor_maximum=CURVATURE_FLOOR_MAXIMUM)


def _check_float32(layer: Layer, inputs: list[Array], expected: list[Array]) -> None:
    """Repeat the evaluation in float32 and compare with what float64 gave."""
    theta, x, dtheta, dx, dy = (a.astype(np.float32) for a in inputs)
    y, tape = layer.forward(theta, x)
    results = [y, layer.jvp(dtheta, dx, tape), *layer.vjp(dy, tape)]
    for label, narrow, wide in zip(("y", "jvp", "dtheta", "dx"), results, expected, strict=True):
        if narrow.dtype != np.float32:
            raise CheckError(f"{layer!r}: {label} is {narrow.dtype} for float32 input")
        error, size = _norm(narrow - wide.astype(np.float32)), _norm(wide)
        if not error <= FLOAT32_TOLERANCE * size:
            raise CheckError(f"{layer!r}: {label} in float32 differs from float64 by {error:.1e} of {size:.1e}")


def _check_stack(layer: Layer, inputs: list[Array]) -> None:
    """Evaluate a stack of two networks and compare with each alone."""
    double = [layer.backend.xp.stack([a, -0.5 * a]) for a in inputs]

    def products(theta: Array, x: Array, dtheta: Array, dx: Array, dy: Array) -> list[Array]:
        y, tape = layer.forward(theta, x)
        return [y, layer.jvp(dtheta, dx, tape), *layer.vjp(dy, tape), layer.vjp_theta(dy, tape), layer(theta, x)]

    together = products(*double)
    for t in range(2):
        alone = products(*(a[t].copy() for a in double))
        for label, stacked, one in zip(("y", "jvp", "dtheta", "dx", "vjp_theta", "call"), together, alone, strict=True):
            if stacked.shape[1:] != one.shape or not _norm(stacked[t] - one) <= STACK_TOLERANCE * _norm(one):
                raise CheckError(f"{layer!r}: {label} of a stack of two is not that of each alone")


def _dot(a: Array, b: Array) -> float:
    product = (a.reshape(-1).astype(np.float64) * b.reshape(-1).astype(np.float64)).sum()
    return float(backend_of(product).to_host(product))


def _norm(a: Array) -> float:
    return math.sqrt(_dot(a, a)) if hasattr(a, "reshape") else abs(float(a))
