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
    features : ndarray of float64, (N, d)
    targets : ndarray
        Classes, int64 (N,), or numbers, float64 (N, k).
    """

    features: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.features)
