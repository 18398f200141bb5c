"""Images and labels in pairs of IDX files, as MNIST and the sets made after it have them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.idx import read_idx
from meganet.ground import validate

IMAGE_SHAPE = (28, 28)
MOST = 60_000
"""Images of a file at most."""


def read_labelled_idx(files: Mapping[str, Path], train: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images, uint8 (N, 1, 28, 28), and labels, int64 (N,).

    Parameters
    ----------
    files : mapping from str to Path
        Of the names ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, and the same with ``t10k``.
    train : bool
        Whether those of ``train`` are read, or of ``t10k``.

    Raises
    ------
    InputError
        If a file is not the IDX file that its name says; nothing is guessed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets.labelled_idx import read_labelled_idx
    >>> contents = {
    ...     "train-images-idx3-ubyte": bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(2 * 28 * 28),
    ...     "train-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes([7, 3]),
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = {name: Path(folder) / name for name in contents}
    ...     _ = [path.write_bytes(contents[name]) for name, path in files.items()]
    ...     images, labels = read_labelled_idx(files, train=True)
    >>> images.shape, labels
    ((2, 1, 28, 28), array([7, 3]))
    """
    part = "train" if train else "t10k"
    image_path, label_path = files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"]
    images = read_idx(image_path, 3, MOST * math.prod(IMAGE_SHAPE))
    labels = read_idx(label_path, 1, MOST)
    if images.shape[1:] != IMAGE_SHAPE:
        validate.reject_file(image_path, "28x28 images", "x".join(map(str, images.shape[1:])))
    if len(labels) != len(images):
        validate.reject_file(label_path, f"{len(images)} labels, one for each image", str(len(labels)))
    return images[:, None], labels.astype(np.int64)
