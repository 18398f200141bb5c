"""The same training in PyTorch, run eagerly as its users do."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from suite.cases import RATE, THETA_ALPHA, W_ALPHA, Training

FORMATS = {"PyTorch": torch.contiguous_format, "PyTorch channels-last": torch.channels_last}
"""The memory formats between which a user can choose; comparisons are with the faster one."""


def periodic(images: Any, kernel: Any) -> Any:
    """Return the periodic convolution with a kernel of odd size."""
    r1, r2 = kernel.shape[2] // 2, kernel.shape[3] // 2
    return F.conv2d(F.pad(images, (r2, r2, r1, r1), mode="circular"), kernel)


class Peer:
    """The step and the evaluation of a `Training`, from its weights, images and labels."""

    def __init__(self, ours: Training, memory_format: Any) -> None:
        views = ours.fun.parameters.view(ours.x)
        first, second, kernel, bias = (torch.tensor(view) for view in views.values())
        stencils = [weight.contiguous(memory_format=memory_format) for weight in (first, second)]
        self.weights = [weight.requires_grad_(True) for weight in (*stencils, kernel, bias)]
        self.images = torch.tensor(ours.fun.images).contiguous(memory_format=memory_format)
        self.labels = torch.tensor(ours.fun.labels)
        self.indices = torch.tensor(ours.indices)
        self.pool = ours.case.network == "B"
        self.optimizer = torch.optim.SGD(self.weights, lr=RATE)

    def logits(self, images: Any) -> Any:
        """Return the classifier's outputs."""
        first, second, kernel, bias = self.weights
        x = F.relu(periodic(images, first))
        x = F.avg_pool2d(x, 2) if self.pool else x
        x = F.relu(periodic(x, second))
        return F.linear(x.flatten(1), kernel.flatten(1), bias)

    def loss(self) -> Any:
        """Return the objective of the mini-batch."""
        first, second, kernel, _ = self.weights
        value = F.cross_entropy(self.logits(self.images[self.indices]), self.labels[self.indices])
        value = value + THETA_ALPHA / 2 * (first.square().sum() + second.square().sum())
        down, right = kernel.diff(dim=2), kernel.diff(dim=3)
        return value + W_ALPHA / 2 * (down.square().sum() + right.square().sum())

    def step(self) -> None:
        """Compute the gradient of a mini-batch and move."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def gradient(self) -> Any:
        """Return the gradient of the mini-batch as one NumPy vector."""
        self.loss().backward()
        flat = torch.cat([w.grad.flatten() for w in self.weights]).numpy()
        self.optimizer.zero_grad()
        return flat

    def evaluate(self, batch_size: int = 128) -> tuple[float, float]:
        """Return loss and accuracy over all images."""
        loss, hits, count = 0.0, 0, len(self.labels)
        with torch.inference_mode():
            for start in range(0, count, batch_size):
                labels = self.labels[start : start + batch_size]
                logits = self.logits(self.images[start : start + batch_size])
                loss += float(F.cross_entropy(logits, labels, reduction="sum"))
                hits += int((logits.argmax(dim=1) == labels).sum())
        return loss / count, hits / count
