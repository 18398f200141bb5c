"""NPZ files of known content: directory and headers are checked before anything is allocated for the data.

What may be in the file is said by the caller, so that neither a damaged file nor one made to do harm costs more memory
than the data that were expected. Nothing is unpickled or evaluated.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from meganet.ground import validate
from meganet.ground.files import BLOCK, DEFLATE_RATIO, opened

MAGIC = b"\x93NUMPY"
HEADER = re.compile(
    rb"\{'descr': '([<>|][biufcSU]\d{1,10})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}(?:, \d{1,18})*,?)?)\), \} *\n"
)
"""What `numpy.save` writes of arrays without fields."""
LONGEST_HEADER = 1024
ROOM = 2048
"""Bytes that a member needs at most besides its data: NumPy's header, ZIP's two headers."""
END = struct.Struct("<4s4H2LH")
END_64 = b"PK\x06\x07"
SEAL = 2 * hashlib.sha256().digest_size
"""Length of a sealed file's comment: the SHA-256 of what is before it, in hexadecimal digits."""
LARGE = 2**31 - 1
"""From this size on ZIP files have a second, larger record at their end."""
ENCRYPTED = 0x2041
MEMBERS = 4096
"""Most arrays of a file that says itself what is in it."""
TEXT = "str"


@dataclass(frozen=True)
class Expected:
    """What an array of an NPZ file must be.

    Attributes
    ----------
    dtype : str
        Name of a NumPy dtype of fixed size, such as ``"float32"``; or ``"str"``.
    shape : tuple of int or None
        None stands for any size along an axis.
    largest : int, optional
        Most bytes of data. Needed if `shape` leaves a size open, and for text, which takes four bytes a character.
    optional : bool
        The array may be missing.
    """

    dtype: str
    shape: tuple[int | None, ...] = ()
    largest: int | None = None
    optional: bool = False

    @property
    def limit(self) -> int:
        """Most bytes of data."""
        if self.largest is not None:
            return self.largest
        # an open size without a limit is a bug of the caller: None cannot be multiplied
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize  # type: ignore[arg-type]

    def __str__(self) -> str:
        sizes = ", ".join("any" if n is None else str(n) for n in self.shape)
        return f"{self.dtype} of shape ({sizes}{',' * (len(self.shape) == 1)})"

    def accepts(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether an array may have this dtype, in any byte order, and this shape."""
        right = dtype.kind == "U" if self.dtype == TEXT else dtype.newbyteorder("=") == np.dtype(self.dtype)
        fits = len(shape) == len(self.shape) and all(e in (None, n) for e, n in zip(self.shape, shape, strict=True))
        return right and fits and math.prod(shape) * dtype.itemsize <= self.limit


def read_npz(path: str | os.PathLike[str], expected: Mapping[str, Expected]) -> dict[str, np.ndarray[Any, Any]]:
    """Read a file that `write_npz` or ``numpy.savez`` has written, plain or compressed.

    Parameters
    ----------
    path : path
    expected : mapping from str to Expected
        The arrays that the file must hold; it may hold no others.

    Returns
    -------
    dict from str to ndarray
        In native byte order. Text is an array of dtype kind "U"; its characters are valid.

    Raises
    ------
    InputError
        With the path, for whatever is wrong with the file: it is missing, cut, damaged, holds other arrays than
        `expected`, or more than they may take.
    """
    with _opened(path) as file:
        return _read(str(path), file, expected, comment=0)


def read_sealed(
    path: str | os.PathLike[str], expected: Mapping[str, Expected]
) -> tuple[dict[str, np.ndarray[Any, Any]], str]:
    """Read a file that `write_sealed` has written; return its arrays and its SHA-256.

    Nothing of the file is interpreted before it is known to be the one that was written, to the last bit.

    Parameters
    ----------
    path, expected
        As for `read_npz`.

    Raises
    ------
    InputError
        As `read_npz` does, and if the file is not as it was written.
    """
    with _opened(path) as file:
        _check_size(str(path), os.fstat(file.fileno()).st_size - SEAL, expected)
        digest = _check_seal(path, file)
        return _read(str(path), file, expected, comment=SEAL), digest


def read_described(
    path: str | os.PathLike[str],
    header: str,
    largest: int,
    describe: Callable[[np.ndarray[Any, Any]], Mapping[str, Expected]],
) -> dict[str, np.ndarray[Any, Any]]:
    """Read a file that `write_sealed` has written and that says itself what is in it; return its other arrays.

    Parameters
    ----------
    path : path
    header : str
        The array of bytes that says it.
    largest : int
        Most bytes of it.
    describe : callable
        Gets the header, and returns what the other arrays must be.

    Raises
    ------
    InputError
        As `read_sealed` does; what `describe` raises comes through.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        _check_seal(path, file)
        _check_end(str(path), file, size - SEAL, MEMBERS)
        with zipfile.ZipFile(file) as archive:
            # all but the header is looked at when it is known what it must be
            names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
            limits = {name: Expected("uint8", (None,), largest if name == header else size) for name in names}
            members = _directory(str(path), archive, {header: Expected("uint8", (None,), largest)} | limits)
            found = _array(path, header, archive, members[header], limits[header])
        expected = {header: Expected("uint8", found.shape)} | dict(describe(found))
        arrays = _read(str(path), file, expected, comment=SEAL)
    return {name: array for name, array in arrays.items() if name != header}


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    if not os.path.exists(path):
        validate.reject_file(path, "a file", "none")
    # of a method of compression, and of a name
    errors = (zipfile.BadZipFile, struct.error, NotImplementedError, UnicodeDecodeError)
    with opened(path, "a readable NPZ file", *errors) as file:
        yield file


def _check_seal(path: Any, file: IO[bytes]) -> str:
    """Check that a file is the one that was written, and return its SHA-256."""
    digest, rest = hashlib.sha256(), max(os.fstat(file.fileno()).st_size - SEAL, 0)
    while block := file.read(min(BLOCK, rest)):
        digest.update(block)
        rest -= len(block)
    seal = file.read(SEAL)
    if not re.fullmatch(rb"[0-9a-f]{64}", seal):
        validate.reject_file(path, "a whole file that meganet has written", "one without SHA-256 at its end")
    if seal != digest.hexdigest().encode():
        validate.reject_file(path, "the file that was written", "another SHA-256; it is damaged or was edited")
    return digest.hexdigest()


def _read(path: str, file: IO[bytes], expected: Mapping[str, Expected], comment: int) -> dict[str, Any]:
    size = os.fstat(file.fileno()).st_size - comment
    _check_size(path, size, expected)
    _check_end(path, file, size, len(expected))
    with zipfile.ZipFile(file) as archive:
        members = _directory(path, archive, expected)
        return {name: _array(path, name, archive, info, expected[name]) for name, info in members.items()}


def write_npz(arrays: Mapping[str, Any], *, compressed: bool = False) -> bytes:
    """Return the content of an NPZ file: the same arrays give the same bytes."""
    packed, values = io.BytesIO(), {name: np.asarray(array) for name, array in arrays.items()}
    (np.savez_compressed if compressed else np.savez)(packed, **values)  # type: ignore[arg-type]
    return packed.getvalue()


def write_sealed(arrays: Mapping[str, Any]) -> bytes:
    """Return the content of an NPZ file that ends with its own SHA-256, as the comment that a ZIP file may have."""
    content = bytearray(write_npz(arrays))
    content[-2:] = SEAL.to_bytes(2, "little")
    return bytes(content + hashlib.sha256(content).hexdigest().encode())


def _check_size(path: str, size: int, expected: Mapping[str, Expected]) -> None:
    # a byte in 1,000 is more than deflate adds to what it cannot compress
    most = sum(e.limit + e.limit // 1000 + ROOM for e in expected.values())
    if size > most:
        validate.reject_file(path, f"an NPZ file of at most {most:,} bytes", f"{size:,} bytes")


def _check_end(path: str, file: IO[bytes], size: int, most: int) -> None:
    """Check the record at the end of the file: Python's reader trusts its number of members."""
    start = max(size - END.size, 0)
    file.seek(max(start - 20, 0))
    tail = file.read(size - file.tell())
    end = tail[-END.size :]
    if len(end) < END.size or not end.startswith(b"PK\x05\x06"):
        validate.reject_file(path, "an NPZ file that is whole", f"{size:,} bytes without the record at the end")
    _, _, _, here, members, length, _, _ = END.unpack(end)
    larger = tail.startswith(END_64) and size < LARGE
    if not members == here <= most or length > members * ROOM or larger:
        got = f"{members} members, whose list takes {length:,} bytes"
        validate.reject_file(path, f"an NPZ file of {most} arrays", got)


def _directory(path: str, archive: zipfile.ZipFile, expected: Mapping[str, Expected]) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name, in the order of `expected`, each of them possible and none missing."""
    infos = archive.infolist()
    found = {info.filename.removesuffix(".npy"): info for info in infos if info.filename.endswith(".npy")}
    needed = [name for name, e in expected.items() if not e.optional]
    if len(found) != len(infos) or not set(needed) <= set(found) <= set(expected):
        names = [repr(info.filename.removesuffix(".npy")) for info in infos]
        validate.reject_file(path, f"the arrays {', '.join(map(repr, expected))}", ", ".join(names) or "none")
    free = archive.start_dir
    for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
        name = info.filename.removesuffix(".npy")
        packed, size = info.compress_size, info.file_size
        possible = {zipfile.ZIP_STORED: packed == size, zipfile.ZIP_DEFLATED: size <= DEFLATE_RATIO * packed}
        if info.flag_bits & ENCRYPTED or not possible.get(info.compress_type, False):
            got = f"{size:,} bytes in {packed:,}, method {info.compress_type}, flags {info.flag_bits:#x}"
            validate.reject_file(path, f"the array {name!r} as NumPy writes it", got)
        if size > expected[name].limit + LONGEST_HEADER + len(MAGIC) + 6:
            validate.reject_file(path, f"the array {name!r}, {expected[name]}", f"{size:,} bytes")
        if info.header_offset < 0 or info.header_offset + packed > free:
            validate.reject_file(path, f"the array {name!r} in a place of its own", f"byte {info.header_offset:,}")
        free = info.header_offset
    return {name: found[name] for name in expected if name in found}


def _array(path: Any, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, expected: Expected) -> Any:
    """Return an array whose header fits `expected`; Python's reader checks the CRC at the last byte."""
    with archive.open(info) as stream:
        dtype, shape, fortran, length = _header(path, name, stream)
        if not expected.accepts(dtype, shape):
            validate.reject_file(path, f"the array {name!r}, {expected}", f"{dtype} of shape {shape}")
        if length + math.prod(shape) * dtype.itemsize != info.file_size:
            got = f"{info.file_size - length:,} bytes"
            validate.reject_file(path, f"{math.prod(shape) * dtype.itemsize:,} bytes of the array {name!r}", got)
        data = np.empty(math.prod(shape), dtype)
        into, done = data.reshape(-1).view(np.uint8), 0
        # an array without data has its CRC checked too
        while block := stream.read(BLOCK):
            into[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        if done != data.nbytes:
            validate.reject_file(path, f"{data.nbytes:,} bytes of the array {name!r}", f"{done:,}")
    if dtype.kind == "U":
        codes = data.view(np.uint32 if dtype.isnative else np.dtype(np.uint32).newbyteorder())
        if np.any((codes > 0x10FFFF) | (codes >> 11 == 0xD800 >> 11)):
            validate.reject_file(path, f"text in the array {name!r}", "what are no characters")
    if not dtype.isnative:
        data = data.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return data.reshape(shape[::-1]).T if fortran else data.reshape(shape)


def _header(path: Any, name: str, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """Return dtype, shape, whether the first index runs fastest, and the length of a NumPy header."""
    start = stream.read(len(MAGIC) + 4)
    text = b""
    if len(start) == len(MAGIC) + 4 and start.startswith(MAGIC + b"\x01\x00"):
        text = stream.read(min(int.from_bytes(start[-2:], "little"), LONGEST_HEADER))
    match = HEADER.fullmatch(text)
    try:
        if match:
            shape = tuple(int(n) for n in match[3].replace(b",", b" ").split())
            return np.dtype(match[1].decode()), shape, match[2] == b"True", len(start) + len(text)
    except (TypeError, ValueError):  # no such dtype
        pass
    validate.reject_file(path, f"a NumPy header of numbers or text for the array {name!r}", repr((start + text)[:80]))
