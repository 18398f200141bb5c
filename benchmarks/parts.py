"""Where the time of a step goes: the milliseconds of each of its parts on one thread, beside their floors.

The parts of one share of a mini-batch are made one after another, as in training, and timed from outside: each layer
forward and back, classifier, loss, penalties and the update. A part's floor is the larger of its arithmetic, direct
and by Winograd's products, at the speed of a large matrix product, and of its least traffic at that of copying memory.

    python benchmarks/parts.py --network A --size 28 --batch 16
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import sides
from suite import floors
from suite.cases import RATE, Case, Training
from suite.own import Own
from threadpoolctl import threadpool_limits

from meganet.layers import Layer
from meganet.networks import Chain


class Clock:
    """Seconds of named parts, over several rounds."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        """Call and remember how long it took."""
        start = time.perf_counter()
        result = call()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def median_ms(self, name: str) -> float:
        """Return the median of a part."""
        return 1e3 * statistics.median(self.seconds[name])


def chained(layer: Layer, theta: np.ndarray) -> list[tuple[Layer, np.ndarray]]:
    """Return the layers of nested chains with their weights; other networks are one layer."""
    if not isinstance(layer, Chain):
        return [(layer, theta)]
    parts = zip(layer.layers, layer.parts_unchecked(theta), strict=True)
    return [pair for part, own in parts for pair in chained(part, own)]


def shown(part: Any) -> str:
    """Return what stands for a part in one line."""
    return " ".join(repr(part).split())


def step(training: Training, clock: Clock) -> None:
    """Make a step in parts."""
    fun, terms = training.fun, training.fun.terms
    theta, w = fun.split(training.x)
    batch = fun.select(training.indices).batch(slice(0, len(training.indices)))
    layers, x, records = chained(fun.network, theta), batch.images, []
    for number, (layer, own) in enumerate(layers):
        x, record = clock.timed(f"forward {number}", lambda f=layer, t=own, x=x: f.forward_unchecked(t, x))
        records.append(record)
    features = x
    outputs, record = clock.timed("forward W", lambda: fun.classifier.forward_unchecked(w, features))
    _, u = clock.timed("loss", lambda: fun.loss.value_and_gradient_unchecked(outputs, batch.labels))
    in_w, u = clock.timed("back W", lambda: fun.classifier.vjp_unchecked(u, record))
    gradients = []
    for number, (layer, _) in reversed(list(enumerate(layers))):
        product = layer.vjp_unchecked if number else lambda u, r, f=layer: (f.vjp_theta_unchecked(u, r), None)
        in_theta, u = clock.timed(f"back {number}", lambda p=product, u=u, r=records[number]: p(u, r))
        gradients.append(in_theta)
    gradient = clock.timed("joined", lambda: np.concatenate([*gradients[::-1], in_w]))
    for number, penalty in enumerate(terms.penalties()):
        _, slope = clock.timed(f"penalty {number}", lambda p=penalty: p.value_and_gradient(training.x))
        gradient[penalty.part] += slope
    clock.timed("update", lambda: training.x - RATE * gradient)


def rows(training: Training, clock: Clock, limits: dict[str, float]) -> list[list[str]]:
    """Return what each part takes, beside its floors."""
    fun, batch, size = training.fun, training.case.batch, training.x.itemsize
    layers = [layer for layer, _ in chained(fun.network, fun.split(training.x)[0])]
    found = []

    def add(name: str, what: str, layer: Layer | None, products: int, numbers: float) -> None:
        flop = [0.0, 0.0]
        if layer is not None:
            leaves = floors.leaves(layer)
            flop = [
                products * batch * sum(floors.product_flop(f, winograd) for f in leaves) for winograd in (False, True)
            ]
        times = [f / limits["GFLOP/s"] / 1e6 for f in flop] + [size * numbers / limits["GB/s"] / 1e6]
        found.append([what, f"{clock.median_ms(name):.3f}", *(f"{t:.3f}" if t else "" for t in times)])

    def traffic(layer: Layer, back: bool, first: bool) -> float:
        """Count input, output and weights; backwards also their gradients, but that in the images."""
        sides = math.prod(layer.domain_shape), math.prod(layer.range_shape)
        if not back:
            return batch * sum(sides) + layer.parameters.size
        return batch * (sides[0] * (1 if first else 2) + sides[1]) + 2 * layer.parameters.size

    for number, layer in enumerate(layers):
        add(f"forward {number}", f"forward {shown(layer)}", layer, 1, traffic(layer, False, False))
    add("forward W", f"forward {shown(fun.classifier)}", fun.classifier, 1, traffic(fun.classifier, False, False))
    add("loss", "loss", None, 0, 0)
    add("back W", f"back {shown(fun.classifier)}", fun.classifier, 2, traffic(fun.classifier, True, False))
    for number, layer in reversed(list(enumerate(layers))):
        add(f"back {number}", f"back {shown(layer)}", layer, 2 if number else 1, traffic(layer, True, not number))
    total = training.x.size
    add("joined", "gradients joined", None, 0, 2 * total)
    for number, penalty in enumerate(fun.terms.penalties()):
        add(f"penalty {number}", f"penalty {shown(penalty.regularizer)}", None, 0, 2 * penalty.regularizer.size)
    add("update", "update", None, 0, 3 * total)
    return found


def main() -> None:
    """Measure and print the table."""
    parser = common.parser(__doc__.splitlines()[0], rounds=200)
    parser.set_defaults(threads=1)
    parser.add_argument("--network", choices=["A", "B"], default="A")
    parser.add_argument("--size", type=common.count, default=28)
    parser.add_argument("--net", metavar="FILE.py:function", help="a network of your own, as for step.py")
    parser.add_argument("--batch", type=common.count, default=16)
    options = parser.parse_args()
    case = Own(options.net, options.batch) if options.net else Case(options.network, options.size, options.batch)
    columns = ["part", "ms", "products direct, ms", "products Winograd, ms", "memory, ms"]
    with threadpool_limits(options.threads):
        limits = common.limits()
        for name, context in sides.OURS.items():
            with context():
                training, clock = Training(case), Clock()
                for _ in range(options.rounds):
                    step(training, clock)
                    clock.timed("whole", training.step)
                table = rows(training, clock, limits)
            parts = sum(clock.median_ms(part) for part in clock.seconds if part != "whole")
            table += [
                ["sum", f"{parts:.3f}", "", "", ""],
                ["a whole step", f"{clock.median_ms('whole'):.3f}", "", "", ""],
            ]
            print(f"{case}, batch {case.batch}, {name}\n\n{common.table(columns, table)}\n")
        text = f"Floors at {limits['GFLOP/s']:.0f} GFLOP/s and {limits['GB/s']:.0f} GB/s."
        print(text, common.measured_on(common.machine(options.threads), options.isa))


if __name__ == "__main__":
    common.run(main)
