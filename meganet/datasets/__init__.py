"""Data sets: found, fetched, verified, read, and prepared for training."""

from meganet.datasets.digits import load_digits
from meganet.datasets.idx import read_idx
from meganet.datasets.images import ImageSet
from meganet.datasets.mnist import DataNotFoundError, fetch_mnist, find_mnist, load_mnist, verify_mnist
from meganet.datasets.prepare import scale_images, split

__all__ = [
    "DataNotFoundError",
    "ImageSet",
    "fetch_mnist",
    "find_mnist",
    "load_digits",
    "load_mnist",
    "read_idx",
    "scale_images",
    "split",
    "verify_mnist",
]
