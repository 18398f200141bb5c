"""Several objectives of one kind as one function of a stack of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meganet.backend import Array
from meganet.ground import validate
from meganet.objective.objective import Objective
from meganet.objective.selection import Batch, check_indices


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
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> from meganet.objective import StackedObjective
    >>> network, classifier, rng = DenseLayer((2,), 3), DenseLayer((3,), 2), np.random.default_rng(0)
    >>> funs = [Objective(network, classifier, rng.standard_normal((4, 2)), [0, 1, 0, 1]) for _ in range(3)]
    >>> values, gradients = StackedObjective(funs)(np.zeros((3, 17)), np.array([[0, 1], [1, 2], [2, 3]]))
    >>> values.shape, gradients.shape
    ((3,), (3, 17))

    `sgd_stacked` takes the class itself, ``stack=StackedObjective``, and makes the stacks that it needs.
    """

    #: A training step may be recorded as a CUDA graph, see `optim.sgd`.
    recordable = True

    def __init__(self, objectives: Sequence[Objective]) -> None:
        objectives = validate.items("objectives", objectives, object, "at least one")
        first = objectives[0]
        for k, other in enumerate(objectives):
            validate.instance(f"objectives[{k}]", other, Objective, "an Objective")
            what = first.differing_part(other)
            if what is not None:
                have, expected = getattr(other, what), getattr(first, what)
                validate.reject(f"objectives[{k}]", f"the {what} of the first, {expected!r}", repr(have))
            if other.images.shape != first.images.shape:
                validate.reject(
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
        validate.array_shape("x", x, (len(self.objectives), first.parameters.size))
        check_indices(indices, first.examples, self.backend, (len(self.objectives), "N"))
        validate.same_dtype("x", x, first.dtype, "the images")
        terms = [objective.terms for objective in self.objectives]
        if self.backend.takes_stacks:
            batch = Batch(self._images[self._set, indices], self._labels[self._set, indices], 1.0)
            return terms[0].total(x, [terms[0].mean_loss(x, batch)])
        selected = [objective.select(indices[t]) for t, objective in enumerate(self.objectives)]
        tasks = [one.tasks(x[t], selected[t]) for t, one in enumerate(terms)]
        results = self.backend.run([task for part in tasks for task in part])
        n = len(tasks[0])
        sums = [one.total(x[t], results[t * n : (t + 1) * n]) for t, one in enumerate(terms)]
        values, gradients = zip(*sums, strict=True)
        return self.backend.xp.stack(values), self.backend.xp.stack(gradients)
