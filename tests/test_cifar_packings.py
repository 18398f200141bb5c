"""CIFAR-10 in the packings that users have: archives and folders, binary and for Python, known by their content."""

import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest

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
    if binary:
        return records.tobytes()
    return pickle.dumps({"data": records[:, 1:], "labels": records[:, 0].tolist(), "batch_label": name}, protocol=2)


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
def test_nothing_is_unpickled_but_what_was_published(tmp_path, monkeypatch, packed):
    pack(tmp_path, False, packed)
    monkeypatch.setattr(pickle, "loads", lambda *a, **k: pytest.fail("it is unpickled"))
    with pytest.raises(InputError, match="data_batch_1: expected content with md5:c99cafc15.*, got md5:"):
        load_cifar10(tmp_path)


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
