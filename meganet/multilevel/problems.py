"""What is minimised on each level, and over which images it is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from meganet.backend import Array, backend_of, random_stream, to_host
from meganet.ground import validate
from meganet.losses import Loss, MeanSquares
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.phases import Phase
from meganet.multilevel.rounds import Rounds
from meganet.multilevel.together import Through, Together, shared
from meganet.objective import Evaluation, Objective, observer
from meganet.optim.runs import Function

EVALUATED = 2
"""Number of a random stream, after those of `rounds`."""


class Problem(NamedTuple):
    """What a phase minimises.

    Attributes
    ----------
    fun : callable
    observe : Evaluation
    x : array
        The weights that are trained.
    whole : callable
        Makes all weights of those.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import Phase, in_space
    >>> from meganet.multilevel.problems import Problems
    >>> from meganet.multilevel.rounds import Rounds
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 2), classes=3, grids=(8, 16))
    >>> problems = Problems(hierarchy, np.ones((6, 1, 16, 16)), np.arange(6) % 3, None, None, 4, seed=0)
    >>> rounds = Rounds(hierarchy, Phase(0, batch_size=2, classifier_only=True), 0, 6, 0, "warn")
    >>> problem = problems.of(rounds, np.zeros(hierarchy[0].unknowns))
    >>> problem.x.shape, problem.whole(problem.x).shape
    ((387,), (405,))
    """

    fun: Function
    observe: Evaluation
    x: Array
    whole: Callable[[Array], Array]


class Problems:
    """The images of a training on every level, each made when it is first wanted.

    Parameters
    ----------
    hierarchy : Hierarchy
    images : array, (N, C, H, W)
        On the finest level.
    labels : sequence
    validation : (images, labels), optional
    loss : Loss, optional
    evaluated : int, optional
        Of the images, drawn from the seed, so many are evaluated; all if not given.
    seed : int

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import Phase, in_space
    >>> from meganet.multilevel.problems import Problems
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 2), classes=3, grids=(8, 16))
    >>> problems = Problems(hierarchy, np.ones((6, 1, 16, 16)), np.arange(6) % 3, None, None, 4, seed=0)
    >>> problems.objective(0, Phase(0)).images.shape
    (6, 1, 8, 8)
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        images: Array,
        labels: Any,
        validation: Any,
        loss: Loss | None,
        evaluated: int | None,
        seed: int,
    ) -> None:
        self.hierarchy, self.loss = hierarchy, loss
        if loss is None and hierarchy[-1].outputs is None:
            self.loss = MeanSquares()
        self.training, self.validation = (images, labels), validation
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
            validate.reject("validation", "a pair (images, labels) or None", validate.shown(validation))
        network = hierarchy[-1].network
        for name, given in (("images", images), *([("validation[0]", validation[0])] if validation else [])):
            network.backend.require(name, given)
            validate.array_shape(name, given, ("N", *network.domain_shape))
            validate.not_empty(name, given, "image")
            validate.float_images(name, given)
        if validation is not None:
            validate.same_dtype("validation[0]", validation[0], images.dtype, "the images")
        self.examples = int(images.shape[0])
        count = self.examples if evaluated is None else min(validate.integer("evaluated", evaluated), self.examples)
        self._drawn: np.ndarray[Any, Any] | None = None
        if count < self.examples:
            self._drawn = np.sort(random_stream(seed, EVALUATED).permutation(self.examples)[:count])
        self._images: dict[tuple[int, bool], Array] = {}

    def check(self, rounds: Rounds) -> None:
        """Refuse settings of a phase that do not fit its levels, before any phase is trained."""
        for number in rounds.levels:
            rounds.phase.penalties(self.hierarchy[number], self.training[0].dtype)
        if rounds.phase.classifier_only and self.hierarchy[-1].outputs is None:
            validate.reject("classifier_only", "False where the results are images", "True")

    def images(self, level: int, validation: bool) -> Array:
        """Return the images of the training, or of the validation, on a level."""
        key = level, validation
        if key not in self._images:
            given = self.validation[0] if validation else self.training[0]
            self._images[key] = self.hierarchy.images(level, given)
        return self._images[key]

    def objective(self, level: int, phase: Phase, *, validation: bool = False) -> Objective:
        """Return the objective of a level with the penalties of a phase; that of the validation has none."""
        images = self.images(level, validation)
        labels = self.hierarchy.targets(level, (self.validation if validation else self.training)[1])
        at = self.hierarchy[level]
        penalties = {} if validation else phase.penalties(at, images.dtype)
        return Objective(at.network, at.classifier, images, labels, loss=self.loss, **penalties)

    def of(self, rounds: Rounds, x: Array) -> Problem:
        """Return what a phase minimises, from the weights `x` on its finest level."""
        phase, level = rounds.phase, rounds.level
        objectives = {number: self.objective(number, phase) for number in rounds.levels}
        training = objectives[level]
        held_out = None if self.validation is None else self.objective(level, phase, validation=True)
        fun: Function = training
        if len(objectives) > 1:
            fun = Together(
                [
                    one if number == level else Through(one, shared(self.hierarchy, level, number))
                    for number, one in objectives.items()
                ]
            )
        elif phase.classifier_only:
            theta, w = training.split(x)
            reduced = training.of_classifier(x), None if held_out is None else held_out.of_classifier(x)
            if reduced[0] is None:
                validate.reject("x0", "weights whose features are finite, to train the classifier alone", "others")
            observe = observer(self._evaluated(reduced[0]), reduced[1])
            return Problem(reduced[0], observe, w, partial(_joined, theta))
        return Problem(fun, observer(self._evaluated(training), held_out), x, _same)

    def _evaluated(self, training: Objective) -> Objective:
        """Return the objective over the images that are evaluated."""
        if self._drawn is None:
            return training
        indices = training.backend.asarray(self._drawn)
        return Objective(
            training.network,
            training.classifier,
            training.images[indices],
            to_host(training.labels)[self._drawn],
            loss=training.loss,
            theta_regularizer=training.theta_regularizer,
            W_regularizer=training.W_regularizer,
        )


def _joined(theta: Array, w: Array) -> Array:
    return backend_of(w).xp.concatenate([theta, w])


def _same(x: Array) -> Array:
    return x
