"""TensorFlow, gradient and update in one function: compiled by XLA (``jit_compile=True``), and as a graph of oneDNN.

Images have their channels last, as both want them on processors; periodic boundaries are concatenated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from suite.cases import RATE, Measured

from meganet.layers import Parameter

from .base import Peer, Products
from .twin import Library

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

COMPILED = {"XLA": True, "TensorFlow": False}
"""Whether a function is compiled by XLA."""


def limit(threads: int) -> None:
    """Hold it to so many threads, before it has begun to work."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def kernels() -> str:
    """Return the instruction sets that its code may use."""
    flags = os.environ.get("XLA_FLAGS", "")
    held = [flag.partition("=")[2] for flag in flags.split() if flag.startswith("--xla_cpu_max_isa=")]
    return f"XLA {held[-1] if held else 'of the processor'}"


def variants() -> dict[str, Callable[[Measured], Peer]]:
    """Return both ways in which it runs a function."""
    return {name: partial(Function, compiled=compiled) for name, compiled in COMPILED.items()}


def periodic(images: Any, kernel: Any, bias: Any = None, stride: tuple[int, int] = (1, 1)) -> Any:
    """Return the periodic convolution with a kernel of odd size."""
    for axis in (1, 2):
        r = kernel.shape[axis - 1] // 2
        if r:
            head, tail = ((slice(None),) * axis + (part,) for part in (slice(r), slice(-r, None)))
            images = tf.concat([images[tail], images, images[head]], axis)
    result = tf.nn.conv2d(images, kernel, stride, "VALID")
    return result if bias is None else result + bias


def products(kernel: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, Products]:
    """Return the products of a convolution layer for kernel, images and the gradient in its results, by variant."""
    return {name: _products(compiled, kernel, x, y) for name, compiled in COMPILED.items()}


def _products(compiled: bool, kernel: np.ndarray, x: np.ndarray, y: np.ndarray) -> Products:
    weight = tf.Variable(np.transpose(kernel, (2, 3, 1, 0)))
    images, upstream = (tf.Variable(np.moveaxis(a, 1, -1)) for a in (x, y))

    def gradients() -> Any:
        with tf.GradientTape() as tape:
            result = periodic(images, weight)
        return tape.gradient(result, (weight, images), upstream)

    made = partial(tf.function, jit_compile=compiled)
    return Products(
        made(lambda: periodic(images, weight)),
        made(gradients),
        lambda tensor, is_kernel: np.transpose(tensor.numpy(), (3, 2, 0, 1) if is_kernel else (0, 3, 1, 2)),
    )


class Functions(Library):
    """Its functions for a twin."""

    channels_last = True
    relu, tanh, sqrt = staticmethod(tf.nn.relu), staticmethod(tf.tanh), staticmethod(tf.sqrt)
    convolution = staticmethod(periodic)

    def adjoint_kernel(self, kernel: Any) -> Any:
        return tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])

    def dense(self, x: Any, kernel: Any, bias: Any) -> Any:
        product = tf.reshape(x, [x.shape[0], -1]) @ tf.reshape(kernel, [-1, kernel.shape[-1]])
        return product if bias is None else product + bias

    def pooled(self, x: Any, factor: tuple[int, int]) -> Any:
        return tf.nn.avg_pool2d(x, factor, factor, "VALID")

    def clipped(self, x: Any) -> Any:
        return tf.clip_by_value(x, 0, 1)

    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.reduce_mean(x, axes, keepdims=True)

    def parts(self, x: Any, count: int, axis: int) -> Sequence[Any]:
        return tf.split(x, count, axis)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        return tf.concat(parts, axis)

    def shaped(self, x: Any, shape: Sequence[int]) -> Any:
        return tf.reshape(x, shape)

    def squares(self, x: Any) -> Any:
        return tf.reduce_sum(tf.square(x))

    def differences(self, kernel: Any) -> Sequence[Any]:
        return kernel[1:] - kernel[:-1], kernel[:, 1:] - kernel[:, :-1]


class Function(Peer):
    """A training with weights as variables."""

    def __init__(self, ours: Measured, compiled: bool) -> None:
        super().__init__(ours, Functions())
        images = ours.fun.images
        self.images = tf.constant(np.moveaxis(images, 1, -1) if images.ndim == 4 else images)
        self.labels = tf.constant(ours.fun.labels, dtype=tf.int32)
        self.indices = tf.constant(ours.indices, dtype=tf.int32)
        # made for each training, so that what was compiled for it goes with it
        made = partial(tf.function, jit_compile=compiled)
        self._step, self._gradients = made(self._moved), made(self._slopes)
        self._outputs, self._batch = made(self._forward), made(self._metrics)

    def variable(self, parameter: Parameter, numbers: np.ndarray) -> Any:
        return tf.Variable(numbers)

    def _forward(self) -> Any:
        return self.logits(tf.gather(self.images, self.indices))

    def _slopes(self) -> Any:
        with tf.GradientTape() as tape:
            labels = tf.gather(self.labels, self.indices)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self._forward())
            value = tf.reduce_mean(losses) + self.penalty()
        return value, tape.gradient(value, self.weights)

    def _moved(self) -> Any:
        value, gradients = self._slopes()
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.assign_sub(RATE * gradient)
        return value

    def _metrics(self, images: Any, labels: Any) -> Any:
        logits = self.logits(images)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.argmax(logits, 1, output_type=tf.int32) == labels
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.int32))

    def step(self) -> None:
        # the value is fetched, without which the step may still be running
        self._step().numpy()

    def gradients(self) -> Sequence[np.ndarray]:
        return [gradient.numpy() for gradient in self._gradients()[1]]

    def outputs(self) -> np.ndarray:
        return self._outputs().numpy()

    def evaluate(self) -> tuple[float, float]:
        loss, hits, count, size = 0.0, 0, len(self.labels), self.ours.at_once
        for start in range(0, count, size):
            losses, right = self._batch(self.images[start : start + size], self.labels[start : start + size])
            loss, hits = loss + float(losses), hits + int(right)
        return loss / count, hits / count
