"""Levels that are trained together: functions of the finest one's weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from meganet.backend import Array
from meganet.ground import validate
from meganet.linop import LinearOperator
from meganet.multilevel.hierarchy import Hierarchy
from meganet.objective import Objective


class Through:
    """The objective of a coarser level as a function of a finer one's weights, ``x -> J(T x)``.

    The gradient is ``T' J'(T x)``, with a linear operator T.

    Parameters
    ----------
    objective : Objective
    operator : LinearOperator

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.linop import Identity
    >>> from meganet.multilevel.together import Through
    >>> fun = mn.Objective(mn.DenseLayer((2,), 3), mn.DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> value, gradient = Through(fun, 0.5 * Identity(17))(np.ones(17), np.arange(4))
    >>> bool(np.allclose(gradient, 0.5 * fun(np.full(17, 0.5))[1]))
    True
    """

    #: Like `Objective`, see `optim.sgd`.
    recordable = True

    def __init__(self, objective: Objective, operator: LinearOperator) -> None:
        self.objective, self.operator = objective, operator

    def __call__(self, x: Array, indices: Array) -> tuple[Array, Array]:
        """Return value and gradient over the examples of a mini-batch."""
        value, gradient = self.objective(self.operator @ x, indices)
        return value, self.operator.T @ gradient

    def first_non_finite(self, x: Array, indices: Array | None = None) -> str | None:
        """Say where the first number that is not finite arises; see `Objective.first_non_finite`."""
        return self.objective.first_non_finite(self.operator @ x, indices)


class Together:
    """The mean of several levels' functions; a step takes one of them, its `parts`.

    Parameters
    ----------
    parts : sequence of Objective or Through

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel.together import Together
    >>> fun = mn.Objective(mn.DenseLayer((2,), 3), mn.DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> x, indices = np.ones(17), np.arange(4)
    >>> float(Together([fun, fun])(x, indices)[0]) == float(fun(x, indices)[0])
    True
    """

    def __init__(self, parts: Sequence[Objective | Through]) -> None:
        self.parts = tuple(parts)

    def __call__(self, x: Array, indices: Array) -> tuple[Array, Array]:
        """Return value and gradient over the same examples on every level."""
        values, gradients = zip(*(part(x, indices) for part in self.parts), strict=True)
        share = 1 / len(self.parts)
        return share * sum(values), share * sum(gradients)

    def first_non_finite(self, x: Array, indices: Array | None = None) -> str | None:
        """Say where the first number that is not finite arises on the first of the levels where one does."""
        return next(filter(None, (part.first_non_finite(x, indices) for part in self.parts)), None)


def shared(hierarchy: Hierarchy, start: int, end: int) -> LinearOperator:
    """Return the operator from the weights of a level to those that a coarser one shares with it.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import in_space
    >>> from meganet.multilevel.together import shared
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 2), classes=3, grids=(4, 8, 16))
    >>> shared(hierarchy, 2, 0).shape == (hierarchy[0].unknowns, hierarchy[2].unknowns)
    True
    """
    here, there = hierarchy.number(start, "start"), hierarchy.number(end, "end")
    if there >= here:
        validate.reject("end", "a coarser level than the start", f"{end}, from {start}")
    return reduce(
        lambda found, level: hierarchy.sharing(level) @ found, range(here - 1, there, -1), hierarchy.sharing(here)
    )
