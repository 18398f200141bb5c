"""Losses: functions of the outputs of a classifier and the true classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet import _validate
from meganet.backend import Array, Backend, backend_of, host


def check_labels(argument: str, labels: Any, classes: int) -> np.ndarray[Any, Any]:
    """Return `labels` as a host array of integers in ``0 ... classes - 1``, one for each example."""
    array = np.asarray(host(labels))
    if array.ndim != 1 or array.dtype.kind not in "iu":
        _validate.reject(argument, "a vector of integers", f"shape {array.shape}, dtype {array.dtype}")
    wrong = (array < 0) | (array >= classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        _validate.reject(argument, f"classes 0 to {classes - 1}", f"{array[first]} at position {first}")
    return array.astype(np.int64)


class SoftmaxCrossEntropy:
    """Mean cross-entropy of the softmax of the logits.

    For one example with logits z and class c, ``l = log sum_k exp(z_k) - z_c``. The largest logit is subtracted before
    the exponential, so logits of ±1e4 and more neither overflow nor lose the small terms. The value is the mean
    over the examples. With the probabilities ``p = softmax(z)``: the gradient is ``(p - e_c) / n``, the Hessian
    product ``(p * v - p <p, v>) / n`` for each example.

    Source: equation (2.3) of the thesis with the loss it uses, ``softmaxLoss`` in Meganet.
    """

    def value(self, logits: Array, labels: Array) -> Array:
        """Return the mean loss.

        Parameters
        ----------
        logits : array, (N, K)
            float32 or float64.
        labels : array of int, (N,)
            Classes in ``0 ... K-1``, on the backend of `logits`.

        Returns
        -------
        array, (), the dtype of `logits`, on their backend.
        """
        self._check(logits, labels)
        return self._value(logits, labels)

    def value_and_gradient(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean loss and its gradient in the logits, (N, K)."""
        self._check(logits, labels)
        return self._value_and_gradient(logits, labels)

    def hessian_product(self, logits: Array, labels: Array, v: Array) -> Array:
        """Return the Hessian in the logits times `v`, (N, K)."""
        backend = self._check(logits, labels)
        _validate.array_shape("v", v, tuple(logits.shape))
        p = self._log_softmax(backend, logits)
        backend.xp.exp(p, out=p)
        product = p * (v - (p * v).sum(axis=-1, keepdims=True))
        return product * (1 / logits.shape[-2])

    def predictions(self, logits: Array) -> Array:
        """Return the class of the largest logit, (N,); ties go to the first."""
        return logits.argmax(axis=-1)

    def _value(self, logits: Array, labels: Array) -> Array:
        backend = backend_of(logits)
        return self._mean_loss(backend, self._log_softmax(backend, logits), self._hits(backend, logits, labels))

    def _value_and_gradient(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        backend = backend_of(logits)
        if backend.kernels is not None:
            losses, gradient = backend.kernels.softmax(logits, labels)
            return losses.sum(axis=-1) * (1 / logits.shape[-2]), gradient
        log_p = self._log_softmax(backend, logits)
        hits = self._hits(backend, logits, labels)
        return self._mean_loss(backend, log_p, hits), (backend.xp.exp(log_p) - hits) * (1 / logits.shape[-2])

    @staticmethod
    def _mean_loss(backend: Backend, log_p: Array, hits: Array) -> Array:
        # not a product with hits: a logit -inf of another class has the logarithm -inf, and 0 times that is nan
        chosen = backend.xp.where(hits, log_p, backend.xp.zeros(1, dtype=log_p.dtype))
        return chosen.sum(axis=(-2, -1)) * (-1 / log_p.shape[-2])

    @staticmethod
    def _hits(backend: Backend, logits: Array, labels: Array) -> Array:
        return labels[..., None] == backend.xp.arange(logits.shape[-1])

    @staticmethod
    def _log_softmax(backend: Backend, logits: Array) -> Array:
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return shifted - backend.xp.log(backend.xp.exp(shifted).sum(axis=-1, keepdims=True))

    @staticmethod
    def _check(logits: Array, labels: Array) -> Backend:
        backend = backend_of(logits)
        _validate.array_shape("logits", logits, ("N", "K"))
        _validate.float_dtype("dtype of logits", logits.dtype)
        _validate.not_empty("logits", logits)
        backend.require("labels", labels)
        if tuple(labels.shape) != (logits.shape[0],):
            _validate.reject("labels", f"one class for each of {logits.shape[0]} examples", f"shape {labels.shape}")
        check_labels("labels", backend.to_host(labels), logits.shape[1])
        return backend
