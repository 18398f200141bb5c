"""What a training step does with flat vectors and with logits, each number read once."""

from __future__ import annotations

import math
from typing import Any

from meganet.backend.loops.compiler import loop
from meganet.backend.loops.vectors import lanes, load, load_first, store, store_first


@loop
def move(x: Any, gradient: Any, y: Any, rate: float) -> None:
    """Write ``y = x - rate gradient``."""
    width = lanes(x)
    whole = x.size // width * width
    for k in range(0, whole, width):
        store(y, k, load(x, k) - load(gradient, k) * rate)
    # the rest is rounded in the same way
    left = x.size - whole
    store_first(y, whole, left, load_first(x, whole, left) - load_first(gradient, whole, left) * rate)


@loop
def cross_entropy(logits: Any, labels: Any, gradient: Any, outputs: int) -> float:
    """Write the gradient of the mean cross-entropy in logits (N, K), unless it has no size; return the mean."""
    n = labels.size
    # sums of as many terms as there are examples or classes: in float32 their round-off would grow with the number
    share, value = logits.dtype.type(1 / n), 0.0
    for i in range(n):
        at = i * outputs
        largest = logits[at]
        for k in range(1, outputs):
            z = logits[at + k]
            # what is not a number is the largest, and stays it
            if z > largest or z != z:
                largest = z
        sums = 0.0
        for k in range(outputs):
            sums += math.exp(logits[at + k] - largest)
        log_sum = logits.dtype.type(math.log(sums))
        for k in range(outputs):
            log_p = (logits[at + k] - largest) - log_sum
            hit = labels[i] == k
            if hit:
                value += log_p
            if gradient.size:
                gradient[at + k] = (math.exp(log_p) - hit) * share
    return -value / n
