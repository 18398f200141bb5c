"""STL-10: larger colour photographs of ten classes (Coates, Lee and Ng, 2011), in a binary archive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.collection import Collection
from meganet.datasets.content import read_members
from meganet.datasets.data_set import Published
from meganet.datasets.images import ImageSet
from meganet.ground import validate

TITLES = {"stl-10": "13,000 larger colour photographs"}
ORDER = 60

ARCHIVE = "stl10_binary.tar.gz"
SHAPE = (3, 96, 96)
STL10 = Collection(
    "stl-10",
    "STL-10",
    {ARCHIVE: "md5:91f7769df0f17e558f3565bffb0c7dfb"},
    ("http://ai.stanford.edu/~acoates/stl10/",),
    largest=3 * 10**9,
)


def _read(files: Mapping[str, Path], train: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    path = files[ARCHIVE]
    part, most = ("train", 5000) if train else ("test", 8000)
    size = math.prod(SHAPE)
    contents = read_members(path, "stl10_binary", {f"{part}_X.bin": size * most, f"{part}_y.bin": most})
    pixels, labels = contents[f"{part}_X.bin"], contents[f"{part}_y.bin"]
    if not labels.size or pixels.size != size * labels.size:
        validate.reject_file(path, f"{labels.size} images of {size} bytes", f"{pixels.size} bytes")
    if labels.min() < 1 or labels.max() > 10:
        validate.reject_file(path, "labels 1 to 10", f"{labels.min()} to {labels.max()}")
    images = pixels.reshape(-1, *SHAPE)
    for image in images:
        # stored column by column, as MATLAB does; one by one, for the training images have 138 MB
        image[...] = image.swapaxes(-1, -2).copy()
    return images, labels.astype(np.int64) - 1


SET = Published(collection=STL10, size=2_640_397_119, examples=(5_000, 8_000), shape=SHAPE, classes=10, reader=_read)


def load_stl10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 5,000 labelled training or 8,000 test images of STL-10, (N, 3, 96, 96), ten classes from 0.

    Parameters and errors as for `load_cifar10`, the subfolder being ``stl-10``. The archive has 2.6 GB; its 100,000
    images without labels are passed over.

    Examples
    --------
    An archive of one image for testing; without a folder the one that was published is downloaded.

    >>> import io, tarfile, tempfile
    >>> from meganet.datasets import load_stl10
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with tarfile.open(f"{folder}/stl10_binary.tar.gz", "w:gz") as archive:
    ...         for name, content in (("test_X.bin", bytes(3 * 96 * 96)), ("test_y.bin", bytes([10]))):
    ...             member = tarfile.TarInfo(f"stl10_binary/{name}")
    ...             member.size = len(content)
    ...             archive.addfile(member, io.BytesIO(content))
    ...     photographs = load_stl10(folder, train=False)
    >>> photographs.images.shape, photographs.labels
    ((1, 3, 96, 96), array([9]))
    """
    return SET.load(folder, train=train, progress=progress)
