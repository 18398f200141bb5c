"""CIFAR-10: colour photographs of ten classes (Krizhevsky, 2009), in a binary archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.cifar import MIRROR, SHAPE, Found, joined_records, read_pickled, read_records
from meganet.datasets.collection import Collection
from meganet.datasets.content import opened, read_members
from meganet.datasets.data_set import Published
from meganet.datasets.images import ImageSet

TITLES = {"cifar-10": "60,000 colour photographs, 10 classes"}
ORDER = 40

ARCHIVE, PYTHON = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
INSIDE, INSIDE_PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"
"""The folders in them, and to which they are unpacked."""
CIFAR10 = Collection("cifar-10", "CIFAR-10", {ARCHIVE: "md5:c32a1d4ab5d03f1284b67883e8d87530"}, (MIRROR,))
BATCHES = {
    "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
    "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
    "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "md5:40351d587109b95175f43aff81a1287e",
}
"""Of the files for Python, which are known by them whatever packs them; the binary ones have no published digests."""
MOST = 10_000
LARGEST = 4 * 10**7
"""Bytes of a batch."""


def _batches(train: bool, ending: str = "") -> list[str]:
    return [f"{name}{ending}" for name in BATCHES if (name != "test_batch") == train]


def _read(files: Mapping[str, Path], train: bool) -> Found:
    return read_records(files[ARCHIVE], INSIDE, dict.fromkeys(_batches(train, ".bin"), MOST), label=0, labels=1)


def _read_unpacked(files: Mapping[str, Path], train: bool) -> Found:
    return joined_records({str(files[n]): _content(files[n]) for n in _batches(train, ".bin")}, label=0, labels=1)


def _read_python(files: Mapping[str, Path], train: bool) -> Found:
    contents = read_members(files[PYTHON], INSIDE_PYTHON, dict.fromkeys(_batches(train), LARGEST))
    return read_pickled({name: content.tobytes() for name, content in contents.items()}, BATCHES)


def _read_python_unpacked(files: Mapping[str, Path], train: bool) -> Found:
    return read_pickled({name: _content(files[name]).tobytes() for name in _batches(train)}, BATCHES)


def _content(path: Path) -> np.ndarray[Any, Any]:
    with opened(path, LARGEST) as content:
        return content.array(LARGEST)


def _packing(files: Mapping[str, str], *folders: str) -> Collection:
    places = [place for folder in folders for place in (f"{CIFAR10.name}/{folder}", folder)]
    return replace(CIFAR10, files=files, elsewhere=tuple(places))


SET = Published(
    collection=CIFAR10,
    size=170_052_171,
    examples=(50_000, 10_000),
    shape=SHAPE,
    classes=10,
    reader=_read,
    packings=(
        (_packing(dict.fromkeys([*_batches(True, ".bin"), *_batches(False, ".bin")], ""), INSIDE), _read_unpacked),
        (_packing(BATCHES, INSIDE_PYTHON), _read_python_unpacked),
        (_packing({PYTHON: "md5:c58f30108f718f92721af3b95e74349a"}), _read_python),
    ),
)


def load_cifar10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-10, (N, 3, 32, 32), ten classes.

    The archive ``cifar-10-binary.tar.gz`` is looked for in the subfolder ``cifar-10`` of `folder`, in `folder`,
    likewise for ``MEGANET_DATA``, then in the user's cache; in the same places what it is unpacked to, the folder
    ``cifar-10-batches-bin``, then the version for Python, which torchvision keeps, ``cifar-10-batches-py`` or
    ``cifar-10-python.tar.gz``; else the first archive is downloaded. A record is a label and the pixels, channel by
    channel. Archives may be gzip or plain; they are read to their end, where their checksum is. The version for Python
    is pickled; it is read without unpickling, and only if each file's content is the published one, whatever packed it.

    Raises
    ------
    InputError
        If the archive is not what its name says.
    DataNotFoundError
        If it is nowhere and cannot be downloaded.

    Examples
    --------
    An archive of one image for testing; without a folder the one that was published is downloaded.

    >>> import io, tarfile, tempfile
    >>> from meganet.datasets import load_cifar10
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with tarfile.open(f"{folder}/cifar-10-binary.tar.gz", "w:gz") as archive:
    ...         member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
    ...         member.size = 1 + 3 * 32 * 32
    ...         archive.addfile(member, io.BytesIO(bytes([9]) + bytes(3 * 32 * 32)))
    ...     photographs = load_cifar10(folder, train=False)
    >>> photographs.images.shape, photographs.labels
    ((1, 3, 32, 32), array([9]))
    """
    return SET.load(folder, train=train, progress=progress)
