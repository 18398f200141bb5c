"""Sizes of kernels and of pooled blocks, for images and for signals, which are images of one row."""

from __future__ import annotations

from collections.abc import Sequence


def along_image(shape: Sequence[int], size: int) -> tuple[int, int]:
    """Return a size in both directions of images (C, H, W); signals (C, 1, L) have one of them.

    Examples
    --------
    >>> from meganet.experiments.setup.shapes import along_image
    >>> along_image((1, 28, 28), 3), along_image((1, 1, 64), 3)
    ((3, 3), (1, 3))
    """
    return 1 if shape[1] == 1 else size, size
