"""NPZ files: whatever is wrong is one line with the path, and memory is bounded by what was expected."""

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from meganet.ground.npz import Expected, read_npz, write_npz
from meganet.ground.validate import InputError

EXPECTED = {
    "x": Expected("float32", (50,)),
    "memory0": Expected("float64", (3, None), largest=240, optional=True),
    "memory1": Expected("float64", (3, None), largest=240, optional=True),
    "epoch": Expected("int64"),
    "history": Expected("str", largest=4000),
}


@pytest.fixture
def arrays(rng):
    return {
        "x": rng.standard_normal(50).astype(np.float32),
        "memory0": np.asfortranarray(rng.standard_normal((3, 4))),
        "epoch": np.array(7),
        "history": np.array("iteration,f\n0,1.0\n"),
    }


def same(read, arrays):
    return read.keys() == arrays.keys() and all(
        read[n].dtype == a.dtype and read[n].shape == a.shape and np.array_equal(read[n], a) for n, a in arrays.items()
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_read_and_written(tmp_path, arrays, compressed):
    path = tmp_path / "state.npz"
    path.write_bytes(write_npz(arrays, compressed=compressed))
    assert same(read_npz(path, EXPECTED), arrays)
    assert write_npz(arrays, compressed=compressed) == path.read_bytes()
    with np.load(path) as stored:
        assert same(stored, arrays)
    swapped = {n: a.astype(a.dtype.newbyteorder()) for n, a in arrays.items()}
    path.write_bytes(write_npz({"memory1": np.zeros((3, 0)), **swapped}, compressed=compressed))
    assert same(read_npz(path, EXPECTED), {"memory1": np.zeros((3, 0)), **arrays})
    assert all(a.flags.writeable for a in read_npz(path, EXPECTED).values())


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_noticed_or_without_effect(tmp_path, arrays, compressed, trials, rng):
    """Flipped bits, changed bytes, cuts, insertions and repeated blocks."""
    path, good = tmp_path / "state.npz", write_npz(arrays, compressed=compressed)
    refused, n = 0, trials(600)
    for k in range(n):
        content, place = bytearray(good), int(rng.integers(len(good)))
        match k % 5:
            case 0:
                content[place] ^= 1 << int(rng.integers(8))
            case 1:
                content[place] = int(rng.choice([0, 1, 127, 255]))
            case 2:
                del content[place:]
            case 3:
                content[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case _:
                content[place:place] = content[max(place - 64, 0) : place]
        path.write_bytes(content)
        try:
            assert same(read_npz(path, EXPECTED), arrays), (k, place)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and str(error).isprintable()
    assert refused > n / 2


def member(text, data=b"", version=b"\x01\x00"):
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def header(descr="<f4", shape="(50,)", order="False"):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


FORGED = {
    "claims much": (member(header(shape="(400000000,)")), r"float32 of shape \(50,\), got float32 of shape \(4000"),
    "claims more than fits a word": (member(header(shape=f"({10**17}, {10**17})")), "float32 of shape"),
    "too few bytes": (member(header(), bytes(199)), "200 bytes of the array 'x', got 199 bytes"),
    "too many bytes": (member(header(), bytes(201)), "200 bytes of the array 'x', got 201 bytes"),
    "another dtype": (member(header("<f8", "(25,)"), bytes(200)), "got float64 of shape"),
    "objects": (member(header("|O"), bytes(400)), "NumPy header of numbers or text"),
    "fields": (
        member(header("<f4").replace(b"'<f4'", b"[('a', '<f4')]"), bytes(200)),
        "NumPy header of numbers or text",
    ),
    "no dtype": (member(header("<f3"), bytes(150)), "NumPy header of numbers or text"),
    "text without length": (member(header("<U0", "(50,)")), "float32 of shape"),
    "text beyond all length": (member(header("<U9999999999", "()")), "NumPy header of numbers or text"),
    "nested brackets": (member(b"(" * 1000), "NumPy header of numbers or text"),
    "an expression": (member(header(shape="(9**9**9,)")), "NumPy header of numbers or text"),
    "a number of many digits": (member(header(shape="(" + "9" * 800 + ",)")), "NumPy header of numbers or text"),
    "negative": (member(header(shape="(-1,)")), "NumPy header of numbers or text"),
    "no text": (member(b"\xff\xfe" * 20), "NumPy header of numbers or text"),
    "no header": (b"", "NumPy header of numbers or text"),
    "another version": (member(header(), bytes(200), b"\x09\x00"), "NumPy header of numbers or text"),
}


@pytest.mark.parametrize(("content", "message"), FORGED.values(), ids=FORGED)
def test_forged_headers(tmp_path, content, message):
    path, packed = tmp_path / "x.npz", io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", content)
    path.write_bytes(packed.getvalue())
    with pytest.raises(InputError, match=message) as error:
        read_npz(path, {"x": EXPECTED["x"]})
    assert str(error.value).startswith(f"{path}: expected ")


def test_text_that_is_none(tmp_path):
    path = tmp_path / "t.npz"
    for code in (0x110000, 0xD800, 0xFFFFFFFF):
        path.write_bytes(write_npz({"t": np.array([code], np.uint32).view("U1").reshape(())}))
        with pytest.raises(InputError, match="expected text in the array 't'"):
            read_npz(path, {"t": Expected("str", largest=100)})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("x.npy", "y.npy"), "expected an NPZ file of 1 arrays, got 2 members"),
        (("y.npy",), "expected the arrays 'x', got 'y'"),
        (("x",), "expected the arrays 'x', got 'x'"),
        ((), "expected the arrays 'x', got none"),
    ],
)
def test_other_arrays(tmp_path, names, message):
    path, packed = tmp_path / "x.npz", io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, member(header(), bytes(200)))
    path.write_bytes(packed.getvalue())
    with pytest.raises(InputError, match=message):
        read_npz(path, {"x": EXPECTED["x"]})


def test_the_same_bytes_as_two_arrays(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", member(header(), bytes(200)))
        archive.filelist.append(archive.filelist[0])
    (tmp_path / "x.npz").write_bytes(packed.getvalue())
    with pytest.raises(InputError, match="expected the arrays 'x', 'y', got 'x', 'x'"):
        read_npz(tmp_path / "x.npz", dict.fromkeys("xy", EXPECTED["x"]))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_numpy_does_not_write(tmp_path, method):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("x.npy", member(header(), bytes(200)))
    (tmp_path / "x.npz").write_bytes(packed.getvalue())
    with pytest.raises(InputError, match="as NumPy writes it"):
        read_npz(tmp_path / "x.npz", {"x": EXPECTED["x"]})


def test_bombs_take_no_memory(tmp_path):
    """A megabyte that unfolds to a gigabyte; a list of members that is longer than the file may be."""
    path, packed = tmp_path / "bomb.npz", io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as stream:
        stream.write(member(header(shape="(16000000,)")))
        for _ in range(64):
            stream.write(bytes(10**6))
    bomb, packed = packed.getvalue(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for k in range(2000):
            archive.writestr(f"{k}.npy", b"")
    # the record at the end lies about the number of members
    many = packed.getvalue()
    few = many[:-14] + struct.pack("<2H", 1, 1) + many[-10:]
    for content in (bomb, many, few):
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(InputError, match=str(path)):
            read_npz(path, {"x": EXPECTED["x"]})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 300_000


def test_memory_of_a_true_file(tmp_path):
    path = tmp_path / "x.npz"
    for compressed in (False, True):
        path.write_bytes(write_npz({"x": np.ones(2_000_000)}, compressed=compressed))
        tracemalloc.start()
        read_npz(path, {"x": Expected("float64", (2_000_000,))})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.1 * 16e6


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, got in ((tmp_path, "a folder"), (tmp_path / "pipe", "a folder or a device"), (tmp_path / "no", "none")):
        with pytest.raises(InputError, match=f"expected a file, got {got}"):
            read_npz(path, EXPECTED)
