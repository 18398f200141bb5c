"""Networks that a question trains on one grid and carries to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from meganet.backend import Array, Backend
from meganet.experiments.questions.arm_costs import cost_of_arms
from meganet.experiments.questions.base import Context, Cost
from meganet.experiments.runs.arms import Arm, Arms, Outcome, Sizes
from meganet.experiments.runs.problems import Shape, build_network
from meganet.experiments.runs.study import SettingsError
from meganet.experiments.runs.tuning import tuned
from meganet.experiments.setup.settings import Setup
from meganet.ground import validate
from meganet.multilevel import Grids, Phase, Schedule, Transfer, in_space
from meganet.objective import Objective
from meganet.optim import LinearDecay, Momentum

PASSES = 3
"""Of training a network from random weights."""
RULE = Momentum(0.9)
SLOWEST = 0.1
"""To this part of itself a rate falls, linearly."""
RATES: Mapping[str, tuple[float, ...]] = {"A": (0.003, 0.01, 0.03), "B": (0.003, 0.01, 0.03), "resnet": (0.01, 0.03)}
"""First rates of each net, of which a tuning run chooses."""
BATCHES = 8
"""Mini-batches of a pass, at least."""


def grids_of(net: str, image_shape: Shape, most: int = 3) -> tuple[int, ...]:
    """Return the widths of the grids, at most so many, to which a net goes by halving its images.

    Examples
    --------
    >>> from meganet.experiments.questions.carrying import grids_of
    >>> grids_of("A", (1, 28, 28)), grids_of("B", (1, 28, 28))
    ((7, 14, 28), (14, 28))
    """
    network = build_network(net, image_shape)
    widths: tuple[int, ...] = (image_shape[2],)
    while len(widths) < most and widths[0] % 2 == 0:
        try:
            in_space(network, 2, (widths[0] // 2, *widths))
        except validate.InputError:
            # pooling, or a height, divides no further
            break
        widths = (widths[0] // 2, *widths)
    if len(widths) < 2:
        validate.reject("dataset", f"images that net {net} takes at half their width", "x".join(map(str, image_shape)))
    return widths


def phase(base: Setup, level: int, rate: float, passes: float, **settings: Any) -> Phase:
    """Return a phase whose rate falls linearly, with momentum.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> from meganet.experiments.questions.carrying import phase
    >>> print(phase(Setup(), level=0, rate=0.01, passes=3))
    level 0: 3 passes, rate 0.01 to 0.001, batch 32, every=0.5, rule=Momentum(momentum=0.9, nesterov=False)
    """
    falling, batch = LinearDecay(rate, SLOWEST * rate, passes), base.descent.batch_size
    return Phase(level, passes, falling, batch, min(0.5, passes), rule=RULE, **settings)


def candidates(
    base: Setup, name: str, hierarchy: Grids, level: int, rates: Iterable[float], passes: float, **of_arm: Any
) -> list[Arm]:
    """Return an arm of one phase for each rate."""
    only = {"classifier_only": of_arm.pop("classifier_only", False)}
    schedules = [Schedule((phase(base, level, rate, passes, **only),)) for rate in rates]
    return [Arm(name, hierarchy, schedule, **of_arm) for schedule in schedules]


def sizes_of(base: Setup) -> Sizes:
    """Return the images of a trial, as many for training on every grid: no more than either grid has in a protocol.

    Raises
    ------
    SettingsError
        If a pass has fewer mini-batches than parts of a pass are asked for.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> from meganet.experiments.questions.carrying import sizes_of
    >>> sizes_of(Setup.of(coarse_examples=4000, fine_examples=5000, validation_examples=1000))
    Sizes(training=4000, validation=1000)
    """
    training, least = min(base.data.coarse_examples, base.data.fine_examples), BATCHES * base.descent.batch_size
    if training < least:
        names = "coarse_examples and fine_examples"
        validate.reject(names, f"at least {least}, {BATCHES} mini-batches", str(training), SettingsError)
    return Sizes(training, base.data.validation_examples)


def cost_of(base: Setup, tuning: Sequence[Arm], arms: Sequence[Arm]) -> Cost:
    """Return what it costs to try some arms once and to make others in every trial, and those before them.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.experiments import Setup
    >>> from meganet.experiments.questions.carrying import candidates, cost_of
    >>> from meganet.multilevel import in_space
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(14, 28))
    >>> some = candidates(Setup(), "some", hierarchy, level=0, rates=(0.1, 0.2), passes=3)
    >>> cost_of(Setup(), some, some[:1]).runs
    22
    """
    return cost_of_arms(sizes_of(base).training, base.run.trials, tuning, arms)


@dataclass(frozen=True)
class Carrying:
    """The runs of a question, and the problems on which it measures.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments import Workers
    >>> from meganet.experiments.questions.base import Context
    >>> from meganet.experiments.questions.carrying import Carrying
    >>> folder, sizes = Path(tempfile.mkdtemp()), {"coarse_examples": 256, "validation_examples": 50, "trials": 1}
    >>> context = Context(folder, "some", "small", sizes, get_backend("numpy"), load_digits(), Workers(), False, print)
    >>> here = Carrying(context)
    >>> hierarchy = here.hierarchy("B", (14, 28))
    >>> here.objective(hierarchy, level=0, trial=0, validation=True).images.shape
    (50, 1, 14, 14)
    """

    context: Context

    @cached_property
    def base(self) -> Setup:
        """The setup, whose sizes are taken."""
        return self.context.base

    @cached_property
    def arms(self) -> Arms:
        """Where the runs of the trials are."""
        return self._arms(tuning=False)

    def _arms(self, tuning: bool) -> Arms:
        context = self.context
        path, sizes = context.path / "arms", sizes_of(self.base)
        return Arms(path, context.data, sizes, self.base, context.backend, tuning=tuning)

    def tuned(self, choices: Mapping[str, Sequence[Arm]]) -> dict[str, Arm]:
        """Return of each name the arm that was best in one run on images of its own."""
        numbers, _ = tuned(self._arms(tuning=True), choices, **self.context.how)
        return {name: choices[name][number] for name, number in numbers.items()}

    def run(self, arms: Sequence[Arm]) -> list[list[Outcome]]:
        """Return what all arms end with, trial by trial."""
        return self.arms.run(arms, self.base.run.trials, **self.context.how)

    def hierarchy(self, net: str, grids: Sequence[int], transfer: Transfer | None = None) -> Grids:
        """Return a net on grids of the data, with the classes of the data."""
        data = self.context.data
        return hierarchy_of(net, data.images.shape[1:], data.classes, grids, transfer, self.context.backend)

    def objective(
        self, hierarchy: Grids, level: int, trial: int, *, validation: bool = False, most: int | None = None
    ) -> Objective:
        """Return the problem of a trial on a level: over its training images, or validation ones, at most so many."""
        images, labels = self.arms.trial(trial)[2:] if validation else self.arms.trial(trial)[:2]
        at, seen = hierarchy[level], hierarchy.images(level, images[:most])
        return Objective(at.network, at.classifier, seen, labels[:most])

    def accuracy(self, hierarchy: Grids, level: int, trial: int, x: Array) -> float:
        """Return the accuracy of weights in validation, in percent."""
        return 100 * self.objective(hierarchy, level, trial, validation=True).evaluate(x).accuracy


def hierarchy_of(
    net: str,
    image_shape: Shape,
    classes: int,
    grids: Sequence[int],
    transfer: Transfer | None = None,
    backend: str | Backend | None = None,
) -> Grids:
    """Return a net by its name on several grids.

    Examples
    --------
    >>> from meganet.experiments.questions.carrying import hierarchy_of
    >>> hierarchy_of("B", (1, 28, 28), 10, grids=(14, 28))
    <Grids: 14x14, 28x28>
    """
    return in_space(build_network(net, image_shape, backend), classes, grids, transfer)
