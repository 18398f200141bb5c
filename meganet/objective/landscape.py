"""Slices of an objective in two random directions, and how sharp it is: figures 4.3 and 4.5 of the thesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.backend import Array, to_host
from meganet.ground import validate
from meganet.objective.evaluation import EXAMPLES_AT_ONCE
from meganet.objective.objective import Objective

POINTS, EXAMPLES = 21, 256
"""Of a landscape: points in each direction, and the examples that stand for all."""


@dataclass(frozen=True)
class Landscape:
    """Values of an objective on the plane ``x + a d1 + b d2``.

    Attributes
    ----------
    steps : ndarray, (n,)
        The coordinates a and b, the same for both.
    objective, loss : ndarray, (n, n)
        Values at ``(a, b) = (steps[k], steps[l])``; the objective with the regularisers, the mean loss without.
    center : float
        The objective at x.
    curvature : float
        Mean of ``<d, H d>`` over the two directions, with the Gauss-Newton Hessian of the objective.
    loss_curvature : float
        The same of the loss alone.
    rise : float
        Mean of the loss over the points of the plane, minus the loss at x.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> from meganet.objective.landscape import Landscape, landscape
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> x, rng = np.full(fun.parameters.size, 0.1), np.random.default_rng(0)
    >>> plane = landscape(fun, x, rng, points=3)
    >>> isinstance(plane, Landscape), plane.steps, bool(plane.center == plane.objective[1, 1])
    (True, array([-1.,  0.,  1.]), True)
    """

    steps: np.ndarray[Any, Any]
    objective: np.ndarray[Any, Any]
    loss: np.ndarray[Any, Any]
    center: float
    curvature: float
    loss_curvature: float
    rise: float


def filter_normalized(fun: Objective, x: Array, rng: np.random.Generator) -> Array:
    """Return a random direction in which every filter is as long as the filter of `x` that it changes.

    A normal random vector is drawn; the part of every filter, the weights of one output channel or class, is scaled to
    the norm of these weights in `x`. Biases do not change.

    Parameters
    ----------
    fun : Objective
        It says which weights are a filter.
    x : array, (parameters.size,)
    rng : Generator

    Returns
    -------
    array, (parameters.size,), the dtype of `x`, on the backend of `fun`.

    Notes
    -----
    Li, Xu, Taylor, Studer, Goldstein, *Visualizing the loss landscape of neural nets* (2018), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> from meganet.objective.landscape import filter_normalized
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> x, rng = np.full(fun.parameters.size, 0.1), np.random.default_rng(0)
    >>> direction = filter_normalized(fun, x, rng)
    >>> kernels = [fun.parameters.view(vector)["W.kernel"] for vector in (direction, x)]
    >>> kernels[0].shape, bool(np.allclose(*(np.linalg.norm(kernel, axis=1) for kernel in kernels)))
    ((2, 3), True)
    """
    drawn = rng.standard_normal(fun.parameters.size)
    weights = to_host(x).astype(np.float64)
    direction = np.zeros_like(drawn)
    views = [fun.parameters.view(vector) for vector in (drawn, weights, direction)]
    for parameter in fun.parameters:
        if parameter.role == "bias":
            continue
        random, weight, target = (view[parameter.name].reshape(parameter.shape[0], -1) for view in views)
        lengths = np.linalg.norm(weight, axis=1) / np.linalg.norm(random, axis=1)
        target[...] = lengths[:, None] * random
    return fun.backend.asarray(direction, dtype=x.dtype)


def landscape(
    fun: Objective,
    x: Array,
    rng: np.random.Generator,
    *,
    extent: float = 1.0,
    points: int = POINTS,
    examples: int = EXAMPLES,
) -> Landscape:
    """Evaluate an objective on a plane through a point.

    Parameters
    ----------
    fun : Objective
    x : array, (parameters.size,)
    rng : Generator
        Draws the two directions, see `filter_normalized`.
    extent : float
        The plane goes from -extent to extent; at 1 a step is as long as the weights themselves.
    points : int
        Points in each direction, odd, so that x is one of them.
    examples : int
        The first so many examples stand for all; they are evaluated in batches.

    Returns
    -------
    Landscape

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> from meganet.objective.landscape import landscape
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> x, rng = np.full(fun.parameters.size, 0.1), np.random.default_rng(0)
    >>> plane = landscape(fun, x, rng, points=5)
    >>> plane.steps.shape, plane.objective.shape
    ((5,), (5, 5))
    """
    if validate.integer("points", points, minimum=3) % 2 == 0:
        validate.reject("points", "an odd number, so that the point itself is among them", str(points))
    count = min(validate.integer("examples", examples), fun.examples)
    few, bare = _first(fun, count), _first(fun, count, regularized=False)
    steps = validate.real("extent", extent, above=0) * np.linspace(-1, 1, points)
    directions = [filter_normalized(few, x, rng) for _ in range(2)]
    values = np.array(
        [[few.evaluate(x + float(a) * directions[0] + float(b) * directions[1])[:2] for b in steps] for a in steps]
    )
    objective, loss = values[..., 0], values[..., 1]
    middle = points // 2
    return Landscape(
        steps,
        objective,
        loss,
        float(objective[middle, middle]),
        _curvature(few, x, directions),
        _curvature(bare, x, directions),
        float(np.mean(loss)) - float(loss[middle, middle]),
    )


def loss_curvature(
    fun: Objective, x: Array, rng: np.random.Generator, *, directions: int = 2, examples: int = EXAMPLES
) -> float:
    """Return the mean of ``<d, H d>`` over random directions, with the Gauss-Newton Hessian of the loss alone.

    Parameters
    ----------
    fun, x, rng, examples
        As for `landscape`.
    directions : int
        How many are drawn, see `filter_normalized`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> from meganet.objective.landscape import loss_curvature
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> x, rng = np.full(fun.parameters.size, 0.1), np.random.default_rng(0)
    >>> loss_curvature(fun, x, rng, directions=4) > 0
    True
    """
    bare = _first(fun, min(validate.integer("examples", examples), fun.examples), regularized=False)
    drawn = [filter_normalized(bare, x, rng) for _ in range(validate.integer("directions", directions))]
    return _curvature(bare, x, drawn)


def _first(fun: Objective, count: int, *, regularized: bool = True) -> Objective:
    regularizers: dict[str, Any] = (
        {"theta_regularizer": fun.theta_regularizer, "W_regularizer": fun.W_regularizer} if regularized else {}
    )
    labels = fun.backend.to_host(fun.labels[:count])
    return Objective(fun.network, fun.classifier, fun.images[:count], labels, loss=fun.loss, **regularizers)


def _curvature(fun: Objective, x: Array, directions: list[Array]) -> float:
    hessian = fun.hessian(x, batch_size=EXAMPLES_AT_ONCE)
    products = [fun.backend.dot(d, hessian @ d) for d in directions]
    return float(np.mean([fun.backend.to_host(product) for product in products]))
