"""Losses: functions of the outputs of a network and what they should be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from meganet.backend import Array, backend_of, to_dtype, to_host
from meganet.datasets.labels import class_numbers
from meganet.ground import validate
from meganet.ground.deprecated import renamed_methods
from meganet.linop.base import LinearOperator

OLD_NAMES = {
    "_value": "value_unchecked",
    "_value_and_gradient": "value_and_gradient_unchecked",
    "_hessian_product": "hessian_product_unchecked",
    "_astype": "with_dtype",
}
"""What methods that losses define were called."""


class Loss(ABC):
    """The mean over examples of a function of outputs z and targets, twice differentiable in z.

    `value`, `value_and_gradient` and `hessian_product` take outputs (N, K), float32 or float64, and as many targets on
    the same backend, and return arrays of their dtype: of shape () and (N, K). A new loss defines the last two without
    checks of their arguments, as ``value_and_gradient_unchecked`` and ``hessian_product_unchecked``.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.losses import Loss, SoftmaxCrossEntropy
    >>> loss, outputs = SoftmaxCrossEntropy(), np.zeros((5, 3), np.float32)
    >>> isinstance(loss, Loss)
    True
    >>> value, gradient = loss.value_and_gradient(outputs, np.array([0, 1, 2, 0, 1]))
    >>> value.shape, gradient.shape, gradient.dtype
    ((), (5, 3), dtype('float32'))
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        renamed_methods(cls, OLD_NAMES)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @abstractmethod
    def targets(self, argument: str, targets: Any, outputs: int) -> np.ndarray[Any, Any]:
        """Return `targets` as a host array in the form the loss computes with, checked for so many outputs."""

    @abstractmethod
    def predictions(self, outputs: Array) -> Array:
        """Return what the outputs stand for, one for each example."""

    @abstractmethod
    def hits(self, outputs: Array, targets: Array) -> Array | None:
        """Return for each example whether the prediction is right, (N,); None where nothing is right or wrong."""

    @abstractmethod
    def value_and_gradient_unchecked(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Return the mean loss and its gradient, for one batch or a stack (T, N, K)."""

    @abstractmethod
    def hessian_product_unchecked(self, outputs: Array, targets: Array, v: Array) -> Array:
        """Return the Hessian times `v`."""

    def value_unchecked(self, outputs: Array, targets: Array) -> Array:
        """Return the mean loss."""
        return self.value_and_gradient_unchecked(outputs, targets)[0]

    def with_dtype(self, dtype: Any) -> Any:
        """Return the same loss with its operators in another dtype."""
        return to_dtype(self, validate.float_dtype("dtype", dtype))

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return the mean loss.

        Parameters
        ----------
        outputs : array, (N, K)
            float32 or float64; logits for a classifier.
        targets : array
            What the loss compares them with, on the backend of `outputs`.

        Returns
        -------
        array, (), the dtype of `outputs`, on their backend.
        """
        return self.value_unchecked(outputs, self._checked(outputs, targets))

    def value_and_gradient(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        """Return the mean loss and its gradient in the outputs, (N, K)."""
        return self.value_and_gradient_unchecked(outputs, self._checked(outputs, targets))

    def hessian_product(self, outputs: Array, targets: Array, v: Array) -> Array:
        """Return the Hessian in the outputs times `v`, (N, K)."""
        targets = self._checked(outputs, targets)
        backend_of(outputs).require("v", v)
        validate.array_shape("v", v, tuple(outputs.shape))
        validate.same_dtype("v", v, outputs.dtype, "the outputs")
        return self.hessian_product_unchecked(outputs, targets, v)

    def _checked(self, outputs: Array, targets: Array) -> Array:
        """Return the targets in the form that the loss computes with."""
        backend = backend_of(outputs)
        backend.require("outputs", outputs)
        validate.array_shape("outputs", outputs, ("N", "K"))
        validate.float_dtype("dtype of outputs", outputs.dtype)
        validate.not_empty("outputs", outputs)
        backend.require("labels", targets)
        examples = int(outputs.shape[0])
        found = self.targets("labels", backend.to_host(targets), outputs.shape[1])
        if len(found) != examples:
            validate.reject("labels", f"one class for each of {examples} examples", f"shape {targets.shape}")
        validate.fits("labels", found, outputs.dtype)
        return backend.asarray(found)


renamed_methods(Loss, OLD_NAMES)


class SoftmaxCrossEntropy(Loss):
    """Mean cross-entropy of the softmax of the logits.

    For one example with logits z and class c, ``l = log sum_k exp(z_k) - z_c``. The largest logit is subtracted before
    the exponential, so logits of ±1e4 and more neither overflow nor lose the small terms. The value is the mean
    over the examples. With the probabilities ``p = softmax(z)``: the gradient is ``(p - e_c) / n``, the Hessian
    product ``(p * v - p <p, v>) / n`` for each example. The targets are classes in ``0 ... K-1``, (N,), as integers or
    whole floats, or a one-hot matrix, (N, K) or (K, N).

    Source: equation (2.3) of the thesis with the loss it uses, ``softmaxLoss`` in Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import SoftmaxCrossEntropy
    >>> loss, logits, classes = SoftmaxCrossEntropy(), np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])
    >>> round(float(loss.value(logits, classes)), 6)
    0.410038
    >>> loss.predictions(logits), loss.probabilities(logits).shape
    (array([0, 0]), (2, 2))
    """

    def targets(self, argument: str, targets: Any, outputs: int) -> np.ndarray[Any, Any]:
        """Return the classes, checked."""
        return class_numbers(argument, targets, outputs)

    def predictions(self, outputs: Array) -> Array:
        """Return the class of the largest logit, (N,); ties go to the first."""
        return outputs.argmax(axis=-1)

    def hits(self, outputs: Array, targets: Array) -> Array:
        """Return whether the class is right."""
        return self.predictions(outputs) == targets

    def probabilities(self, outputs: Array) -> Array:
        """Return the softmax of the logits, (N, K)."""
        backend = backend_of(outputs)
        return backend.xp.exp(backend.log_softmax(outputs))

    def hessian_product_unchecked(self, outputs: Array, targets: Array, v: Array) -> Array:
        p = self.probabilities(outputs)
        product = p * (v - (p * v).sum(axis=-1, keepdims=True))
        return product * (1 / outputs.shape[-2])

    def value_unchecked(self, outputs: Array, targets: Array) -> Array:
        return backend_of(outputs).cross_entropy(outputs, targets)

    def value_and_gradient_unchecked(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        return backend_of(outputs).cross_entropy_and_gradient(outputs, targets)


def _check_matrix(argument: str, targets: Any, outputs: int) -> np.ndarray[Any, Any]:
    """Return targets (N, outputs) as a finite host array."""
    array = validate.read(argument, to_host(targets), f"numbers of shape (N, {outputs})")
    if array.ndim != 2 or array.shape[1] != outputs or array.dtype.kind not in "fiub":
        columns = array.ndim == 2 and array.shape[0] == outputs
        advice = "; examples in columns, as in MATLAB, are targets.T here" if columns else ""
        got = f"shape {array.shape}, dtype {array.dtype}"
        validate.reject(argument, f"numbers of shape (N, {outputs}){advice}", got)
    if not np.isfinite(array).all():
        validate.reject(argument, "finite numbers", "NaN or infinity among them")
    return array


class LogisticLoss(Loss):
    """Mean over the examples of the cross-entropies of K independent yes-or-no questions.

    For one example ``l = sum_k log(1 + exp(z_k)) - t_k z_k`` with targets t in [0, 1]. With ``p = 1 / (1 + exp(-z))``
    the gradient is ``(p - t) / n`` and the Hessian product ``p (1 - p) v / n``. Logits of any size neither overflow nor
    lose small terms. The targets have the shape (N, K); K = 1 is logistic regression.

    Source: ``logRegressionLoss`` of Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.losses import LogisticLoss
    >>> value, gradient = LogisticLoss().value_and_gradient(np.zeros((4, 1)), np.array([[1.0], [0.0], [0.0], [1.0]]))
    >>> round(float(value), 6), gradient.shape
    (0.693147, (4, 1))
    >>> gradient[:, 0]
    array([-0.125,  0.125,  0.125, -0.125])
    """

    def targets(self, argument: str, targets: Any, outputs: int) -> np.ndarray[Any, Any]:
        """Return the numbers in [0, 1], checked."""
        array = _check_matrix(argument, targets, outputs)
        if ((array < 0) | (array > 1)).any():
            validate.reject(argument, "numbers from 0 to 1", f"{array.min()} to {array.max()}")
        return array

    def predictions(self, outputs: Array) -> Array:
        """Return whether each logit is positive, (N, K)."""
        return outputs > 0

    def hits(self, outputs: Array, targets: Array) -> Array:
        """Return whether all answers of an example are right."""
        return (self.predictions(outputs) == (targets > 0.5)).all(axis=-1)

    def value_and_gradient_unchecked(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        xp, share = backend_of(outputs).xp, 1 / outputs.shape[-2]
        t, zeros = targets.astype(outputs.dtype), backend_of(outputs).xp.zeros_like(outputs)
        # nothing large cancels: exp(-|z|) is at most 1
        small = xp.exp(-abs(outputs))
        losses = xp.maximum(outputs, zeros) + xp.log1p(small) - xp.where(t == 0, zeros, t * outputs)
        p = xp.where(outputs >= 0, zeros + 1, small) / (1 + small)
        return losses.sum(axis=(-2, -1)) * share, (p - t) * share

    def hessian_product_unchecked(self, outputs: Array, targets: Array, v: Array) -> Array:
        small = backend_of(outputs).xp.exp(-abs(outputs))
        return small / ((1 + small) * (1 + small)) * v * (1 / outputs.shape[-2])


class LeastSquares(Loss):
    """``1 / (2 n) sum over examples of ||G (z - t)||^2``: regression.

    The gradient is ``G'G (z - t) / n``, the Hessian product ``G'G v / n``. The targets have the shape (N, K).

    Parameters
    ----------
    weight : LinearOperator, optional
        G, on vectors of K outputs; the identity if not given.

    Notes
    -----
    ``regressionLoss`` of Meganet.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.losses import LeastSquares
    >>> outputs, targets = np.array([[3.0, 0.0], [0.0, 1.0]]), np.zeros((2, 2))
    >>> value, gradient = LeastSquares().value_and_gradient(outputs, targets)
    >>> float(value), gradient.shape
    (2.5, (2, 2))
    """

    def __init__(self, weight: LinearOperator | None = None) -> None:
        self.weight = weight

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.weight is None else self.weight!r})"

    def targets(self, argument: str, targets: Any, outputs: int) -> np.ndarray[Any, Any]:
        """Return the numbers, checked."""
        if self.weight is not None and self.weight.domain_shape != (outputs,):
            validate.reject("weight", f"an operator on {outputs} outputs", repr(self.weight))
        return _check_matrix(argument, targets, outputs)

    def predictions(self, outputs: Array) -> Array:
        """Return the outputs themselves."""
        return outputs

    def hits(self, outputs: Array, targets: Array) -> None:
        """Return None: a prediction is more or less near."""
        return

    def _share(self, outputs: Array) -> float:
        """Return the factor in front of the sum of the squares, times 2."""
        return 1 / outputs.shape[-2]

    def _normal(self, v: Array) -> Array:
        return v if self.weight is None else self.weight.adjoint_each_unchecked(self.weight.apply_each_unchecked(v))

    def value_and_gradient_unchecked(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        share = self._share(outputs)
        residual = outputs - targets.astype(outputs.dtype)
        weighted = self._normal(residual)
        return (residual * weighted).sum(axis=(-2, -1)) * (0.5 * share), weighted * share

    def hessian_product_unchecked(self, outputs: Array, targets: Array, v: Array) -> Array:
        return self._normal(v) * self._share(outputs)


class MeanSquares(LeastSquares):
    """``1 / (2 n K) sum over examples of ||z - t||^2``: regression of images, whose pixels are the K outputs.

    It is `LeastSquares` without weight, divided by the number of outputs: a mean over pixels, comparable between
    resolutions, and so are the learning rates.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.losses import MeanSquares
    >>> outputs, targets = np.array([[3.0, 0.0], [0.0, 1.0]]), np.zeros((2, 2))
    >>> value, gradient = MeanSquares().value_and_gradient(outputs, targets)
    >>> float(value), gradient.shape
    (1.25, (2, 2))
    """

    def __init__(self) -> None:
        super().__init__()

    def _share(self, outputs: Array) -> float:
        return 1 / (outputs.shape[-2] * outputs.shape[-1])
