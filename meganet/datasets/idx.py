"""The IDX file format of MNIST: a big-endian header, then unsigned bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.content import opened
from meganet.ground import validate

LARGEST = 2**31
"""No IDX file of more bytes is read; a damaged header may claim any size."""
KINDS = {1: "labels", 3: "images"}


def read_idx(path: str | Path, ndim: int, largest: int = LARGEST) -> np.ndarray[Any, Any]:
    """Return the array of unsigned bytes in an IDX file, plain or gzip.

    The file holds bytes 0, 0, the type 8, the number of axes, the sizes as 32-bit big-endian numbers, and the data in
    C order. The header is checked before memory is taken for the data.

    Parameters
    ----------
    path : path
    ndim : int
        Number of axes: 3 for images, 1 for labels.
    largest : int
        Most bytes of data.

    Returns
    -------
    ndarray of uint8, read-only

    Raises
    ------
    InputError
        If the file cannot be read, a field of the header is not as it should be, or the data are shorter or longer
        than it says.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "images"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 4]) + bytes(5 * 2 * 4))
    ...     images = read_idx(path, 3)
    >>> images.shape, images.dtype
    ((5, 2, 4), dtype('uint8'))
    """
    path, length = validate.path("path", path), 4 + 4 * ndim
    name = str(path)
    with opened(path, length + largest + 1) as content:
        sizes = _sizes(content.read(length), name, ndim)
        expected, shape = math.prod(sizes), "x".join(map(str, sizes))
        # known before anything is read: the size of a plain file, the largest one of a compressed file
        possible = content.possible - length
        if expected > possible or min(sizes) == 0 or (not content.packed and expected < possible):
            what = "truncated" if expected > possible else "oversized"
            most = "at most " if content.packed else ""
            validate.reject_file(
                name, f"{expected:,} bytes of data for {shape}", f"{most}{possible:,} bytes ({what} file)"
            )
        if expected > largest:
            validate.reject_file(name, f"at most {largest:,} bytes of data", f"{expected:,} for {shape}")
        data = content.array(expected)
        if data.size < expected:
            validate.reject_file(
                name, f"{expected:,} bytes of data for {shape}", f"{data.size:,} bytes (truncated file)"
            )
        if content.read(1):
            validate.reject_file(name, f"{expected:,} bytes of data for {shape}", "more (oversized file)")
    data.flags.writeable = False
    return data.reshape(sizes)


def _sizes(header: bytes, name: str, ndim: int) -> list[int]:
    if len(header) < 4 + 4 * ndim:
        validate.reject_file(name, f"an IDX header of {4 + 4 * ndim} bytes", f"a file of {len(header)} bytes")
    if header[:2] != b"\0\0":
        validate.reject_file(name, "an IDX file, which starts with two zero bytes", f"bytes {header[:4].hex(' ')}")
    if header[2] != 8:
        validate.reject_file(name, "the IDX type 0x08, unsigned bytes", f"0x{header[2]:02x}")
    if header[3] != ndim:
        kinds = [f"{n} ({KINDS.get(n, 'other data')})" for n in (ndim, header[3])]
        validate.reject_file(name, kinds[0].replace(" (", " axes ("), kinds[1])
    return [int.from_bytes(header[k : k + 4], "big") for k in range(4, 4 + 4 * ndim, 4)]
