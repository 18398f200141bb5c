"""The function that training minimises, of one flat vector ``[theta; W]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meganet import _validate
from meganet.backend import Array, is_finite
from meganet.hessian import Hessian
from meganet.layers.base import Layer
from meganet.layers.linear import DenseLayer
from meganet.layers.parameters import Parameters
from meganet.losses import Loss, SoftmaxCrossEntropy
from meganet.networks.evaluation import Metrics, differing_part, evaluated
from meganet.networks.finite import bad_names, first_non_finite, in_order
from meganet.regularizers import Regularizer


class Objective:
    """``J(theta, W) = 1/n sum_i loss(W g(theta, x_i), y_i) + R(theta) + R(W)``, equation (2.3) of the thesis.

    Parameters
    ----------
    network : Layer
        ``g``, from images to features.
    classifier : DenseLayer
        The affine map W from features to classes, with bias; its domain is the network's range.
    images : array, (N, C, H, W)
        float32 or float64, finite, on the network's backend; its dtype is that of all weights. It is not copied.
    labels : sequence of int, (N,)
        Classes in ``0 ... K-1``, also as whole floats or as a one-hot matrix, (N, K) or (K, N); for other losses the
        targets (N, K) that they take. Copied.
    loss : Loss, optional
        `SoftmaxCrossEntropy` if not given.
    theta_regularizer, W_regularizer : Regularizer, optional
        ``R(theta)`` on all network weights; ``R(W)`` on the classifier's kernel (K, C, H, W), or, if it is made for
        so many weights, on kernel and bias.

    Attributes
    ----------
    parameters : Parameters
        Names ``theta.<layer>.kernel``, ..., ``W.kernel``, ``W.bias`` within the flat vector.

    Notes
    -----
    An objective is called by optimisers as ``fun(x, indices) -> value, gradient``, and `hessian` gives the products for
    those of second order. The value is an array of shape ()
    on the backend, so that a step on a GPU does not wait for the host; ``float(value)`` where one is wanted.
    """

    #: A training step may be recorded as a CUDA graph, see `optim.sgd`.
    recordable = True

    def __init__(
        self,
        network: Layer,
        classifier: DenseLayer,
        images: Array,
        labels: Any,
        *,
        loss: Loss | None = None,
        theta_regularizer: Regularizer | None = None,
        W_regularizer: Regularizer | None = None,
    ) -> None:
        for name, part in (("network", network), ("classifier", classifier)):
            _validate.instance(name, part, Layer, "a Layer")
        if classifier.domain_shape != network.range_shape or len(classifier.range_shape) != 1:
            expected = f"a layer from {network.range_shape}, the network's range, to a vector of classes"
            _validate.reject("classifier", expected, repr(classifier))
        self.backend = network.backend
        self.backend.require("images", images)
        _validate.array_shape("images", images, ("N", *network.domain_shape))
        self.dtype = _validate.float_images("images", images)
        if not is_finite(images):
            _validate.reject("images", "finite pixels", "NaN or infinity among them")
        _validate.not_empty("images", images, "image")
        self.loss = SoftmaxCrossEntropy() if loss is None else loss
        if not isinstance(self.loss, Loss):
            _validate.reject("loss", "a Loss or None", repr(loss))
        host_labels = self.loss.targets("labels", labels, classifier.range_shape[0])
        _validate.fits("labels", host_labels, self.dtype)
        if len(host_labels) != images.shape[0]:
            _validate.reject("labels", f"one label for each of {images.shape[0]} images", str(len(host_labels)))
        self.network, self.classifier = network, classifier
        self.images, self.labels = images, self.backend.asarray(host_labels.copy())
        self.theta_regularizer, self.W_regularizer = theta_regularizer, W_regularizer
        sizes = ((network.parameters.size,), (classifier.parameters[0].size, classifier.parameters.size))
        penalties = ((theta_regularizer, "theta_regularizer"), (W_regularizer, "W_regularizer"))
        for (penalty, name), fitting in zip(penalties, sizes, strict=True):
            if penalty is not None and not isinstance(penalty, Regularizer):
                _validate.reject(name, "a Regularizer", repr(penalty))
            if penalty is not None and penalty.size not in fitting:
                _validate.reject(name, f"an operator on {fitting[0]} weights", repr(penalty))
        self.parameters = Parameters.joined({"theta": network.parameters, "W": classifier.parameters})

    @property
    def examples(self) -> int:
        """Number of examples."""
        return int(self.images.shape[0])

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the views ``theta`` and ``W`` of the flat vector, or of a stack of them."""
        size = self.network.parameters.size
        return x[..., :size], x[..., size:]

    def __call__(self, x: Array, indices: Array | None = None, *, batch_size: int | None = None) -> tuple[Array, Array]:
        """Return value and gradient at `x`, over all examples or those numbered `indices`.

        Parameters
        ----------
        x : array, (parameters.size,)
        indices : array of int, optional
            Numbers of the examples of a mini-batch, on the backend; those on the host are checked.
        batch_size : int, optional
            Work off so many examples at a time, which bounds the memory and changes the result by round-off only.

        Returns
        -------
        value : array, ()
        gradient : array, (parameters.size,)
        """
        self._check(x)
        self._check_indices(indices)
        return self._sum(x, self.backend.run(self._tasks(x, indices, batch_size)))

    def shares(self, examples: int, batch_size: int | None = None) -> list[slice]:
        """Return the batches that some examples are evaluated in: one, if they belong together.

        Those of a batch go side by side; `batch_size` bounds how many examples a batch has.
        """
        size = examples if batch_size is None else _validate.integer("batch_size", batch_size)
        if self.network.couples_examples:
            if size < examples:
                expected = "none, for a network that normalises over the examples"
                _validate.reject("batch_size", expected, str(batch_size))
            return [slice(0, examples)]
        return [
            slice(start + share.start, start + share.stop)
            for start in range(0, examples, size)
            for share in self.backend.shares(min(size, examples - start))
        ]

    def hessian(
        self, x: Array, kind: str = "gauss-newton", *, indices: Array | None = None, batch_size: int | None = None
    ) -> Hessian:
        """Return the Hessian in ``[theta; W]`` at `x`, or its Gauss-Newton approximation, as an operator.

        Parameters
        ----------
        x : array, (parameters.size,)
        kind : {"gauss-newton", "exact"}
            See `hessian.Hessian`.
        indices : array of int, optional
            Numbers of the examples, on the backend; all if not given.
        batch_size : int, optional
            With it the examples are evaluated in batches of that size and nothing is kept between products; without,
            the forward pass is done once and kept.
        """
        self._check(x)
        self._check_indices(indices)
        return Hessian(self, x, kind, indices, batch_size)

    def _tasks(self, x: Array, indices: Array | None, batch_size: int | None = None) -> list[Callable[[], Any]]:
        """Return the independent tasks whose results `_sum` takes: the shares of the batch, and the regularisers."""
        examples = self.examples if indices is None else int(indices.shape[0])
        tasks: list[Callable[[], Any]] = [
            partial(self._share, x, indices, share, examples) for share in self.shares(examples, batch_size)
        ]
        # last, so that the thread that is done first has something to do; a single share keeps the threads of BLAS
        return [*tasks, partial(self._penalties, x)] if len(tasks) > 1 else tasks

    def _sum(self, x: Array, results: Sequence[Any]) -> tuple[Array, Array]:
        """Return value and gradient at `x`, one point or a stack, from the results of the tasks."""
        shares, penalties = (results[:-1], results[-1]) if len(results) > 1 else (results, self._penalties(x))
        values, *gradients = zip(*shares, strict=True)
        value, gradient = sum(values), self.backend.xp.empty(x.shape, dtype=x.dtype)
        for total, parts in zip(self.split(gradient), gradients, strict=True):
            total[...] = parts[0] if len(parts) == 1 else parts[0] + parts[1]
            for part in parts[2:]:
                total += part
        for part, penalty, slope in penalties:
            value = value + penalty
            gradient[..., part] += slope
        return value, gradient

    def _share(self, x: Array, indices: Array | None, share: slice, examples: int) -> tuple[Array, ...]:
        """Return what one share of a batch of `examples` adds to the mean loss and its gradients in theta and W."""
        chosen = share if indices is None else indices[share]
        return self._mean(x, self.images[chosen], self.labels[chosen], (share.stop - share.start) / examples)

    def _mean(self, x: Array, images: Array, labels: Array, weight: float) -> tuple[Array, ...]:
        """Return the mean loss and its gradients in theta and W, all times `weight`; of one point or of a stack."""
        theta, w = self.split(x)
        features, network_record = self.network._forward(theta, images)
        logits, classifier_record = self.classifier._forward(w, features)
        value, dlogits = self.loss._value_and_gradient(logits, labels)
        dlogits = dlogits * weight
        if not self.network.parameters.size:
            return value * weight, theta, self.classifier._vjp_theta(dlogits, classifier_record)
        w_gradient, dfeatures = self.classifier._vjp(dlogits, classifier_record)
        theta_gradient = self.network._vjp_theta(dfeatures, network_record)
        return value * weight, theta_gradient, w_gradient

    def _penalties(self, x: Array) -> list[tuple[slice, Array, Array]]:
        """Return value and gradient of each regulariser with its part of the flat vector."""
        return [(part, *self._penalty(penalty, x[..., part])) for penalty, part in self._regularizers()]

    def _penalty(self, penalty: Regularizer, x: Array) -> tuple[Array, Array]:
        if x.ndim == 1 or penalty.takes_stacks:
            return penalty.value_and_gradient(x)
        values, gradients = zip(*(penalty.value_and_gradient(x[t].copy()) for t in range(x.shape[0])), strict=True)
        return self.backend.stack(values), self.backend.stack(gradients)

    def _regularizers(self) -> Iterator[tuple[Regularizer, slice]]:
        """Yield each regulariser with its part of the flat vector."""
        start = self.network.parameters.size
        if self.theta_regularizer is not None:
            yield self.theta_regularizer, slice(start)
        if self.W_regularizer is not None:
            yield self.W_regularizer, slice(start, start + self.W_regularizer.size)

    def logits(self, x: Array, images: Array) -> Array:
        """Return the classifier's outputs (N, K) for any images of the network's domain."""
        self.backend.require_floats("x", x)
        if x.shape[-1:] != (self.parameters.size,):
            _validate.reject("x", f"{self.parameters.size} weights along the last axis", f"shape {x.shape}")
        theta, w = self.split(x)
        return self.classifier(w, self.network(theta, images))

    def evaluate(self, x: Array, batch_size: int | None = None) -> Metrics:
        """Return objective, loss and accuracy over the data set, in batches that bound the memory.

        Parameters
        ----------
        x : array, (parameters.size,)
        batch_size : int, optional
            Examples at a time; it changes the result by round-off only. If not given, 128 on the CPU and as many as the
            free memory allows on a device. A network that normalises over the examples gets all of them at once.

        Returns
        -------
        Metrics
            Python floats; the accuracy is nan where the loss is not finite, or of a kind that knows no right or wrong.
        """
        self._check(x)
        return evaluated([self], x, batch_size)[0]

    @staticmethod
    def evaluate_together(objectives: Sequence[Objective], points: Sequence[Array]) -> list[Metrics]:
        """Return what `evaluate` gives for each objective at its point.

        On a device, objectives that differ in their examples only go through the network together.
        """
        if not objectives:
            return []
        first = objectives[0]
        stacks = first.backend.takes_stacks and len(objectives) > 1
        if not stacks or any(
            other.images.shape != first.images.shape or differing_part(first, other) is not None for other in objectives
        ):
            return [one.evaluate(x) for one, x in zip(objectives, points, strict=True)]
        for one, x in zip(objectives, points, strict=True):
            one._check(x)
        return evaluated(objectives, first.backend.stack(points), None)

    def first_non_finite(self, x: Array, indices: Array | None = None, *, batch_size: int = 128) -> str | None:
        """Say where the first number that is not finite arises at `x`, in the order of the forward pass.

        Parameters
        ----------
        x : array, (parameters.size,)
        indices : array of int, optional
            Numbers of the examples, on the backend; all if not given.
        batch_size : int
            Examples at a time, as in `evaluate`.

        Returns
        -------
        str, optional
            The layer, and whether it is among its weights or in its output; after the layers the loss, a regulariser,
            or the gradient. None if value and gradient are finite.

        Examples
        --------
        >>> import numpy as np
        >>> from meganet import DenseLayer, Objective
        >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
        >>> x = np.zeros(fun.parameters.size)
        >>> fun.first_non_finite(x)
        >>> x[:] = np.nan
        >>> fun.first_non_finite(x)
        'layer theta (DenseLayer, (2,) -> (3,)) has weights that are not finite (theta.kernel)'
        """
        self._check(x)
        self._check_indices(indices)
        examples = self.examples if indices is None else int(indices.shape[0])
        size = examples if self.network.couples_examples else _validate.integer("batch_size", batch_size)
        shares = [slice(start, start + size) for start in range(0, examples, size)]
        theta, w = self.split(x)
        layers = [*in_order("theta", self.network, theta), *in_order("W", self.classifier, w)]
        batches = (self.images[share if indices is None else indices[share]] for share in shares)
        found = first_non_finite(layers, batches)
        if found is not None:
            return found
        for penalty, part in self._regularizers():
            if not all(is_finite(result) for result in self._penalty(penalty, x[part])):
                return f"the regulariser of {'theta' if part.start is None else 'W'} ({penalty!r}), from finite weights"
        value, gradient = self(x, indices, batch_size=None if self.network.couples_examples else size)
        if not is_finite(value):
            return "the loss, from finite outputs of the classifier"
        bad = bad_names(self.parameters, gradient)
        # backpropagation comes to the last layer first
        return f"the gradient ({bad[-1]}), from finite outputs" if bad else None

    def _check_indices(self, indices: Array | None, shape: tuple[Any, ...] = ("N",)) -> None:
        if indices is None:
            return
        self.backend.require("indices", indices)
        _validate.array_shape("indices", indices, shape)
        _validate.not_empty("indices", indices, axis=-1)
        if indices.dtype.kind not in "iu":
            _validate.reject("indices", "integers", str(indices.dtype))
        # on a device the step would wait until the host has seen them
        if isinstance(indices, np.ndarray) and (indices.min() < 0 or indices.max() >= self.examples):
            got = f"{indices.min()} to {indices.max()}"
            _validate.reject("indices", f"numbers 0 to {self.examples - 1} of examples", got)

    def _check(self, x: Array) -> None:
        self.backend.require("x", x)
        _validate.array_shape("x", x, (self.parameters.size,))
        _validate.same_dtype("x", x, self.dtype, "the images")


@dataclass(frozen=True)
class Evaluation:
    """What `observer` returns: a function of the point that evaluates objectives there."""

    training: Objective
    validation: Objective | None = None

    def __call__(self, x: Array) -> dict[str, float]:
        """Return the columns at one point."""
        return self.together([self], [x])[0]

    @staticmethod
    def together(observers: Sequence[Evaluation], points: Sequence[Array]) -> list[dict[str, float]]:
        """Return the columns of each of several observers at its point, evaluated side by side on a device."""
        rows = [m._asdict() for m in Objective.evaluate_together([o.training for o in observers], points)]
        pairs = [(k, o.validation) for k, o in enumerate(observers) if o.validation is not None]
        if pairs:
            numbers, validations = zip(*pairs, strict=True)
            metrics = Objective.evaluate_together(validations, [points[k] for k in numbers])
            for k, (_, loss, accuracy) in zip(numbers, metrics, strict=True):
                rows[k] |= {"validation_loss": loss, "validation_accuracy": accuracy}
        return rows


def observer(training: Objective, validation: Objective | None = None) -> Evaluation:
    """Return the function that gives an optimiser its columns of training and validation values.

    Parameters
    ----------
    training : Objective
        Columns ``objective``, ``loss``, ``accuracy``.
    validation : Objective, optional
        The same network and classifier over other data: columns ``validation_loss``, ``validation_accuracy``.

    Examples
    --------
    ``sgd(fun, x0, fun.examples, ..., observe=observer(fun, validation))``
    """
    for name, objective in (("training", training), ("validation", validation)):
        if not isinstance(objective, Objective) and not (objective is None and name == "validation"):
            _validate.reject(name, "an Objective", repr(objective))

    return Evaluation(training, validation)
