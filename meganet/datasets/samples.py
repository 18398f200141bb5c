"""Feature vectors with what is to be learned of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Samples:
    """Feature vectors with what is to be learned of them.

    Attributes
    ----------
    features : ndarray of floats, (N, d), or (N, C, H, W) of drawn images
    targets : ndarray
        Classes, int64 (N,), or numbers, floats (N, k), or (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import Samples
    >>> samples = Samples(np.zeros((5, 2)), np.array([0, 1, 0, 1, 1]))
    >>> len(samples), samples.features.shape, samples.targets.shape
    (5, (5, 2), (5,))
    """

    features: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.features)
