"""CIFAR-10 in the packings that users have: archives and folders, binary and for Python, known by their content."""

import gzip
import hashlib
import io
import pickle
import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

import meganet
from meganet.cli import main
from meganet.datasets import CATALOGUE, load_cifar10
from meganet.datasets.sets import cifar10
from meganet.ground.validate import InputError

RECORDS = {
    name: np.random.default_rng(k).integers(0, 10, (2, 3073), np.uint8) for k, name in enumerate(cifar10.BATCHES)
}
TRAINING = np.concatenate([*RECORDS.values()][:-1])


def content(name, binary):
    records = RECORDS[name]
    return records.tobytes() if binary else pickled(records[:, 1:].tobytes(), records[:, 0].tolist(), name.encode())


def pickled(pixels, labels, name, last=b"."):
    """Return what Python 2 writes of such a dictionary."""
    words = {word: b"U" + bytes([len(word)]) + word for word in (b"batch_label", b"labels", b"data", name)}
    count = b"M" + struct.pack("<H", len(labels))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01"
        + count
        + b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNN"
        + 2 * b"J\xff\xff\xff\xff"
        + b"K\x00tb\x89T"
        + struct.pack("<I", len(pixels))
        + pixels
        + b"tb"
    )
    numbers = b"]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}q\x01("
        + words[b"batch_label"]
        + words[name]
        + words[b"labels"]
        + numbers
        + words[b"data"]
        + array
        + b"u"
        + last
    )


def pack(folder, binary, packed):
    """Write the files as a folder, plain archive or compressed archive; return the path of the first file."""
    inside, archive = (
        ("cifar-10-batches-bin", "cifar-10-binary.tar.gz")
        if binary
        else ("cifar-10-batches-py", "cifar-10-python.tar.gz")
    )
    contents = {f"{name}.bin" if binary else name: content(name, binary) for name in RECORDS}
    if packed == "folder":
        (folder / inside).mkdir(parents=True)
        for name, data in contents.items():
            (folder / inside / name).write_bytes(data)
        return folder / inside / next(iter(contents))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    level = {"best": 9, "fast": 1}.get(packed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / archive).write_bytes(stream.getvalue() if level is None else gzip.compress(stream.getvalue(), level))
    return folder / archive


@pytest.fixture
def published(monkeypatch):
    """Let the small files of this test be those that were published."""
    for name in RECORDS:
        monkeypatch.setitem(cifar10.BATCHES, name, f"md5:{hashlib.md5(content(name, False)).hexdigest()}")


@pytest.mark.parametrize("place", [".", "cifar-10"])
@pytest.mark.parametrize("packed", ["folder", "plain", "fast", "best"])
@pytest.mark.parametrize("binary", [True, False])
def test_every_packing_holds_the_same_images(tmp_path, monkeypatch, published, binary, packed, place):
    pack(tmp_path / place, binary, packed)
    monkeypatch.setattr(type(cifar10.CIFAR10), "fetch", lambda *a, **k: pytest.fail("a download starts"))
    for train, records in ((True, TRAINING), (False, RECORDS["test_batch"])):
        data = load_cifar10(tmp_path, train=train)
        np.testing.assert_array_equal(data.images.reshape(len(records), -1), records[:, 1:])
        assert data.labels.tolist() == records[:, 0].tolist()
    assert CATALOGUE["cifar-10"].where(tmp_path) == data.source and CATALOGUE["cifar-10"].whole(tmp_path)


def test_the_folder_itself_may_be_named(tmp_path, published):
    folder = pack(tmp_path, False, "folder").parent
    assert len(load_cifar10(folder)) == len(TRAINING)


@pytest.mark.parametrize("packed", ["folder", "plain", "best"])
def test_nothing_is_read_but_what_was_published(tmp_path, packed):
    pack(tmp_path, False, packed)
    with pytest.raises(InputError, match="data_batch_1: expected content with md5:c99cafc15.*, got md5:"):
        load_cifar10(tmp_path)


def test_batches_for_python_are_those_of_its_pickle():
    records = RECORDS["test_batch"]
    found = pickle.loads(content("test_batch", False), encoding="latin1")
    np.testing.assert_array_equal(found["data"], records[:, 1:])
    assert found["labels"] == records[:, 0].tolist()


class Trap:
    """Whoever unpickles it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


BATCH = pickled(bytes(2 * 3072), [3, 4], b"a name")
REFUSED = {
    "a trap": (lambda trap: pickle.dumps(trap, 2), "a pickle with GLOBAL '"),
    "a trap of another protocol": (lambda trap: pickle.dumps(trap), "a pickle with FRAME "),
    "a trap behind the batch": (
        lambda trap: pickled(bytes(6144), [3, 4], b"a name", b"0" + pickle.dumps(trap, 2)[2:]),
        "a pickle with GLOBAL '",
    ),
    "a trap of the oldest kind": (lambda trap: b"(S'touch trap'\nios\nsystem\n.", "a pickle with INST 'os system'"),
    "labels alone": (lambda trap: pickle.dumps({"labels": [3, 4]}, 2), "2 labels and strings of up to 6 bytes"),
    "too few labels": (
        lambda trap: pickled(bytes(6144), [3], b"a name"),
        "1 labels and strings of up to 6,144 bytes",
    ),
    "no label": (lambda trap: pickled(b"", [], b"a name"), "0 labels and strings of up to 34 bytes"),
    "two arrays": (lambda trap: BATCH[:-1] + b"0" + BATCH[2:], "4 labels and strings of up to 6,144 bytes"),
    "half a file": (lambda trap: BATCH[: len(BATCH) // 2], "a damaged one: expected 6144 bytes"),
    "no pickle": (lambda trap: b"\xff\xfe", "a damaged one: at position 0, opcode b'\\xff' unknown"),
    "nothing": (lambda trap: b"", "a damaged one: pickle exhausted before seeing STOP"),
    "another label": (lambda trap: pickled(bytes(6144), [3, 11], b"a name"), "labels 0 to 9, got 11"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_pickle_is_not_unpickled(tmp_path, monkeypatch, case):
    """Not even if its digest is the one that was published: nothing that it says is carried out."""
    monkeypatch.chdir(tmp_path)
    make, message = REFUSED[case]
    bad = make(Trap(tmp_path / "trap"))
    path = pack(tmp_path, False, "folder")
    (path.parent / "test_batch").write_bytes(bad)
    monkeypatch.setitem(cifar10.BATCHES, "test_batch", f"md5:{hashlib.md5(bad).hexdigest()}")
    monkeypatch.setattr(pickle, "loads", lambda *a, **k: pytest.fail("it is unpickled"))
    with pytest.raises(InputError) as caught:
        load_cifar10(tmp_path, train=False)
    assert message in str(caught.value) and "\n" not in str(caught.value) and not (tmp_path / "trap").exists()


def test_only_the_cache_of_compiled_loops_unpickles():
    package = Path(meganet.__file__).parent
    words = (
        r"^\s*(import|from) (pickle|_pickle|dill|marshal|shelve)\b|allow_pickle=True|(joblib|torch)\.load|read_pickle\("
    )
    found = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(words, path.read_text(), re.MULTILINE)
    ]
    assert found == [str(Path("backend") / "loops" / "cache.py")]


def test_damaged_binary_files(tmp_path):
    path = pack(tmp_path, True, "folder")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="data_batch_1.bin: expected records of 3073 bytes, got 6145 bytes"):
        load_cifar10(tmp_path)
    path.write_bytes(b"\x0b" + path.read_bytes()[1:] + b"\0")
    with pytest.raises(InputError, match="expected labels 0 to 9, got 11"):
        load_cifar10(tmp_path)


def test_the_archive_as_published_is_the_first(tmp_path, published):
    pack(tmp_path, False, "folder")
    pack(tmp_path, True, "best")
    assert CATALOGUE["cifar-10"].states(tmp_path)["cifar-10-binary.tar.gz"].path.parent == tmp_path


def test_the_command_verifies_by_content(tmp_path, capsys, published):
    path = pack(tmp_path, False, "folder")
    assert main(["data", "verify", "cifar-10", "--data", str(tmp_path)]) == 0
    assert main(["data", "list", "cifar-10", "--data", str(tmp_path)]) == 0
    assert main(["data", "fetch", "cifar-10", "--data", str(tmp_path)]) == 0
    path.write_bytes(b"damaged")
    capsys.readouterr()
    assert main(["data", "verify", "cifar-10", "--data", str(tmp_path)]) == 2
    assert "1 damaged or missing of 6" in capsys.readouterr().err
