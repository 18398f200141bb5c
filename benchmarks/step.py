"""One step of SGD, the mini-batch's gradient with regularisers and the update, against the same step in PyTorch.

Both run in this process on the same threads, on the same weights and images; first their gradients are compared.
PyTorch runs eagerly, in its default and in its channels-last memory format; the ratio is to the faster of the two.

    pip install ".[bench]" && python benchmarks/step.py
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import alternate, machine, median_ms, write
from threadpoolctl import threadpool_limits

from meganet import DenseLayer, Objective, Tikhonov, he_normal, smoothed_normal
from meganet.experiments import build_network
from meganet.linop import Gradient, Identity

BATCH, CLASSES, RATE = 32, 10, 1e-3
THETA_ALPHA, W_ALPHA = 2.0**-3, 2.0**-5
CASES = [("A", 28), ("B", 28), ("A", 14)]


class Ours:
    """The step in meganet."""

    def __init__(self, network: str, size: int, rng: np.random.Generator) -> None:
        net = build_network(network, (size, size))
        classifier = DenseLayer(net.range_shape, CLASSES)
        images = rng.standard_normal((BATCH, 1, size, size)).astype(np.float32)
        labels = rng.integers(0, CLASSES, BATCH)
        self.fun = Objective(
            net,
            classifier,
            images,
            labels,
            theta_regularizer=Tikhonov(Identity(net.parameters.size), THETA_ALPHA),
            W_regularizer=Tikhonov(Gradient((CLASSES, *net.range_shape)), W_ALPHA),
        )
        self.indices = np.arange(BATCH)
        self.x = np.concatenate([he_normal(net, rng, "float32"), smoothed_normal(classifier, rng, dtype="float32")])

    def step(self) -> None:
        """Compute the gradient and move."""
        self.x = self.x - RATE * self.fun(self.x, self.indices)[1]


class Theirs:
    """The step in PyTorch."""

    def __init__(self, ours: Ours, network: str, memory_format: Any) -> None:
        views = ours.fun.parameters.view(ours.x)
        self.weights = [torch.tensor(view, requires_grad=True) for view in views.values()]
        self.images = torch.tensor(ours.fun.images).contiguous(memory_format=memory_format)
        self.labels = torch.tensor(ours.fun.labels)
        self.pool, self.format = network == "B", memory_format
        self.optimizer = torch.optim.SGD(self.weights, lr=RATE)

    def loss(self) -> Any:
        """Return the objective of the mini-batch."""
        first, second, kernel, bias = self.weights
        x = F.relu(self._conv(self.images, first))
        x = F.avg_pool2d(x, 2) if self.pool else x
        x = F.relu(self._conv(x, second))
        value = F.cross_entropy(F.linear(x.flatten(1), kernel.flatten(1), bias), self.labels)
        value = value + THETA_ALPHA / 2 * (first.square().sum() + second.square().sum())
        down, right = kernel.diff(dim=2), kernel.diff(dim=3)
        return value + W_ALPHA / 2 * (down.square().sum() + right.square().sum())

    def _conv(self, x: Any, kernel: Any) -> Any:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kernel.contiguous(memory_format=self.format))

    def step(self) -> None:
        """Compute the gradient and move."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()


def gradient_difference(ours: Ours, theirs: Theirs) -> float:
    """Return the relative difference of the two gradients at the starting point."""
    gradient = ours.fun(ours.x, ours.indices)[1]
    theirs.loss().backward()
    other = torch.cat([w.grad.flatten() for w in theirs.weights]).numpy()
    theirs.optimizer.zero_grad()
    return float(np.linalg.norm(gradient - other) / np.linalg.norm(other))


def main() -> None:
    """Measure every case and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    record: dict[str, Any] = {"machine": machine(options.threads, ["numpy", "scipy", "torch"]), "cases": []}
    rows = []
    with threadpool_limits(options.threads):
        for network, size in CASES:
            ours = Ours(network, size, np.random.default_rng(0))
            formats = {"default": torch.contiguous_format, "channels last": torch.channels_last}
            peers = {name: Theirs(ours, network, memory) for name, memory in formats.items()}
            difference = max(gradient_difference(ours, peer) for peer in peers.values())
            if difference > 1e-5:
                raise SystemExit(f"net {network} {size}x{size}: the gradients differ by {difference:.1e}")
            calls = {"meganet": ours.step, **{name: peer.step for name, peer in peers.items()}}
            times = {name: median_ms(s) for name, s in alternate(calls, options.rounds).items()}
            best = min(times[name] for name in formats)
            ratio = times["meganet"] / best
            case = {"network": network, "size": size, "gradient_difference": difference, "ms": times, "ratio": ratio}
            record["cases"].append(case)
            rows.append(
                [
                    f"net {network}, {size}x{size}",
                    *(f"{times[n]:.1f}" for n in calls),
                    f"{ratio:.2f}",
                    f"{difference:.0e}",
                ]
            )
    columns = ["batch 32, float32", "meganet ms", "PyTorch ms", "PyTorch channels-last ms", "meganet / PyTorch"]
    write("step", "One step of SGD", [*columns, "gradients differ by"], rows, record)


if __name__ == "__main__":
    main()
