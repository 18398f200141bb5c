"""Data sets under the names and in the folders that other programs give them."""

import gzip
import re
import sys

import numpy as np
import pytest

from meganet.datasets import (
    FASHION_MNIST,
    MNIST,
    DataNotFoundError,
    load_cifar10,
    load_fashion_mnist,
    load_mnist,
    load_stl10,
)
from meganet.ground.validate import InputError


def idx(array):
    array = np.asarray(array, dtype=np.uint8)
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def content(name):
    return idx(np.zeros((3, 28, 28)) if "images" in name else np.arange(3))


@pytest.mark.parametrize("place", [".", "mnist", "MNIST", "MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("by_variable", [False, True])
def test_mnist_is_found(tmp_path, monkeypatch, place, packed, dotted, nested, by_variable):
    for name in MNIST.files:
        name = (name.replace("-idx", ".idx") if dotted else name) + (".gz" if packed else "")
        path = tmp_path / place / (f"{name}/{name}" if nested else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content(name)) if packed else content(name))
    monkeypatch.setattr(type(MNIST), "fetch", lambda *a, **k: pytest.fail("a download starts"))
    if by_variable:
        monkeypatch.setenv("MEGANET_DATA", str(tmp_path))
    assert load_mnist(None if by_variable else tmp_path).labels.tolist() == [0, 1, 2]


def test_mnist_is_found_in_the_folder_that_torchvision_makes(tmp_path):
    for folder in ("MNIST", "FashionMNIST"):
        (tmp_path / folder / "raw").mkdir(parents=True)
        for name in MNIST.files:
            (tmp_path / folder / "raw" / name).write_bytes(content(name))
    assert load_mnist(tmp_path / "MNIST").labels.tolist() == [0, 1, 2]
    # nothing but the folder tells the files from those of Fashion-MNIST
    assert MNIST.find(tmp_path / "FashionMNIST") is None


def test_fashion_mnist_is_found_where_torchvision_keeps_it(tmp_path):
    place = tmp_path / "FashionMNIST" / "raw"
    place.mkdir(parents=True)
    for name in FASHION_MNIST.files:
        (place / f"{name}.gz").write_bytes(gzip.compress(content(name)))
    assert set(FASHION_MNIST.find(tmp_path)) == set(FASHION_MNIST.files)
    with pytest.raises(InputError, match="expected content with MD5"):
        load_fashion_mnist(tmp_path)


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist, load_cifar10, load_stl10])
def test_where_it_was_looked_for_is_said(tmp_path, monkeypatch, load):
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setenv("MEGANET_DATA", str(tmp_path / "variable"))
    for name in ("variable", "given"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataNotFoundError, match="got no package pooch.*, and nothing in ") as error:
        load(tmp_path / "given")
    for place in (tmp_path / "given", tmp_path / "variable"):
        assert re.search(rf" {place}(,|$)", str(error.value))
