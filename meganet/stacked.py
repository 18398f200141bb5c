"""Several objectives of one kind as one function of a stack of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from meganet import _validate
from meganet.backend import Array, backend_of, host
from meganet.linop import Matrix
from meganet.objective import Objective

PARTS = ("network", "classifier", "loss", "backend", "dtype", "theta_regularizer", "W_regularizer")
"""What objectives of one stack have in common."""


class StackedObjective:
    """T objectives side by side: ``(x[t]) -> J_t(x[t])``, each with its own examples.

    They differ in images and labels only. On the CPU they are evaluated one by one, to the bit as each alone; on a
    device their batches go through the network together.

    Parameters
    ----------
    objectives : sequence of Objective
        With the same shapes, dtype, backend and number of examples. One that occurs again shares its images, as the
        arms of an experiment do.

    Examples
    --------
    ``sgd_together(runs, examples, stack=StackedObjective, ...)``
    """

    #: A training step may be recorded as a CUDA graph, see `optim.sgd`.
    recordable = True

    def __init__(self, objectives: Sequence[Objective]) -> None:
        if not objectives:
            _validate.reject("objectives", "at least one", "none")
        first = objectives[0]
        for k, other in enumerate(objectives):
            if not isinstance(other, Objective):
                _validate.reject(f"objectives[{k}]", "an Objective", repr(other))
            for what in PARTS:
                have, expected = getattr(other, what), getattr(first, what)
                if not _alike(have, expected):
                    _validate.reject(f"objectives[{k}]", f"the {what} of the first, {expected!r}", repr(have))
            if other.images.shape != first.images.shape:
                _validate.reject(
                    f"objectives[{k}]", f"images {first.images.shape}, as the first", str(other.images.shape)
                )
        self.objectives, self.backend = tuple(objectives), first.backend
        if self.backend.takes_stacks:
            different = list({id(objective): objective for objective in objectives}.values())
            numbers = [next(k for k, d in enumerate(different) if d is objective) for objective in objectives]
            self._set = self.backend.asarray(np.array(numbers)[:, None])
            self._images = self.backend.xp.stack([objective.images for objective in different])
            self._labels = self.backend.xp.stack([objective.labels for objective in different])

    def __call__(self, x: Array, indices: Array) -> tuple[Array, Array]:
        """Return values and gradients.

        Parameters
        ----------
        x : array, (T, parameters.size)
        indices : array of int, (T, batch size)
            Numbers of the examples of each objective's mini-batch, on the backend.

        Returns
        -------
        values : array, (T,)
        gradients : array, (T, parameters.size)
        """
        first = self.objectives[0]
        self.backend.require("x", x)
        _validate.array_shape("x", x, (len(self.objectives), first.parameters.size))
        _validate.array_shape("indices", indices, (len(self.objectives), "N"))
        _validate.same_dtype("x", x, first.dtype, "the images")
        if self.backend.takes_stacks:
            images, labels = self._images[self._set, indices], self._labels[self._set, indices]
            return first._sum(x, [first._mean(x, images, labels, 1.0)])
        tasks = [objective._tasks(x[t], indices[t]) for t, objective in enumerate(self.objectives)]
        results = self.backend.run([task for part in tasks for task in part])
        n = len(tasks[0])
        sums = [one._sum(x[t], results[t * n : (t + 1) * n]) for t, one in enumerate(self.objectives)]
        values, gradients = zip(*sums, strict=True)
        return self.backend.xp.stack(values), self.backend.xp.stack(gradients)


def _alike(a: Any, b: Any) -> bool:
    """Whether two parts of objectives are the same in everything that they hold, numbers included."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if scipy.sparse.issparse(a):
        return a.shape == b.shape and (a != b).nnz == 0
    if backend_of(a).owns(a):
        return a.shape == b.shape and a.dtype == b.dtype and bool((host(a) == host(b)).all())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, dict):
        # what only one of them has is a cache
        return all(_alike(a[key], b[key]) for key in a.keys() & b.keys())
    if isinstance(a, Matrix):
        shapes = (a.domain_shape, a.range_shape) == (b.domain_shape, b.range_shape)
        return shapes and _alike(a.matrix, b.matrix)
    return _alike(vars(a), vars(b)) if hasattr(a, "__dict__") else a == b
