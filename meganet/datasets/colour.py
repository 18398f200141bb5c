"""CIFAR-10, CIFAR-100 and STL-10: colour images in the publishers' binary archives, of which nothing is unpickled."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from meganet import _validate
from meganet.datasets.collection import Collection
from meganet.datasets.idx import LARGEST
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
)
CIFAR_SHAPE, STL_SHAPE = (3, 32, 32), (3, 96, 96)


def load_cifar10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-10, (N, 3, 32, 32), ten classes.

    The archive ``cifar-10-binary.tar.gz`` is looked for in the subfolder ``cifar-10`` of `folder`, in `folder`,
    likewise for ``MEGANET_DATA``, then in the user's cache; else downloaded. A record is a label and the pixels,
    channel by
    channel.

    Raises
    ------
    InputError
        If the archive is not what its name says.
    DataNotFoundError
        If it is nowhere and cannot be downloaded.
    """
    members = [f"data_batch_{k}.bin" for k in range(1, 6)] if train else ["test_batch.bin"]
    return _cifar(CIFAR10, folder, members, 0, 1, 10, progress)


def load_cifar100(
    folder: str | Path | None = None, *, train: bool = True, coarse: bool = False, progress: bool = True
) -> ImageSet:
    """Return the 50,000 training or 10,000 test images of CIFAR-100, (N, 3, 32, 32).

    Parameters and errors as for `load_cifar10`, the subfolder being ``cifar-100``; `coarse` gives the twenty
    superclasses instead of the hundred classes.
    """
    members = ["train.bin" if train else "test.bin"]
    return _cifar(CIFAR100, folder, members, 0 if coarse else 1, 2, 20 if coarse else 100, progress)


def load_stl10(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 5,000 labelled training or 8,000 test images of STL-10, (N, 3, 96, 96), ten classes from 0.

    Parameters and errors as for `load_cifar10`, the subfolder being ``stl-10``. The archive has 2.6 GB; its 100,000
    images without labels are passed over.
    """
    path = STL10.located(folder, progress)["stl10_binary.tar.gz"]
    part = "train" if train else "test"
    contents = _members(path, "stl10_binary", [f"{part}_X.bin", f"{part}_y.bin"])
    pixels, labels = (np.frombuffer(contents[f"{part}_{kind}.bin"], dtype=np.uint8) for kind in ("X", "y"))
    size = int(np.prod(STL_SHAPE))
    if not labels.size or pixels.size != size * labels.size:
        _validate.reject(str(path), f"{labels.size} images of {size} bytes", f"{pixels.size} bytes")
    if labels.min() < 1 or labels.max() > 10:
        _validate.reject(str(path), "labels 1 to 10", f"{labels.min()} to {labels.max()}")
    # stored column by column, as MATLAB does
    images = np.ascontiguousarray(pixels.reshape(-1, *STL_SHAPE).swapaxes(-1, -2))
    return ImageSet(STL10.title, images, labels.astype(np.int64) - 1, str(path.parent))


def _cifar(
    collection: Collection, folder: Any, members: list[str], label: int, labels: int, classes: int, progress: bool
) -> ImageSet:
    path = next(iter(collection.located(folder, progress).values()))
    size = labels + int(np.prod(CIFAR_SHAPE))
    records = []
    inside = "cifar-10-batches-bin" if collection.name == "cifar-10" else "cifar-100-binary"
    for name, content in _members(path, inside, members).items():
        if not content or len(content) % size:
            _validate.reject(f"{path}: {name}", f"records of {size} bytes", f"{len(content)} bytes")
        records.append(np.frombuffer(content, dtype=np.uint8).reshape(-1, size))
    table = np.concatenate(records)
    if table[:, label].max() >= classes:
        _validate.reject(str(path), f"labels 0 to {classes - 1}", str(table[:, label].max()))
    images = np.ascontiguousarray(table[:, labels:]).reshape(-1, *CIFAR_SHAPE)
    return ImageSet(collection.title, images, table[:, label].astype(np.int64), str(path.parent))


def _members(path: Path, folder: str, names: list[str]) -> dict[str, bytes]:
    """Return the content of some files in the archive's folder, in the order of `names`, without unpacking on disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                name = member.name.removeprefix("./").removeprefix(f"{folder}/")
                if name not in names or not member.isfile() or name == member.name:
                    continue
                if member.size > LARGEST:
                    _validate.reject(f"{path}: {name}", f"at most {LARGEST:,} bytes", f"{member.size:,}")
                stream = archive.extractfile(member)
                if stream is not None and name not in found:
                    found[name] = stream.read()
                if len(found) == len(names):
                    break
    except _validate.InputError:
        raise
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        _validate.reject(str(path), "a readable tar archive", f"{type(error).__name__}: {error}")
    missing = [name for name in names if name not in found]
    if missing:
        _validate.reject(str(path), f"an archive with {', '.join(names)}", f"no {', '.join(missing)}")
    return {name: found[name] for name in names}
