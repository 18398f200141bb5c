"""A setup and data so small that a whole experiment takes a second."""

import numpy as np

from meganet.datasets import ImageSet
from meganet.experiments import Setup

TINY = Setup.of(
    coarse_examples=24,
    fine_examples=16,
    validation_examples=10,
    coarse_epochs=2,
    fine_epochs=2,
    classifier_epochs=2,
    newton_products=3,
    trials=2,
    batch_size=8,
)


def quadrants(count=60, size=12):
    """Images whose class is the bright quadrant."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, count)
    images = rng.integers(0, 60, (count, 1, size, size))
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, half * row : half * (row + 1), half * column : half * (column + 1)] += 150
    return ImageSet("quadrants", images.astype(np.uint8), labels, "drawn")


def results(folder):
    """Return the bytes of every file that must be the same in two runs."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("timings.csv", ".lock"))
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}
