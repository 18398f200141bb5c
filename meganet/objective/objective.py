"""The function that training minimises, of one flat vector ``[theta; W]``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from meganet.backend import Array, is_finite
from meganet.ground import validate
from meganet.ground.deprecated import renamed
from meganet.layers.base import Layer
from meganet.layers.dense import DenseLayer
from meganet.layers.linear import LinearLayer
from meganet.linop import Identity
from meganet.linop._alike import alike
from meganet.losses import Loss, SoftmaxCrossEntropy
from meganet.objective.batch import Terms
from meganet.objective.evaluation import MEMORY_SHARE, Metrics, metrics
from meganet.objective.finite import first_non_finite
from meganet.objective.hessian import Hessian
from meganet.objective.selection import Selection, check_indices
from meganet.regularizers import Regularizer

PARTS = ("network", "classifier", "loss", "backend", "dtype", "theta_regularizer", "W_regularizer")
"""What objectives that are evaluated together have in common."""
FEATURES_AT_ONCE = 256
KEEP_BYTES = 2**31
"""On the CPU, of the forward passes of batches between products with second derivatives."""


class Objective:
    """``J(theta, W) = 1/n sum_i loss(W g(theta, x_i), y_i) + R(theta) + R(W)``, equation (2.3) of the thesis.

    Parameters
    ----------
    network : Layer
        ``g``, from images to features.
    classifier : Layer
        The affine map W from features to classes, a `DenseLayer` with bias; its domain is the network's range. For
        results that are images a `LinearLayer` without weights, which makes vectors of them.
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

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import ConvolutionLayer, DenseLayer, Objective
    >>> network = ConvolutionLayer((1, 28, 28), 8)
    >>> classifier = DenseLayer(network.range_shape, 10)
    >>> rng = np.random.default_rng(0)
    >>> fun = Objective(network, classifier, rng.standard_normal((64, 1, 28, 28)), np.arange(64) % 10)
    >>> value, gradient = fun(np.zeros(fun.parameters.size), np.arange(32))
    >>> round(float(value), 6), gradient.shape
    (2.302585, (62802,))
    >>> theta, W = fun.split(gradient)
    >>> theta.shape, W.shape
    ((72,), (62730,))
    >>> fun.hessian(np.zeros(fun.parameters.size)).shape
    (62802, 62802)
    """

    #: A training step may be recorded as a CUDA graph, see `optim.sgd`.
    recordable = True

    def __init__(
        self,
        network: Layer,
        classifier: Layer,
        images: Array,
        labels: Any,
        *,
        loss: Loss | None = None,
        theta_regularizer: Regularizer | None = None,
        W_regularizer: Regularizer | None = None,
    ) -> None:
        for name, part in (("network", network), ("classifier", classifier)):
            validate.instance(name, part, Layer, "a Layer")
        if classifier.domain_shape != network.range_shape or len(classifier.range_shape) != 1:
            expected = f"a layer from {network.range_shape}, the network's range, to a vector of classes"
            validate.reject("classifier", expected, repr(classifier))
        self.backend = network.backend
        self.backend.require("images", images)
        validate.array_shape("images", images, ("N", *network.domain_shape))
        self.dtype = validate.float_images("images", images)
        if not is_finite(images):
            validate.reject("images", "finite pixels", "NaN or infinity among them")
        validate.not_empty("images", images, "image")
        self.loss = SoftmaxCrossEntropy() if loss is None else loss
        if not isinstance(self.loss, Loss):
            validate.reject("loss", "a Loss or None", repr(loss))
        host_labels = self.loss.targets("labels", labels, classifier.range_shape[0])
        validate.fits("labels", host_labels, self.dtype)
        if len(host_labels) != images.shape[0]:
            validate.reject("labels", f"one label for each of {images.shape[0]} images", str(len(host_labels)))
        self.network, self.classifier = network, classifier
        self.images, self.labels = images, self.backend.asarray(host_labels.copy())
        self.theta_regularizer, self.W_regularizer = theta_regularizer, W_regularizer
        kernel = classifier.parameters[0].size if len(classifier.parameters) else 0
        sizes = ((network.parameters.size,), (kernel, classifier.parameters.size))
        penalties = ((theta_regularizer, "theta_regularizer"), (W_regularizer, "W_regularizer"))
        for (penalty, name), fitting in zip(penalties, sizes, strict=True):
            if penalty is not None and not isinstance(penalty, Regularizer):
                validate.reject(name, "a Regularizer", repr(penalty))
            if penalty is not None and penalty.size not in fitting:
                validate.reject(name, f"an operator on {fitting[0]} weights", repr(penalty))
        self.parameters = self.terms.parameters

    @property
    def examples(self) -> int:
        """Number of examples."""
        return int(self.images.shape[0])

    @property
    def terms(self) -> Terms:
        """Its parts without the data: the mathematics of one batch."""
        return Terms(self.network, self.classifier, self.loss, self.theta_regularizer, self.W_regularizer)

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the views ``theta`` and ``W`` of the flat vector, or of a stack of them."""
        return self.terms.split(x)

    def of_classifier(self, x: Array) -> Objective | None:
        """Return the problem of the classifier alone, on the features, as vectors, of the network with weights `x`.

        Its weights are those of the classifier, in the same order. None if the features are not finite, which leaves
        nothing to be trained.

        Examples
        --------
        >>> import numpy as np
        >>> from meganet import ConvolutionLayer, DenseLayer, Objective
        >>> network = ConvolutionLayer((1, 8, 8), 2)
        >>> fun = Objective(network, DenseLayer(network.range_shape, 3), np.ones((4, 1, 8, 8)), [0, 1, 2, 0])
        >>> x = np.ones(fun.parameters.size)
        >>> of_features, (theta, w) = fun.of_classifier(x), fun.split(x)
        >>> of_features.images.shape, float(of_features(w)[0]) == float(fun(x)[0])
        ((4, 128), True)
        """
        if not self.classifier.parameters.size:
            validate.reject("classifier", "one with weights, to be trained alone", repr(self.classifier))
        theta, _ = self.split(x)
        size = math.prod(self.network.range_shape)
        features = self.backend.xp.empty((self.examples, size), dtype=self.dtype)
        at_once = self.examples if self.network.couples_examples else FEATURES_AT_ONCE
        for start in range(0, self.examples, at_once):
            batch = slice(start, start + at_once)
            features[batch] = self.network(theta, self.images[batch]).reshape(-1, size)
        if not is_finite(features):
            return None
        biased = len(self.classifier.parameters) > 1
        return Objective(
            LinearLayer(Identity(size, backend=self.backend)),
            DenseLayer(size, *self.classifier.range_shape, bias=biased, backend=self.backend),
            features,
            self.backend.to_host(self.labels),
            loss=self.loss,
            W_regularizer=self.W_regularizer,
        )

    def select(self, indices: Array | None = None, batch_size: int | None = None) -> Selection:
        """Return the examples numbered `indices`, or all, with the batches in which they are evaluated; not checked.

        Parameters
        ----------
        indices : array of int, optional
        batch_size : int, optional
            Most examples of a batch; none for a network that normalises over the examples.
        """
        return self._selected(self.terms, indices, batch_size)

    def _selected(self, terms: Terms, indices: Array | None, batch_size: int | None) -> Selection:
        examples = self.examples if indices is None else int(indices.shape[0])
        return Selection(self.images, self.labels, indices, terms.shares(examples, batch_size))

    def __call__(self, x: Array, indices: Array | None = None, *, batch_size: int | None = None) -> tuple[Array, Array]:
        """Return value and gradient at `x`, over all examples or those numbered `indices`.

        Parameters
        ----------
        x : array, (parameters.size,)
        indices : array of int, optional
            Numbers of the examples of a mini-batch, on the backend; those on the host are checked.
        batch_size : int, optional
            Evaluate so many examples at a time, which bounds the memory and changes the result by round-off only.

        Returns
        -------
        value : array, ()
        gradient : array, (parameters.size,)
        """
        self._check(x)
        check_indices(indices, self.examples, self.backend)
        # made once: a step of a small network takes hardly longer
        terms = self.terms
        return terms.value_and_gradient(x, self._selected(terms, indices, batch_size))

    def hessian(
        self,
        x: Array,
        kind: str = "gauss-newton",
        *,
        indices: Array | None = None,
        batch_size: int | None = None,
        keep_bytes: int | None = None,
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
            With it the examples are evaluated in batches of that size, so that the memory is bounded.
        keep_bytes : int, optional
            Memory of this operator for forward passes, which are done once and kept between products as far as it
            goes; 0 keeps none. If not given, with `batch_size` 2 GiB, on a device half of its free memory; without, all
            is kept. A product with a pass that is kept takes about three quarters of the time, with the same result.
        """
        self._check(x)
        check_indices(indices, self.examples, self.backend)
        # the numbers may be the caller's buffer, and are asked for again and again
        examples = self.select(None if indices is None else indices.copy(), batch_size)
        if keep_bytes is not None:
            keep_bytes = validate.integer("keep_bytes", keep_bytes, minimum=0)
        elif batch_size is not None:
            free = self.backend.free_bytes()
            keep_bytes = KEEP_BYTES if free is None else int(free * MEMORY_SHARE)
        return Hessian(self.terms, x, examples, kind, keep_bytes=keep_bytes)

    def outputs(self, x: Array, images: Array) -> Array:
        """Return the classifier's outputs (N, K) for any images of the network's domain."""
        self.backend.require_floats("x", x)
        if x.shape[-1:] != (self.parameters.size,):
            validate.reject("x", f"{self.parameters.size} weights along the last axis", f"shape {x.shape}")
        theta, w = self.split(x)
        return self.classifier(w, self.network(theta, images))

    logits = renamed("Objective.logits", outputs)

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
        return metrics(self.terms, [(self.images, self.labels)], x, batch_size)[0]

    @staticmethod
    def evaluate_stacked(objectives: Sequence[Objective], points: Sequence[Array]) -> list[Metrics]:
        """Return what `evaluate` gives for each objective at its point.

        On a device, objectives that differ in their examples only go through the network together.
        """
        if not objectives:
            return []
        first = objectives[0]
        stacks = first.backend.takes_stacks and len(objectives) > 1
        if not stacks or any(
            other.images.shape != first.images.shape or first.differing_part(other) is not None for other in objectives
        ):
            return [one.evaluate(x) for one, x in zip(objectives, points, strict=True)]
        for one, x in zip(objectives, points, strict=True):
            one._check(x)
        return metrics(first.terms, [(one.images, one.labels) for one in objectives], first.backend.stack(points))

    evaluate_together = staticmethod(renamed("Objective.evaluate_together", evaluate_stacked))

    def differing_part(self, other: Objective) -> str | None:
        """Return the name of a part, other than images and labels, in which two objectives differ, None if in none."""
        return next((part for part in PARTS if not alike(getattr(self, part), getattr(other, part))), None)

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
        check_indices(indices, self.examples, self.backend)
        size = None if self.network.couples_examples else validate.integer("batch_size", batch_size)
        return first_non_finite(self.terms, x, self.select(indices, size))

    def _check(self, x: Array) -> None:
        self.backend.require("x", x)
        validate.array_shape("x", x, (self.parameters.size,))
        validate.same_dtype("x", x, self.dtype, "the images")
