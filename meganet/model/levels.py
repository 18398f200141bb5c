"""Training of a model over a hierarchy of grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from meganet.backend import Array, random_stream, to_host
from meganet.ground import validate
from meganet.layers import Layer
from meganet.linop._alike import alike
from meganet.model.training import BATCH, LEARNING_RATE, Job, Memory, Plan
from meganet.model.weights import LARGEST_SEED
from meganet.multilevel import Hierarchy, Phase, Schedule, TrainingState, in_space, train
from meganet.multilevel.schedules import schedule_of
from meganet.regularizers import Regularizer

if TYPE_CHECKING:
    from meganet.model.model import Model

Grids = Sequence[int] | Hierarchy


@dataclass(frozen=True)
class LevelPlan:
    """How to train over several levels; what `Plan` is for one.

    Attributes
    ----------
    hierarchy : Hierarchy
        Whose finest level is the model's.
    schedule : Schedule
    plan : Plan
        What was said besides.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.levels import over_levels
    >>> from meganet.model.training import Plan
    >>> model = mn.Model([mn.ConvolutionLayer((1, 28, 28), 4)], classes=10)
    >>> plan = over_levels(Plan(5, 0.1, None, None, "sgd", "warn", progress=False), model, (14, 28), None, {})
    >>> print(plan.schedule)
    phase  level  passes      rate  batch  other settings
        0      0       5       0.1     32  -
        1      1       5       0.1     32  -
    """

    hierarchy: Hierarchy
    schedule: Schedule
    plan: Plan

    def check(self, examples: int) -> None:
        """Refuse phases that do not fit so many examples or the hierarchy."""
        for number, phase in enumerate(self.schedule):
            with validate.within(f"schedule[{number}]"):
                phase.cuts(examples)
                [self.hierarchy.number(level) for level in phase.levels]

    def first(self, network: Layer, classifier: Layer, x: Array | None) -> tuple[Layer, Layer, Array | None]:
        """Return network, classifier and weights on the level of the first phase."""
        number = max(map(self.hierarchy.number, self.schedule[0].levels))
        level = self.hierarchy[number]
        return level.network, level.classifier, None if x is None else self.hierarchy.carry(x, -1, number)

    def run(self, job: Job, memory: Memory) -> None:
        """Train, and hand every new point, on the finest level, to the job's `commit`."""
        seen, held_out = 0, job.observe.validation
        # another order of the images in another call
        again = random_stream(job.seed, job.epochs).integers(LARGEST_SEED)

        def take(state: TrainingState) -> bool | None:
            nonlocal seen
            rows, seen = list(state.history)[seen:], len(state.history)
            numbered = [{**row, "epoch": job.epochs + row["epoch"]} for row in rows]
            x = self.hierarchy.carry(state.x, state.level, -1)
            return job.commit(numbered, x, Memory(state=state.history))

        train(
            self.hierarchy,
            job.objective.images,
            to_host(job.objective.labels),
            self.schedule,
            x0=job.x,
            validation=None if held_out is None else (held_out.images, to_host(held_out.labels)),
            loss=job.objective.loss,
            evaluated=None,
            callback=take,
            on_divergence=self.plan.on_divergence,
            progress="training" if self.plan.bar else None,
            seed=int(again) if job.epochs else job.seed,
        )


def over_levels(
    plan: Plan, model: Model, grids: Grids | None, schedule: Schedule | Sequence[Phase] | None, given: dict[str, Any]
) -> Plan | LevelPlan:
    """Return the plan for some grids, with a schedule or nested iteration; `plan` itself if there are none.

    `given` are further arguments of `Model.fit` that a schedule takes the place of.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.model.levels import over_levels
    >>> from meganet.model.training import Plan
    >>> model = mn.Model([mn.ConvolutionLayer((1, 28, 28), 4)], classes=10)
    >>> plan = Plan(5, 0.1, None, None, "sgd", "warn", progress=False)
    >>> over_levels(plan, model, None, None, {}) is plan
    True
    """
    if grids is None and schedule is None:
        return plan
    if grids is None:
        validate.reject("schedule", "grids with it", "none")
    if not isinstance(plan.optimizer, str):
        validate.reject("optimizer", '"sgd" with grids', validate.shown(plan.optimizer))
    network, head = model.network, model.classifier
    classes = head.range_shape[0] if head.parameters.size else None
    hierarchy = grids if isinstance(grids, Hierarchy) else in_space(network, classes, grids)
    if not (alike(network, hierarchy[-1].network) and alike(head, hierarchy[-1].classifier)):
        validate.reject("grids", f"the model's own as the last, of images {network.domain_shape}", repr(hierarchy))
    if schedule is None:
        return LevelPlan(hierarchy, _nested(plan, hierarchy, given, model.epochs), plan)
    for name, value in {
        **given,
        **{name: getattr(plan, name) for name in ("learning_rate", "batch_size", "rule")},
    }.items():
        if value is not None:
            validate.reject(name, "none with a schedule, whose phases have their own", validate.shown(value))
    return LevelPlan(hierarchy, schedule_of(schedule), plan)


def _nested(plan: Plan, hierarchy: Hierarchy, given: dict[str, Any], before: int) -> Schedule:
    """Return nested iteration with the settings of one level's training on every level."""
    rate = LEARNING_RATE if plan.learning_rate is None else plan.learning_rate
    alphas = {name: _alpha(name, given.get(f"{name}_regularizer")) for name in ("theta", "W")}
    phases = [
        Phase(
            level,
            plan.epochs,
            _from_epoch(rate, before + level * plan.epochs) if callable(rate) else rate,
            BATCH if plan.batch_size is None else plan.batch_size,
            theta_alpha=alphas["theta"],
            W_alpha=alphas["W"],
            rule=plan.rule,
        )
        for level in range(len(hierarchy))
    ]
    return Schedule(tuple(phases))


def _from_epoch(rate: Callable[[int], float], before: int) -> Callable[[float], float]:
    return lambda passes: rate(before + int(passes) + 1)


def _alpha(name: str, given: Any) -> Any:
    if isinstance(given, Regularizer):
        if name == "W":
            what = "a number with grids, on which the classifiers differ; phases take functions of the level"
            validate.reject("W_regularizer", what, repr(given))
        return lambda level: given
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, Real):
        validate.reject(f"{name}_regularizer", "a Regularizer, a number or None", validate.shown(given))
    return validate.real(f"{name}_regularizer", given, minimum=0)
