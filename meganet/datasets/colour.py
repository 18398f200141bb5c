"""CIFAR-10, CIFAR-100 and STL-10: colour images in the publishers' binary archives, of which nothing is unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from meganet import _validate
from meganet.datasets.collection import Collection
from meganet.datasets.content import read_members
from meganet.datasets.images import ImageSet

CIFAR_MIRROR = "https://www.cs.toronto.edu/~kriz/"
CIFAR10 = Collection(
    "cifar-10", "CIFAR-10", {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"}, (CIFAR_MIRROR,)
)
CIFAR100 = Collection(
    "cifar-100", "CIFAR-100", {"cifar-100-binary.tar.gz": "md5:03b5dce01913d631647c71ecec9e9cb8"}, (CIFAR_MIRROR,)
)
STL10 = Collection(
    "stl-10",
    "STL-10",
    {"stl10_binary.tar.gz": "md5:91f7769df0f17e558f3565bffb0c7dfb"},
    ("http://ai.stanford.edu/~acoates/stl10/",),
    largest=3 * 10**9,
)
CIFAR_SHAPE, STL_SHAPE = (3, 32, 32), (3, 96, 96)


def load_cifar10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-10, (N, 3, 32, 32), ten classes.

    The archive ``cifar-10-binary.tar.gz`` is looked for in the subfolder ``cifar-10`` of `folder`, in `folder`,
    likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. A record is a label and the pixels,
    channel by channel. The archive may be gzip or plain; it is read to its end, where its checksum is.

    Raises
    ------
    InputError
        If the archive is not what its name says.
    DataNotFoundError
        If it is nowhere and cannot be downloaded.
    """
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if train else ["test_batch.bin"]
    members = dict.fromkeys(names, 10_000)
    return _cifar(CIFAR10, folder, members, 0, 1, 10, progress)


def load_cifar100(
    folder: str | Path | None = None, *, train: bool = True, coarse: bool = False, progress: bool = True
) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-100, (N, 3, 32, 32).

    Parameters and errors as for `load_cifar10`, the subfolder being ``cifar-100``; `coarse` gives the twenty
    superclasses instead of the hundred classes.
    """
    members = {"train.bin": 50_000} if train else {"test.bin": 10_000}
    return _cifar(CIFAR100, folder, members, 0 if coarse else 1, 2, 20 if coarse else 100, progress)


def load_stl10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 5,000 labelled training or 8,000 test images of STL-10, (N, 3, 96, 96), ten classes from 0.

    Parameters and errors as for `load_cifar10`, the subfolder being ``stl-10``. The archive has 2.6 GB; its 100,000
    images without labels are passed over.
    """
    path = STL10.located(folder, progress)["stl10_binary.tar.gz"]
    part, most = ("train", 5000) if train else ("test", 8000)
    size = math.prod(STL_SHAPE)
    contents = read_members(path, "stl10_binary", {f"{part}_X.bin": size * most, f"{part}_y.bin": most})
    pixels, labels = contents[f"{part}_X.bin"], contents[f"{part}_y.bin"]
    if not labels.size or pixels.size != size * labels.size:
        _validate.reject_file(path, f"{labels.size} images of {size} bytes", f"{pixels.size} bytes")
    if labels.min() < 1 or labels.max() > 10:
        _validate.reject_file(path, "labels 1 to 10", f"{labels.min()} to {labels.max()}")
    images = pixels.reshape(-1, *STL_SHAPE)
    for image in images:
        # stored column by column, as MATLAB does; one by one, for the training images have 138 MB
        image[...] = image.swapaxes(-1, -2).copy()
    return ImageSet(STL10.title, images, labels.astype(np.int64) - 1, str(path.parent))


def _cifar(
    collection: Collection, folder: Any, members: dict[str, int], label: int, labels: int, classes: int, progress: bool
) -> ImageSet:
    """Read records of some labels and an image from members of so many records at most."""
    path = next(iter(collection.located(folder, progress).values()))
    size = labels + math.prod(CIFAR_SHAPE)
    inside = "cifar-10-batches-bin" if collection.name == "cifar-10" else "cifar-100-binary"
    contents = read_members(path, inside, {name: size * most for name, most in members.items()})
    for name, content in contents.items():
        if not content.size or content.size % size:
            _validate.reject_file(f"{path}: {name}", f"records of {size} bytes", f"{content.size} bytes")
    count, done = sum(content.size for content in contents.values()) // size, 0
    images, found = np.empty((count, *CIFAR_SHAPE), np.uint8), np.empty(count, np.int64)
    for name in members:
        # freed once it is copied
        records = contents.pop(name).reshape(-1, size)
        part = slice(done, done + len(records))
        found[part], images[part] = records[:, label], records[:, labels:].reshape(-1, *CIFAR_SHAPE)
        done += len(records)
    if found.max() >= classes:
        _validate.reject_file(path, f"labels 0 to {classes - 1}", str(found.max()))
    return ImageSet(collection.title, images, found, str(path.parent))
