"""Normalisation over examples, channels or pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul, sub
from typing import Any, NamedTuple

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters

AXES = ("examples", "channels", "pixels")
"""What means are taken over: the batch, the first axis of an example, the axes after it."""


class Statistics(NamedTuple):
    """Mean and variance of a batch, arrays that broadcast against one example.

    Attributes
    ----------
    mean, variance : array
        For examples (C, H, W): (C, 1, 1) for means over examples and pixels, (C, H, W) for those over examples.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import NormalisationLayer, Statistics
    >>> layer = NormalisationLayer((2, 3, 3), ("examples", "pixels"))
    >>> running = Statistics(np.zeros((2, 1, 1)), np.ones((2, 1, 1)))
    >>> running = running.updated(layer.statistics(np.full((5, 2, 3, 3), 10.0)), momentum=0.9)
    >>> running.mean.shape, running.mean.ravel(), running.variance.ravel()
    ((2, 1, 1), array([1., 1.]), array([0.9, 0.9]))
    """

    mean: Array
    variance: Array

    def updated(self, new: Statistics, momentum: float) -> Statistics:
        """Return running statistics, ``momentum * old + (1 - momentum) * new``, for a momentum from 0 to 1."""
        weight = validate.real("momentum", momentum, minimum=0)
        if weight > 1:
            validate.reject("momentum", "a number from 0 to 1", repr(momentum))
        return Statistics(*(weight * a + (1 - weight) * b for a, b in zip(self, new, strict=True)))


class NormalisationLayer(Layer):
    """Normalisation ``y = (x - m) / sqrt(v + eps)``, with mean m and variance v over some of the axes.

    The variance is the mean of squares, without Bessel's correction. With ``r = 1 / sqrt(v + eps)`` and M the mean
    over the same axes the Jacobian is symmetric, ``J u = r (u - M u - y M(y u))``, so `jvp` and `vjp` are one map;
    its derivative along dx is, with ``dy = J dx`` and ``dr = -r^2 M(y dx)``,
    ``dr / r J u - r (dy M(y u) + y M(dy u))``. No weights: chain a `ScalingLayer` and a `BiasLayer` behind it.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...): channels first, the other axes are pixels.
    over : sequence of {"examples", "channels", "pixels"}
        What the mean is taken over. ("examples", "pixels") is batch normalisation, ("pixels",) instance normalisation,
        ("channels", "pixels") layer normalisation; ("examples",) alone, with statistics of its own for each pixel, is
        ``batchNormLayer`` of Meganet.
    eps : float
        Positive.

    Notes
    -----
    Over examples the result depends on the whole batch, and an objective of a network with such a layer does not split
    its batches. For single examples `frozen` makes a layer with fixed statistics, such as running ones, and
    `frozen_on` a whole network with those of a batch.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import NormalisationLayer
    >>> layer = NormalisationLayer((2, 3, 3), ("examples", "pixels"))
    >>> x = 7 + np.random.default_rng(0).standard_normal((5, 2, 3, 3))
    >>> y, tape = layer.forward(np.zeros(0), x)
    >>> y.shape, abs(y.mean(axis=(0, 2, 3))).round(6), y.std(axis=(0, 2, 3)).round(2)
    ((5, 2, 3, 3), array([0., 0.]), array([1., 1.]))
    >>> dtheta, dx = layer.vjp(np.ones_like(y), tape)
    >>> dtheta.shape, float(abs(dx).max().round(6))  # the sum of y is 0 for every x
    ((0,), 0.0)
    >>> layer.statistics(x).mean.shape
    (2, 1, 1)
    """

    def __init__(
        self,
        domain_shape: Any,
        over: Sequence[str] = ("channels", "pixels"),
        *,
        eps: float = 1e-3,
        backend: str | Backend | None = None,
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        names = validate.items("over", over, object, f"some of {', '.join(AXES)}")
        self.over = tuple(validate.choice("over", name, AXES) for name in names)
        self.eps = validate.real("eps", eps, above=0)
        k = len(domain)
        places = {"examples": [-k - 1], "channels": [-k], "pixels": list(range(1 - k, 0))}
        self._axes = tuple(sorted(axis for name in set(self.over) for axis in places[name]))
        if not self._axes:
            validate.reject("over", f"axes that examples of shape {domain} have", repr(over))
        self.couples_examples = "examples" in self.over
        super().__init__(domain, domain, Parameters(), backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape}, over={self.over}, eps={self.eps})"

    def resized(self, domain_shape: tuple[int, ...]) -> NormalisationLayer:
        """Return the same normalisation for examples of another shape."""
        return type(self)(domain_shape, self.over, eps=self.eps, backend=self.backend)

    def statistics(self, x: Array) -> Statistics:
        """Return mean and variance of a batch ``(N, *domain_shape)``, for a layer that normalises over examples."""
        self._over_examples()
        mean = self._mean(x)
        centred = x - mean
        variance = self._mean(centred * centred)
        return Statistics(mean[0], variance[0])

    def frozen(self, statistics: Statistics) -> FixedNormalisationLayer:
        """Return the layer with fixed statistics, for a layer that normalises over examples."""
        self._over_examples()
        return FixedNormalisationLayer(self.domain_shape, statistics, eps=self.eps, backend=self.backend)

    def frozen_on_unchecked(self, theta: Array, x: Array) -> tuple[Layer, Array]:
        layer = self.frozen(self.statistics(x)) if self.couples_examples else self
        return layer, layer.evaluate_unchecked(theta, x)

    def _over_examples(self) -> None:
        if not self.couples_examples:
            validate.reject(
                "over", "'examples' among them: without, there are no statistics of a batch", str(self.over)
            )

    def _mean(self, x: Array) -> Array:
        return x.sum(axis=self._axes, keepdims=True) * (1 / math.prod(x.shape[axis] for axis in self._axes))

    def _centred(self, x: Array) -> Array:
        return self.backend.elementwise(sub, x, self._mean(x))

    def _mean_product(self, x: Array, y: Array) -> Array:
        return self._mean(self.backend.elementwise(mul, x, y))

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Any]:
        centred = self._centred(x)
        r = 1 / self.backend.xp.sqrt(self._mean_product(centred, centred) + self.eps)
        y = self.backend.elementwise(mul, centred, r)
        return y, (y, r)

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Any) -> Array:
        y, r = record
        mean = self._mean_product(y, dx)
        return self.backend.elementwise(lambda r, dx, y, m: r * (dx - y * m), r, self._centred(dx), y, mean)

    def vjp_unchecked(self, dy: Array, record: Any) -> tuple[Array, Array]:
        return self._no_weights(dy), self.jvp_unchecked(dy, dy, record)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        y, r = record
        u, tangent = dy, self.jvp_unchecked(dtheta, dx, record)
        factor, second = -(r * self._mean_product(y, dx)), self.jvp_unchecked(dtheta, u, record)
        means = self._mean_product(y, u), self._mean_product(tangent, u)

        def combined(f: Array, j: Array, r: Array, t: Array, yu: Array, y: Array, tu: Array) -> Array:
            return f * j - r * (t * yu + y * tu)

        return self._no_weights(dy), self.backend.elementwise(
            combined, factor, second, r, tangent, means[0], y, means[1]
        )


class FixedNormalisationLayer(Layer):
    """Normalisation with fixed statistics, ``y = (x - m) / sqrt(v + eps)``: an affine map without weights.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...).
    statistics : Statistics
        Mean m and variance v, arrays on the backend that broadcast against one example. They are rounded to the dtype
        of the examples.
    eps : float
        Positive.

    Raises
    ------
    InputError
        For statistics that do not broadcast against `domain_shape`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import FixedNormalisationLayer, Statistics
    >>> statistics = Statistics(np.array([[[2.0]], [[3.0]]]), np.array([[[4.0]], [[1.0]]]))  # (2, 1, 1) each
    >>> layer = FixedNormalisationLayer((2, 8, 8), statistics)
    >>> y = layer(np.zeros(0), np.full((5, 2, 8, 8), 6.0))
    >>> y.shape, y[0, :, 0, 0].round(2)
    ((5, 2, 8, 8), array([2., 3.]))
    """

    def __init__(
        self, domain_shape: Any, statistics: Statistics, *, eps: float = 1e-3, backend: str | Backend | None = None
    ) -> None:
        domain = validate.shape("domain_shape", domain_shape)
        super().__init__(domain, domain, Parameters(), backend)
        self.eps = validate.real("eps", eps, above=0)
        for name, array in zip(("mean", "variance"), statistics, strict=True):
            self.backend.require(f"statistics.{name}", array)
            validate.float_dtype(f"dtype of statistics.{name}", array.dtype)
        self.mean, self.variance = (array.copy() for array in statistics)
        shapes = [tuple(array.shape) for array in (self.mean, self.variance)]
        if not all(_broadcasts(shape, domain) for shape in shapes):
            validate.reject("statistics", f"arrays that broadcast against {domain}", " and ".join(map(str, shapes)))

    @property
    def statistics(self) -> Statistics:
        """Mean and variance."""
        return Statistics(self.mean, self.variance)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape}, eps={self.eps})"

    def resized(self, domain_shape: tuple[int, ...]) -> FixedNormalisationLayer:
        """Return the layer with the same statistics, which must be those of channels for another resolution."""
        return type(self)(domain_shape, self.statistics, eps=self.eps, backend=self.backend)

    def _scale(self, dtype: Any) -> Array:
        return (1 / self.backend.xp.sqrt(self.variance + self.eps)).astype(dtype)

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Array]:
        mean, scale = self.mean.astype(x.dtype), self._scale(x.dtype)
        return self.backend.elementwise(lambda x, m, s: (x - m) * s, x, mean, scale), scale

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Array) -> Array:
        return self.backend.elementwise(mul, dx, record)

    def vjp_unchecked(self, dy: Array, record: Array) -> tuple[Array, Array]:
        return self._no_weights(dy), self.backend.elementwise(mul, dy, record)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Array) -> tuple[Array, Array]:
        return self._no_weights(dy), self.backend.xp.zeros_like(dx)


def _broadcasts(shape: tuple[int, ...], domain: tuple[int, ...]) -> bool:
    """Whether an array broadcasts against an example without making it larger."""
    pairs = zip(shape[::-1], domain[::-1], strict=False)
    return len(shape) <= len(domain) and all(n in (1, size) for n, size in pairs)


class TVNormalisationLayer(NormalisationLayer):
    """Normalisation of each pixel's vector of channels to length 1, ``y = x / sqrt(sum of x^2 over channels + eps)``.

    The Jacobian is ``J u = r (u - y S(y u))``, with ``r = 1 / sqrt(S(x^2) + eps)`` and S the sum over channels; no mean
    is removed. ``tvNormLayer`` of Meganet.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...).
    eps : float
        Positive.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.layers import TVNormalisationLayer
    >>> layer = TVNormalisationLayer((2, 8, 8))
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 8, 8))
    >>> y = layer(np.zeros(0), 100 * x)
    >>> y.shape, np.allclose(np.linalg.norm(y, axis=1), 1, atol=0.01)
    ((5, 2, 8, 8), True)
    """

    def __init__(self, domain_shape: Any, *, eps: float = 1e-3, backend: str | Backend | None = None) -> None:
        super().__init__(domain_shape, ("channels",), eps=eps, backend=backend)

    def resized(self, domain_shape: tuple[int, ...]) -> TVNormalisationLayer:
        """Return the same normalisation for examples of another shape."""
        return type(self)(domain_shape, eps=self.eps, backend=self.backend)

    def _mean(self, x: Array) -> Array:
        return x.sum(axis=self._axes, keepdims=True)

    def _centred(self, x: Array) -> Array:
        return x
