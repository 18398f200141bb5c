"""What a training step on a GPU costs at least, from the shapes alone: nothing is measured, and no GPU is needed.

Every pass over memory that the kernels make is listed with the bytes that it must read and write, each array once, and
with its operations. A pass takes at least the longer of both at the rates given, which are those of a data sheet.

    python benchmarks/roofline.py --trials 1 60
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import common

from meganet.backend.cuda import parts_of
from meganet.linop._engines import FEWEST_CHANNELS
from meganet.linop._engines.tiles import POINTS, tile_count

COLUMNS = ("pass", "launches", "MB", "GFLOP", "ms at least")


class Pass(NamedTuple):
    """A pass over memory: what it does, the numbers that it moves, products that are summed, bytes of a mask."""

    what: str
    moved: float
    products: float = 0.0
    mask: float = 0.0
    launches: int = 1

    def milliseconds(self, terabytes: float, teraflops: float) -> float:
        """Return the time at these rates, each per second."""
        return max(self.megabytes / terabytes, 2e-6 * self.products / teraflops) * 1e-3

    @property
    def megabytes(self) -> float:
        """Megabytes moved, with numbers of four bytes and masks of one."""
        return (4 * self.moved + self.mask) * 1e-6


def convolution(trials: int, size: int, batch: int, inputs: int, outputs: int, first: bool) -> Iterator[Pass]:
    """Yield the passes of a 3x3 convolution with ReLU, both ways; of the first layer without gradient in the images."""
    pixels, windows = trials * size**2 * batch, trials * tile_count(size) ** 2 * batch
    name, x, y, kernel = f"{inputs} to {outputs} channels", pixels * inputs, pixels * outputs, trials * inputs * outputs
    if min(inputs, outputs) < FEWEST_CHANNELS:
        yield Pass(f"{name}: direct sum", x + y, 9 * pixels * inputs * outputs)
        yield Pass(f"{name}: ReLU", 2 * y, mask=y)
        yield Pass(f"{name}: kernel's gradient behind the mask", x + y, 9 * pixels * inputs * outputs, y, 2)
        if not first:
            yield Pass(f"{name}: mask", 2 * y, mask=y)
            yield Pass(f"{name}: gradient in the images", x + y, 9 * pixels * inputs * outputs)
        return
    p, q = POINTS * windows * inputs, POINTS * windows * outputs
    products, parts = POINTS * windows * inputs * outputs, parts_of(outputs, inputs, windows // trials)
    yield Pass(f"{name}: transform of the kernels", (9 + POINTS) * kernel, 9 * POINTS * kernel)
    yield Pass(f"{name}: transform of the images", x + p)
    yield Pass(f"{name}: products", p + q + POINTS * kernel, products)
    yield Pass(f"{name}: transform of the results", q + y)
    yield Pass(f"{name}: ReLU", 2 * y, mask=y)
    yield Pass(f"{name}: transform of the gradient, behind the mask", y + q, mask=y)
    moved = p + q + POINTS * kernel * (2 * parts + 1 if parts > 1 else 1)
    yield Pass(f"{name}: products for the kernel's gradient", moved, products, launches=1 + (parts > 1))
    yield Pass(f"{name}: the kernel's gradient", (9 + POINTS) * kernel, 9 * POINTS * kernel)
    if not first:
        yield Pass(f"{name}: products for the images' gradient", p + q + POINTS * kernel, products)
        yield Pass(f"{name}: sum over windows", p + x)


def step(trials: int, size: int = 28, batch: int = 32, channels: tuple[int, ...] = (1, 32, 64)) -> list[Pass]:
    """Return the passes of one step with momentum, on net A of the benchmarks where nothing else is said."""
    passes = [
        each
        for k, (inputs, outputs) in enumerate(zip(channels[:-1], channels[1:], strict=True))
        for each in convolution(trials, size, batch, inputs, outputs, k == 0)
    ]
    classes = 10
    features, weights = trials * size**2 * batch * channels[-1], trials * classes * channels[-1] * size**2
    passes += [
        Pass("classifier: order of its weights, and of their gradient", 4 * weights, launches=2),
        Pass("classifier: outputs", features + weights, features * classes, launches=2),
        Pass("classifier: gradient in the features", features + weights, features * classes),
        Pass("classifier: gradient in the weights", features + weights, features * classes),
        Pass("penalty on differences", 2 * weights, launches=3),
        Pass("sums of gradients", 5 * weights, launches=2),
        Pass("momentum", 5 * weights),
        Pass("state of the recorded step", 4 * weights, launches=2),
    ]
    return passes


def main() -> None:
    """Print the passes for each number of networks, and write the sums for the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=common.count, nargs="+", default=[1, 20, 60], help="networks trained together")
    parser.add_argument("--size", type=common.count, default=28, help="rows and columns of the images")
    parser.add_argument("--batch", type=common.count, default=32)
    parser.add_argument("--terabytes", type=common.rate, default=3.35, help="per second, of an H100's memory")
    parser.add_argument("--teraflops", type=common.rate, default=67.0, help="per second, float32, of an H100")
    options = parser.parse_args()
    rates = (options.terabytes, options.teraflops)
    sums = []
    for trials in options.trials:
        passes = step(trials, options.size, options.batch)
        floors = [each.milliseconds(*rates) for each in passes]
        rows = [
            (each.what, str(each.launches), f"{each.megabytes:.1f}", f"{2e-9 * each.products:.2f}", f"{floor:.3f}")
            for each, floor in zip(passes, floors, strict=True)
        ]
        print(f"\n{trials} networks\n\n{common.table(COLUMNS, rows)}")
        megabytes, products = (sum(getattr(each, name) for each in passes) for name in ("megabytes", "products"))
        sums.append(
            [
                str(trials),
                f"{megabytes / 1e3:.2f}",
                f"{2e-9 * products:.1f}",
                f"{megabytes * 1e-3 / rates[0]:.2f}",
                f"{2e-9 * products / rates[1]:.2f}",
                f"{sum(floors):.2f}",
            ]
        )
    columns = ("networks", "GB", "GFLOP", "ms for the bytes", "ms for the products", "ms, pass by pass")
    where = (
        f"Net A, {options.size}x{options.size}, batch {options.batch}, float32, at {rates[0]:g} TB/s and {rates[1]:g} "
        "TFLOP/s, the data sheet's figures for an H100; computed from shapes, not measured."
    )
    text = f"# Floors of a step on a GPU\n\n{common.table(columns, sums)}\n\n{where}\n"
    print(f"\n{text}")
    (common.FOLDER / "roofline.md").write_text(f"{text}Written by `python benchmarks/roofline.py`.\n")


if __name__ == "__main__":
    main()
