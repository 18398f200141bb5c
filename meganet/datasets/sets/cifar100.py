"""CIFAR-100: colour photographs of a hundred classes (Krizhevsky, 2009), in a binary archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.cifar import MIRROR, SHAPE, read_records
from meganet.datasets.collection import Collection
from meganet.datasets.data_set import Published
from meganet.datasets.images import ImageSet

TITLES = {"cifar-100": "the same of 100 classes"}
ORDER = 50

ARCHIVE = "cifar-100-binary.tar.gz"
CIFAR100 = Collection("cifar-100", "CIFAR-100", {ARCHIVE: "md5:03b5dce01913d631647c71ecec9e9cb8"}, (MIRROR,))


def _read(files: Mapping[str, Path], train: bool, label: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images and labels: label 0 is the superclass, 1 the class."""
    members = {"train.bin": 50_000} if train else {"test.bin": 10_000}
    return read_records(files[ARCHIVE], "cifar-100-binary", members, label, labels=2)


SET = Published(
    collection=CIFAR100,
    size=168_513_733,
    examples=(50_000, 10_000),
    shape=SHAPE,
    classes=100,
    reader=partial(_read, label=1),
)


def load_cifar100(
    folder: str | Path | None = None, *, train: bool = True, coarse: bool = False, progress: bool = True
) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-100, (N, 3, 32, 32).

    Parameters and errors as for `load_cifar10`, the subfolder being ``cifar-100``; `coarse` gives the twenty
    superclasses instead of the hundred classes.

    Examples
    --------
    An archive of one image for testing; without a folder the one that was published is downloaded.

    >>> import io, tarfile, tempfile
    >>> from meganet.datasets import load_cifar100
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with tarfile.open(f"{folder}/cifar-100-binary.tar.gz", "w:gz") as archive:
    ...         member = tarfile.TarInfo("cifar-100-binary/test.bin")
    ...         member.size = 2 + 3 * 32 * 32
    ...         archive.addfile(member, io.BytesIO(bytes([4, 30]) + bytes(3 * 32 * 32)))
    ...     photographs = load_cifar100(folder, train=False)
    ...     superclasses = load_cifar100(folder, train=False, coarse=True)
    >>> photographs.images.shape, photographs.labels, superclasses.labels
    ((1, 3, 32, 32), array([30]), array([4]))
    """
    found = replace(SET, classes=20, reader=partial(_read, label=0)) if coarse else SET
    return found.load(folder, train=train, progress=progress)
