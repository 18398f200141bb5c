"""Normalisation over examples, channels or pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul, sub
from typing import Any, NamedTuple

from meganet import _validate
from meganet.backend import Array, Backend
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters

AXES = ("examples", "channels", "pixels")
"""What one can take means over: the batch, the first axis of an example, the axes after it."""


class Statistics(NamedTuple):
    """Mean and variance of a batch, arrays that broadcast against one example of it."""

    mean: Array
    variance: Array

    def updated(self, new: Statistics, momentum: float) -> Statistics:
        """Return the running statistics ``momentum * old + (1 - momentum) * new``."""
        weight = _validate.real("momentum", momentum, minimum=0)
        if weight > 1:
            _validate.reject("momentum", "a number from 0 to 1", repr(momentum))
        return Statistics(*(weight * a + (1 - weight) * b for a, b in zip(self, new, strict=True)))


class NormalisationLayer(Layer):
    """``y = (x - m) / sqrt(v + eps)`` with mean m and variance v of the entries `over` which it normalises.

    The variance is the mean of squares, without Bessel's correction. With ``r = 1 / sqrt(v + eps)`` and M the mean
    over the same entries the Jacobian is symmetric, ``J u = r (u - M u - y M(y u))``, so `jvp` and `vjp` are one map;
    its derivative along dx is, with ``dy = J dx`` and ``dr = -r^2 M(y dx)``,
    ``dr / r J u - r (dy M(y u) + y M(dy u))``. No weights: chain a `ScalingLayer` and a `BiasLayer` behind it.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...): channels first, the other axes are pixels.
    over : sequence of {"examples", "channels", "pixels"}
        ("examples", "pixels") is batch normalisation, ("pixels",) instance normalisation, ("channels", "pixels") that
        of each example; ("examples",) alone is ``batchNormLayer`` of Meganet, which takes each pixel for itself.
    eps : float
        Positive.

    Notes
    -----
    Over examples the result depends on the whole batch. Such a layer in a network keeps an objective from splitting its
    batches; for single examples `frozen` makes a layer with fixed statistics, such as running ones, and `frozen_on` a
    whole network with those of a batch.
    """

    def __init__(
        self,
        domain_shape: Any,
        over: Sequence[str] = ("channels", "pixels"),
        *,
        eps: float = 1e-3,
        backend: str | Backend | None = None,
    ) -> None:
        domain = _validate.shape("domain_shape", domain_shape)
        names = _validate.items("over", over, object, f"some of {', '.join(AXES)}")
        self.over = tuple(_validate.choice("over", name, AXES) for name in names)
        self.eps = _validate.real("eps", eps, above=0)
        k = len(domain)
        places = {"examples": [-k - 1], "channels": [-k], "pixels": list(range(1 - k, 0))}
        self._axes = tuple(sorted(axis for name in set(self.over) for axis in places[name]))
        if not self._axes:
            _validate.reject("over", f"axes that examples of shape {domain} have", repr(over))
        self.couples_examples = "examples" in self.over
        super().__init__(domain, domain, Parameters(), backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape}, over={self.over}, eps={self.eps})"

    def resized(self, domain_shape: tuple[int, ...]) -> NormalisationLayer:
        """Return the same normalisation for examples of another shape."""
        return type(self)(domain_shape, self.over, eps=self.eps, backend=self.backend)

    def statistics(self, x: Array) -> Statistics:
        """Return mean and variance of a batch (N, ...), for a layer that normalises over the examples."""
        self._over_examples()
        mean = self._mean(x)
        centred = x - mean
        variance = self._mean(centred * centred)
        return Statistics(mean[0], variance[0])

    def frozen(self, statistics: Statistics) -> FixedNormalisationLayer:
        """Return the layer with fixed statistics of a batch."""
        self._over_examples()
        return FixedNormalisationLayer(self.domain_shape, statistics, eps=self.eps, backend=self.backend)

    def _frozen_on(self, theta: Array, x: Array) -> tuple[Layer, Array]:
        layer = self.frozen(self.statistics(x)) if self.couples_examples else self
        return layer, layer._evaluate(theta, x)

    def _over_examples(self) -> None:
        if not self.couples_examples:
            _validate.reject(
                "over", "'examples' among them: without, there are no statistics of a batch", str(self.over)
            )

    def _mean(self, x: Array) -> Array:
        return x.sum(axis=self._axes, keepdims=True) * (1 / math.prod(x.shape[axis] for axis in self._axes))

    def _centred(self, x: Array) -> Array:
        return self.backend.elementwise(sub, x, self._mean(x))

    def _mean_product(self, x: Array, y: Array) -> Array:
        return self._mean(self.backend.elementwise(mul, x, y))

    def _forward(self, theta: Array, x: Array) -> tuple[Array, Any]:
        centred = self._centred(x)
        r = 1 / self.backend.xp.sqrt(self._mean_product(centred, centred) + self.eps)
        y = self.backend.elementwise(mul, centred, r)
        return y, (y, r)

    def _jvp(self, dtheta: Array, dx: Array, record: Any) -> Array:
        y, r = record
        mean = self._mean_product(y, dx)
        return self.backend.elementwise(lambda r, dx, y, m: r * (dx - y * m), r, self._centred(dx), y, mean)

    def _vjp(self, dy: Array, record: Any) -> tuple[Array, Array]:
        return self._no_weights(dy), self._jvp(dy, dy, record)

    def _curvature(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        y, r = record
        u, tangent = dy, self._jvp(dtheta, dx, record)
        factor, second = -(r * self._mean_product(y, dx)), self._jvp(dtheta, u, record)
        means = self._mean_product(y, u), self._mean_product(tangent, u)

        def combined(f: Array, j: Array, r: Array, t: Array, yu: Array, y: Array, tu: Array) -> Array:
            return f * j - r * (t * yu + y * tu)

        return self._no_weights(dy), self.backend.elementwise(
            combined, factor, second, r, tangent, means[0], y, means[1]
        )


class FixedNormalisationLayer(Layer):
    """``y = (x - m) / sqrt(v + eps)`` with mean m and variance v that do not depend on x: an affine map, no weights.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...).
    statistics : Statistics
        Arrays on the backend that broadcast against one example; examples of the other dtype take them rounded to it.
    eps : float
        Positive.
    """

    def __init__(
        self, domain_shape: Any, statistics: Statistics, *, eps: float = 1e-3, backend: str | Backend | None = None
    ) -> None:
        domain = _validate.shape("domain_shape", domain_shape)
        super().__init__(domain, domain, Parameters(), backend)
        self.eps = _validate.real("eps", eps, above=0)
        for name, array in zip(("mean", "variance"), statistics, strict=True):
            self.backend.require(f"statistics.{name}", array)
            _validate.float_dtype(f"dtype of statistics.{name}", array.dtype)
        self.mean, self.variance = (array.copy() for array in statistics)
        shapes = [tuple(array.shape) for array in (self.mean, self.variance)]
        if not all(_broadcasts(shape, domain) for shape in shapes):
            _validate.reject("statistics", f"arrays that broadcast against {domain}", " and ".join(map(str, shapes)))

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

    def _forward(self, theta: Array, x: Array) -> tuple[Array, Array]:
        mean, scale = self.mean.astype(x.dtype), self._scale(x.dtype)
        return self.backend.elementwise(lambda x, m, s: (x - m) * s, x, mean, scale), scale

    def _jvp(self, dtheta: Array, dx: Array, record: Array) -> Array:
        return self.backend.elementwise(mul, dx, record)

    def _vjp(self, dy: Array, record: Array) -> tuple[Array, Array]:
        return self._no_weights(dy), self.backend.elementwise(mul, dy, record)

    def _curvature(self, dtheta: Array, dx: Array, dy: Array, record: Array) -> tuple[Array, Array]:
        return self._no_weights(dy), self.backend.xp.zeros_like(dx)


def _broadcasts(shape: tuple[int, ...], domain: tuple[int, ...]) -> bool:
    """Whether an array broadcasts against an example without making it larger."""
    pairs = zip(shape[::-1], domain[::-1], strict=False)
    return len(shape) <= len(domain) and all(n in (1, size) for n, size in pairs)


class TVNormalisationLayer(NormalisationLayer):
    """``y = x / sqrt(sum over channels of x^2 + eps)``: every pixel's vector of channels gets length 1.

    The Jacobian is ``J u = r (u - y S(y u))`` with S the sum over channels in the place of M; no mean is removed.
    ``tvNormLayer`` of Meganet.

    Parameters
    ----------
    domain_shape : tuple of int
        (C, ...).
    eps : float
        Positive.
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
