"""Fashion-MNIST: pieces of clothing (Xiao, Rasul and Vollgraf, 2017), in files of MNIST's form and names."""

from __future__ import annotations

from pathlib import Path

from meganet.datasets.collection import Collection
from meganet.datasets.data_set import Published
from meganet.datasets.images import ImageSet
from meganet.datasets.labelled_idx import read_labelled_idx

TITLES = {"fashion-mnist": "70,000 pieces of clothing"}
ORDER = 30

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
SET = Published(
    collection=FASHION_MNIST,
    size=30_878_645,
    examples=(60_000, 10_000),
    shape=(1, 28, 28),
    classes=10,
    reader=read_labelled_idx,
    verified=True,
)


def load_fashion_mnist(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 60,000 training or 10,000 test images of Fashion-MNIST, (N, 1, 28, 28), ten classes.

    Looked for in the subfolder ``fashion-mnist`` of `folder`, in `folder` itself, in ``FashionMNIST/raw`` below it,
    likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. The digests are checked, since the files
    are named like those of MNIST and nothing else tells them apart.

    Raises
    ------
    InputError, DataNotFoundError
        As for `load_mnist`; also if the files are not those of Fashion-MNIST.

    Examples
    --------
    Files of these names with another content are not taken for it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets import FASHION_MNIST, load_fashion_mnist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in FASHION_MNIST.files:
    ...         _ = (Path(folder) / name).write_bytes(b"digits")
    ...     load_fashion_mnist(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    meganet.ground.validate.UserError: ...: expected content with MD5 f4a8712d7a061bf5bd6d2ca38dc4d50a, got ...
    """
    return SET.load(folder, train=train, progress=progress)
