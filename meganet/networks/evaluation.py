"""Objectives over their whole data sets: in batches, and on a device several of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from meganet import _validate
from meganet.backend import Array, Backend
from meganet.linop._alike import alike

PARTS = ("network", "classifier", "loss", "backend", "dtype", "theta_regularizer", "W_regularizer")
"""What objectives that are evaluated together have in common."""
EXAMPLES_AT_ONCE = 128
"""In an evaluation on the CPU."""
WORK_ARRAYS = 12
"""Arrays of the widest one's size that a layer works with: input and result, and 2.25 times both when transformed."""
MEMORY_SHARE = 0.5
"""Part of a device's free memory that an evaluation may take."""


class Metrics(NamedTuple):
    """Values over a data set: objective with regularisers, mean loss, share of right predictions.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> network, classifier = mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3)
    >>> images, labels = np.random.default_rng(0).standard_normal((6, 1, 4, 4)), np.arange(6) % 3
    >>> fun = mn.Objective(network, classifier, images, labels)
    >>> metrics = fun.evaluate(np.zeros(fun.parameters.size))
    >>> metrics._fields
    ('objective', 'loss', 'accuracy')
    >>> round(metrics.loss, 4), round(metrics.accuracy, 4)
    (1.0986, 0.3333)
    """

    objective: float
    loss: float
    accuracy: float


def differing_part(first: Any, other: Any) -> str | None:
    """Return the name of a part, other than images and labels, in which two objectives differ, None if in none.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks.evaluation import differing_part
    >>> layers = mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3)
    >>> first = mn.Objective(*layers, np.zeros((6, 1, 4, 4)), np.arange(6) % 3)
    >>> other = mn.Objective(*layers, np.ones((6, 1, 4, 4), dtype=np.float32), np.arange(6) % 3)
    >>> differing_part(first, other)
    'dtype'
    """
    return next((part for part in PARTS if not alike(getattr(first, part), getattr(other, part))), None)


def evaluated(objectives: Sequence[Any], x: Array, batch_size: int | None) -> list[Metrics]:
    """Return the metrics of objectives that differ in their examples only.

    Parameters
    ----------
    objectives : sequence of Objective
    x : array, (parameters.size,) or (T, parameters.size)
        One point for a single objective, or one for each of several.
    batch_size : int, optional
        See `Objective.evaluate`.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.networks.evaluation import evaluated
    >>> images, labels = np.ones((6, 1, 4, 4)), np.arange(6) % 3
    >>> fun = mn.Objective(mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3), images, labels)
    >>> (metrics,) = evaluated([fun], np.zeros(fun.parameters.size), batch_size=None)
    >>> round(metrics.loss, 4), round(float(np.log(3)), 4)
    (1.0986, 1.0986)
    """
    first, several = objectives[0], x.ndim == 2
    backend, examples, (theta, w) = first.backend, first.examples, first.split(x)

    def gathered(name: str, part: slice) -> Array:
        parts = [getattr(one, name)[part] for one in objectives]
        return backend.stack(parts) if several else parts[0]

    def batch(part: slice) -> tuple[Array, Array | None]:
        labels = gathered("labels", part)
        logits = first.classifier._evaluate(w, first.network._evaluate(theta, gathered("images", part)))
        loss, hits = first.loss._value(logits, labels) * (part.stop - part.start), first.loss.hits(logits, labels)
        return loss.reshape(-1, 1), None if hits is None else hits.reshape(len(objectives), -1)

    results = _in_batches(first, batch, len(objectives), batch_size)
    # everything stays on the device until here
    losses = _fetched(backend, [loss for loss, _ in results])
    right = None if results[0][1] is None else _fetched(backend, [hits for _, hits in results])
    values = [_penalty_value(backend, penalty, x[..., part]) for penalty, part in first._regularizers()]
    penalties = _fetched(backend, values) if values else np.zeros((len(objectives), 1))
    found = []
    for t in range(len(objectives)):
        loss = losses[t].sum() / examples
        # the largest of logits that are not numbers is no prediction
        accuracy = math.nan if right is None or not math.isfinite(loss) else right[t].mean()
        found.append(Metrics(float(loss + penalties[t].sum()), float(loss), float(accuracy)))
    return found


def _in_batches(objective: Any, batch: Callable[[slice], Any], networks: int, batch_size: int | None) -> list[Any]:
    """Return the results for all examples, evaluated in batches, by default as large as the memory allows."""
    free, examples, network = objective.backend.free_bytes(), objective.examples, objective.network
    size = EXAMPLES_AT_ONCE if batch_size is None else _validate.integer("batch_size", batch_size)
    if batch_size is None and free is not None:
        one = networks * WORK_ARRAYS * network.widest * objective.dtype.itemsize
        size = max(1, min(examples, int(free * MEMORY_SHARE) // one))
    if network.couples_examples:
        size = examples
    while True:
        starts = range(0, examples, size)
        try:
            return objective.backend.run([partial(batch, slice(k, min(k + size, examples))) for k in starts])
        except MemoryError:
            # an estimate may be wrong; a number that was asked for, or all at once where it must be, is not changed
            if free is None or batch_size is not None or size == 1 or network.couples_examples:
                raise
        size = -(-size // 2)


def _penalty_value(backend: Backend, penalty: Any, x: Array) -> Array:
    """Return the values of a regulariser, (T, 1), at one point or T."""
    if x.ndim == 1 or penalty.takes_stacks:
        return penalty.value(x).reshape(-1, 1)
    return backend.stack([penalty.value(x[t]) for t in range(x.shape[0])]).reshape(-1, 1)


def _fetched(backend: Backend, parts: Sequence[Array]) -> np.ndarray[Any, Any]:
    """Return columns (T, n) side by side on the host."""
    return backend.to_host(backend.concatenate(parts)).astype(np.float64)
