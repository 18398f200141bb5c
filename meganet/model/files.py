"""Files of models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meganet.model.model import Model


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model."""
    raise NotImplementedError


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model."""
    raise NotImplementedError
