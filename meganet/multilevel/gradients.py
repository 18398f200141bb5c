"""Gradients on the finest grid, most of whose examples are seen on coarser ones: a multilevel Monte Carlo estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple

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
"""Weight of what `observe` measures in the running averages."""
EVERY, PASSING = 4, 0.2
"""In every so many steps the examples of the step itself say what they vary by; the weight of that."""


class MultilevelGradient:
    """Value and gradient of the finest objective, unbiased, from many examples on coarse grids and few on fine ones.

    With ``T_l`` the map from the finest weights to those of level l and ``h_l = T_l' grad f_l(T_l x)``, the gradient is
    ``h_0 + (h_1 - h_0) + ... + (h_L - h_{L-1})``; ``h_0`` and each difference are means over examples of their own,
    those of a difference on both its levels. How many follows from what they vary by, see `LevelVariances`: `observe`
    measures it, and in every fourth step the step's own examples tell. Before the first measurement, and from where it
    does not pay to the next one, this is a mini-batch of the finest grid.

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
        Running averages; None before the first measurement.

    Notes
    -----
    Optimisers call it as ``fun(x, indices)``. Of the indices a step takes the first ones, as many as its work allows:
    give `sgd` several times `batch_size`, and `observe`, without which all stays on the finest grid::

        state = sgd(fun, x0, n, batch_size=4 * fun.batch_size, observe=fun.observe, ...)

    The columns of `observe` in the history are all there is to remember: `resume` with it before a run is continued.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.linop import Identity
    >>> from meganet.multilevel import MultilevelGradient
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
    ((21, 2), 144048.0)
    >>> value, gradient = fun(x, np.arange(40))
    """

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
        self._measured = self._steps = 0
        self._terms = [replace(fun.terms, theta_regularizer=None, W_regularizer=None) for fun in self.objectives]
        self._work = tuple(step_flop(fun.network, fun.classifier.range_shape[0]) for fun in self.objectives)

    @property
    def recordable(self) -> bool:
        """Whether the steps of an epoch may be recorded as a CUDA graph, see `optim.sgd`: those on one grid alone."""
        return self.variances is None or self.variances.start == len(self.objectives) - 1

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
        parts = [indices[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
        if len(parts) == 1:
            return self.telescoped(x, parts)
        self._steps += 1
        return self._adapted(x, parts) if self._steps % EVERY == 0 else self.telescoped(x, parts)

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
        return self._summed(x, [self._term(start, k, points, part) for k, part in enumerate(examples)])

    def _adapted(self, x: Array, parts: Sequence[Array]) -> tuple[Array, Array]:
        """Return what `telescoped` does, in two halves of each term, and see from them how much it varies."""
        start = len(self.objectives) - len(parts)
        points = self._points(x, start)
        terms, squares, scales = [], [], []
        for number, part in enumerate(parts):
            sizes = part.shape[0] // 2, part.shape[0] - part.shape[0] // 2
            one, other = (self._term(start, number, points, half) for half in (part[: sizes[0]], part[sizes[0] :]))
            terms.append(one.mean(other, sizes[1] / part.shape[0]))
            apart = self._on_finest(start + number, one.own - other.own)
            squares.append((apart * apart).sum())
            scales.append(1 / (1 / sizes[0] + 1 / sizes[1]))
            if one.below is not None and other.below is not None:
                apart = apart - self._on_finest(start + number - 1, one.below - other.below)
                squares.append((apart * apart).sum())
                scales.append(scales[-1])
        # the only numbers that are fetched from a device
        numbers = self.backend.to_host(self.backend.stack(squares))
        found = [float(number) * scale for number, scale in zip(numbers, scales, strict=True)]
        if self.variances is not None:
            own = (*self.variances.own[:start], found[0], *found[1::2])
            seen = LevelVariances(own, (*self.variances.differences[:start], *found[2::2]), self._work)
            self.variances = self.variances.averaged(seen, PASSING)
        return self._summed(x, terms)

    def _term(self, start: int, number: int, points: Sequence[Array], indices: Array | None) -> _Term:
        """Return a term of the sum from level `start` on, over some examples."""
        value, own = self._mean(start + number, points[number], indices)
        if not number:
            return _Term(value, own, None)
        subtracted, below = self._mean(start + number - 1, points[number - 1], indices)
        return _Term(value - subtracted, own, below)

    def _summed(self, x: Array, terms: Sequence[_Term]) -> tuple[Array, Array]:
        """Return value and gradient of the sum, and of the regularisers."""
        value, gradient = terms[0].value, terms[0].own
        for term, restriction in zip(terms[1:], self.restrictions[len(self.objectives) - len(terms) :], strict=True):
            value, gradient = value + term.value, restriction.T @ (gradient - term.below) + term.own
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
        self._steps = 0
        return self.variances.row()

    def resume(self, history: History) -> None:
        """Go on where a run with this history, with the columns of `observe`, has ended."""
        self._measured, self._steps = len(history), 0
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


class _Term(NamedTuple):
    """A term of the sum: its value, and its gradients on its level and, to be subtracted, on the one below."""

    value: Any
    own: Array
    below: Array | None

    def mean(self, other: _Term, weight: float) -> _Term:
        """Return the mean with another, which has this weight."""
        below = self.below
        if below is not None and other.below is not None:
            below = below * (1 - weight) + other.below * weight
        return _Term(
            self.value * (1 - weight) + other.value * weight, self.own * (1 - weight) + other.own * weight, below
        )


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
