"""Metrics over whole data sets: in batches, and on a device of several data sets at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.objective.batch import Terms

EXAMPLES_AT_ONCE = 128
"""In an evaluation on the CPU."""
WORK_ARRAYS = 12
"""Arrays of the widest one's size that a layer works with: input and result, and 2.25 times both when transformed."""
MEMORY_SHARE = 0.5
"""Part of a device's free memory that an evaluation may take."""


class Metrics(NamedTuple):
    """Values over a data set, Python floats.

    Attributes
    ----------
    objective : float
        The mean loss and the regularisers.
    loss : float
        The mean loss.
    accuracy : float
        Share of right predictions; nan where the loss is not finite, or of a kind that knows no right or wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> objective, loss, accuracy = fun.evaluate(np.zeros(fun.parameters.size))
    >>> round(loss, 6), accuracy
    (0.693147, 0.5)
    """

    objective: float
    loss: float
    accuracy: float


def metrics(
    terms: Terms, data: Sequence[tuple[Array, Array]], x: Array, batch_size: int | None = None
) -> list[Metrics]:
    """Return the metrics over data sets of one size.

    Parameters
    ----------
    terms : Terms
    data : sequence of (images, labels)
        T data sets of N examples.
    x : array, (n,) or (T, n)
        One point for a single data set, or one for each of several.
    batch_size : int, optional
        See `Objective.evaluate`.

    Returns
    -------
    list of Metrics
        One for each data set.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> from meganet.objective.evaluation import metrics
    >>> data = [(np.ones((10, 2)), np.zeros(10, int)), (np.ones((10, 2)), np.ones(10, int))]
    >>> [found.accuracy for found in metrics(fun.terms, data, np.zeros((2, fun.parameters.size)))]
    [1.0, 0.0]
    """
    several, examples = x.ndim == 2, int(data[0][0].shape[0])
    backend = terms.backend

    def gathered(which: int, part: slice) -> Array:
        parts = [arrays[which][part] for arrays in data]
        return backend.stack(parts) if several else parts[0]

    def batch(part: slice) -> tuple[Array, Array | None]:
        outputs, labels = terms.outputs(x, gathered(0, part)), gathered(1, part)
        loss, hits = (
            terms.loss.value_unchecked(outputs, labels) * (part.stop - part.start),
            terms.loss.hits(outputs, labels),
        )
        return loss.reshape(-1, 1), None if hits is None else hits.reshape(len(data), -1)

    one = WORK_ARRAYS * len(data) * terms.network.widest * x.dtype.itemsize
    results = _in_batches(terms, batch, examples, one, batch_size)
    values = [penalty.value(x).reshape(-1, 1) for penalty in terms.penalties()]
    # everything stays on the device until here
    losses = _fetched(backend, [loss for loss, _ in results])
    right = None if results[0][1] is None else _fetched(backend, [hits for _, hits in results])
    penalties = _fetched(backend, values) if values else np.zeros((len(data), 1))
    found = []
    for t in range(len(data)):
        loss = losses[t].sum() / examples
        # the largest of outputs that are not numbers is no prediction
        accuracy = math.nan if right is None or not math.isfinite(loss) else right[t].mean()
        found.append(Metrics(float(loss + penalties[t].sum()), float(loss), float(accuracy)))
    return found


def _in_batches(
    terms: Terms, batch: Callable[[slice], Any], examples: int, bytes_each: int, batch_size: int | None
) -> list[Any]:
    """Return the results for all examples, evaluated in batches, by default as large as the memory allows."""
    free, together = terms.backend.free_bytes(), terms.network.couples_examples
    size = EXAMPLES_AT_ONCE if batch_size is None else validate.integer("batch_size", batch_size)
    if batch_size is None and free is not None:
        size = max(1, min(examples, int(free * MEMORY_SHARE) // bytes_each))
    if together:
        size = examples
    while True:
        starts = range(0, examples, size)
        try:
            return terms.backend.run([partial(batch, slice(k, min(k + size, examples))) for k in starts])
        except MemoryError:
            # an estimate may be wrong; a number that was asked for, or all at once where it must be, is not changed
            if free is None or batch_size is not None or size == 1 or together:
                raise
        size = -(-size // 2)


def _fetched(backend: Backend, parts: Sequence[Array]) -> np.ndarray[Any, Any]:
    """Return columns (T, n) side by side on the host."""
    return backend.to_host(backend.concatenate(parts)).astype(np.float64)
