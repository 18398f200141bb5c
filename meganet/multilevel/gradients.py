"""Gradients on the finest grid, most of whose examples are seen on coarser ones: a multilevel Monte Carlo estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from meganet.backend import Array, random_stream
from meganet.ground import validate
from meganet.linop import LinearOperator
from meganet.multilevel.variances import LevelVariances, costs
from meganet.networks.work import step_flop
from meganet.objective import Objective
from meganet.objective.selection import check_indices
from meganet.optim import History

MEASURED = 16
"""Examples of each of the batches from whose means variances are measured."""
NEWEST = 0.5
"""Weight of the newest variances in the running averages."""


class MultilevelGradient:
    """Value and gradient of the finest objective, unbiased, from many examples on coarse grids and few on fine ones.

    With ``T_l`` the map from the finest weights to those of level l and ``h_l = T_l' grad f_l(T_l x)``, the gradient is
    ``h_0 + (h_1 - h_0) + ... + (h_L - h_{L-1})``; ``h_0`` and each difference are means over examples of their own,
    those of a difference on both its levels. How many follows from what they vary by, see `LevelVariances`, as
    `observe` measures it while an optimiser runs. Before the first measurement, and wherever it does not pay, this is a
    mini-batch of the finest grid.

    Parameters
    ----------
    objectives : sequence of Objective
        The problem on each level, coarsest first, over the same examples in the same order. What is estimated is the
        finest one's gradient, with its regularisers; those of the others have no part in it.
    restrictions : sequence of LinearOperator
        From the weights ``[theta; W]`` of each level but the coarsest to those of the next coarser one, coarsest first,
        such as `multigrid.weights_restriction`.
    batch_size : int
        A step costs as much as a mini-batch of so many examples on the finest grid.
    sample : int
        Examples over which `observe` measures variances, in batches of 16; all, if there are no more.
    seed : int
        Which examples those are.

    Attributes
    ----------
    variances : LevelVariances or None
        Running averages of what `observe` has measured.

    Notes
    -----
    Optimisers call it as ``fun(x, indices)``. Of the indices a step takes the first ones, as many as its work allows:
    give `sgd` several times `batch_size`, and `observe`, which makes the numbers adapt after each epoch::

        state = sgd(fun, x0, n, batch_size=4 * fun.batch_size, observe=fun.observe, ...)

    The columns of `observe` in the history are all there is to remember: `resume` with it before a run is continued.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.linop import Identity
    >>> from meganet.multilevel.gradients import MultilevelGradient
    >>> waves, labels = np.cos(np.outer(np.linspace(0, 3, 64), np.linspace(0, 1, 16))), np.arange(64) % 4
    >>> images = waves[:, None, :, None] * np.ones((1, 16))
    >>> networks = [mn.Chain([mn.ConvolutionLayer((1, n, n), 2), mn.PoolingLayer(..., n)]) for n in (8, 16)]
    >>> sets = mn.multigrid.restrict_images(images), images
    >>> funs = [mn.Objective(g, mn.DenseLayer((2, 1, 1), 4), x, labels) for g, x in zip(networks, sets)]
    >>> fun = MultilevelGradient(funs, [Identity(funs[1].parameters.size)], batch_size=8, sample=32)
    >>> x = np.random.default_rng(1).standard_normal(funs[1].parameters.size)
    >>> fun.counts(40), fun.work(40)
    ((8,), 147840.0)
    >>> sorted(fun.observe(x))
    ['V[h0]', 'V[h1-h0]', 'V[h1]', 'gain']
    >>> fun.counts(40), fun.work(40)
    ((26, 1), 144192.0)
    >>> value, gradient = fun(x, np.arange(40))
    """

    #: A training step may be recorded as a CUDA graph, see `optim.sgd`.
    recordable = True

    def __init__(
        self,
        objectives: Sequence[Objective],
        restrictions: Sequence[LinearOperator],
        *,
        batch_size: int,
        sample: int = 256,
        seed: int = 0,
    ) -> None:
        self.objectives = validate.items("objectives", objectives, Objective, "at least one Objective")
        self.finest = finest = self.objectives[-1]
        self.backend, self.dtype = finest.backend, finest.dtype
        self.restrictions = tuple(restrictions)
        _check_levels(self.objectives, self.restrictions)
        self.batch_size = validate.integer("batch_size", batch_size)
        self.sample = min(validate.integer("sample", sample, minimum=2), finest.examples)
        self.seed = validate.integer("seed", seed, minimum=0)
        self.variances: LevelVariances | None = None
        self._measured = 0
        self._terms = [replace(fun.terms, theta_regularizer=None, W_regularizer=None) for fun in self.objectives]
        self._work = tuple(step_flop(fun.network, fun.classifier.range_shape[0]) for fun in self.objectives)

    def __call__(self, x: Array, indices: Array) -> tuple[Array, Array]:
        """Return an estimate of value and gradient at `x` from the first of the examples numbered `indices`.

        Parameters
        ----------
        x : array, (n,)
            Weights of the finest level.
        indices : array of int
            On the backend, in random order.

        Returns
        -------
        value : array, ()
        gradient : array, (n,)
        """
        check_indices(indices, self.finest.examples, self.backend)
        ends = [0, *accumulate(self.counts(int(indices.shape[0])))]
        return self.telescoped(x, [indices[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)])

    def counts(self, examples: int) -> tuple[int, ...]:
        """Return how many of so many examples a step takes: on the coarsest of its levels, then for each difference."""
        if self.variances is None:
            return (min(self.batch_size, validate.integer("examples", examples)),)
        return self.variances.counts(self.batch_size, examples)

    def work(self, examples: int) -> float:
        """Return the FLOP of a step that is given so many examples, see `networks.work`."""
        counts = self.counts(examples)
        each = costs(self._work, len(self._work) - len(counts))
        return sum(n * cost for n, cost in zip(counts, each, strict=True))

    def telescoped(self, x: Array, examples: Sequence[Array | None]) -> tuple[Array, Array]:
        """Return value and gradient of the telescoping sum over given examples.

        Parameters
        ----------
        x : array, (n,)
        examples : sequence of array of int or None
            Those of the level to start with and of each difference up to the finest level, so at most as many as there
            are levels; None for all examples. All on every level give the finest objective up to round-off.
        """
        self._check(x)
        if not 1 <= len(examples) <= len(self.objectives):
            validate.reject("examples", f"those of 1 to {len(self.objectives)} levels", str(len(examples)))
        for number, part in enumerate(examples):
            with validate.within(f"examples[{number}]"):
                check_indices(part, self.finest.examples, self.backend)
        start = len(self.objectives) - len(examples)
        points = self._points(x, start)
        value, gradient = self._mean(start, points[0], examples[0])
        for level, part in enumerate(examples[1:], start=start + 1):
            below = self._mean(level - 1, points[level - 1 - start], part)
            own = self._mean(level, points[level - start], part)
            value = value - below[0] + own[0]
            gradient = self.restrictions[level - 1].T @ (gradient - below[1]) + own[1]
        for penalty in self.finest.terms.penalties():
            more, slope = penalty.value_and_gradient(x)
            value = value + more
            gradient[penalty.part] += slope
        return value, gradient

    def measure(self, x: Array, indices: Array | None = None) -> LevelVariances:
        """Return the variances at `x`, from the means of batches of 16 of some examples, or of all.

        Parameters
        ----------
        x : array, (n,)
        indices : array of int, optional
            At least 2, on the backend, of which fewer than 32 make two smaller batches; those that do not fill a batch
            are left out.
        """
        self._check(x)
        check_indices(indices, self.finest.examples, self.backend)
        examples = self.finest.examples if indices is None else int(indices.shape[0])
        size = min(MEASURED, examples // 2)
        if not size:
            validate.reject("indices", "at least 2 examples", str(examples))
        batches = examples // size
        levels = range(len(self.objectives))
        points = self._points(x, 0)
        spreads = [_Spread() for _ in range(2 * len(levels) - 1)]
        every = self.backend.asarray(np.arange(examples)) if indices is None else indices
        for number in range(batches):
            part = every[number * size : (number + 1) * size]
            found = [self._on_finest(level, self._mean(level, points[level], part)[1]) for level in levels]
            found += [found[level] - found[level - 1] for level in levels[1:]]
            for spread, gradient in zip(spreads, found, strict=True):
                spread.add(gradient)
        # the only numbers that are fetched from a device
        numbers = self.backend.to_host(self.backend.stack([spread.squares for spread in spreads]))
        scaled = [size * float(number) / (batches - 1) for number in numbers]
        return LevelVariances(tuple(scaled[: len(levels)]), tuple(scaled[len(levels) :]), self._work)

    def observe(self, x: Array) -> dict[str, float]:
        """Measure at `x`, on the next of the samples, let the numbers of examples follow, and return the averages.

        The function that `sgd` takes as `observe`, at the start and after each epoch.
        """
        chosen = random_stream(self.seed, self._measured).choice(self.finest.examples, self.sample, replace=False)
        new = self.measure(x, self.backend.asarray(chosen))
        self.variances = new if self.variances is None else self.variances.averaged(new, NEWEST)
        self._measured += 1
        return self.variances.row()

    def resume(self, history: History) -> None:
        """Go on where a run with this history, with the columns of `observe`, has ended."""
        self._measured = len(history)
        self.variances = LevelVariances.from_row(history[-1], self._work) if self._measured else None

    def first_non_finite(self, x: Array, indices: Array | None = None) -> str | None:
        """Say where the first number that is not finite arises, see `Objective.first_non_finite`; the finest first."""
        for level, point in reversed(list(enumerate(self._points(x, 0)))):
            found = self.objectives[level].first_non_finite(point, indices)
            if found is not None:
                return f"level {level}: {found}"
        return None

    def _check(self, x: Array) -> None:
        self.backend.require("x", x)
        validate.array_shape("x", x, (self.finest.parameters.size,))
        validate.same_dtype("x", x, self.dtype, "the images")

    def _points(self, x: Array, start: int) -> list[Array]:
        """Return the weights of each level from `start` on."""
        points = [x]
        for restriction in reversed(self.restrictions[start:]):
            points.insert(0, restriction @ points[0])
        return points

    def _mean(self, level: int, x: Array, indices: Array | None) -> tuple[Any, Array]:
        """Return mean loss and gradient on a level."""
        return self._terms[level].value_and_gradient(x, self.objectives[level].select(indices))

    def _on_finest(self, level: int, gradient: Array) -> Array:
        for restriction in self.restrictions[level:]:
            gradient = restriction.T @ gradient
        return gradient


class _Spread:
    """The sum of squared distances from the mean of vectors that come one by one; it stays on the device."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, None, None

    def add(self, vector: Array) -> None:
        """Count one more."""
        self.count += 1
        if self.mean is None:
            self.mean, self.squares = vector, 0 * vector[0]
            return
        before = vector - self.mean
        self.mean = self.mean + before * (1 / self.count)
        after = vector - self.mean
        self.squares = self.squares + (before * after).sum()


def _check_levels(objectives: Sequence[Objective], restrictions: Sequence[LinearOperator]) -> None:
    """Refuse levels that are not the same problem, and maps that do not fit between them."""
    finest, labels = objectives[-1], objectives[-1].backend.to_host(objectives[-1].labels)
    if len(restrictions) != len(objectives) - 1:
        expected = f"{len(objectives) - 1}, one between each two of the objectives"
        validate.reject("restrictions", expected, str(len(restrictions)))
    for k, fun in enumerate(objectives[:-1]):
        same = fun.backend is finest.backend and fun.dtype == finest.dtype
        if not same or fun.examples != finest.examples:
            expected = f"{finest.examples} examples in {finest.dtype} on {finest.backend.name}, as the finest"
            got = f"{fun.examples} in {fun.dtype} on {fun.backend.name}"
            validate.reject(f"objectives[{k}]", expected, got)
        if not np.array_equal(fun.backend.to_host(fun.labels), labels):
            validate.reject(f"objectives[{k}]", "the labels of the finest, in the same order", "others")
    for k, restriction in enumerate(restrictions):
        validate.instance(f"restrictions[{k}]", restriction, LinearOperator, "a LinearOperator")
        if restriction.backend is not finest.backend:
            expected = f"an operator on {finest.backend.name}, as the objectives"
            validate.reject(f"restrictions[{k}]", expected, restriction.backend.name)
        ends = (objectives[k + 1].parameters.size,), (objectives[k].parameters.size,)
        have = restriction.domain_shape, restriction.range_shape
        if have != ends:
            validate.reject(f"restrictions[{k}]", "from {} to {} weights".format(*ends), "{} to {}".format(*have))
