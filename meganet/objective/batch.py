"""The mathematics of one batch: mean loss, gradients, products with second derivatives, and the penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import add
from typing import Any, NamedTuple

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.layers.parameters import Parameters
from meganet.losses import Loss
from meganet.objective.selection import Batch, Selection
from meganet.regularizers import Regularizer


class Pass(NamedTuple):
    """A forward pass of network and classifier: what the derivatives at its point need.

    Attributes
    ----------
    batch : Batch
    network, classifier
        The records of both, see `Layer`.
    features : array, (N, ...)
        Of the network's range.
    outputs : array, (N, K)

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> examples = fun.select()
    >>> at = fun.terms.forward(np.zeros(fun.parameters.size), examples.batch(examples.shares[0]))
    >>> at.features.shape, at.outputs.shape
    ((4, 3), (4, 2))
    """

    batch: Batch
    network: Any
    classifier: Any
    features: Array
    outputs: Array


class Penalty(NamedTuple):
    """A regulariser and the part of the flat vector that it acts on.

    Attributes
    ----------
    regularizer : Regularizer
    part : slice

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import Tikhonov
    >>> from meganet.linop import Identity
    >>> from meganet.objective.batch import Penalty
    >>> penalty = Penalty(Tikhonov(Identity((3,)), alpha=0.5), slice(1, 4))
    >>> float(penalty.value(2 * np.ones(5)))
    3.0
    >>> value, gradient = penalty.value_and_gradient(np.ones((7, 5)))
    >>> value.shape, gradient.shape
    ((7,), (7, 3))
    """

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
    """The parts of ``J(theta, W)`` without the data: everything that is computed from one batch of examples.

    Over N examples ``J = 1/N sum_i loss(W g(theta, x_i), y_i) + R(theta) + R(W)``, equation (2.3) of the thesis.
    Arguments are not checked here; `Objective` and `StackedObjective` check theirs.

    Attributes
    ----------
    network : Layer
        ``g``, from images to features.
    classifier : Layer
        ``W``, from features to outputs, one for each class.
    loss : Loss
    theta_regularizer, W_regularizer : Regularizer or None

    Notes
    -----
    The methods take the flat vector ``x = [theta; W]``, (n,); those that say so also take a stack (T, n) of them, each
    with its own examples.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, SoftmaxCrossEntropy
    >>> from meganet.objective.batch import Terms
    >>> from meganet.objective.selection import Batch
    >>> terms = Terms(DenseLayer((4,), 5), DenseLayer((5,), 3), SoftmaxCrossEntropy())
    >>> batch = Batch(np.ones((8, 4)), np.zeros(8, int), weight=1.0)
    >>> value, in_theta, in_w = terms.mean_loss(np.zeros(terms.parameters.size), batch)
    >>> round(float(value), 6), in_theta.shape, in_w.shape
    (1.098612, (25,), (18,))
    """

    network: Layer
    classifier: Layer
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
        """Return the batches in which some examples are evaluated: one, if they belong together.

        `batch_size` bounds the examples of a batch; on the CPU a batch is divided among the threads.
        """
        size = examples if batch_size is None else validate.integer("batch_size", batch_size)
        if self.network.couples_examples:
            if size < examples:
                expected = "none, for a network that normalises over the examples"
                validate.reject("batch_size", expected, str(batch_size))
            return (slice(0, examples),)
        return tuple(
            slice(start + share.start, start + share.stop)
            for start in range(0, examples, size)
            for share in self.backend.shares(min(size, examples - start))
        )

    def outputs(self, x: Array, images: Array) -> Array:
        """Return the outputs (N, K) without a record, of one point or of a stack."""
        theta, w = self.split(x)
        return self.classifier.evaluate_unchecked(w, self.network.evaluate_unchecked(theta, images))

    def forward(self, x: Array, batch: Batch) -> Pass:
        """Return the forward pass at one point or at a stack."""
        theta, w = self.split(x)
        features, network = self.network.forward_unchecked(theta, batch.images)
        outputs, classifier = self.classifier.forward_unchecked(w, features)
        return Pass(batch, network, classifier, features, outputs)

    def mean_loss(self, x: Array, batch: Batch) -> tuple[Array, Array, Array]:
        """Return the mean loss and its gradients in theta and W, all times the weight; of one point or of a stack."""
        at = self.forward(x, batch)
        value, u = self.loss.value_and_gradient_unchecked(at.outputs, batch.labels)
        u = u * batch.weight
        if not self.network.parameters.size:
            return value * batch.weight, self.split(x)[0], self.classifier.vjp_theta_unchecked(u, at.classifier)
        in_w, in_features = self.classifier.vjp_unchecked(u, at.classifier)
        return value * batch.weight, self.network.vjp_theta_unchecked(in_features, at.network), in_w

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
            if len(parts) == 1:
                total[...] = parts[0]
                continue
            self.backend.xp.add(parts[0], parts[1], out=total)
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
        d_outputs = self.classifier.forward_unchecked(v, at.features)[0]
        return self.classifier.vjp_theta_unchecked(self._du(d_outputs, at), at.classifier)

    def _gauss_newton_product(self, v: Array, at: Pass) -> Array:
        _, d_outputs = self._along(v, at)
        in_w, in_features = self.classifier.vjp_unchecked(self._du(d_outputs, at), at.classifier)
        return self.backend.xp.concatenate([self.network.vjp_theta_unchecked(in_features, at.network), in_w])

    def _exact_product(self, v: Array, at: Pass) -> Array:
        """Differentiate the backpropagation along `v`: adjoints u and their derivatives du, from the loss backwards."""
        (d_theta, d_w), (d_features, d_outputs) = self.split(v), self._along(v, at)
        u = self.loss.value_and_gradient_unchecked(at.outputs, at.batch.labels)[1] * at.batch.weight
        du = self._du(d_outputs, at)
        in_w, in_features = self.classifier.curvature_unchecked(d_w, d_features, u, at.classifier)
        through_w, through_features = self.classifier.vjp_unchecked(du, at.classifier)
        u = self.classifier.vjp_x_unchecked(u, at.classifier)
        in_theta = self.network.curvature_unchecked(d_theta, self._no_images(at), u, at.network)[0]
        through_features = self.backend.elementwise(add, in_features, through_features)
        through_theta = self.network.vjp_theta_unchecked(through_features, at.network)
        return self.backend.xp.concatenate([in_theta + through_theta, in_w + through_w])

    def _along(self, v: Array, at: Pass) -> tuple[Array, Array]:
        """Return the derivatives of features and outputs along `v`."""
        d_theta, d_w = self.split(v)
        features = self.network.jvp_unchecked(d_theta, self._no_images(at), at.network)
        return features, self.classifier.jvp_unchecked(d_w, features, at.classifier)

    def _no_images(self, at: Pass) -> Array:
        """Return the direction in the images, which are not changed."""
        return self.backend.xp.zeros_like(at.batch.images)

    def _du(self, d_outputs: Array, at: Pass) -> Array:
        """Return the derivative of the loss's gradient along that of the outputs."""
        return self.loss.hessian_product_unchecked(at.outputs, at.batch.labels, d_outputs) * at.batch.weight
