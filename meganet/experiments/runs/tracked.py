"""A training run of a trial as far as somebody who looks on is concerned, read from its results folder."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from meganet.experiments.runs.case import Case
from meganet.experiments.runs.folder import ResultsFolder
from meganet.experiments.setup.fields import as_text
from meganet.experiments.setup.stages import Stage
from meganet.optim import Divergence

NAMED = 2
"""Runs in the middle of which a continued command says where they stand."""


class Tracked(NamedTuple):
    """A training run of a trial of a case; `settings` are its own, which tell it from others, as --set takes them."""

    case: Case
    trial: int
    stage: Stage
    settings: str = ""

    @property
    def folder(self) -> ResultsFolder:
        """Where it is stored."""
        return self.case.folders[self.stage.name]

    @property
    def length(self) -> int:
        """Epochs in all."""
        return self.stage.length(self.case.setup)

    @property
    def epochs(self) -> int:
        """Epochs stored."""
        return self.folder.epochs(self.trial, self.stage.name)

    @property
    def chain(self) -> tuple[str, int]:
        """The runs that are made one after another."""
        return str(self.folder.path), self.trial

    @property
    def kind(self) -> Hashable:
        """What the time of an epoch depends on."""
        setup, stage = self.case.setup, self.stage
        size = setup.model.network, stage.grid, stage.examples(setup)
        newton = (setup.newton.newton_products, setup.newton.newton_steps) if stage.by_newton else ()
        return (*size, stage.method, stage.classifier_only, *newton)

    @property
    def name(self) -> str:
        """Its stage, with its own settings."""
        return self.stage.name + (f" ({self.settings})" if self.settings else "")

    def has_begun(self) -> bool:
        """Whether anything of the trial may be stored."""
        return self.folder.has_trial(self.trial)

    def summary(self) -> str | None:
        """Return the line of text about a run that has ended; None before the end."""
        name = f"trial {self.trial + 1}/{self.case.setup.run.trials} {self.name}"
        # without arrays: on a device they might come in between a recording
        state = self.folder.load(self.trial, self.stage.name, weights=False)
        if state is None or state.epoch < self.length:
            # its last state is being written
            return None
        if state.divergence is not None:
            return f"{name}: {diverged(state.divergence)}"
        last = state.history[-1]
        return f"{name}: train {100 * last['accuracy']:.1f} %, val. {100 * last['validation_accuracy']:.1f} %"


def told_apart(runs: Sequence[Tracked]) -> list[Tracked]:
    """Return runs with the settings that tell them from others on their grid."""
    values = [run.folder.setup.values() for run in runs]
    different: dict[int, list[str]] = {}
    for grid in {run.stage.grid for run in runs}:
        own = {run.folder.setup: v for run, v in zip(runs, values, strict=True) if run.stage.grid == grid}.values()
        different[grid] = [n for n in values[0] if n != "trials" and len({v[n] for v in own}) > 1]
    return [
        run._replace(settings=", ".join(f"{name}={as_text(v[name])}" for name in different[run.stage.grid]))
        for run, v in zip(runs, values, strict=True)
    ]


def found(runs: Sequence[Tracked], done: Sequence[int]) -> str | None:
    """Return in words what of some runs has been done already; None if nothing has."""
    if not any(done):
        return None
    complete = sum(epochs >= run.length for run, epochs in zip(runs, done, strict=True))
    if complete == len(runs):
        return f"Continues: all {complete} runs are done"
    begun = [
        f"trial {run.trial + 1}'s {run.name} at epoch {epochs} of {run.length}"
        for run, epochs in zip(runs, done, strict=True)
        if 0 < epochs < run.length
    ]
    more = [f"{len(begun) - NAMED} more have begun"] if len(begun) > NAMED else []
    return ", ".join([f"Continues: {complete} of {len(runs)} runs done", *begun[:NAMED], *more])


def diverged(divergence: Divergence) -> str:
    """Return in words when and where a run diverged."""
    when = f"in epoch {divergence.epoch}" if divergence.epoch else "at the start"
    return f"diverged {when}" + (f", {divergence.where}" if divergence.where else "")
