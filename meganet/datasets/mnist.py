"""MNIST and Fashion-MNIST: images of 28x28 pixels in IDX files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from meganet import _validate
from meganet.datasets.collection import Collection
from meganet.datasets.idx import read_idx
from meganet.datasets.images import ImageSet

CLASSES = 10
IMAGE_SHAPE = (28, 28)
MOST = 60_000
"""Images of a file at most."""

MNIST = Collection(
    "mnist",
    "MNIST",
    {
        "train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://yann.lecun.com/exdb/mnist/",
    ),
    unpacked=True,
    elsewhere=("MNIST/raw", "MNIST"),
    largest=5 * 10**7,
)
FASHION_MNIST = Collection(
    "fashion-mnist",
    "Fashion-MNIST",
    {
        "train-images-idx3-ubyte": "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "md5:9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "md5:8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "md5:15d484375f8d13e6eb1aabb0c3f46965",
    },
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    unpacked=True,
    elsewhere=("FashionMNIST/raw", "FashionMNIST"),
    largest=5 * 10**7,
)


def load_mnist(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 60,000 training or 10,000 test digits.

    Looked for in the subfolder ``mnist`` of `folder`, in `folder`, in ``MNIST/raw`` below it, where torchvision keeps
    them, likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. The files may be packed (``.gz``) or
    not, and be called ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``.

    Raises
    ------
    InputError
        If a file is not the IDX file that its name says; nothing is guessed.
    DataNotFoundError
        If the files are nowhere and cannot be downloaded.
    """
    return _load(MNIST, MNIST.located(folder, progress), train)


def load_fashion_mnist(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 60,000 training or 10,000 test images of Fashion-MNIST, whose files are named like those of MNIST.

    Looked for in the subfolder ``fashion-mnist`` of `folder`, in `folder` itself, in ``FashionMNIST/raw`` below it,
    likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. The digests are checked, since nothing
    else tells the files from MNIST's.

    Raises
    ------
    InputError, DataNotFoundError
        As for `load_mnist`; also if the files are not those of Fashion-MNIST.
    """
    files = FASHION_MNIST.located(folder, progress)
    FASHION_MNIST.verify(files)
    return _load(FASHION_MNIST, files, train)


def _load(collection: Collection, files: dict[str, Path], train: bool) -> ImageSet:
    part = "train" if train else "t10k"
    image_path, label_path = (
        next(path for name, path in files.items() if name.startswith(f"{part}-{kind}")) for kind in ("images", "labels")
    )
    images = read_idx(image_path, 3, MOST * math.prod(IMAGE_SHAPE))
    labels = read_idx(label_path, 1, MOST)
    if images.shape[1:] != IMAGE_SHAPE:
        _validate.reject_file(image_path, "28x28 images", "x".join(map(str, images.shape[1:])))
    if len(labels) != len(images):
        _validate.reject_file(label_path, f"{len(images)} labels, one for each image", str(len(labels)))
    if labels.max() >= CLASSES:
        _validate.reject_file(label_path, "labels 0 to 9", str(labels.max()))
    return ImageSet(collection.title, images[:, None], labels.astype(np.int64), str(image_path.parent))
