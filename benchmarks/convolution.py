"""One convolution layer, 32 to 64 channels: forward, and both gradients, by engine and against the peers.

All run in this process on the same threads; the peers' gradients are automatic. Our threads work on halves of the
batch, as in training. The error is relative to the direct sum in float64.

    pip install ".[bench]" && python benchmarks/convolution.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common
import numpy as np
import sides
from peers import library
from threadpoolctl import threadpool_limits

from meganet.backend import threads
from meganet.backend.layout import from_memory, to_memory
from meganet.linop import CirculantConvolution

BATCH, INPUTS, OUTPUTS = 32, 32, 64
CASES = [(28, 3), (14, 3), (15, 3), (56, 3), (28, 5)]
"""Image size and kernel size; 15 is no multiple of Winograd's tiles."""
COLUMNS = [
    "image, kernel",
    "product",
    "engine",
    "meganet ms",
    "fastest peer ms",
    "",
    "**peer / meganet**",
    "error",
    "floor ms",
]


class Ours:
    """Forward and gradients of one engine, the batch in as many parts as there are threads."""

    def __init__(self, kernel: np.ndarray, x: np.ndarray, y: np.ndarray, engine: str) -> None:
        operator = CirculantConvolution(kernel, x.shape[2:], engine)
        count = threads.thread_count()
        halves = (np.array_split(a, count) for a in (x, y))
        # in the memory order in which the layers of a network hand images on, as PyTorch's are in theirs
        parts = [[from_memory(to_memory(operator.backend, half)) for half in side] for side in halves]
        self.parts = list(zip(*parts, strict=True))
        self.operator, self.records = operator, [operator.recorded_unchecked(x)[1] for x, _ in self.parts]

    def forward(self) -> list[np.ndarray]:
        """Return the products of the parts, recorded as in training."""
        results = threads.run([lambda x=x: self.operator.recorded_unchecked(x) for x, _ in self.parts])
        self.records = [record for _, record in results]
        return [y for y, _ in results]

    def gradients(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the gradient in the kernel, and those in the images of the parts."""

        def one(record: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            out = np.empty_like(self.operator.kernel)
            return out, self.operator.gradients_unchecked(record, y, out, True)

        pairs = zip(self.records, self.parts, strict=True)
        results = threads.run([lambda r=r, y=y: one(r, y) for r, (_, y) in pairs])
        return sum(kernel for kernel, _ in results), [x for _, x in results]


def main() -> None:
    """Measure every case and write the table."""
    parser = common.parser(__doc__.splitlines()[0], rounds=6)
    sides.add_against(parser)
    options = parser.parse_args()
    libraries = [library(name) for name in sides.named(options.against)]
    for one in libraries:
        one.limit(options.threads)
    with threadpool_limits(options.threads):
        record: dict[str, Any] = {"limits": common.limits(), "cases": []}
        rows = [row for size, k in CASES for row in measured(size, k, options.rounds, libraries, record)]
        record["machine"] = common.machine(options.threads, sides.kernels(options.against))
    note = f"Floor: the direct sum at {record['limits']['GFLOP/s']:.0f} GFLOP/s."
    common.write(
        "convolution", "One convolution layer", common.table(COLUMNS, rows) + "\n\n" + note, record, options.isa
    )


def measured(size: int, k: int, rounds: int, libraries: Sequence[Any], record: dict[str, Any]) -> list[list[str]]:
    """Return the rows of one case."""
    rng = np.random.default_rng(0)
    kernel, x, y = (
        rng.standard_normal(shape).astype("float32")
        for shape in ((OUTPUTS, INPUTS, k, k), (BATCH, INPUTS, size, size), (BATCH, OUTPUTS, size, size))
    )
    exact = CirculantConvolution(kernel.astype("float64"), (size, size), "direct")
    x64, y64 = x.astype("float64"), y.astype("float64")
    wanted = [exact @ x64, exact.kernel_adjoint(x64, y64), exact.T @ y64]
    ours = {engine: Ours(kernel, x, y, engine) for engine in (["winograd", "direct"] if k == 3 else ["direct"])}
    forward: dict[str, Any] = {name: one.forward for name, one in ours.items()}
    gradients: dict[str, Any] = {name: one.gradients for name, one in ours.items()}
    peers = {name: made for one in libraries for name, made in one.products(kernel, x, y).items()}
    for name, made in peers.items():
        forward[name], gradients[name] = made.forward, made.gradients
        results = (made.forward(), *made.gradients())
        for number, (got, expected) in enumerate(zip(results, wanted, strict=True)):
            if error(made.ours(got, number == 1), expected) > 1e-5:
                raise SystemExit(f"{name}'s products differ by {error(made.ours(got, number == 1), expected):.1e}")
    flop = 2 * BATCH * size**2 * k * k * INPUTS * OUTPUTS
    rows = []
    for product, calls, factor in (("forward", forward, 1), ("gradients", gradients, 2)):
        times = common.medians(calls, rounds)
        fastest = min(peers, key=times.__getitem__)
        peer = times[fastest]
        floor = factor * flop / record["limits"]["GFLOP/s"] / 1e6
        for engine, one in ours.items():
            results = [np.concatenate(one.forward())] if product == "forward" else list(one.gradients())
            results[1:] = [np.concatenate(parts) for parts in results[1:]]
            targets = wanted[:1] if product == "forward" else wanted[1:]
            worst = max(error(got, expected) for got, expected in zip(results, targets, strict=True))
            case = {"size": size, "kernel": k, "product": product, "engine": engine, "ms": times[engine]}
            record["cases"].append(
                {**case, "peer": fastest, "peer_ms": peer, "ratio": peer / times[engine], "error": worst}
            )
            cells = [
                f"{times[engine]:.2f}",
                f"{peer:.2f}",
                fastest,
                f"**{peer / times[engine]:.2f}**",
                f"{worst:.0e}",
                f"{floor:.2f}",
            ]
            rows.append([f"{size}x{size}, {k}x{k}", product, engine, *cells])
    return rows


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """Return the relative error."""
    return float(np.linalg.norm((got - expected).ravel()) / np.linalg.norm(expected.ravel()))


if __name__ == "__main__":
    common.run(main)
