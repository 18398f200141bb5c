"""Matrices of real numbers from MAT-files of version 7.3, which are HDF5 files.

HDF5 files may send their reader to other files, run plugins, and decompress to any size. So the library only says where
the data are; it reads them itself only where their size in the file is that in memory, and compressed data are
decompressed here.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from meganet.ground import validate
from meganet.ground.files import BLOCK
from meganet.ground.mat5 import NUMBERS, Check

DEFLATE, SHUFFLE = 1, 2
SMALL = 2**20
"""Chunks may have so many bytes if the data have less."""
FOREIGN = (OSError, ValueError, TypeError, RuntimeError, KeyError, zlib.error)
"""What h5py and zlib raise for damaged files."""


def require_h5py() -> Any:
    """Return the module h5py, or say how to get it."""
    try:
        import h5py
    except ModuleNotFoundError:
        validate.reject("version", "h5py for MAT-files of version 7.3 (pip install 'meganet[matlab]')", "none")
    return h5py


def read_mat73(path: Path, names: Collection[str], check: Check) -> dict[str, np.ndarray[Any, Any]]:
    """Return those of the variables that the file has; arguments and errors are those of `read_mat5`."""
    h5py = require_h5py()
    try:
        with open(path, "rb") as start:
            order: Literal["<", ">"] = ">" if start.read(128).endswith(b"MI") else "<"
        with h5py.File(path, "r") as file:
            present = [name for name in names if file.id.links.exists(name.encode())]
            return {name: _Dataset(h5py, path, order, file, name).read(check) for name in present}
    except validate.InputError:
        raise
    except FOREIGN as error:
        validate.reject("path", "a MAT-file of version 7.3", f"{path} ({error})")


class _Dataset:
    """A variable in an HDF5 file."""

    def __init__(self, h5py: Any, path: Path, order: Literal["<", ">"], file: Any, name: str) -> None:
        self.h5py, self.path, self.order, self.name = h5py, path, order, name
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            self.reject("in the file itself", "a link to somewhere else")
        self.id: Any = h5py.h5o.open(file.id, name.encode())

    def reject(self, expected: str, got: str) -> NoReturn:
        validate.reject("path", f"the variable {self.name!r} {expected}", f"{got} ({self.path})")

    def read(self, check: Check) -> np.ndarray[Any, Any]:
        """Return the numbers in the shape they have in MATLAB."""
        h5py = self.h5py
        if not isinstance(self.id, h5py.h5d.DatasetID):
            check(self.name, "sparse" if h5py.h5a.exists(self.id, b"MATLAB_sparse") else "struct", ())
            self.reject("as numbers", "something else")
        shape, dtype = self.id.shape, self.dtype()
        stored = next((k for k, number in NUMBERS.items() if dtype and number == dtype.newbyteorder("=")), None)
        kind = self.attribute("MATLAB_class", "S", stored or str(self.id.dtype))
        # an empty array is stored as its sizes, which are not of its class
        if shape is None or self.attribute("MATLAB_empty", "iu", 0):
            shape, dtype = (0, 0), NUMBERS.get(kind)
        elif kind in NUMBERS and kind != stored:
            kind = f"{kind}, stored as {stored or self.id.dtype},"
        check(self.name, kind, shape[::-1])
        array = np.empty(shape, dtype)
        if array.size:
            self.fill(array)
        return array.T

    def dtype(self) -> np.dtype[Any] | None:
        """Return the type if it is one of MATLAB's numbers to the bit, in the byte order that the file names."""
        stored, numbers = self.id.get_type(), [number.newbyteorder(self.order) for number in NUMBERS.values()]
        return next((d for d in numbers if stored.equal(self.h5py.h5t.py_create(d))), None)

    def attribute(self, name: str, kinds: str, default: Any) -> Any:
        """Return an attribute: one number, or text of fixed length."""
        if not self.h5py.h5a.exists(self.id, name.encode()):
            return default
        stored = self.h5py.h5a.open(self.id, name.encode())
        if stored.shape not in ((), (1,)) or stored.dtype.kind not in kinds or stored.dtype.itemsize > 64:
            self.reject(f"with {name} as MATLAB writes it", f"{stored.dtype} of shape {stored.shape}")
        value = np.empty(stored.shape, stored.dtype)
        stored.read(value)
        item = value.item()
        return item.decode(errors="replace") if isinstance(item, bytes) else item

    def fill(self, array: np.ndarray[Any, Any]) -> None:
        """Read the data into an array of their shape and type."""
        h5d, plist = self.h5py.h5d, self.id.get_create_plist()
        layout = plist.get_layout()
        if plist.get_external_count() or layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED):
            self.reject("in the file itself", "data in other files")
        if layout == h5d.CHUNKED:
            self.fill_chunks(array, plist)
        elif self.id.get_storage_size() != array.nbytes:
            self.reject(f"with {array.nbytes:,} bytes of data", f"{self.id.get_storage_size():,}")
        else:
            self.id.read(self.h5py.h5s.ALL, self.h5py.h5s.ALL, array)

    def fill_chunks(self, array: np.ndarray[Any, Any], plist: Any) -> None:
        sizes, filters = plist.get_chunk(), [plist.get_filter(k) for k in range(plist.get_nfilters())]
        other = [f"filter {code} ({name!r})" for code, _, _, name in filters if code not in (DEFLATE, SHUFFLE)]
        if other:
            self.reject("uncompressed or with deflate", ", ".join(other))
        whole = math.prod(sizes) * array.itemsize
        grid = [range(0, n, size) for n, size in zip(array.shape, sizes, strict=True)]
        count = math.prod(map(len, grid))
        if whole > max(array.nbytes, SMALL) or self.id.get_num_chunks() != count:
            self.reject(f"in {count:,} chunks", f"{self.id.get_num_chunks():,} of {whole:,} bytes")
        for corner in itertools.product(*grid):
            chunk = self.chunk(corner, whole, [code for code, *_ in filters], array.itemsize)
            inside = tuple(slice(c, c + size) for c, size in zip(corner, sizes, strict=True))
            part = array[inside]
            part[...] = chunk.view(array.dtype).reshape(sizes)[tuple(slice(n) for n in part.shape)]

    def chunk(self, corner: tuple[int, ...], whole: int, filters: list[int], itemsize: int) -> np.ndarray[Any, Any]:
        """Return the bytes of one chunk as they were before the filters."""
        stored = self.id.get_chunk_info_by_coord(corner)
        # a byte in 1,000 is more than deflate adds to what it cannot compress
        fits = 0 < stored.size <= whole + whole // 1000 + 64 if filters else stored.size == whole
        if stored.byte_offset is None or not fits:
            self.reject(f"in chunks of {whole:,} bytes", f"{stored.size:,}")
        # MATLAB leaves none out, and one bit of the mask would give other numbers
        if stored.filter_mask:
            self.reject("in chunks with all filters", f"one without some of them (mask {stored.filter_mask:#x})")
        _, packed = self.id.read_direct_chunk(corner)
        data = np.frombuffer(packed, np.uint8)
        del packed
        for code in reversed(filters):
            data = self.inflated(data, whole) if code == DEFLATE else data
            if data.size == whole and code == SHUFFLE:
                data = data.reshape(itemsize, -1).T.ravel()
        if data.size != whole:
            self.reject(f"in chunks of {whole:,} bytes", f"{data.size:,}")
        return data

    def inflated(self, packed: np.ndarray[Any, Any], whole: int) -> np.ndarray[Any, Any]:
        """Return compressed bytes as so many, neither more nor less."""
        inflate, data, done = zlib.decompressobj(), np.empty(whole, np.uint8), 0
        rest: Any = packed
        while not inflate.eof:
            block = inflate.decompress(rest, BLOCK)
            rest = inflate.unconsumed_tail
            if len(block) > whole - done or not (block or inflate.eof):
                break
            data[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
        if not inflate.eof or done != whole or inflate.unused_data:
            self.reject(f"in chunks of {whole:,} bytes", "compressed data of another size")
        return data
