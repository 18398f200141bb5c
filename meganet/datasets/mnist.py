"""MNIST: found, fetched, verified, read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from meganet import _validate
from meganet._files import cache_folder, write_atomic
from meganet.datasets.idx import read_content, read_idx
from meganet.datasets.images import ImageSet

DATA_VARIABLE = "MEGANET_DATA"
CLASSES = 10
IMAGE_SHAPE = (28, 28)

FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Names of the four files and the SHA-256 of their uncompressed content."""

NEEDED = "the files of MNIST on this machine or from the network"

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://yann.lecun.com/exdb/mnist/",
)


class DataNotFoundError(_validate.InputError):
    """A data set is neither on this machine nor to be had from the network."""


def search_folders(folder: str | Path | None = None) -> list[Path]:
    """Return the folders looked in: `folder`, the environment variable ``MEGANET_DATA``, the user's cache."""
    named = [folder, os.environ.get(DATA_VARIABLE)]
    return [Path(f).expanduser() for f in named if f] + [cache_folder() / "mnist"]


def find_mnist(folder: str | Path | None = None) -> dict[str, Path] | None:
    """Return the paths of the four files in the first folder that has them all, or None."""
    for name, given in (("data", folder), (DATA_VARIABLE, os.environ.get(DATA_VARIABLE))):
        if given and not Path(given).expanduser().is_dir():
            _validate.reject(name, "an existing folder", repr(str(given)))
    for place in search_folders(folder):
        found = {name: path for name in FILES for path in (place / f"{name}.gz", place / name) if path.is_file()}
        if len(found) == len(FILES):
            return found
        if found and folder is not None and place == Path(folder).expanduser():
            missing = ", ".join(name for name in FILES if name not in found)
            _validate.reject("data", f"all four MNIST files in {str(place)!r}", f"no {missing}")
    return None


def verify_mnist(files: dict[str, Path]) -> None:
    """Check the SHA-256 of the content of each file.

    Raises
    ------
    InputError
        Naming the first file whose content differs from the published one.
    """
    for name, path in files.items():
        _check_content(name, read_content(path), str(path))


def _check_content(name: str, content: bytes, where: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != FILES[name]:
        _validate.reject(where, f"content with SHA-256 {FILES[name]}", digest)


def fetch_mnist(*, progress: bool = True) -> dict[str, Path]:
    """Download the four files into the user's cache, from the first mirror that serves the right content.

    Returns
    -------
    dict
        Paths by name.

    Raises
    ------
    DataNotFoundError
        If pooch (extra ``data``) is missing or no mirror can be reached; it says how to get the files by hand.
    """
    try:
        import pooch
    except ImportError:
        _validate.reject(
            "data", NEEDED, "no package pooch to download it: pip install 'meganet[data]'", DataNotFoundError
        )
    pooch.get_logger().setLevel("ERROR")
    target = cache_folder() / "mnist"
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _validate.reject(
            "data", "a cache that can be written", f"{str(target)!r} ({error.strerror})", DataNotFoundError
        )
    paths = {}
    for name in FILES:
        problems = []
        for mirror in MIRRORS:
            with tempfile.TemporaryDirectory() as temporary:
                try:
                    archive = pooch.retrieve(
                        f"{mirror}{name}.gz", known_hash=None, path=temporary, progressbar=progress
                    )
                    content = read_content(Path(archive))
                    _check_content(name, content, f"{mirror}{name}.gz")
                except (OSError, ValueError) as error:
                    problems.append(f"{mirror}: {type(error).__name__}")
                    continue
            write_atomic(target / name, content)
            paths[name] = target / name
            break
        else:
            advice = f"put {', '.join(FILES)} (plain or .gz) into a folder and name it with --data or {DATA_VARIABLE}"
            got = f"no download ({'; '.join(problems)}); {advice}"
            _validate.reject("data", NEEDED, got, DataNotFoundError)
    return paths


def load_mnist(folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the 60,000 training or 10,000 test digits.

    Looked for in `folder`, then in the folder named by ``MEGANET_DATA``, then in the user's cache; else downloaded.

    Raises
    ------
    InputError
        If a file is not the IDX file that its name says; nothing is guessed.
    DataNotFoundError
        If the files are nowhere and cannot be downloaded.
    """
    files = find_mnist(folder) or fetch_mnist(progress=progress)
    part = "train" if train else "t10k"
    image_path, label_path = files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"]
    images = read_idx(image_path, 3)
    labels = read_idx(label_path, 1)
    if images.shape[1:] != IMAGE_SHAPE:
        _validate.reject(str(image_path), "28x28 images", "x".join(map(str, images.shape[1:])))
    if len(labels) != len(images):
        _validate.reject(str(label_path), f"{len(images)} labels, one for each image", str(len(labels)))
    if labels.max() >= CLASSES:
        _validate.reject(str(label_path), "labels 0 to 9", str(labels.max()))
    return ImageSet("MNIST", images[:, None], labels.astype(np.int64), str(image_path.parent))
