"""Matrices of real numbers from MAT-files of level 5, MATLAB's own format.

A file is a header of 128 bytes and a row of elements, each a tag with type and size, then data; those of variables may
be compressed. The layout is described in MathWorks' *MAT-File Format*. Only what is asked for is read, after its class
and size have been accepted; everything else is passed over by its size, however it is nested.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import numpy as np

from meganet.ground import validate
from meganet.ground.files import BLOCK, DEFLATE_RATIO

HEADER = 128
TAG = 8
MATRIX, COMPRESSED = 14, 15
STORED: dict[int, np.dtype[Any]] = {
    code: np.dtype(name)
    for code, name in zip(
        (1, 2, 3, 4, 5, 6, 7, 9, 12, 13),
        ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64", "int64", "uint64"),
        strict=True,
    )
}
"""Types of stored numbers."""
UINT32, UTF8 = 6, 16
INT32 = (5, UINT32)
TEXT = (1, 2, UTF8)
NUMBERS: dict[str, np.dtype[Any]] = {
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
    **{name: np.dtype(name) for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")},
}
"""MATLAB's classes of numbers."""
CLASSES = ("cell", "struct", "object", "char", "sparse", *NUMBERS, "function handle", "object")
"""Numbered from 1."""
OPAQUE = len(CLASSES)
COMPLEX, LOGICAL = 0x800, 0x200
MOST_AXES = 64
LONGEST_NAME = 1024

Check = Callable[[str, str, tuple[int, ...]], None]
"""Refuses a variable by its name, class and shape, before it is read."""


def byte_order(header: bytes) -> Literal["<", ">"] | None:
    """Return "<" or ">" if these bytes begin a file of level 5, else None."""
    if len(header) != HEADER:
        return None
    return "<" if header.endswith(b"\x00\x01IM") else ">" if header.endswith(b"\x01\x00MI") else None


def read_mat5(path: Path, names: Collection[str], check: Check) -> dict[str, np.ndarray[Any, Any]]:
    """Return those of the variables that the file has, in the types in which they are stored.

    Parameters
    ----------
    path : Path
    names : collection of str
    check : callable (name, class, shape) -> None
        Called for each of them before anything is allocated; it raises `InputError` unless the class is one of
        `NUMBERS` and there is room for so many.

    Raises
    ------
    InputError
        For whatever is wrong with the file.
    """
    try:
        with open(path, "rb") as file:
            return _Level5(path, file).read(names, check)
    except (OSError, zlib.error) as error:
        validate.reject("path", "a MAT-file that can be read", f"{path} ({error})")


class _Level5:
    """One file while it is read."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.file = path, file
        self.size = os.fstat(file.fileno()).st_size
        header = file.read(HEADER)
        order = byte_order(header)
        if order is None:
            self.reject("a MAT-file of level 5", f"{header[:16]!r} at its start")
        self.order = order

    def reject(self, expected: str, got: str) -> NoReturn:
        validate.reject("path", expected, f"{got} ({self.path})")

    def damaged(self, got: str) -> NoReturn:
        self.reject("a MAT-file that is whole", got)

    def read(self, names: Collection[str], check: Check) -> dict[str, np.ndarray[Any, Any]]:
        found: dict[str, np.ndarray[Any, Any]] = {}
        while (place := self.file.tell()) < self.size:
            kind, length = self.tag(self.file.read(TAG))
            after = place + TAG + length
            if kind not in (MATRIX, COMPRESSED) or after > self.size:
                self.damaged(f"an element of type {kind} and {length:,} bytes at byte {place:,} of {self.size:,}")
            variable = _Variable(self, length, kind == COMPRESSED)
            if variable.name in names:
                if variable.name in found:
                    self.reject(f"one variable {variable.name!r}", "two")
                check(variable.name, variable.kind, variable.shape)
                found[variable.name] = variable.data()
            self.file.seek(after)
        return found

    def tag(self, content: bytes) -> tuple[int, int]:
        if len(content) < TAG:
            self.damaged(f"{len(content)} bytes behind the last element")
        kind, length = struct.unpack(f"{self.order}2I", content)
        return kind, length


class _Variable:
    """A variable whose name, class and shape have been read, and whose data have not."""

    def __init__(self, level: _Level5, length: int, packed: bool) -> None:
        self.level, self.packed = level, length
        self.inflate = zlib.decompressobj() if packed else None
        self.left = length
        if packed:
            # what is left of the variable, once the size is known
            self.left = TAG
            kind, self.left = level.tag(self.read(TAG))
            if kind != MATRIX or self.left > DEFLATE_RATIO * length:
                level.damaged(f"an element of type {kind} and {self.left:,} bytes, compressed to {length:,}")
        self.header()

    def header(self) -> None:
        kind, flags = self.element(2 * 4)
        number = self.integers("I", flags)[0] if kind == UINT32 and len(flags) == 8 else 0
        if not 1 <= number & 0xFF <= len(CLASSES):
            self.level.damaged(f"a variable of class {number & 0xFF}")
        self.stored = CLASSES[(number & 0xFF) - 1]
        self.kind = "logical" if number & LOGICAL else self.stored
        self.complex = bool(number & COMPLEX)
        self.shape: tuple[int, ...] = ()
        if number & 0xFF != OPAQUE:
            kind, sizes = self.element(4 * MOST_AXES)
            self.shape = self.integers("i", sizes)
            if kind not in INT32 or len(self.shape) < 2 or min(self.shape) < 0:
                self.level.damaged(f"a variable of shape {self.shape}")
        kind, name = self.element(LONGEST_NAME)
        self.name = name.decode(errors="replace")
        if kind not in TEXT:
            self.level.damaged(f"a variable whose name has the type {kind}")

    def integers(self, code: str, content: bytes) -> tuple[int, ...]:
        count = len(content) // 4
        return struct.unpack(f"{self.level.order}{count}{code}", content[: 4 * count])

    def data(self) -> np.ndarray[Any, Any]:
        """Return the numbers in the shape they have in MATLAB."""
        number = NUMBERS[self.stored]
        if self.complex:
            validate.reject(
                "vector", "real numbers", f"{np.result_type(number, np.complex64)} as {self.name!r} ({self.level.path})"
            )
        count = math.prod(self.shape)
        kind, length, inside = self.start()
        stored: np.dtype[Any] = STORED.get(kind, np.dtype(np.void))
        # numbers that fit into a smaller type are stored in that
        whole = stored.kind in "iu" and number.kind == "f"
        smaller = stored.itemsize < number.itemsize and (whole or np.can_cast(stored, number))
        if not (smaller or stored == number) or length != count * stored.itemsize:
            what = f"{length:,} bytes of type {kind}"
            self.level.reject(f"{count:,} numbers of the variable {self.name!r} of class {self.stored}", what)
        array = np.empty(count, stored.newbyteorder(self.level.order))
        into = array.view(np.uint8)
        for place in range(0, length, BLOCK):
            block = inside or self.read(min(BLOCK, length - place))
            into[place : place + len(block)] = np.frombuffer(block, np.uint8)
        self.pad(0 if inside else length)
        self.finish()
        return array.reshape(self.shape, order="F")

    def start(self) -> tuple[int, int, bytes]:
        """Return type and size of the next element, and its content if that is so short that it is in the tag."""
        content = self.read(TAG)
        kind, length = self.level.tag(content)
        if kind >> 16:
            kind, length = kind & 0xFFFF, kind >> 16
            if length > 4:
                self.level.damaged(f"a short element of {length} bytes")
            return kind, length, content[4 : 4 + length]
        return kind, length, b""

    def element(self, most: int) -> tuple[int, bytes]:
        """Return type and content of an element of at most so many bytes."""
        kind, length, inside = self.start()
        if length > most:
            self.level.damaged(f"{length:,} bytes where there may be {most}")
        if inside:
            return kind, inside
        content = self.read(length)
        self.pad(length)
        return kind, content

    def pad(self, length: int) -> None:
        self.read(min(-length % 8, self.left))

    def read(self, count: int) -> bytes:
        """Return the next bytes of the variable, inflated."""
        if count > self.left:
            self.level.damaged(f"a variable that ends {count - self.left:,} bytes before its data")
        self.left -= count
        content = bytearray()
        while len(content) < count:
            more = self.more(count - len(content)) if self.inflate else self.level.file.read(count)
            if not more:
                self.level.damaged("data that end too early")
            content += more
        return bytes(content)

    def more(self, most: int) -> bytes:
        """Return at least one and at most so many inflated bytes, or none at their end."""
        content = b""
        while not content and self.inflate is not None and not self.inflate.eof:
            block = self.inflate.unconsumed_tail
            if not block:
                block = self.level.file.read(min(BLOCK, self.packed))
                self.packed -= len(block)
            content = self.inflate.decompress(block, most)
            if not content and not block:
                break
        return content

    def finish(self) -> None:
        """Check that nothing follows; zlib checks its sum of the data at their end."""
        rest = self.left
        if self.inflate is not None:
            rest += len(self.more(1)) + self.packed + len(self.inflate.unused_data) + (not self.inflate.eof)
        if rest:
            self.level.damaged(f"a variable {self.name!r} whose size is not that of its data")
