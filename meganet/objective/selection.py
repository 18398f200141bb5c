"""Which examples of a data set an evaluation takes, and in which batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend
from meganet.ground import validate


class Batch(NamedTuple):
    """Some examples, and the weight of their mean in the mean over all selected examples.

    A stack of T batches has one more axis in front.

    Attributes
    ----------
    images : array, (N, ...)
        Of the network's domain, such as (N, C, H, W).
    labels : array, (N,), or targets (N, K)
    weight : float
        Their share of all examples; 1 if there are no others.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.objective.selection import Batch
    >>> half = Batch(np.zeros((16, 1, 28, 28)), np.zeros(16, int), weight=0.5)
    >>> half.images.shape
    (16, 1, 28, 28)
    """

    images: Array
    labels: Array
    weight: float


@dataclass(frozen=True, eq=False)
class Selection:
    """Examples of a data set, and the batches in which they are evaluated.

    Attributes
    ----------
    images, labels : array
        The whole data set.
    indices : array of int or None
        Numbers of the examples; None for all.
    shares : tuple of slice
        The batches, as parts of `indices` or of the data set.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.objective.selection import Selection
    >>> images, labels = np.zeros((100, 1, 28, 28)), np.zeros(100, int)
    >>> examples = Selection(images, labels, np.arange(32), shares=(slice(0, 24), slice(24, 32)))
    >>> [(batch.images.shape, batch.weight) for batch in map(examples.batch, examples.shares)]
    [((24, 1, 28, 28), 0.75), ((8, 1, 28, 28), 0.25)]
    """

    images: Array
    labels: Array
    indices: Array | None
    shares: tuple[slice, ...]

    def batch(self, share: slice) -> Batch:
        """Return one of the batches, taken from the data set when it is needed."""
        chosen = share if self.indices is None else self.indices[share]
        return Batch(self.images[chosen], self.labels[chosen], (share.stop - share.start) / self.shares[-1].stop)


def check_indices(indices: Array | None, examples: int, backend: Backend, shape: tuple[Any, ...] = ("N",)) -> None:
    """Check the numbers of examples; on a device their values are not looked at, so that the host need not wait.

    Parameters
    ----------
    indices : array of int or None
        None stands for all.
    examples : int
    backend : Backend
        Where they must be.
    shape : tuple of int or str
        The shape expected; letters stand for any size.

    Raises
    ------
    InputError
        For another backend, shape or dtype, for an empty array, and on the host for numbers out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import get_backend
    >>> from meganet.objective.selection import check_indices
    >>> check_indices(np.array([0, 9]), 10, get_backend("numpy"))
    >>> check_indices(np.array([0, 10]), 10, get_backend("numpy"))
    Traceback (most recent call last):
        ...
    meganet.ground.validate.InputError: indices: expected numbers 0 to 9 of examples, got 0 to 10
    """
    if indices is None:
        return
    backend.require("indices", indices)
    validate.array_shape("indices", indices, shape)
    validate.not_empty("indices", indices, axis=-1)
    if indices.dtype.kind not in "iu":
        validate.reject("indices", "integers", str(indices.dtype))
    if isinstance(indices, np.ndarray) and (indices.min() < 0 or indices.max() >= examples):
        got = f"{indices.min()} to {indices.max()}"
        validate.reject("indices", f"numbers 0 to {examples - 1} of examples", got)
