"""CIFAR-10: colour photographs of ten classes (Krizhevsky, 2009), in a binary archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.cifar import MIRROR, SHAPE, read_records
from meganet.datasets.collection import Collection
from meganet.datasets.data_set import Published
from meganet.datasets.images import ImageSet

TITLES = {"cifar-10": "60,000 colour photographs, 10 classes"}
ORDER = 40

ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR10 = Collection("cifar-10", "CIFAR-10", {ARCHIVE: "md5:c32a1d4ab5d03f1284b67883e8d87530"}, (MIRROR,))


def _read(files: Mapping[str, Path], train: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if train else ["test_batch.bin"]
    return read_records(files[ARCHIVE], "cifar-10-batches-bin", dict.fromkeys(names, 10_000), label=0, labels=1)


SET = Published(collection=CIFAR10, size=170_052_171, examples=(50_000, 10_000), shape=SHAPE, classes=10, reader=_read)


def load_cifar10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-10, (N, 3, 32, 32), ten classes.

    The archive ``cifar-10-binary.tar.gz`` is looked for in the subfolder ``cifar-10`` of `folder`, in `folder`,
    likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. A record is a label and the pixels,
    channel by channel. The archive may be gzip or plain; it is read to its end, where its checksum is. Nothing is
    unpickled.

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
