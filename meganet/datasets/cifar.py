"""The archives of CIFAR: records of some labels and an image, channel by channel, and batches for Python."""

from __future__ import annotations

import hashlib
import math
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from meganet.datasets.content import read_members
from meganet.ground import validate

MIRROR = "https://www.cs.toronto.edu/~kriz/"
SHAPE = (3, 32, 32)
ARRAY = ("numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype")
"""What the pickle of an array speaks of; that of a batch speaks of nothing else."""
Found = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def read_records(path: Path, folder: str, members: Mapping[str, int], label: int, labels: int) -> Found:
    """Return images, uint8 (N, 3, 32, 32), and labels, int64 (N,), of some members of an archive.

    Parameters
    ----------
    path : Path
        The archive, gzip or plain; it is read to its end, where its checksum is.
    folder : str
        In it.
    members : mapping from str to int
        Names of files in the folder, and the most records that each may have.
    label : int
        Which of the labels of a record is returned.
    labels : int
        How many a record has, one byte each.

    Raises
    ------
    InputError
        If the archive is not what its name says.

    Examples
    --------
    >>> import io, tarfile, tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets.cifar import read_records
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "archive.tar"
    ...     with tarfile.open(path, "w") as archive:
    ...         member = tarfile.TarInfo("inside/records.bin")
    ...         member.size = 2 * 3073
    ...         archive.addfile(member, io.BytesIO(2 * (bytes([7]) + bytes(3072))))
    ...     images, labels = read_records(path, "inside", {"records.bin": 10}, label=0, labels=1)
    >>> images.shape, labels
    ((2, 3, 32, 32), array([7, 7]))
    """
    size = labels + math.prod(SHAPE)
    contents = read_members(path, folder, {name: size * most for name, most in members.items()})
    return joined_records({f"{path}: {name}": content for name, content in contents.items()}, label, labels)


def joined_records(contents: dict[str, np.ndarray[Any, Any]], label: int, labels: int) -> Found:
    """Return images and labels as `read_records` does, from the bytes of files by what errors call them; empties it.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets.cifar import joined_records
    >>> images, labels = joined_records({"a": np.full(3073, 7, np.uint8), "b": np.full(3073, 9, np.uint8)}, 0, 1)
    >>> images.shape, labels
    ((2, 3, 32, 32), array([7, 9]))
    """
    size = labels + math.prod(SHAPE)
    for name, content in contents.items():
        if not content.size or content.size % size:
            validate.reject_file(name, f"records of {size} bytes", f"{content.size} bytes")
    count, done = sum(content.size for content in contents.values()) // size, 0
    images, found = np.empty((count, *SHAPE), np.uint8), np.empty(count, np.int64)
    for name in [*contents]:
        # freed once it is copied
        records = contents.pop(name).reshape(-1, size)
        part = slice(done, done + len(records))
        found[part], images[part] = records[:, label], records[:, labels:].reshape(-1, *SHAPE)
        done += len(records)
    return images, found


def read_pickled(contents: dict[str, bytes], digests: Mapping[str, str]) -> Found:
    """Return images and labels from the content of files that were pickled by Python 2; nothing is unpickled.

    A pickle is a program. Its instructions are listed here, not followed, for two things: the numbers behind the word
    ``labels``, and a string with as many images.

    Parameters
    ----------
    contents : dict
        By the names of the files, in order.
    digests : mapping from str to str
        ``"md5:..."`` of each.

    Raises
    ------
    InputError
        If a file is another one.

    Examples
    --------
    >>> import hashlib, pickle
    >>> from meganet.datasets.cifar import read_pickled
    >>> content = pickle.dumps({"data": "x" * 2 * 3072, "labels": [7, 9]}, protocol=2)
    >>> images, labels = read_pickled({"batch": content}, {"batch": f"md5:{hashlib.md5(content).hexdigest()}"})
    >>> images.shape, labels
    ((2, 3, 32, 32), array([7, 9]))
    """
    for name, content in contents.items():
        got = f"md5:{hashlib.md5(content).hexdigest()}"
        if got != digests[name]:
            validate.reject_file(name, f"content with {digests[name]}", got)
    parts = [_batch(name, content) for name, content in contents.items()]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def _batch(name: str, content: bytes) -> Found:
    """Return images and labels of a pickle, from its instructions."""

    def refuse(what: str) -> NoReturn:
        validate.reject_file(name, "a batch of CIFAR-10 for Python", what)

    labels: list[int] = []
    strings: list[bytes] = []
    word = ""
    try:
        for code, value, _ in pickletools.genops(content):
            if code.proto > 2 or (code.name in ("GLOBAL", "INST") and value not in ARRAY):
                refuse(f"a pickle with {code.name} {value!r:.60}")
            if isinstance(value, str):
                word = value
                strings.append(value.encode("latin1"))
            elif isinstance(value, int) and code.name == "BININT1" and word == "labels":
                labels.append(value)
    except ValueError as error:
        refuse(f"a damaged one: {' '.join(str(error).split())}")
    pixels = [text for text in strings if len(text) == len(labels) * math.prod(SHAPE)]
    if not labels or len(pixels) != 1:
        refuse(f"{len(labels)} labels and strings of up to {max(map(len, strings), default=0):,} bytes")
    return np.frombuffer(pixels[0], np.uint8).reshape(-1, *SHAPE), np.array(labels, np.int64)
