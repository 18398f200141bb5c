"""Data sets: found, fetched, verified, read, and prepared for training."""

from meganet.datasets.collection import Collection, DataNotFoundError
from meganet.datasets.colour import CIFAR10, CIFAR100, STL10, load_cifar10, load_cifar100, load_stl10
from meganet.datasets.digits import load_digits
from meganet.datasets.idx import read_idx
from meganet.datasets.images import ImageSet
from meganet.datasets.mnist import FASHION_MNIST, MNIST, load_fashion_mnist, load_mnist
from meganet.datasets.prepare import scale_images, split
from meganet.datasets.synthetic import Samples, circle, load_cdr, peaks, swiss_roll

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "FASHION_MNIST",
    "MNIST",
    "STL10",
    "Collection",
    "DataNotFoundError",
    "ImageSet",
    "Samples",
    "circle",
    "load_cdr",
    "load_cifar10",
    "load_cifar100",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_stl10",
    "peaks",
    "read_idx",
    "scale_images",
    "split",
    "swiss_roll",
]
