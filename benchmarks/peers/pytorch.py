"""PyTorch, run eagerly as its users do, in its default and in its channels-last memory format."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from suite.cases import RATE, Measured

from meganet.layers import Parameter
from meganet.objective import Objective

from .base import Peer, Products
from .twin import Library

FORMATS = {"PyTorch": torch.contiguous_format, "PyTorch channels-last": torch.channels_last}
"""The memory formats between which a user can choose."""


def limit(threads: int) -> None:
    """Hold it to so many threads."""
    torch.set_num_threads(threads)


def kernels() -> str:
    """Return the instruction sets of its own loops and of oneDNN, as they say."""
    one = "import torch; torch.nn.functional.conv2d(torch.ones(16, 32, 28, 28), torch.ones(64, 32, 3, 3))"
    environment = {**os.environ, "ONEDNN_VERBOSE": "1"}
    run = subprocess.run([sys.executable, "-c", one], env=environment, capture_output=True, text=True, check=True)
    said = re.search(r"info,cpu,isa:(.*)", run.stdout)
    own = torch.backends.cpu.get_cpu_capability()
    return f"PyTorch {own}, oneDNN {said[1].strip() if said else 'unknown'}"


def variants() -> dict[str, Callable[[Measured], Peer]]:
    """Return its memory formats."""
    return {name: partial(Pytorch, memory_format=memory) for name, memory in FORMATS.items()}


def periodic(images: Any, kernel: Any, bias: Any = None, stride: tuple[int, int] = (1, 1)) -> Any:
    """Return the periodic convolution with a kernel of odd size."""
    r1, r2 = kernel.shape[2] // 2, kernel.shape[3] // 2
    if r1 or r2:
        images = F.pad(images, (r2, r2, r1, r1), mode="circular")
    return F.conv2d(images, kernel, bias, stride)


def products(kernel: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, Products]:
    """Return the products of a convolution layer for kernel, images and the gradient in its results, by variant."""
    return {name: _products(memory, kernel, x, y) for name, memory in FORMATS.items()}


def _products(memory_format: Any, *arrays: np.ndarray) -> Products:
    weight, images, upstream = (torch.tensor(a).contiguous(memory_format=memory_format) for a in arrays)
    for tensor in (weight, images):
        tensor.requires_grad_(True)
    result = periodic(images, weight)
    return Products(
        lambda: periodic(images, weight),
        lambda: torch.autograd.grad(result, (weight, images), upstream, retain_graph=True),
        lambda tensor, is_kernel: tensor.detach().numpy(),
    )


class Functions(Library):
    """Its functions for a twin."""

    channels_last = False
    relu, tanh, sqrt = staticmethod(F.relu), staticmethod(torch.tanh), staticmethod(torch.sqrt)
    convolution = staticmethod(periodic)

    def adjoint_kernel(self, kernel: Any) -> Any:
        return kernel.flip(2, 3).transpose(0, 1)

    def dense(self, x: Any, kernel: Any, bias: Any) -> Any:
        return F.linear(x.flatten(1), kernel.flatten(1), bias)

    def pooled(self, x: Any, factor: tuple[int, int]) -> Any:
        return F.avg_pool2d(x, factor)

    def clipped(self, x: Any) -> Any:
        return x.clamp(0, 1)

    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        return x.mean(dim=tuple(axes), keepdim=True)

    def parts(self, x: Any, count: int, axis: int) -> Sequence[Any]:
        return x.chunk(count, dim=axis)

    def joined(self, parts: Sequence[Any], axis: int) -> Any:
        return torch.cat(list(parts), dim=axis)

    def shaped(self, x: Any, shape: Sequence[int]) -> Any:
        return x.reshape(tuple(shape))

    def squares(self, x: Any) -> Any:
        return x.square().sum()

    def differences(self, kernel: Any) -> Sequence[Any]:
        return kernel.diff(dim=2), kernel.diff(dim=3)


class Pytorch(Peer):
    """A training with `torch.optim.SGD`."""

    def __init__(self, ours: Measured, memory_format: Any) -> None:
        self.memory_format = memory_format
        super().__init__(ours, Functions())
        self.images = self._tensor(ours.fun.images)
        self.labels, self.indices = torch.tensor(ours.fun.labels), torch.tensor(ours.indices)
        self.optimizer = torch.optim.SGD(self.weights, lr=RATE)

    def _tensor(self, numbers: np.ndarray) -> Any:
        tensor = torch.tensor(numbers)
        return tensor.contiguous(memory_format=self.memory_format) if tensor.ndim == 4 else tensor

    def variable(self, parameter: Parameter, numbers: np.ndarray) -> Any:
        tensor = self._tensor(numbers) if parameter.role == "stencil" else torch.tensor(numbers)
        return tensor.requires_grad_(True)

    def loss(self) -> Any:
        """Return the objective of the mini-batch."""
        return F.cross_entropy(self.logits(self.images[self.indices]), self.labels[self.indices]) + self.penalty()

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def gradients(self) -> Sequence[np.ndarray]:
        return [g.numpy() for g in torch.autograd.grad(self.loss(), self.weights)]

    def outputs(self) -> np.ndarray:
        with torch.inference_mode():
            return self.logits(self.images[self.indices]).numpy()

    def evaluate(self) -> tuple[float, float]:
        return self.evaluated(self.images, self.labels)

    def evaluated(self, images: Any, labels: Any) -> tuple[float, float]:
        """Return loss and accuracy over images with labels."""
        loss, hits, count, size = 0.0, 0, len(labels), self.ours.at_once
        with torch.inference_mode():
            for own, part in zip(labels.split(size), images.split(size), strict=True):
                logits = self.logits(part)
                loss += float(F.cross_entropy(logits, own, reduction="sum"))
                hits += int((logits.argmax(dim=1) == own).sum())
        return loss / count, hits / count


class Descent(Pytorch):
    """A training with momentum, whose rate changes now and then, that ends where ours does but for rounding.

    Its velocity is a sum of gradients, and times the rate what a step is; ours is a sum of steps, each with the rate of
    its time. So where the rate changes, the velocity here is multiplied by the old rate over the new one.
    """

    def __init__(self, ours: Measured, memory_format: Any, momentum: float) -> None:
        super().__init__(ours, memory_format)
        self.optimizer = torch.optim.SGD(self.weights, lr=RATE, momentum=momentum)

    def train(self, batches: np.ndarray, rate: float) -> float:
        """Make a step with each mini-batch, (steps, batch_size), and return the seconds."""
        (group,) = self.optimizer.param_groups
        for state in self.optimizer.state.values():
            state["momentum_buffer"].mul_(group["lr"] / rate)
        group["lr"] = rate
        start = time.perf_counter()
        for self.indices in torch.tensor(batches):
            self.step()
        return time.perf_counter() - start

    def x(self) -> np.ndarray:
        """Return the weights as our flat vector."""
        return self.flat([w.detach().numpy() for w in self.weights])

    def accuracy(self, held: Objective) -> float:
        """Return the accuracy over the images of an objective, in percent; nan if the weights are not finite."""
        if not np.isfinite(self.x()).all():
            return math.nan
        return 100 * self.evaluated(self._tensor(held.images), torch.tensor(held.labels))[1]
