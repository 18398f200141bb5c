"""Checks of a layer: all its products against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meganet.backend import Array
from meganet.checks.adjoint import CheckError, check_adjoint
from meganet.checks.derivative import FLOOR_MAXIMUM, TaylorTable, check_derivative
from meganet.checks.slopes import Norms, norms
from meganet.ground import validate
from meganet.layers.base import Layer

STACK_TOLERANCE = 1e-12
FLOAT32_TOLERANCE = 1e-4
"""Largest accepted relative differences, besides those from rounding."""
ROUNDING, ROUND_OFF = 2.0**-50, 64.0
"""A relative change of the arguments by four units, and the accepted multiple of what it does to the results."""
KINKS = 2.0**-16
"""A relative change that crosses every kink (ReLU) which rounding to float32 may cross."""
DRAWS, LARGEST_GROWTH = 8, 100.0
CERTAIN, OTHER_POINTS = 2e-7, 6
"""Other points are tried, so many at most, while kinks nearby leave the derivative more uncertain than that."""
SATURATED, SMALLER = 2.0**-8, (0.25, 2.0**-4, 2.0**-8)
"""An activation (tanh) is saturated if the slope is by that factor less than with smaller weights or examples."""
LABELS = ("y", "jvp", "dtheta", "dx", "vjp_theta", "call")


def check_layer(
    layer: Layer,
    *,
    seed: int = 0,
    examples: int = 3,
    scale: float = 1e-2,
    floor_maximum: float = FLOOR_MAXIMUM,
) -> TaylorTable:
    """Check a layer: Taylor test in (theta, x) together, `vjp` against `jvp`, float32 against float64, stacks.

    Where the layer has a `curvature`, that too: Taylor test of `vjp`, symmetry. The direction of the Taylor tests is
    such that all named weights and the examples have a like part in the slope, so that a relative error of 1e-6 in
    the derivative in any of them alone is seen.

    Parameters
    ----------
    layer : Layer
        A layer or network; it is evaluated in float64 at random weights and inputs.
    seed : int
        Of the random numbers; weights and examples are drawn again, at most seven times and smaller, where some have
        no effect (ReLU) or one that is lost in round-off (a saturated tanh). The Taylor tests are repeated at other
        points, at most six, where kinks (ReLU) lie so near that an error of 1e-6 might be missed.
    examples : int
        Size of the batch.
    scale : float
        Length of the direction, relative to unit normal numbers, before its parts are made alike.
    floor_maximum : float
        See `check_derivative`; also that of the second derivatives.

    Returns
    -------
    TaylorTable
        Of the first derivatives, at the point where they are most certain.

    Raises
    ------
    CheckError
        If a product is wrong, a shape does not fit, an input was modified, float32 input does not give float32
        results close to those in float64, or a stack of networks does not give what each gives alone.

    Examples
    --------
    >>> from meganet import ConvolutionLayer
    >>> from meganet.checks import check_layer
    >>> check_layer(ConvolutionLayer((2, 6, 5), 3)).floor < 1e-8
    True
    """
    validate.instance("layer", layer, Layer, "a layer or network")
    rng = np.random.default_rng(validate.integer("seed", seed, minimum=0))
    examples, scale = validate.size("examples", examples), validate.real("scale", scale, above=0)
    floor_maximum = validate.real("floor_maximum", floor_maximum, above=0)
    theta, dtheta, x, dx = _drawn(layer, rng, examples, scale)
    y, tape = layer.forward(theta, x)
    dy = layer.backend.asarray(rng.standard_normal(y.shape))
    before = [a.copy() for a in (theta, x, y, dtheta, dx, dy)]
    j = layer.jvp(dtheta, dx, tape)
    g_theta, g_x = layer.vjp(dy, tape)
    layer.vjp_theta(dy, tape)
    for label, now, then in zip(
        ("theta", "x", "y", "dtheta", "dx", "dy"), (theta, x, y, dtheta, dx, dy), before, strict=True
    ):
        if _size(now - then) != 0:
            raise CheckError(f"{layer!r}: {label} was modified by a product")
    if g_theta.shape != theta.shape or g_x.shape != x.shape or j.shape != y.shape:
        raise CheckError(f"{layer!r}: products of shapes {g_theta.shape}, {g_x.shape}, {j.shape}")
    _check_evaluations(layer, [theta, x, dtheta, dx, dy], rng)
    best = _check_slopes(layer, [theta, x, dtheta, dx, dy], rng, floor_maximum)
    for _ in range(OTHER_POINTS):
        if best.doubt <= CERTAIN:
            break
        theta, dtheta, x, dx = _drawn(layer, rng, examples, scale)
        other = _check_slopes(layer, [theta, x, dtheta, dx, dy], rng, floor_maximum)
        best = min(best, other, key=lambda found: found.doubt)
    return best.table


def _drawn(layer: Layer, rng: np.random.Generator, examples: int, scale: float) -> list[Array]:
    """Return weights, a direction of them, examples and a direction of these, at which all parts have an effect."""
    draw, pack = layer.backend.asarray, layer.backend.xp.concatenate
    n, m = layer.parameters.size, (examples, *layer.domain_shape)
    drawn: list[tuple[float, list[Array]]] = []
    while len(drawn) < DRAWS and not (drawn and drawn[-1][0] > SATURATED):
        theta, dtheta = draw(0.5 ** (len(drawn) + 1) * rng.standard_normal(n)), draw(scale * rng.standard_normal(n))
        x, dx = draw(rng.standard_normal(m)), draw(scale * rng.standard_normal(m))
        drawn.append((_effect(layer, theta, x, pack([dtheta, dx.reshape(-1)])), [theta, dtheta, x, dx]))
    return max(drawn, key=lambda one: one[0])[1]


class _Found(NamedTuple):
    """What the Taylor tests at one point measured, and how uncertain it is, beside what is accepted anyway."""

    table: TaylorTable
    doubt: float


def _check_slopes(layer: Layer, inputs: list[Array], rng: np.random.Generator, floor_maximum: float) -> _Found:
    """Check the adjoint and the Taylor remainders of both derivatives at a point."""
    theta, x, dtheta, dx, dy = inputs
    pack, n, m = layer.backend.xp.concatenate, theta.size, x.shape
    tape = layer.forward(theta, x)[1]
    doubt = 0.0

    def joint_vjp(w: Array) -> Array:
        parts = layer.vjp(w, tape)
        return pack([parts[0], parts[1].reshape(-1)])

    def joint_jvp(v: Array) -> Array:
        return layer.jvp(v[:n], v[n:].reshape(m), tape)

    def value(v: Array) -> Array:
        return layer.forward(v[:n], v[n:].reshape(m))[0]

    def gradient(v: Array) -> Array:
        parts = layer.vjp(dy, layer.forward(v[:n], v[n:].reshape(m))[1])
        return pack([parts[0], parts[1].reshape(-1)])

    def curvature(v: Array) -> Array:
        parts = layer.curvature(v[:n], v[n:].reshape(m), dy, tape)
        return pack([parts[0], parts[1].reshape(-1)])

    point, v = pack([theta, x.reshape(-1)]), pack([dtheta, dx.reshape(-1)])
    check_adjoint(joint_jvp, joint_vjp, v=v, w=dy, name=repr(layer))
    if layer.twice_differentiable:
        name = f"curvature of {layer!r}"
        w, before = layer.backend.asarray(rng.standard_normal(v.shape)), dy.copy()
        check_adjoint(curvature, curvature, v=v, w=w, name=name)
        if _size(dy - before) != 0:
            raise CheckError(f"{layer!r}: dy was modified by curvature")
        # parts of the result that are as large as each other, so that a small one is seen too
        change = curvature(v)
        weights = _balanced(layer, 1 + 0 * v, lambda part: change * part)
        along = _balanced(layer, v, curvature)
        second = check_derivative(
            lambda p: weights * gradient(p),
            lambda d: weights * curvature(d),
            point,
            along,
            name=name,
            floor_maximum=floor_maximum,
        )
        doubt = second.tolerance
    along = _balanced(layer, v, joint_jvp)
    first = check_derivative(value, joint_jvp, point, along, name=repr(layer), floor_maximum=floor_maximum)
    return _Found(first, max(doubt, first.tolerance) - floor_maximum)


def _effect(layer: Layer, theta: Array, x: Array, v: Array) -> float:
    """Return the least effect of a part of `v`, relative to the one with smaller weights or examples; 0 if none."""

    def sizes(theta: Array, x: Array) -> Norms:
        tape = layer.forward(theta, x)[1]
        n = theta.size
        return np.array([_size(layer.jvp(part[:n], part[n:].reshape(x.shape), tape)) for part in _parts(layer, v)])

    here = sizes(theta, x)
    if not here.min() > 0:
        return 0.0
    smaller = [sizes(f * theta, x) for f in SMALLER] + [sizes(theta, f * x) for f in SMALLER]
    return float((here / np.max([here, *smaller], axis=0)).min())


def _parts(layer: Layer, v: Array) -> list[Array]:
    """Return vectors that add up to `v`: its entries for each named array of weights, and those for the examples."""
    stops = [*np.cumsum([parameter.size for parameter in layer.parameters]).tolist(), v.size]
    parts = []
    for start, stop in zip([0, *stops], stops, strict=False):
        parts.append(layer.backend.xp.zeros_like(v))
        parts[-1][start:stop] = v[start:stop]
    return parts


def _balanced(layer: Layer, v: Array, product: Callable[[Array], Array]) -> Array:
    """Return `v` with its parts multiplied so that the products with them have the same size."""
    parts = _parts(layer, v)
    sizes = [_size(product(part)) for part in parts]
    largest = max(sizes)
    factors = [min(largest / size, LARGEST_GROWTH) if size else 1.0 for size in sizes]
    return sum(factor * part for factor, part in zip(factors, parts, strict=True))


def _check_evaluations(layer: Layer, inputs: list[Array], rng: np.random.Generator) -> None:
    """Compare the products with those in float32, of a stack of two networks, and `vjp_theta` with `vjp`.

    They may differ by a fixed share of their size and by what small changes of all arguments do to them.
    """

    def products(theta: Array, x: Array, dtheta: Array, dx: Array, dy: Array) -> list[Array]:
        y, tape = layer.forward(theta, x)
        return [y, layer.jvp(dtheta, dx, tape), *layer.vjp(dy, tape), layer.vjp_theta(dy, tape), layer(theta, x)]

    def spread(arguments: list[Array], results: list[Array], size: float) -> Norms:
        """Return the largest changes of the results, for relative changes of the arguments up and down."""
        changes = []
        for _ in range(2):
            change = [layer.backend.asarray(size * rng.standard_normal(a.shape)) for a in arguments]
            for sign in (1, -1):
                theta, x, dtheta, dx, dy = (a + sign * a * c for a, c in zip(arguments, change, strict=True))
                y, tape = layer.forward(theta, x)
                in_theta, in_x = layer.vjp(dy, tape)
                changed = [y, layer.jvp(dtheta, dx, tape), in_theta, in_x, in_theta, y]
                changes.append([_size(a - b) for a, b in zip(changed, results, strict=True)])
        return np.max(changes, axis=0)

    wide = products(*inputs)
    size, noise = np.array([_size(a) for a in wide]), spread(inputs, wide, ROUNDING)
    if not _size(wide[4] - wide[2]) <= STACK_TOLERANCE * size[2] + ROUND_OFF * noise[2]:
        raise CheckError(f"{layer!r}: vjp_theta differs from vjp")
    narrow = products(*(a.astype(np.float32) for a in inputs))
    accepted = FLOAT32_TOLERANCE * size + 2.0**29 * ROUND_OFF * noise + 2 * spread(inputs, wide, KINKS)
    for k, label in enumerate(LABELS):
        if narrow[k].dtype != np.float32:
            raise CheckError(f"{layer!r}: {label} is {narrow[k].dtype} for float32 input")
        error = _size(narrow[k].astype(np.float64) - wide[k])
        if not error <= accepted[k]:
            raise CheckError(f"{layer!r}: {label} in float32 differs from float64 by {error:.1e} of {size[k]:.1e}")
    double = [layer.backend.xp.stack([a, -0.5 * a]) for a in inputs]
    together = products(*double)
    for t in range(2):
        one = [a[t].copy() for a in double]
        alone = products(*one)
        noise = spread(one, alone, ROUNDING)
        for k, label in enumerate(LABELS):
            accepted = STACK_TOLERANCE * _size(alone[k]) + ROUND_OFF * noise[k]
            if together[k].shape[1:] != alone[k].shape or not _size(together[k][t] - alone[k]) <= accepted:
                raise CheckError(f"{layer!r}: {label} of a stack of two is not that of each alone")


def _size(a: Array) -> float:
    return float(norms(a)[0])
