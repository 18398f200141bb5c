"""MNIST: handwritten digits of LeCun, Cortes and Burges, 28x28 pixels in IDX files."""

from __future__ import annotations

from pathlib import Path

from meganet.datasets.collection import Collection
from meganet.datasets.data_set import Published
from meganet.datasets.images import ImageSet
from meganet.datasets.labelled_idx import read_labelled_idx

TITLES = {"mnist": "70,000 handwritten digits"}
ORDER = 20

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
SET = Published(
    collection=MNIST,
    size=11_594_722,
    examples=(60_000, 10_000),
    shape=(1, 28, 28),
    classes=10,
    reader=read_labelled_idx,
)


def load_mnist(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 60,000 training or 10,000 test digits, (N, 1, 28, 28), ten classes.

    Looked for in the subfolder ``mnist`` of `folder`, in `folder`, in ``MNIST/raw`` below it, where torchvision keeps
    them, likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. The files may be packed (``.gz``) or
    not, and be called ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``.

    Raises
    ------
    InputError
        If a file is not the IDX file that its name says; nothing is guessed.
    DataNotFoundError
        If the files are nowhere and cannot be downloaded.

    Examples
    --------
    Two images in the form of the files; without a folder those that were published are downloaded.

    >>> import tempfile
    >>> from math import prod
    >>> from pathlib import Path
    >>> from meganet.datasets import MNIST, load_mnist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in MNIST.files:
    ...         sizes = (2, 28, 28) if "images" in name else (2,)
    ...         header = bytes([0, 0, 8, len(sizes)]) + b"".join(n.to_bytes(4, "big") for n in sizes)
    ...         _ = (Path(folder) / name).write_bytes(header + bytes(prod(sizes)))
    ...     digits = load_mnist(folder)
    >>> digits.images.shape, digits.images.dtype, digits.labels.shape
    ((2, 1, 28, 28), dtype('uint8'), (2,))
    """
    return SET.load(folder, train=train, progress=progress)
