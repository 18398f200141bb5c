"""Training of a model epoch by epoch: by mini-batches, or by an optimiser that takes all examples at once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter as Argument
from typing import Any

from meganet.backend import Array, random_stream
from meganet.ground import validate
from meganet.layers import Layer
from meganet.linop._alike import alike
from meganet.objective import Evaluation, Objective
from meganet.optim import Control, History, Momentum, Result, functions
from meganet.optim.bar import NOTED, bar_of
from meganet.optim.epochs import Shared
from meganet.optim.rules import Rule
from meganet.optim.runs import OWN, SGDState
from meganet.optim.sgd import sgd

BATCH = 32
LEARNING_RATE = 0.003
AT_ONCE = 256
"""Examples that an optimiser of all examples evaluates at a time, which bounds the memory."""
COLUMNS = (*OWN, *NOTED)
"""Of a model's history, whatever trains it; nan is what is not known."""


@dataclass(frozen=True)
class Memory:
    """What a training may continue with: who made it, and the state it left.

    Attributes
    ----------
    maker : tuple
        The rule, batch size and number of examples of mini-batch steps, or the optimiser.
    state : object
        Of the mini-batch steps an `SGDState`; else the optimiser's own arguments, such as the radius of trust.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.training import Memory
    >>> memory = Memory((mn.trust_region, 64), {"radius": 0.5})
    >>> memory.of(mn.trust_region, 64), memory.of(mn.trust_region, 32)
    ({'radius': 0.5}, None)
    """

    maker: tuple[Any, ...] = ()
    state: Any = None

    def of(self, *maker: Any) -> Any:
        """Return the state if it was left by the same maker."""
        return self.state if alike(self.maker, maker) else None


@dataclass(frozen=True)
class Job:
    """What is trained: from where, and who takes over the points on the way.

    Attributes
    ----------
    objective : Objective
    observe : Evaluation
    x : array
        The start.
    epochs : int
        Made before.
    seed : int
        Of the order of the examples.
    commit : callable
        ``(rows, x, memory)`` gets the new rows of the history, the point and what to continue with after an epoch; if
        it returns True, that was the last one.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.model.training import Job, Memory, Plan
    >>> from meganet.objective import observer
    >>> images, labels = np.random.default_rng(0).standard_normal((6, 1, 4, 4)), np.arange(6) % 3
    >>> fun = mn.Objective(mn.ConvolutionLayer((1, 4, 4), 2), mn.DenseLayer((2, 4, 4), 3), images, labels)
    >>> def commit(rows, x, memory):
    ...     print([row["epoch"] for row in rows], x.shape)
    >>> job = Job(fun, observer(fun), np.zeros(117), epochs=0, seed=0, commit=commit)
    >>> Plan(2, 0.1, 3, None, "sgd", "warn", progress=False).run(job, Memory())
    [0, 1] (117,)
    [2] (117,)
    """

    objective: Objective
    observe: Evaluation
    x: Array
    epochs: int
    seed: int
    commit: Callable[[list[dict[str, float]], Array, Memory], bool | None]


@dataclass(frozen=True)
class Plan:
    """How to train; the arguments of `Model.fit` that are not data.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.training import Plan
    >>> plan = Plan(5, None, None, None, mn.lbfgs, "warn", progress=False)
    >>> plan.bar
    False
    >>> Plan(5, 0.1, 16, mn.Momentum(), "sgd", "warn", progress=False).check(examples=60)
    """

    epochs: int
    learning_rate: float | Callable[[int], float] | None
    batch_size: int | None
    rule: Rule | None
    optimizer: str | Callable[..., Result]
    on_divergence: str
    progress: bool | None

    def __post_init__(self) -> None:
        validate.integer("epochs", self.epochs)
        if self.batch_size is not None:
            validate.integer("batch_size", self.batch_size)
        validate.choice("on_divergence", self.on_divergence, ["warn", "continue", "stop"])
        if self.progress not in (None, True, False):
            validate.reject("progress", "True, False or None", validate.shown(self.progress))
        if isinstance(self.optimizer, str) and self.optimizer == "sgd":
            return
        if "control" not in functions.arguments(self.optimizer):
            what = '"sgd" (Adam is its rule=mn.Adam()) or a function that takes a control, such as mn.lbfgs'
            validate.reject("optimizer", what, validate.shown(self.optimizer))
        given, optional = {"fun", "x0", "hessian"}, (Argument.VAR_POSITIONAL, Argument.VAR_KEYWORD)
        arguments = functions.arguments(self.optimizer).values()
        needed = [a.name for a in arguments if a.default is a.empty and a.kind not in optional and a.name not in given]
        if needed:
            what = "one whose other arguments are given, by functools.partial"
            validate.reject("optimizer", what, f"one that also needs {', '.join(needed)}")
        for name in ("learning_rate", "rule"):
            if getattr(self, name) is not None:
                what = 'none with an optimizer other than "sgd", which finds its steps itself'
                validate.reject(name, what, validate.shown(getattr(self, name)))
        control = _control(self.optimizer)
        if control.observe is not None or control.callback is not None:
            validate.reject("optimizer", "a control without observe and callback, which fit has", repr(control))

    @property
    def bar(self) -> bool:
        """Whether a progress bar is shown: if not said, where somebody may see it move."""
        if self.progress is None:
            # a process without a terminal may have no stderr
            return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
        return self.progress

    def check(self, examples: int) -> None:
        """Refuse arguments that do not fit mini-batches of so many examples."""
        if self.optimizer == "sgd":
            Shared(examples, self.epochs, self._rate, self._batch(examples), self.rule, None, None, self.on_divergence)

    def first(self, network: Layer, classifier: Layer, x: Array | None) -> tuple[Layer, Layer, Array | None]:
        """Return network, classifier and weights as they are: what is trained first, see `LevelPlan`."""
        return network, classifier, x

    def run(self, job: Job, memory: Memory) -> None:
        """Train, from what `memory` holds, and hand every new point to the job's `commit`."""
        (self._in_batches if self.optimizer == "sgd" else self._at_once)(job, memory)

    @property
    def _rate(self) -> float | Callable[[int], float]:
        return LEARNING_RATE if self.learning_rate is None else self.learning_rate

    def _batch(self, examples: int) -> int:
        return min(BATCH, examples) if self.batch_size is None else self.batch_size

    def _in_batches(self, job: Job, memory: Memory) -> None:
        n, rule = job.objective.examples, Momentum() if self.rule is None else self.rule
        size = self._batch(n)
        rate = self._rate
        maker = (rule, size, n)
        state: SGDState | None = memory.of(*maker)
        made = 0 if state is None else state.epoch
        # a rule counts its own epochs, schedule and order those of the model
        before = job.epochs - made
        seen = 0

        def order(epoch: int) -> Any:
            return random_stream(job.seed, before + epoch).permutation(n)

        def take(state: SGDState) -> bool | None:
            nonlocal seen
            rows, seen = list(state.history)[seen:], len(state.history)
            left = Memory(maker, replace(state, history=History(), seconds=[], divergence=None))
            return job.commit([{**row, "epoch": before + row["epoch"]} for row in rows], state.x, left)

        sgd(
            job.objective,
            job.x,
            n,
            epochs=made + self.epochs,
            learning_rate=(lambda epoch: rate(before + epoch)) if callable(rate) else rate,
            batch_size=size,
            rule=rule,
            order=order,
            observe=job.observe,
            callback=take,
            state=None if state is None else replace(state, x=job.x),
            on_divergence=self.on_divergence,
            progress="training" if self.bar else None,
        )

    def _at_once(self, job: Job, memory: Memory) -> None:
        optimizer: Callable[..., Result] = self.optimizer  # type: ignore[assignment]
        size = AT_ONCE if self.batch_size is None else self.batch_size
        arguments: dict[str, Any] = {"batch_size": None if job.objective.network.couples_examples else size}
        known, maker = functions.arguments(optimizer), (_taken_apart(optimizer), job.objective.examples)
        kept: dict[str, float] = memory.of(*maker) or {}
        seen = 0

        def take(result: Result) -> bool | None:
            nonlocal seen
            rows, seen = list(result.history)[seen:], len(result.history)
            left = Memory(maker, {name: v for name, v in result.state.items() if name in known})
            numbered = [{**row, "epoch": job.epochs + row["iteration"], "learning_rate": math.nan} for row in rows]
            bar.update()
            bar.note(rows[-1])
            return job.commit(numbered, result.x, left)

        control = replace(_control(optimizer), max_iterations=self.epochs, observe=job.observe, callback=take)
        positional = [partial(job.objective, **arguments), job.x]
        if "hessian" in known:
            positional.append(partial(job.objective.hessian, **arguments))
        with bar_of("training" if self.bar else None, self.epochs) as bar:
            optimizer(*positional, control=control, **kept)


def _taken_apart(optimizer: Any) -> Any:
    """Return a partial function as what it is made of, for two that are made of the same are not equal."""
    if not isinstance(optimizer, partial):
        return optimizer
    return optimizer.func, optimizer.args, sorted(optimizer.keywords.items())


def _control(optimizer: Any) -> Control:
    """Return the control that was given to an optimiser by `functools.partial`."""
    found = getattr(optimizer, "keywords", {}).get("control")
    return found if isinstance(found, Control) else Control()
