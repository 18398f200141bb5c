"""The content of plain and gzip-compressed files, read forwards in blocks, and of some members of tar archives."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from meganet.ground import files, validate
from meganet.ground.files import BLOCK, DEFLATE_RATIO

LARGEST = 2**32
"""No content of more bytes is read to its end; that of STL-10 has 3.1 GB."""


class Content:
    """The content of an open file, which is read once.

    Attributes
    ----------
    possible : int
        The content has so many bytes, or at most so many if it is compressed.
    packed : bool
        Whether the file is compressed.

    Examples
    --------
    >>> import gzip, tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets.content import opened
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers"
    ...     _ = path.write_bytes(gzip.compress(bytes(range(10))))
    ...     with opened(path, largest=10) as content:
    ...         content.packed, [*content.read(2)], content.array(100)
    (True, [0, 1], array([2, 3, 4, 5, 6, 7, 8, 9], dtype=uint8))
    """

    def __init__(self, path: Path, file: IO[bytes], largest: int) -> None:
        self._path, self._largest, self._left = path, largest, largest
        size = os.fstat(file.fileno()).st_size
        self.packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self.possible = DEFLATE_RATIO * size if self.packed else size
        self._stream: Any = gzip.GzipFile(fileobj=file) if self.packed else file

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end, where gzip checks its sum of them."""
        block: bytes = self._stream.read(count)
        self._left -= len(block)
        if self._left < 0:
            validate.reject_file(self._path, f"at most {self._largest:,} bytes of content", "more")
        return block

    def array(self, count: int) -> np.ndarray[Any, Any]:
        """Return the next bytes as an array, a shorter one only at the end."""
        data, done = np.empty(count, np.uint8), 0
        while done < count and (block := self.read(min(BLOCK, count - done))):
            data[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        return data[:done]

    def blocks(self, most: int = LARGEST) -> Iterator[bytes]:
        """Yield what is left, at most so many bytes of it."""
        while most and (block := self.read(min(BLOCK, most))):
            most -= len(block)
            yield block


@contextmanager
def opened(path: Path, largest: int) -> Iterator[Content]:
    """Open a file, plain or gzip, which its first two bytes tell apart; no more than `largest` bytes are read.

    Raises
    ------
    InputError
        If it cannot be read, or more of it is asked for; with the path.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets.content import opened
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "text"
    ...     _ = path.write_bytes(b"plain")
    ...     with opened(path, largest=10) as content:
    ...         b"".join(content.blocks())
    b'plain'
    """
    with files.opened(path, "a readable plain or gzip file") as file:
        yield Content(path, file, largest)


RECORD = 512
SIZE = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
WITHOUT_DATA = b"123456"
"""Types of members: links, devices, folders, pipes."""
FILE = b"0\x007"
PAX, SPARSE = b"xg", b"S"
LONGEST_PAX = 2**16
MOST_MEMBERS = 1000
"""The publishers' archives have less than twenty."""


def read_members(path: Path, folder: str, largest: Mapping[str, int]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the bytes of some files in an archive's folder, in the order of `largest`.

    The archive is read to its end, where its checksum is, but nothing else of it is kept. What the publishers' archives
    do not have is not read: sparse files, and sizes that stand elsewhere than in a member's header.

    Parameters
    ----------
    path : Path
        A tar archive, plain or gzip.
    folder : str
        Only files just below it count.
    largest : mapping from str to int
        Names, and the most bytes that each may have.

    Raises
    ------
    InputError
        If the archive is damaged, or a file is missing, there twice or too large.

    Examples
    --------
    >>> import io, tarfile, tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets.content import read_members
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "archive.tar.gz"
    ...     with tarfile.open(path, "w:gz") as archive:
    ...         for name in ("inside/a.bin", "inside/b.bin"):
    ...             member = tarfile.TarInfo(name)
    ...             member.size = 3
    ...             archive.addfile(member, io.BytesIO(bytes([1, 2, 3])))
    ...     read_members(path, "inside", {"b.bin": 10})
    {'b.bin': array([1, 2, 3], dtype=uint8)}
    """

    def refuse(what: str) -> NoReturn:
        validate.reject_file(path, "a readable tar archive", what)

    found: dict[str, np.ndarray[Any, Any]] = {}
    with opened(path, LARGEST) as content:
        members = 0
        while any(header := content.read(RECORD)):
            members += 1
            if members > MOST_MEMBERS:
                refuse(f"more than {MOST_MEMBERS} members")
            name, kind, size = _member(header) or refuse(f"{header[:16]!r} where a file should begin")
            inside = name.removeprefix("./").removeprefix(f"{folder}/")
            after = -size % RECORD
            if kind in SPARSE:
                refuse(f"the sparse file {name!r}")
            if kind in WITHOUT_DATA:
                continue
            if size > content.possible:
                refuse(f"{size:,} bytes of {name!r} (truncated file)")
            if kind in PAX and size <= LONGEST_PAX:
                extension = content.read(size)
                if b"GNU.sparse" in extension or b" size=" in extension:
                    refuse("an extended header that changes sizes")
                size -= len(extension)
            elif kind in FILE and inside in largest and inside != name:
                if inside in found:
                    refuse(f"{name!r} twice")
                if size > largest[inside]:
                    validate.reject_file(f"{path}: {inside}", f"at most {largest[inside]:,} bytes", f"{size:,}")
                found[inside] = content.array(size)
                size -= len(found[inside])
            size += after
            if size != sum(map(len, content.blocks(size))):
                refuse(f"the end within {name!r} (truncated file)")
        if not header:
            refuse("no record that ends it (truncated file)")
        for _ in content.blocks():
            pass
    missing = [name for name in largest if name not in found]
    if missing:
        validate.reject_file(path, f"an archive with {', '.join(largest)}", f"no {', '.join(missing)}")
    return {name: found[name] for name in largest}


def _member(header: bytes) -> tuple[str, bytes, int] | None:
    """Return name, type and size of a member, or None if this is no header."""
    size, check = SIZE.fullmatch(header[124:136]), SIZE.fullmatch(header[148:156])
    if len(header) < RECORD or not size or not check:
        return None
    if sum(header) - sum(header[148:156]) + 8 * ord(" ") != int(check[1] or b"0", 8):
        return None
    name = header[:100].split(b"\0")[0].decode(errors="replace")
    prefix = header[345:500].split(b"\0")[0].decode(errors="replace")
    if header[257:263] == b"ustar\0" and prefix:
        name = f"{prefix}/{name}"
    return name, header[156:157], int(size[1] or b"0", 8)
