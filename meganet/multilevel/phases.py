"""A phase of a training: which level, for how long, with which settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from meganet.ground import validate
from meganet.multilevel.level import Level
from meganet.optim.rules import Rule, checked
from meganet.regularizers import Regularizer, penalty_of

ASSIGNMENTS = ("random", "cyclic")
Penalty = float | Callable[[Level], Regularizer | None]


@dataclass(frozen=True)
class Phase:
    """Mini-batch steps on one level, or on several of them with one set of weights.

    Parameters
    ----------
    level : int or tuple of int
        Number of the level, from 0, the coarsest; negative numbers count from the finest. With several each mini-batch
        goes to one of them, and the weights are those of the finest: see `Hierarchy.sharing`.
    epochs : float
        Passes through the images, also parts of one.
    learning_rate : float or callable
        A number, or a function of the passes made in this phase, asked for before each round; 0 comes first.
    batch_size : int
        An incomplete last mini-batch of a pass is left out.
    every : float
        Passes in a round, after which there is a row of the history: then the rate is asked for, the validation is
        made, and the training is stored.
    theta_alpha, W_alpha : float or callable
        A number alpha stands for ``alpha/2 ||.||^2`` of the network's and of the classifier's weights; a function gets
        the `Level` and returns a `Regularizer` or None. When levels are trained together, each has its own.
    patience : int, optional
        The phase ends when the accuracy in validation, of a regression the loss there, was not better than before in so
        many rounds. All rounds are made if not given.
    rule : Momentum, Adam or another rule, optional
        `Momentum()`, plain steps, if not given. What it remembers is forgotten at the end of a phase: a velocity on one
        grid says little on another.
    classifier_only : bool
        The network's weights stay as they are.
    assignment : {"random", "cyclic"}
        Which mini-batches go to which of several levels: drawn independently, or one level after the other.
    rate_factors : tuple of float, optional
        What the learning rate is multiplied by on each of several levels, in their order; a coarse one, whose steps are
        cheap, may want shorter ones than the fine one, or longer.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multilevel import Phase
    >>> phase = Phase(level=0, epochs=1.5, learning_rate=0.1, every=0.5, rule=mn.Momentum(0.9))
    >>> print(phase)
    level 0: 1.5 passes, rate 0.1, batch 32, every=0.5, rule=Momentum(momentum=0.9, nesterov=False)
    >>> phase.cuts(examples=640)  # mini-batches before the first round, the second, ... and in all
    (0, 10, 20, 30)
    """

    level: int | tuple[int, ...]
    epochs: float = 1.0
    learning_rate: float | Callable[[float], float] = 0.003
    batch_size: int = 32
    every: float = 1.0
    theta_alpha: Penalty = 0.0
    W_alpha: Penalty = 0.0
    patience: int | None = None
    rule: Rule | None = None
    classifier_only: bool = False
    assignment: str = "random"
    rate_factors: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        expected = "the number of a level, or several in a tuple"
        joint = isinstance(self.level, Sequence)
        numbers = validate.items("level", self.level if joint else [self.level], Integral, expected)
        numbers = tuple(int(number) for number in numbers)
        if len(set(numbers)) != len(numbers):
            validate.reject("level", "different levels", str(self.level))
        for name in ("epochs", "every"):
            validate.real(name, getattr(self, name), above=0)
        if not callable(self.learning_rate):
            validate.real("learning_rate", self.learning_rate, above=0)
        validate.integer("batch_size", self.batch_size)
        for name in ("theta_alpha", "W_alpha"):
            if not callable(getattr(self, name)):
                validate.real(name, getattr(self, name), minimum=0)
        if self.patience is not None:
            validate.integer("patience", self.patience)
        checked("rule", self.rule)
        validate.choice("assignment", self.assignment, ASSIGNMENTS)
        if joint and self.classifier_only:
            validate.reject("classifier_only", "False where several levels are trained together", "True")
        if self.rate_factors is not None:
            factors = validate.items("rate_factors", self.rate_factors, Real, "a number for each of several levels")
            if not joint or len(factors) != len(numbers):
                validate.reject("rate_factors", "a number for each of several levels", str(self.rate_factors))
            checks = [validate.real(f"rate_factors[{k}]", factor, above=0) for k, factor in enumerate(factors)]
            validate.store(self, rate_factors=tuple(checks))
        validate.store(self, level=numbers if joint else numbers[0], classifier_only=bool(self.classifier_only))

    @property
    def levels(self) -> tuple[int, ...]:
        """The level, or the levels, as a tuple."""
        return self.level if isinstance(self.level, tuple) else (self.level,)

    def cuts(self, examples: int) -> tuple[int, ...]:
        """Return how many mini-batches come before each round, and in all."""
        batches = examples // self.batch_size
        if not batches:
            validate.reject("batch_size", f"at most the number of images, {examples}", str(self.batch_size))
        rounds = math.ceil(self.epochs / self.every - 1e-9)
        ends = [round(self.every * batches * number) for number in range(rounds)] + [round(self.epochs * batches)]
        if any(a >= b for a, b in zip(ends[:-1], ends[1:], strict=True)):
            what = f"rounds of at least one mini-batch, of which a pass has {batches}"
            validate.reject("every", what, f"{self.every:g} of {self.epochs:g} passes")
        return tuple(ends)

    def rate(self, passes: float) -> float:
        """Return the learning rate after some passes of this phase."""
        rate = self.learning_rate(passes) if callable(self.learning_rate) else self.learning_rate
        return validate.real("learning_rate", rate, above=0)

    def penalties(self, level: Level, dtype: Any) -> dict[str, Regularizer | None]:
        """Return the regularisers of a level, as `Objective` takes them."""
        found = {}
        for name, layer in (("theta", level.network), ("W", level.classifier)):
            alpha = getattr(self, f"{name}_alpha")
            given = alpha(level) if callable(alpha) else alpha or None
            found[f"{name}_regularizer"] = penalty_of(f"{name}_alpha", given, layer, dtype)
        return found

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Level, passes, rate, batch size, and the other settings as far as they are not the usual ones."""
        level = "+".join(map(str, self.levels))
        others = {f.name: getattr(self, f.name) for f in fields(self)[4:] if getattr(self, f.name) != f.default}
        told = ", ".join(f"{name}={_text(value)}" for name, value in others.items())
        return level, f"{self.epochs:g}", _text(self.learning_rate), str(self.batch_size), told or "-"

    def __str__(self) -> str:
        """Return a line of text."""
        level, passes, rate, batch, others = self.cells
        line = f"level {level}: {passes} passes, rate {rate}, batch {batch}"
        return line if others == "-" else f"{line}, {others}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    # functions, and what a rule is made of
    return getattr(value, "__name__", None) or str(value)
