"""How long training will take, from a few steps of each kind that are made beforehand and thrown away.

Nothing of it is stored or drawn from a trial's random numbers, so the runs are the same with it and without.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from meganet.backend import Array, Backend, loops, use_backend
from meganet.backend.threads import thread_count
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.problems import Level, Problems
from meganet.experiments.runs.tracked import Tracked
from meganet.experiments.runs.training import EXAMPLES_AT_ONCE, sgd_settings
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import MEGANET, SGD, STEIHAUG, Stage
from meganet.objective import Objective, StackedObjective
from meganet.objective.landscape import EXAMPLES, POINTS
from meganet.optim import Run, sgd_stacked
from meganet.workers import Workers
from meganet.workers.remaining import roughly

STEPS = 3
"""Of SGD, after one to warm up."""
STEPS_ON_A_DEVICE = 100
"""Of an epoch on a device, at the start of which one is recorded."""
LOOKS, ENOUGH = 3, 0.2
"""Times that everything else is measured, and the seconds after which it is not measured again."""
EVALUATIONS = 2
"""Of the objective with its gradient in a step of a Newton method: where it starts, and where it tries to go."""
PRODUCTS = {STEIHAUG: 0.5, MEGANET: 1.0}
"""Part of the products that a step of a method may take that it takes on average: one stops at the trust region."""
OF_FEATURES = ("classifier gradient", "classifier product", "classifier evaluation")
"""What is measured of the classifier alone."""


class Pilot:
    """Measures a few steps of training.

    Parameters
    ----------
    backend : Backend
    workers : Workers
        As many threads as each of them has are used.
    stacked : int
        Trials that are trained at once, as one stack; 1 if each is made by itself.
    landscapes : sequence of Case
        Those of the figures of landscapes that follow.
    """

    def __init__(self, backend: Backend, workers: Workers, stacked: int, landscapes: Sequence[Case]) -> None:
        self.backend, self.workers, self.stacked = backend, workers, stacked
        self.landscapes = landscapes
        self._seconds: dict[Hashable, float] = {}
        self._trials: dict[Hashable, Problems] = {}

    def measured(self, runs: Sequence[Tracked]) -> dict[Hashable, float]:
        """Return the seconds of an epoch of each run, by its kind, with what its start takes spread over all epochs."""
        with self._as_in_a_worker():
            kinds = {run.kind: run for run in runs}
            return {kind: self.stacked * self._epoch(run.case, run.stage) for kind, run in kinds.items()}

    def estimate(self, seconds: float, runs: int) -> str:
        """Return a sentence about how long some runs take, and the landscapes after them."""
        several, threads = "s" if runs > 1 else "", self.workers.threads if not self.workers.local else thread_count()
        each = f"{threads} thread{'s' if threads > 1 else ''}"
        where = f" on {each}"
        if self.workers.cluster is not None:
            where = ", shared by the workers of the cluster"
        elif not self.workers.local:
            where = f", {self.workers.jobs} trials at a time on {each} each"
        elif self.backend.name != "numpy":
            where = f" on {self.backend.name}"
        with self._as_in_a_worker():
            drawing = sum(map(self._landscapes_of, self.landscapes))
        after = f", then {roughly(drawing)} for the landscapes" if self.landscapes else ""
        return f"About {roughly(seconds)} for {runs} run{several}{where}{after} (measured on a few steps)"

    def _as_in_a_worker(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.workers.local else threadpool_limits(self.workers.threads)

    def _epoch(self, case: Case, stage: Stage) -> float:
        setup, once = case.setup, partial(self._once, case, stage.grid, stage.images)
        examples = stage.examples(setup)
        seen = examples + setup.data.validation_examples
        evaluation = seen * once("evaluation")
        # before the first epoch the start is evaluated
        starts = 1 + 1 / stage.length(setup)
        if stage.method == SGD:
            return examples // setup.descent.batch_size * once("step") + starts * evaluation
        newton = setup.newton
        products = PRODUCTS[stage.method] * newton.newton_products
        if not stage.classifier_only:
            gradient = once("step") / setup.descent.batch_size
            step = EVALUATIONS * gradient + products * once("product")
            return examples * newton.newton_steps * step + starts * evaluation
        features, gradient, product, evaluation = (once(what) for what in ("features", *OF_FEATURES))
        # the features are made once
        start = features / stage.length(setup) + starts * evaluation
        return examples * newton.newton_steps * (EVALUATIONS * gradient + products * product) + seen * start

    def _landscapes_of(self, case: Case) -> float:
        """Return the seconds of the landscapes around one coarse point and two fine ones."""
        return sum(
            number * POINTS**2 * EXAMPLES * self._once(case, grid, images, "evaluation")
            for number, grid, images in ((1, 0, "coarse"), (2, -1, "fine"))
        )

    def _once(self, case: Case, grid: int, images: str, what: str) -> float:
        """Return the seconds of a step, or those of anything else for an example; measured once."""
        setup = case.setup
        problem = setup.model, setup.descent.batch_size, setup.descent.momentum, setup.levels.grids
        key = what, grid, images, problem
        if key not in self._seconds:
            # of a run that diverges the steps take no longer
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"), use_backend(self.backend):
                if problem not in self._trials:
                    self._trials[problem] = Problems(self._few(setup), case.data, 0, self.backend)
                trial = self._trials[problem]
                known, level = None, trial.level(grid, images)
                # once more if loops had to be compiled or loaded, which is done for all steps to come
                while known != loops.forms():
                    known = loops.forms()
                    self._seconds[key] = self._measure(what, trial.setup, level)
        return self._seconds[key]

    def _few(self, setup: Setup) -> Setup:
        """Return a setup of few examples, but enough for all threads to have as much to do as in training."""
        steps = STEPS_ON_A_DEVICE if self.backend.takes_stacks else 1
        most = max(steps * setup.descent.batch_size, thread_count() * EXAMPLES_AT_ONCE)
        names = ("coarse_examples", "fine_examples", "validation_examples")
        return setup.changed(**{name: min(getattr(setup.data, name), most) for name in names})

    def _measure(self, what: str, setup: Setup, level: Level) -> float:
        x = level.initial(np.random.default_rng(0), setup)
        if what == "step":
            return self._step(setup, level.training, x)
        if what == "features":
            clock = time.perf_counter()
            level.of_classifier(x)
            self.backend.synchronize()
            return (time.perf_counter() - clock) / sum(objective.examples for objective in level)
        fun, batch_size = level.training, EXAMPLES_AT_ONCE
        if what in OF_FEATURES:
            reduced = level.of_classifier(x)
            if reduced is None:
                return 0.0
            fun, x, batch_size = reduced.training, fun.split(x)[1], fun.examples
        action: Callable[[], Any] = partial(fun.evaluate, x)
        if what.endswith("gradient"):
            action = partial(fun, x, batch_size=batch_size)
        elif what.endswith("product"):
            hessian = fun.hessian(x, batch_size=batch_size)
            action = partial(hessian.__matmul__, x)
        return self._time(action) / fun.examples

    def _step(self, setup: Setup, fun: Objective, x: Array) -> float:
        """Return the seconds of a step of SGD, its share where several are made at once."""
        device = self.backend.takes_stacks
        steps, epochs = (fun.examples // setup.descent.batch_size, 1) if device else (1, STEPS)
        runs = [Run(fun, x)] * self.stacked
        settings = {**sgd_settings(setup), "epochs": 1 + epochs, "on_divergence": "continue"}
        states = sgd_stacked(runs, steps * setup.descent.batch_size, stack=StackedObjective, **settings)
        return median(states[0].seconds[1:]) / steps

    def _time(self, action: Callable[[], Any]) -> float:
        """Return the median time of an action; the first time it warms up, unless that is long enough already."""
        found: list[float] = []
        while len(found) <= LOOKS and sum(found) < ENOUGH:
            clock = time.perf_counter()
            action()
            self.backend.synchronize()
            found.append(time.perf_counter() - clock)
        return median(found[1:] or found)
