"""Data sets: known by name, found, fetched, verified, read, and prepared for training."""

from meganet.datasets.catalogue import CATALOGUE, load
from meganet.datasets.cdr import load_cdr
from meganet.datasets.collection import Collection, DataNotFoundError
from meganet.datasets.data_set import DataSet, Drawn, Points, Published
from meganet.datasets.idx import read_idx
from meganet.datasets.images import ImageSet
from meganet.datasets.prepare import scale_images, split
from meganet.datasets.samples import Samples
from meganet.datasets.sets.cifar10 import CIFAR10, load_cifar10
from meganet.datasets.sets.cifar100 import CIFAR100, load_cifar100
from meganet.datasets.sets.circle import circle
from meganet.datasets.sets.denoising import load_denoising
from meganet.datasets.sets.digits import load_digits
from meganet.datasets.sets.fashion_mnist import FASHION_MNIST, load_fashion_mnist
from meganet.datasets.sets.mnist import MNIST, load_mnist
from meganet.datasets.sets.moving_digits import load_moving_digits
from meganet.datasets.sets.peaks import peaks
from meganet.datasets.sets.shapes import load_shapes, shapes
from meganet.datasets.sets.signals import load_signals
from meganet.datasets.sets.stl10 import STL10, load_stl10
from meganet.datasets.sets.swiss_roll import swiss_roll
from meganet.ground.deprecated import moved_names

__all__ = [
    "CATALOGUE",
    "CIFAR10",
    "CIFAR100",
    "FASHION_MNIST",
    "MNIST",
    "STL10",
    "Collection",
    "DataNotFoundError",
    "DataSet",
    "Drawn",
    "ImageSet",
    "Points",
    "Published",
    "Samples",
    "circle",
    "load",
    "load_cdr",
    "load_cifar10",
    "load_cifar100",
    "load_denoising",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_moving_digits",
    "load_shapes",
    "load_signals",
    "load_stl10",
    "peaks",
    "read_idx",
    "scale_images",
    "shapes",
    "split",
    "swiss_roll",
]

moved_names(__name__, dict.fromkeys(("colour", "digits", "mnist", "synthetic"), "meganet.datasets"))
