"""The IDX file format of MNIST: a big-endian header, then unsigned bytes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from meganet import _validate

LARGEST = 2**31
"""No IDX file of more bytes is read; a damaged header may claim any size."""


def read_content(path: Path, largest: int = LARGEST) -> bytes:
    """Return the bytes of a plain or gzip-compressed file, told apart by their first two bytes."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else open(path, "rb") as stream:
            content = stream.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        _validate.reject(str(path), "a readable plain or gzip file", f"{type(error).__name__}: {error}")
    if len(content) > largest:
        _validate.reject(str(path), f"at most {largest:,} bytes of content", "more")
    return content


def parse_idx(content: bytes, name: str, ndim: int) -> np.ndarray[Any, Any]:
    """Return the array of unsigned bytes in the content of an IDX file.

    Parameters
    ----------
    content : bytes
        The uncompressed file: bytes 0, 0, the type 8, the number of axes, the sizes as 32-bit big-endian numbers, the
        data in C order.
    name : str
        What error messages call it.
    ndim : int
        Number of axes: 3 for images, 1 for labels.

    Raises
    ------
    InputError
        If a field of the header is not as it should be or the data are shorter or longer than it says.
    """
    header = 4 + 4 * ndim
    if len(content) < header:
        _validate.reject(name, f"an IDX header of {header} bytes", f"a file of {len(content)} bytes")
    if content[:2] != b"\0\0":
        _validate.reject(name, "an IDX file, which starts with two zero bytes", f"bytes {content[:4].hex(' ')}")
    if content[2] != 8:
        _validate.reject(name, "the IDX type 0x08, unsigned bytes", f"0x{content[2]:02x}")
    if content[3] != ndim:
        kind = {1: "labels", 3: "images"}
        _validate.reject(
            name, f"{ndim} axes ({kind.get(ndim, 'data')})", f"{content[3]} ({kind.get(content[3], 'other data')})"
        )
    sizes = [int.from_bytes(content[4 + 4 * k : 8 + 4 * k], "big") for k in range(ndim)]
    expected, found = math.prod(sizes), len(content) - header
    if min(sizes) == 0 or found != expected:
        what = "truncated" if found < expected else "oversized"
        shape = "x".join(map(str, sizes))
        _validate.reject(name, f"{expected:,} bytes of data for {shape}", f"{found:,} bytes ({what} file)")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)


def read_idx(path: str | Path, ndim: int) -> np.ndarray[Any, Any]:
    """Read an IDX file, plain or gzip; see `parse_idx` for what is checked."""
    return parse_idx(read_content(Path(path)), str(path), ndim)
