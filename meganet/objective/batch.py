"""The mathematics of one batch: mean loss, gradients, products with second derivatives, and the penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import add
from typing import Any, NamedTuple

import numpy as np

from meganet import _validate
from meganet.backend import Array, Backend
from meganet.layers.base import Layer
from meganet.layers.linear import DenseLayer
from meganet.layers.parameters import Parameters
from meganet.losses import Loss
from meganet.regularizers import Regularizer


class Batch(NamedTuple):
    """Some examples, and what their mean counts in the mean over all that are asked for.

    A stack of T batches has one more axis in front.

    Attributes
    ----------
    images : array, (n, C, H, W)
    labels : array, (n,) or (n, K)
    weight : float
        Their share of all examples; 1 if there are no others.
    """

    images: Array
    labels: Array
    weight: float


@dataclass(frozen=True, eq=False)
class Selection:
    """Examples of a data set and how they are worked off, batch by batch.

    Attributes
    ----------
    images, labels : array
        The whole data set.
    indices : array of int or None
        Numbers of the examples; None for all.
    shares : tuple of slice
        The batches, as parts of `indices` or of the data set.
    """

    images: Array
    labels: Array
    indices: Array | None
    shares: tuple[slice, ...]

    def batch(self, share: slice) -> Batch:
        """Return one of the batches; it is cut out of the data set only now."""
        chosen = share if self.indices is None else self.indices[share]
        return Batch(self.images[chosen], self.labels[chosen], (share.stop - share.start) / self.shares[-1].stop)


def check_indices(indices: Array | None, examples: int, backend: Backend, shape: tuple[Any, ...] = ("N",)) -> None:
    """Refuse what does not number so many examples; on a device the numbers themselves are not looked at.

    Parameters
    ----------
    indices : array of int or None
        None stands for all.
    examples : int
    backend : Backend
        Where they must be.
    shape : tuple of int or str
        As of `_validate.array_shape`.
    """
    if indices is None:
        return
    backend.require("indices", indices)
    _validate.array_shape("indices", indices, shape)
    _validate.not_empty("indices", indices, axis=-1)
    if indices.dtype.kind not in "iu":
        _validate.reject("indices", "integers", str(indices.dtype))
    # on a device the step would wait until the host has seen them
    if isinstance(indices, np.ndarray) and (indices.min() < 0 or indices.max() >= examples):
        got = f"{indices.min()} to {indices.max()}"
        _validate.reject("indices", f"numbers 0 to {examples - 1} of examples", got)


class Pass(NamedTuple):
    """A forward pass of network and classifier: what the derivatives at its point need.

    Attributes
    ----------
    batch : Batch
    network, classifier
        The records of both, see `Layer`.
    features : array, (n, *network.range_shape)
    outputs : array, (n, K)
    """

    batch: Batch
    network: Any
    classifier: Any
    features: Array
    outputs: Array


class Penalty(NamedTuple):
    """A regulariser and the part of the flat vector that it is of."""

    regularizer: Regularizer
    part: slice

    def value(self, x: Array) -> Array:
        """Return the value at the flat vector `x`, (), or at a stack of them, (T,)."""
        if x.ndim == 1 or self.regularizer.takes_stacks:
            return self.regularizer.value(x[..., self.part])
        return self.regularizer.backend.stack([self.regularizer.value(one) for one in self._each(x)])

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """Return the value and the gradient in the part, (size,), or those of a stack, (T,) and (T, size)."""
        if x.ndim == 1 or self.regularizer.takes_stacks:
            return self.regularizer.value_and_gradient(x[..., self.part])
        found = [self.regularizer.value_and_gradient(one) for one in self._each(x)]
        values, gradients = zip(*found, strict=True)
        return self.regularizer.backend.stack(values), self.regularizer.backend.stack(gradients)

    def _each(self, x: Array) -> list[Array]:
        return [x[t, self.part].copy() for t in range(x.shape[0])]


@dataclass(frozen=True, eq=False)
class Terms:
    """What ``J(theta, W)`` is made of but for the data: it gives all that is computed of one batch.

    ``J`` at a batch is ``1/n sum_i loss(W g(theta, x_i), y_i) + R(theta) + R(W)``, equation (2.3) of the thesis. The
    methods check nothing: `Objective` and `StackedObjective` have.

    Attributes
    ----------
    network : Layer
        ``g``, from images to features.
    classifier : DenseLayer
        ``W``, from features to outputs, one for each class.
    loss : Loss
    theta_regularizer, W_regularizer : Regularizer or None

    Notes
    -----
    Each is worked out for the flat vector ``x = [theta; W]``, (n,), and where it says so for a stack (T, n) of them, of
    which each has its own examples.
    """

    network: Layer
    classifier: DenseLayer
    loss: Loss
    theta_regularizer: Regularizer | None = None
    W_regularizer: Regularizer | None = None

    @property
    def backend(self) -> Backend:
        """Where all is computed."""
        return self.network.backend

    @property
    def parameters(self) -> Parameters:
        """The names ``theta.<layer>.kernel``, ..., ``W.kernel``, ``W.bias`` within the flat vector."""
        return Parameters.joined({"theta": self.network.parameters, "W": self.classifier.parameters})

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the views ``theta`` and ``W`` of the flat vector, or of a stack of them."""
        size = self.network.parameters.size
        return x[..., :size], x[..., size:]

    def penalties(self) -> list[Penalty]:
        """Return the regularisers, each with its part of the flat vector."""
        start, found = self.network.parameters.size, []
        if self.theta_regularizer is not None:
            found.append(Penalty(self.theta_regularizer, slice(start)))
        if self.W_regularizer is not None:
            found.append(Penalty(self.W_regularizer, slice(start, start + self.W_regularizer.size)))
        return found

    def shares(self, examples: int, batch_size: int | None = None) -> tuple[slice, ...]:
        """Return the batches that some examples are worked off in: one, if they belong together.

        Those of a batch go side by side; `batch_size` bounds how many examples a batch has.
        """
        size = examples if batch_size is None else _validate.integer("batch_size", batch_size)
        if self.network.couples_examples:
            if size < examples:
                expected = "none, for a network that normalises over the examples"
                _validate.reject("batch_size", expected, str(batch_size))
            return (slice(0, examples),)
        return tuple(
            slice(start + share.start, start + share.stop)
            for start in range(0, examples, size)
            for share in self.backend.shares(min(size, examples - start))
        )

    def outputs(self, x: Array, images: Array) -> Array:
        """Return the outputs (n, K) without a record, of one point or of a stack."""
        theta, w = self.split(x)
        return self.classifier._evaluate(w, self.network._evaluate(theta, images))

    def forward(self, x: Array, batch: Batch) -> Pass:
        """Return the forward pass at one point or at a stack."""
        theta, w = self.split(x)
        features, network = self.network._forward(theta, batch.images)
        outputs, classifier = self.classifier._forward(w, features)
        return Pass(batch, network, classifier, features, outputs)

    def mean_loss(self, x: Array, batch: Batch) -> tuple[Array, Array, Array]:
        """Return the mean loss and its gradients in theta and W, all times the weight; of one point or of a stack."""
        at = self.forward(x, batch)
        value, u = self.loss._value_and_gradient(at.outputs, batch.labels)
        u = u * batch.weight
        if not self.network.parameters.size:
            return value * batch.weight, self.split(x)[0], self.classifier._vjp_theta(u, at.classifier)
        in_w, in_features = self.classifier._vjp(u, at.classifier)
        return value * batch.weight, self.network._vjp_theta(in_features, at.network), in_w

    def value_and_gradient(self, x: Array, examples: Selection) -> tuple[Array, Array]:
        """Return J, (), and its gradient, (n,), over the mean of all batches."""
        return self.total(x, self.backend.run(self.tasks(x, examples)))

    def tasks(self, x: Array, examples: Selection) -> list[Callable[[], Any]]:
        """Return the independent tasks whose results `total` takes: one for each batch, and the penalties."""
        tasks: list[Callable[[], Any]] = [partial(self._share, x, examples, share) for share in examples.shares]
        # last, so that the thread that is done first has something to do; a single share keeps the threads of BLAS
        return [*tasks, partial(self._penalised, x)] if len(tasks) > 1 else tasks

    def total(self, x: Array, results: Sequence[Any]) -> tuple[Array, Array]:
        """Return J and its gradient from the results of the tasks; of one point or of a stack."""
        shares, penalised = (results[:-1], results[-1]) if len(results) > 1 else (results, self._penalised(x))
        values, *gradients = zip(*shares, strict=True)
        value, gradient = sum(values), self.backend.xp.empty(x.shape, dtype=x.dtype)
        for total, parts in zip(self.split(gradient), gradients, strict=True):
            total[...] = parts[0] if len(parts) == 1 else parts[0] + parts[1]
            for part in parts[2:]:
                total += part
        for part, penalty, slope in penalised:
            value = value + penalty
            gradient[..., part] += slope
        return value, gradient

    def _share(self, x: Array, examples: Selection, share: slice) -> tuple[Array, Array, Array]:
        return self.mean_loss(x, examples.batch(share))

    def _penalised(self, x: Array) -> list[tuple[slice, Array, Array]]:
        return [(penalty.part, *penalty.value_and_gradient(x)) for penalty in self.penalties()]

    def hessian_product(self, v: Array, at: Pass, *, exact: bool) -> Array:
        """Return the Hessian of the mean loss times `v`, or its Gauss-Newton approximation's product, times the weight.

        Parameters
        ----------
        v : array, (n,)
        at : Pass
            What `forward` returned at one point.
        exact : bool
            With z the outputs and Z their Jacobian, ``Z' L''(z) Z v``, and if exact ``+ sum_i L'(z)_i z_i'' v``.
        """
        if not self.network.parameters.size:
            # the outputs are affine in the classifier: both are the same
            return self._product_of_classifier(v, at)
        return self._exact_product(v, at) if exact else self._gauss_newton_product(v, at)

    def _product_of_classifier(self, v: Array, at: Pass) -> Array:
        d_outputs = self.classifier._forward(v, at.features)[0]
        return self.classifier._vjp_theta(self._du(d_outputs, at), at.classifier)

    def _gauss_newton_product(self, v: Array, at: Pass) -> Array:
        _, d_outputs = self._along(v, at)
        in_w, in_features = self.classifier._vjp(self._du(d_outputs, at), at.classifier)
        return self.backend.xp.concatenate([self.network._vjp_theta(in_features, at.network), in_w])

    def _exact_product(self, v: Array, at: Pass) -> Array:
        """Differentiate the backpropagation along `v`: adjoints u and their derivatives du, from the loss backwards."""
        (d_theta, d_w), (d_features, d_outputs) = self.split(v), self._along(v, at)
        u = self.loss._value_and_gradient(at.outputs, at.batch.labels)[1] * at.batch.weight
        du = self._du(d_outputs, at)
        in_w, in_features = self.classifier._curvature(d_w, d_features, u, at.classifier)
        through_w, through_features = self.classifier._vjp(du, at.classifier)
        u = self.classifier._vjp_x(u, at.classifier)
        in_theta = self.network._curvature(d_theta, self._no_images(at), u, at.network)[0]
        through_features = self.backend.elementwise(add, in_features, through_features)
        through_theta = self.network._vjp_theta(through_features, at.network)
        return self.backend.xp.concatenate([in_theta + through_theta, in_w + through_w])

    def _along(self, v: Array, at: Pass) -> tuple[Array, Array]:
        """Return the derivatives of features and outputs along `v`."""
        d_theta, d_w = self.split(v)
        features = self.network._jvp(d_theta, self._no_images(at), at.network)
        return features, self.classifier._jvp(d_w, features, at.classifier)

    def _no_images(self, at: Pass) -> Array:
        """Return the direction in the images, which are not changed."""
        return self.backend.xp.zeros_like(at.batch.images)

    def _du(self, d_outputs: Array, at: Pass) -> Array:
        """Return the derivative of the loss's gradient along that of the outputs."""
        return self.loss._hessian_product(at.outputs, at.batch.labels, d_outputs) * at.batch.weight
