"""MAT-files of both levels: damaged ones and ones made to do harm are refused in one line, within little memory."""

import contextlib
import functools
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hostile import count_outcomes, damaged, peak

from meganet import DenseLayer
from meganet.datasets import load_cdr
from meganet.ground.validate import InputError
from meganet.interop import from_matlab, load_mat, save_mat, to_matlab
from meganet.layers.parameters import Parameters

LAYER = DenseLayer((2, 3, 4), 5, bias=True)
P = LAYER.parameters
WEIGHTS = np.random.default_rng(0).standard_normal(P.size)
COLUMN = to_matlab(P, WEIGHTS)
CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
CLASSES = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}
USER_BLOCK = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM" + bytes(384)


def element(order, code, data):
    """A tag and its data; in the tag if they fit there, as MATLAB does."""
    if 0 < len(data) <= 4:
        return struct.pack(f"{order}I", len(data) << 16 | code) + data.ljust(4, b"\0")
    return struct.pack(f"{order}2I", code, len(data)) + data + bytes(-len(data) % 8)


def variable(name, array, *, order="<", code=None, number=None, flags=0, shape=None, length=None):
    """An element of type miMATRIX, any field of which may lie."""
    kind = array.dtype.str[1:]
    shape = array.shape if shape is None else shape
    data = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
    content = element(order, 6, struct.pack(f"{order}2I", flags | (number or CLASSES[kind]), 0))
    content += element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape)) + element(order, 1, name.encode())
    real = element(order, code or CODES[kind], data)
    if length is not None:
        real = struct.pack(f"{order}2I", code or CODES[kind], length) + real[8:]
    return element(order, 14, content + real)


def packed(content, order="<"):
    squeezed = zlib.compress(content)
    return struct.pack(f"{order}2I", 15, len(squeezed)) + squeezed


def level_5(*variables, order="<"):
    version = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    return b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + version + b"".join(variables)


def by_scipy(**arguments):
    content = io.BytesIO()
    scipy.io.savemat(content, {"text": "abc", "cells": {"a": [1, "b"]}, "theta": COLUMN, "W": np.eye(2)}, **arguments)
    return content.getvalue()[128:]


def by_h5py(change=None, **arguments):
    """A file of version 7.3 with a dataset and what `change(file)` does to it."""
    import h5py

    content = io.BytesIO()
    options = {name: arguments.pop(name) for name in ("libver",) if name in arguments}
    with h5py.File(content, "w", userblock_size=512, **options) as file:
        data = file.create_dataset("theta", data=COLUMN.T, **arguments)
        data.attrs["MATLAB_class"] = np.bytes_("double")
        file.create_group("other")["a"] = np.arange(3)
        if change is not None:
            change(file)
    return USER_BLOCK + content.getvalue()[512:]


@functools.cache
def whole_files(hdf5):
    """Files as MATLAB, SciPy and h5py write them, by name."""
    if hdf5:
        return {
            "contiguous": by_h5py(),
            "chunks": by_h5py(chunks=(1, 16), compression="gzip", shuffle=True),
            "one chunk": by_h5py(chunks=(1, P.size), compression="gzip"),
            "latest": by_h5py(libver="latest", chunks=(1, 16), compression="gzip"),
            "extendable": by_h5py(chunks=(1, 1024), maxshape=(None, None)),
            "big-endian": by_h5py(dtype=">f8").replace(b"\x00\x02IM", b"\x02\x00MI", 1),
        }
    theta, integers = variable("theta", COLUMN), np.arange(P.size, dtype="u1")[None]
    swapped = variable("theta", COLUMN, order=">")
    return {
        "plain": level_5(variable("W1", np.eye(3)), theta),
        "packed": level_5(packed(variable("W1", np.eye(3))), packed(theta)),
        "big-endian": level_5(swapped, order=">"),
        "packed big-endian": level_5(packed(swapped, ">"), order=">"),
        "integers": level_5(packed(variable("theta", integers, number=6))),
        "scipy": level_5(by_scipy()),
        "scipy packed": level_5(by_scipy(do_compression=True)),
        "short name": level_5(variable("t", np.float32([[3]])), variable("theta", COLUMN.astype("f4"))),
    }


def expected(name):
    column = {"integers": np.arange(P.size), "short name": COLUMN.astype("f4")}.get(name, COLUMN)
    return from_matlab(P, column)


@pytest.fixture
def mat(tmp_path):
    """Return weights read from content."""

    def read(content, names=("theta",), dtype="float64"):
        path = tmp_path / "w.mat"
        path.write_bytes(content)
        return load_mat(path, dict.fromkeys(names, P), dtype)[names[0]]

    return read


@pytest.mark.parametrize("hdf5", [False, True])
def test_whole_files(mat, hdf5):
    pytest.importorskip("h5py", reason="needs the extra matlab") if hdf5 else None
    for name, content in whole_files(hdf5).items():
        np.testing.assert_array_equal(mat(content), expected(name), err_msg=name)


def trial(seed, folder):
    """Damage a file, read it, and say what came of it."""
    rng = random.Random(seed)
    hdf5 = bool(seed % 2)
    name, content = rng.choice(list(whole_files(hdf5).items()))
    start = 128 if rng.random() < 0.9 else 0
    if name in ("packed", "integers") and rng.random() < 0.7:
        # what is compressed is damaged before it is
        inner = variable("theta", COLUMN)
        content = level_5(packed(damaged(inner[:80], rng) + inner[80:] if rng.random() < 0.5 else damaged(inner, rng)))
    else:
        content = content[:start] + damaged(content[start:], rng)
    path = folder / f"damaged-{seed % 2}.mat"
    path.write_bytes(content)
    try:
        found = load_mat(path, {"theta": P})["theta"]
    except InputError as error:
        assert str(path) in str(error) and str(error).isprintable(), error
        return f"refused {'7.3' if hdf5 else '5'}"
    assert found.shape == (P.size,) and found.dtype == np.float64
    same = np.array_equal(found, expected(name))
    return f"{'read as it was' if same else 'read, changed'} {'7.3' if hdf5 else '5'}"


def test_damaged_files(tmp_path, trials):
    pytest.importorskip("h5py", reason="needs the extra matlab")
    n = trials(800)
    counts = count_outcomes(__file__, n, tmp_path)
    print(counts)
    assert sum(counts.values()) == n and counts["refused 5"] > n / 5 and counts["refused 7.3"] > n / 8


FLIPS = [name for name in whole_files(False) if "packed" in name or name == "integers"]


@pytest.mark.parametrize("name", FLIPS)
def test_a_flipped_bit_of_compressed_weights_is_noticed(mat, name, trials, rng):
    """The data carry a checksum; bits of the header's text and of other variables may be anything."""
    content, n = whole_files(False)[name], trials(300)
    for place in rng.integers(0, 8 * len(content), n):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(mat(bytes(changed)), expected(name))


def test_every_bit_of_the_tags(mat):
    """Of an uncompressed file only the numbers themselves can change unseen."""
    content = whole_files(False)["plain"]
    first = len(level_5(variable("W1", np.eye(3))))
    data = content.index(COLUMN.tobytes())
    for bit in [*range(124 * 8, 128 * 8), *range(first * 8, data * 8)]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(mat(bytes(changed)), WEIGHTS, err_msg=f"bit {bit}")


@pytest.mark.parametrize("stored", CODES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_types_and_classes(mat, tmp_path, stored, order):
    """A double may be stored as an integer; nothing else is read as a type that it is not."""
    column = np.arange(P.size).astype(stored)[:, None]
    for kind, number in CLASSES.items():
        content = level_5(packed(variable("theta", column, order=order, number=number), order), order=order)
        may = stored == kind or (kind[0] == "f" and stored[0] in "iu" and int(stored[1]) < int(kind[1]))
        may = may or (stored, kind) == ("f4", "f8")
        may = may or (kind[0] in "iu" and stored[0] in "iu" and np.can_cast(stored, kind))
        if may:
            np.testing.assert_array_equal(to_matlab(P, mat(content)), column)
            np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "w.mat")["theta"], column)
        else:
            with pytest.raises(InputError, match=f"path: expected {P.size} numbers of the variable 'theta' of class"):
                mat(content)


LIES = {
    "text": ({"number": 4}, "expected 125 real numbers in the variable 'theta', got 125 of char"),
    "sparse": ({"number": 5}, "got 125 of sparse"),
    "cell": ({"number": 1}, "got 125 of cell"),
    "function": ({"number": 16}, "got 125 of function handle"),
    "logical": ({"flags": 0x200}, "got 125 of logical"),
    "complex": ({"flags": 0x800}, "vector: expected real numbers, got complex128 as 'theta'"),
    "class 0": ({"number": 256}, "got a variable of class 0"),
    "class 200": ({"number": 200}, "got a variable of class 200"),
    "a type that is none": ({"code": 8}, "expected 125 numbers of the variable 'theta' of class double, got 1,000"),
    "more than there is": ({"shape": (2**31 - 1, 2**31 - 1)}, "expected 125 real numbers"),
    "negative": ({"shape": (-5, -25)}, "a variable of shape"),
    "one axis": ({"shape": (125,)}, "a variable of shape"),
    "many axes": ({"shape": (1,) * 64 + (125,)}, "260 bytes where there may be 256"),
    "a data size of 4 GB": ({"length": 2**32 - 8}, "got 4,294,967,288 bytes of type 9"),
    "a data size that is too small": ({"length": 992}, "got 992 bytes"),
}


@pytest.mark.parametrize(("fields", "message"), LIES.values(), ids=LIES)
@pytest.mark.parametrize("wrap", [packed, lambda content: content])
def test_fields_that_lie(mat, fields, message, wrap):
    assert P.size == 125
    with pytest.raises(InputError, match=message):
        mat(level_5(wrap(variable("theta", COLUMN, **fields))))


def test_objects_are_named_and_others_passed_over(mat):
    """As MATLAB stores strings, tables and arrays of toolboxes: a class without a shape."""
    opaque = element("<", 6, struct.pack("<2I", 17, 0)) + element("<", 1, b"theta") + element("<", 1, b"MCOS")
    opaque = element("<", 14, opaque + variable("", np.zeros((6, 1), "u4")))
    with pytest.raises(InputError, match="expected 125 real numbers in the variable 'theta', got 1 of object"):
        mat(level_5(opaque))
    nested = b""
    for _ in range(1000):
        nested = element("<", 14, nested[: 2**16])
    other = opaque.replace(b"theta", b"table")
    deep = element("<", 14, variable("cells", np.zeros((1, 1)), number=1)[8:] + nested)
    np.testing.assert_array_equal(mat(level_5(other, deep, packed(other), variable("theta", COLUMN))), WEIGHTS)


def test_twice_and_trailing_bytes(mat):
    theta = variable("theta", COLUMN)
    with pytest.raises(InputError, match="expected one variable 'theta', got two"):
        mat(level_5(theta, packed(theta)))
    with pytest.raises(InputError, match="expected a MAT-file that is whole, got 5 bytes behind the last element"):
        mat(level_5(theta) + b"12345")
    for content in (zlib.compress(theta + b"12345678"), zlib.compress(theta) + b"1", zlib.compress(theta)[:-1]):
        with pytest.raises(InputError, match="whose size is not that of its data|end too early"):
            mat(level_5(struct.pack("<2I", 15, len(content)) + content))


@pytest.mark.parametrize("hdf5", [False, True])
def test_bombs_take_no_memory(mat, tmp_path, hdf5):
    """Zeros that unfold to 16 MB, as another number of weights and as the right one."""
    many = np.zeros((1, 2 * 10**6))
    if hdf5:
        pytest.importorskip("h5py", reason="needs the extra matlab")

        def replace(file):
            del file["theta"]
            file.create_dataset("theta", data=many, chunks=(1, 10**6), compression="gzip")

        claims, lies = by_h5py(replace), None
    else:
        claims = level_5(packed(variable("theta", many)))
        lies = level_5(packed(variable("theta", many, shape=COLUMN.shape)))

    def refused(content):
        with pytest.raises(InputError, match="path: expected 125 "):
            mat(content)

    refused(claims)  # what is imported first is not counted
    for content in filter(None, (claims, lies)):
        assert peak(lambda c=content: refused(c)) < 2**20


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_memory_of_true_files(tmp_path, version):
    """Twice the weights, one of which is the result."""
    pytest.importorskip("h5py", reason="needs the extra matlab") if version == "7.3" else None
    parameters = DenseLayer((999,), 2000, bias=True).parameters
    path, weights = tmp_path / "w.mat", np.zeros(parameters.size)
    save_mat(path, {"theta": (parameters, weights)}, version=version)
    contents = [path.read_bytes()]
    if version == "5":
        contents.append(level_5(packed(contents[0][128:])))
        contents.append(level_5(packed(variable("theta", np.zeros((weights.size, 1), "u1"), number=6))))
    else:
        import h5py

        with h5py.File(path, "w", userblock_size=512) as file:
            options = {"chunks": (1, 10**4), "compression": "gzip", "shuffle": True}
            file.create_dataset("theta", data=weights[None], **options)
        contents.append(USER_BLOCK + path.read_bytes()[512:])
    for content in contents:
        path.write_bytes(content)
        assert peak(lambda: load_mat(path, {"theta": parameters})) < 2.1 * weights.nbytes


class TestHdf5:
    """Files of version 7.3 that would have their reader do more than read them."""

    @pytest.fixture(autouse=True)
    def _needs(self):
        pytest.importorskip("h5py", reason="needs the extra matlab")

    def refused(self, mat, message, change):
        with pytest.raises(InputError, match=message) as error:
            mat(by_h5py(change))
        assert str(error.value).isprintable()

    def test_data_in_other_files(self, mat, tmp_path):
        import h5py

        secret = tmp_path / "secret"
        secret.write_bytes(COLUMN.tobytes())
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["theta"] = COLUMN.T

        def external(file):
            del file["theta"]
            file.create_dataset("theta", shape=(1, 125), dtype="f8", external=[(str(secret), 0, 1000)])

        def virtual(file):
            del file["theta"]
            layout = h5py.VirtualLayout((1, 125), "f8")
            layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "theta", (1, 125))
            file.create_virtual_dataset("theta", layout)

        def linked(link):
            def change(file):
                file.move("theta", "there")
                file["theta"] = link

            return change

        expected = "expected the variable 'theta' in the file itself, got"
        self.refused(mat, f"{expected} data in other files", external)
        self.refused(mat, f"{expected} data in other files", virtual)
        self.refused(mat, f"{expected} a link", linked(h5py.ExternalLink(str(tmp_path / "other.h5"), "/theta")))
        self.refused(mat, f"{expected} a link", linked(h5py.SoftLink("/there")))
        self.refused(mat, f"{expected} a link", linked(h5py.SoftLink("/nowhere")))

    def test_attributes_that_disagree(self, mat):
        def with_attributes(**attributes):
            def change(file):
                for name, value in attributes.items():
                    file["theta"].attrs[name] = value

            return change

        for value in (3, [b"double", b"char"], np.zeros(1000), "double", np.bytes_("d" * 100)):
            self.refused(mat, "'theta' with MATLAB_class as MATLAB writes it", with_attributes(MATLAB_class=value))
        for value in ("yes", [1, 0], 0.5, b"1"):
            self.refused(mat, "'theta' with MATLAB_empty as MATLAB writes it", with_attributes(MATLAB_empty=value))
        for kind in ("char", "logical", "cell", "string", "function_handle", "\xff", "doub\nle\x1b[2J"):
            message = "expected 125 real numbers in the variable 'theta', got 125 of "
            self.refused(mat, message, with_attributes(MATLAB_class=np.bytes_(kind.encode("latin1"))))
        for kind in ("single", "int32", "uint64"):
            message = f"got 125 of {kind}, stored as double"
            self.refused(mat, message, with_attributes(MATLAB_class=np.bytes_(kind)))
        self.refused(mat, "expected 125 real numbers.*got 0 of double", with_attributes(MATLAB_empty=np.uint8(1)))
        np.testing.assert_array_equal(mat(by_h5py(with_attributes(MATLAB_empty=np.uint8(0)))), WEIGHTS)

    def test_other_types(self, mat):
        def stored_as(data, **attributes):
            def change(file):
                del file["theta"]
                file["theta"] = data
                for name, value in attributes.items():
                    file["theta"].attrs[name] = value

            return change

        for data in (np.ones((1, 125), bool), np.array([b"a"] * 125), ["a"] * 125, np.ones(125, "f2"), b"text"):
            self.refused(mat, "expected 125 real numbers in the variable 'theta', got", stored_as(data))
        self.refused(mat, "got 125 of char", stored_as(np.ones((1, 125), "u2"), MATLAB_class=np.bytes_("char")))
        for dtype in ("f4", "i1", "u8"):
            column = np.arange(125).astype(dtype)
            np.testing.assert_array_equal(to_matlab(P, mat(by_h5py(stored_as(column))))[:, 0], column)

        self.refused(mat, "got 125 of >f8", stored_as(np.ones((1, 125), ">f8")))

        def group(file):
            file.move("theta", "there")
            file.create_group("theta")

        self.refused(mat, "got 1 of struct", group)

        def sparse(file):
            group(file)
            file["theta"].attrs["MATLAB_sparse"] = np.uint64(3)

        self.refused(mat, "got 1 of sparse", sparse)

    def test_filters_and_chunks(self, mat):
        def stored(**options):
            def change(file):
                del file["theta"]
                file.create_dataset("theta", **{"data": COLUMN.T, **options})

            return change

        for options in (
            {"fletcher32": True},
            {"scaleoffset": 3, "data": np.ones((1, 125), int)},
            {"compression": "lzf"},
        ):
            message = "'theta' uncompressed or with deflate, got filter"
            self.refused(mat, message, stored(chunks=(1, 25), **options))
        self.refused(mat, "in 1 chunks, got 1 of 8,000,000 bytes", stored(chunks=(1, 10**6), maxshape=(1, None)))
        self.refused(mat, "in 5 chunks, got 0", stored(data=None, shape=(1, 125), dtype="f8", chunks=(1, 25)))
        # space that was never allocated
        self.refused(mat, "with 1,000 bytes of data, got 0", stored(data=None, shape=(1, 125), dtype="f8"))

        def bomb(content, mask=0):
            def change(file):
                del file["theta"]
                data = file.create_dataset("theta", shape=(1, 125), dtype="f8", chunks=(1, 125), compression="gzip")
                data.id.write_direct_chunk((0, 0), content, mask)

            return change

        squeezed = zlib.compress(COLUMN.tobytes())
        np.testing.assert_array_equal(mat(by_h5py(bomb(squeezed))), WEIGHTS)
        for mask in (1, 2):
            self.refused(mat, "in chunks with all filters, got one without", bomb(squeezed, mask))
        for content in (zlib.compress(bytes(900_000)), zlib.compress(bytes(999)), squeezed + b"x", squeezed[:-1]):
            self.refused(mat, "in chunks of 1,000 bytes, got compressed data of another size", bomb(content))
        self.refused(mat, "MAT-file of version 7.3|in chunks of", bomb(b"\xff" + squeezed[1:]))


class TestWhatIsWritten:
    """What `save_mat` writes, `load_mat` reads, to the bit."""

    @pytest.mark.parametrize("version", ["5", "7.3"])
    def test_to_the_bit(self, tmp_path, version, dtype):
        pytest.importorskip("h5py", reason="needs the extra matlab") if version == "7.3" else None
        bits = np.random.default_rng(1).integers(0, 256, P.size * dtype.itemsize).astype(np.uint8)
        strange = bits.view(dtype).copy()
        strange[:4] = [np.nan, np.inf, -np.inf, -0.0]
        strided = np.zeros((P.size, 2), dtype)
        strided[:, 1] = strange
        none = Parameters([])
        weights = {"a": (P, strange), "B" * 63: (P, strided[:, 1]), "x_1": (P, np.zeros(P.size, dtype))}
        weights["e"] = (none, np.zeros(0, dtype))
        weights["swapped"] = (P, strange.astype(dtype.newbyteorder()))
        save_mat(tmp_path / "w.mat", weights, version=version)
        found = load_mat(tmp_path / "w.mat", {name: p for name, (p, _) in weights.items()}, dtype)
        for name in ("a", "B" * 63, "swapped"):
            assert found[name].tobytes() == strange.tobytes() and found[name].dtype == dtype, name
        assert found["e"].shape == (0,) and not found["x_1"].any()

    def test_what_is_refused(self, tmp_path, monkeypatch):
        path = tmp_path / "w.mat"
        for vector in (WEIGHTS + 1j, WEIGHTS.astype("f2"), np.ones(P.size, int), np.array(["a"] * P.size)):
            with pytest.raises(InputError, match=r"weights\['theta'\]: expected float32 or float64, got"):
                save_mat(path, {"theta": (P, vector)})
        monkeypatch.setattr("meganet._matlab.LARGEST_5", 1000)
        with pytest.raises(
            InputError, match="version: expected '7.3' for 2 GB or more in the variable 'theta', got '5'"
        ):
            save_mat(path, {"theta": (P, WEIGHTS)})
        with pytest.raises(InputError, match="path: expected a file that can be written, got"):
            save_mat(tmp_path, {})
        assert not list(tmp_path.iterdir())

    def test_values_beyond_the_range_of_float32(self, mat):
        column = COLUMN.copy()
        column[3] = 1e200
        with pytest.raises(InputError, match="dtype: expected float64 for weights as large as these, got float32"):
            mat(level_5(variable("theta", column)), dtype="float32")
        column[3] = np.inf
        assert np.isinf(mat(level_5(variable("theta", column)), dtype="float32")).sum() == 1


def test_convection_diffusion_reaction_is_read_by_the_same_reader(tmp_path):
    y, c = np.ones((5, 8)), np.arange(56, dtype="u1").reshape(7, 8)
    path = tmp_path / "CDR_Data.mat"
    good = level_5(packed(variable("Y", y)), variable("C", c, number=6))
    path.write_bytes(good)
    data = load_cdr(path)
    np.testing.assert_array_equal(data.targets, c.T)
    assert data.targets.dtype == np.float64
    for content, message in (
        (good[:-8], "expected a MAT-file that is whole"),
        (good[:60], "expected a MAT-file of level 5"),
        (level_5(variable("Y", y, code=8), variable("C", c)), "40 numbers of the variable 'Y'"),
        (level_5(variable("Y", y, number=4)), "matrices Y and C of real numbers, got Y of char"),
        (level_5(variable("Y", y, shape=(2**31 - 1, 2**20))), "got Y of double and shape"),
        (level_5(variable("Y", y, shape=(2, 4, 5))), "got Y of double and shape"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_cdr(path)


def test_real_files_of_matlab():
    """SciPy brings files that MATLAB 5 to 8 wrote on several machines."""
    folder = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
    read = 0
    for path in sorted(folder.glob("*double_*.mat")) + sorted(folder.glob("*matrix_*.mat")):
        if "_4.2c" in path.name:
            with pytest.raises(InputError, match="expected a MAT-file of level 5 or 7.3"):
                load_mat(path, {"theta": P})
            continue
        name = path.name.split("_")[0]
        theirs = scipy.io.loadmat(path)[name]
        vector = DenseLayer((theirs.size,), 1, bias=False).parameters
        ours = load_mat(path, {name: vector})[name]
        np.testing.assert_array_equal(ours, theirs.ravel(order="F"))
        read += 1
    assert read or not folder.is_dir()
