"""What every data set is once read: images and labels on the host."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from meganet.ground import validate


@dataclass(frozen=True)
class ImageSet:
    """Labelled images as they are stored.

    Attributes
    ----------
    name : str
    images : ndarray of uint8, (N, C, H, W), or videos (N, C, T, H, W)
        Values 0 to 255.
    labels : ndarray of int64, (N,)
    source : str
        Where they came from.

    Raises
    ------
    InputError
        For images or labels of another form.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import ImageSet
    >>> tiles = ImageSet("tiles", np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 1, 2, 1]), "drawn")
    >>> len(tiles), tiles.classes, tiles.images.shape
    (4, 3, (4, 3, 8, 8))
    """

    name: str
    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    source: str

    def __post_init__(self) -> None:
        for name in ("images", "labels"):
            validate.plain(name, getattr(self, name))
            if not isinstance(getattr(self, name), np.ndarray):
                validate.reject(name, "a NumPy array", type(getattr(self, name)).__name__)
        if self.images.ndim not in (4, 5) or self.images.dtype != np.uint8:
            validate.reject(
                "images", "uint8 of shape (N, C, H, W) or (N, C, T, H, W)", f"{self.images.dtype} {self.images.shape}"
            )
        if self.labels.shape != self.images.shape[:1] or not len(self.labels):
            validate.reject("labels", f"one for each of {len(self.images)} images", f"shape {self.labels.shape}")
        if self.labels.dtype.kind not in "iu":
            validate.reject("labels", "integers of at least 0", str(self.labels.dtype))
        if self.labels.min() < 0:
            validate.reject("labels", "integers of at least 0", f"{self.labels.dtype} from {self.labels.min()}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images and labels: tells one data set from another."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()
