"""Whether a deep network costs less when it is trained with few time steps first: nested iteration over depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from meganet.backend import Backend
from meganet.experiments.questions.arm_costs import cost_of_arms
from meganet.experiments.questions.base import Answer, Context, Cost, OwnTrainings
from meganet.experiments.questions.with_arms import decaying, diverged, line_of, listed, saved
from meganet.experiments.runs.arms import Arm, Arms, Outcome, Sizes
from meganet.experiments.runs.paired import accuracies, mean_of
from meganet.experiments.runs.problems import Shape
from meganet.experiments.runs.tuning import tuned
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.shapes import along_image
from meganet.layers import ConvolutionLayer, PoolingLayer
from meganet.layers.affine import shape_alone
from meganet.linop import CirculantConvolution
from meganet.multilevel import Phase, Schedule, TimeSteps, in_depth
from meganet.networks import Chain, ResidualNetwork, SymmetricLayer
from meganet.objective import Objective
from meganet.plotting.axes import PAGE
from meganet.plotting.budgets import plot_budgets

TITLES = {"depth": "Does training with few time steps first save work?"}
ORDER = 61

STEPS = (2, 4, 8, 16)
CHANNELS = 16
TIME = 0.5
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Budgets: passes through the images with all steps, in the epochs of coarse training."""
TUNED = 1
"""Number of the budget for which the candidates are tried."""
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
NESTED_RATES = tuple((rate, power) for power in (0.5, 1.0) for rate in (0.1, 0.2, 0.3))
"""On the finest level, and the power of the number of steps to which rates are proportional: the longer the steps, the
more their weights change what comes out."""
BAR, WITHIN = 3.0, 0.1
DEEP, NESTED = f"{STEPS[-1]} steps alone", "nested"
NOTE = (
    f"A convolution to {CHANNELS} channels, 4x4 pooling, {STEPS[-1]} residual steps of a symmetric layer over the time "
    f"{TIME:g}, a classifier of all pixels. SGD with momentum 0.9, rates that fall linearly to a twentieth, in nested "
    "iteration starting again on each level, which gets as much work as any other. Work counts the products of all "
    "levels as they are written; half widths are those of 95 % intervals by Student's t, differences are paired by "
    "trials."
)


class Depth(OwnTrainings):
    """Compare nested iteration over depth with all steps from the start, at equal work."""

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what the candidates cost, and all arms in every trial."""
        plan = _Plan(base, _hierarchy(image_shape, classes, None))
        candidates = [arm for arms in plan.candidates().values() for arm in arms]
        rate = NESTED_RATES[0]
        made = [arm for budget in plan.budgets for arm in (plan.deep(budget, RATES[0]), plan.nested(budget, *rate))]
        made += [*plan.alone(*rate), *plan.parts(plan.nested(plan.budgets[-1], *rate))]
        return cost_of_arms(base.data.coarse_examples, base.run.trials, candidates, made)

    def ask(self, context: Context) -> Answer:
        """Train what is missing; a row for each arm and budget, and a picture."""
        from matplotlib.figure import Figure

        base = context.base
        hierarchy = _hierarchy(context.data.images.shape[1:], context.data.classes, context.backend)
        plan = _Plan(base, hierarchy)
        sizes = Sizes(base.data.coarse_examples, base.data.validation_examples)
        place = context.path, context.data, sizes, base, context.backend
        candidates = plan.candidates()
        best, tried = tuned(Arms(*place, tuning=True), candidates, **context.how)
        rate = RATES[best[DEEP]]
        nested_rate, power = NESTED_RATES[best[NESTED]]
        arms = Arms(*place)
        nested = [plan.nested(budget, nested_rate, power) for budget in plan.budgets]
        deep = [plan.deep(budget, rate) for budget in plan.budgets]
        alone, parts = plan.alone(nested_rate, power), plan.parts(nested[-1])
        found = arms.run([*deep, *nested, *alone, *parts], base.run.trials, **context.how)
        count = len(plan.budgets)
        of = {DEEP: found[:count], NESTED: found[count : 2 * count]}
        ends = found[2 * count : 2 * count + len(alone)]
        rows = [
            _row(name, budget, outcomes, usual)
            for name in of
            for budget, outcomes, usual in zip(plan.budgets, of[name], of[DEEP], strict=True)
        ]
        rows += [
            _row(f"{steps} steps alone", plan.budgets[-1], outcomes, of[DEEP][-1])
            for steps, outcomes in zip(STEPS, ends, strict=False)
        ]
        chosen = (
            f"Chosen of {len(RATES)} candidates each in a run of other images with {plan.budgets[TUNED]:g} passes: "
            f"{DEEP} with the rate {rate:g}, nested with {nested_rate:g} on the finest level, on the others in "
            f"proportion to the number of steps to the power {power:g}. Accuracies of the candidates: "
            f"{listed(tried)}."
        )
        notes = [NOTE, chosen, _verdict(of[DEEP], of[NESTED])]
        notes.append(_refinements(arms, hierarchy, [*found[2 * count + len(alone) :], of[NESTED][-1]]))
        context.diverged.extend(diverged(of))
        lines = [line_of(name, budgets) for name, budgets in of.items()]
        lines += [line_of(f"{steps} steps alone", [outcomes]) for steps, outcomes in zip(STEPS, ends, strict=False)]
        figure = Figure(figsize=(PAGE, 4.4), layout="constrained")
        plot_budgets(lines, figure.subplots())
        return Answer(rows, notes, figure)


class _Plan:
    """The arms of a hierarchy, with the sizes of a setup."""

    def __init__(self, base: Setup, hierarchy: TimeSteps) -> None:
        self.hierarchy, self.examples = hierarchy, base.data.coarse_examples
        self.batch_size = base.descent.batch_size
        self.budgets = [share * base.descent.coarse_epochs for share in SHARES]

    def candidates(self) -> dict[str, list[Arm]]:
        """Return as many for each arm."""
        budget = self.budgets[TUNED]
        nested = [self.nested(budget, *rate) for rate in NESTED_RATES]
        return {DEEP: [self.deep(budget, rate) for rate in RATES], NESTED: nested}

    def phase(self, level: int, passes: float, rate: float, power: float = 0.0) -> Phase:
        """Return the phase of a level, with a rate that goes with a power of the number of steps."""
        scaled = rate * (STEPS[level] / STEPS[-1]) ** power
        return decaying(level, passes, scaled, self.batch_size, self.examples)

    def deep(self, budget: float, rate: float) -> Arm:
        """Return training with all steps."""
        return Arm("deep", self.hierarchy, Schedule((self.phase(len(STEPS) - 1, budget, rate),)))

    def nested(self, budget: float, rate: float, power: float) -> Arm:
        """Return nested iteration with as much work, of which each level has its equal part."""
        work = budget * self.hierarchy[-1].flop / len(STEPS)
        phases = [self.phase(k, work / level.flop, rate, power) for k, level in enumerate(self.hierarchy)]
        return Arm("nested", self.hierarchy, Schedule(tuple(phases)))

    def alone(self, rate: float, power: float) -> list[Arm]:
        """Return training with fewer steps, for as many passes as the largest budget, with the rates of nested."""
        phases = [self.phase(level, self.budgets[-1], rate, power) for level in range(len(STEPS) - 1)]
        return [Arm("alone", self.hierarchy, Schedule((phase,))) for phase in phases]

    def parts(self, arm: Arm) -> list[Arm]:
        """Return the first phases of an arm, which end with the weights that the next one starts from."""
        return [Arm("part", self.hierarchy, Schedule(arm.schedule.phases[:k])) for k in range(1, len(arm.schedule))]


def _hierarchy(image_shape: Shape, classes: int, backend: Backend | None) -> TimeSteps:
    """Return the networks; images of one row are convolved and pooled along it."""
    kernel, factor = (along_image(image_shape, size) for size in (3, 4))
    opening = ConvolutionLayer(image_shape, CHANNELS, kernel, bias=True, backend=backend)

    def steps(shape: tuple[int, ...]) -> ResidualNetwork:
        stencils = shape_alone((CHANNELS, CHANNELS, *kernel), opening.backend)
        convolution = CirculantConvolution(stencils, shape[1:], backend=opening.backend)
        return ResidualNetwork(SymmetricLayer(convolution, "relu", bias_in=True), STEPS[-1], TIME / STEPS[-1])

    return in_depth(Chain([opening, PoolingLayer(..., factor), steps]), classes, STEPS)


def _row(name: str, budget: float, outcomes: Sequence[Outcome], usual: Sequence[Outcome]) -> dict[str, Any]:
    accuracy, difference = mean_of(accuracies(outcomes)), mean_of(accuracies(outcomes) - accuracies(usual))
    return {
        "arm": name,
        "budget, passes": budget,
        "TFLOP": mean_of([outcome.work for outcome in outcomes]).value,
        "accuracy": accuracy.value,
        "half width": accuracy.half_width,
        f"minus {DEEP}": difference.value,
        "half width of it": difference.half_width,
    }


def _verdict(deep: Sequence[Sequence[Outcome]], nested: Sequence[Sequence[Outcome]]) -> str:
    """Say whether the bar is reached."""
    ratio, logarithm = saved(deep, nested, WITHIN)
    line = line_of(DEEP, deep)
    plateau = (
        f"{DEEP} ends with {line.accuracy[-1]:.2f} %, {line.accuracy[-1] - line.accuracy[-2]:.2f} points above half of "
        f"the work. To come within {WITHIN:g} point of it nested iteration takes"
    )
    if not math.isfinite(ratio):
        return f"{plateau} more than the largest budget: the bar, {BAR:g} times less work, is not reached."
    between = ""
    if math.isfinite(logarithm.half_width):
        low, high = (math.exp(logarithm.value + sign * logarithm.half_width) for sign in (-1, 1))
        between = f" (95 % interval {low:.2f} to {high:.2f})"
    reached = "reached" if ratio >= BAR else "not reached"
    return f"{plateau} {ratio:.2f} times less work{between}: the bar, {BAR:g} times less, is {reached}."


def _refinements(arms: Arms, hierarchy: TimeSteps, ends: Sequence[Sequence[Outcome]]) -> str:
    """Say what each refinement keeps, before anything is trained with the new steps."""
    texts = []
    for level, outcomes in enumerate(ends):
        trained = mean_of(accuracies(outcomes))
        work = mean_of([outcome.work for outcome in outcomes]).value
        texts.append(f"{STEPS[level]} steps {trained} with {work:.3g} TFLOP in total")
        if level + 1 < len(ends) and math.isfinite(trained.value):
            values = [_refined(arms, hierarchy, level, trial, outcome) for trial, outcome in enumerate(outcomes)]
            texts.append(f"refined {mean_of(values)}")
    return f"Nested iteration with the largest budget, accuracies level by level: {', '.join(texts)}."


def _refined(arms: Arms, hierarchy: TimeSteps, level: int, trial: int, outcome: Outcome) -> float:
    """Return the accuracy of what a level ended with, refined in time."""
    finer = hierarchy[level + 1]
    _, _, images, labels = arms.trial(trial)
    x = hierarchy.carry(arms.backend.asarray(outcome.x), level, level + 1)
    return 100 * Objective(finer.network, finer.classifier, images, labels).evaluate(x).accuracy


QUESTIONS = {"depth": Depth()}
