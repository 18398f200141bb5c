"""A training run of a trial as far as somebody who looks on is concerned, read from its results folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from meganet.experiments.plan import COARSE, SGD, Stage
from meganet.experiments.protocol import Protocol
from meganet.experiments.remaining import Part
from meganet.experiments.store import ResultsFolder
from meganet.optim import Divergence

EVALUATION = 0.3
"""Forward pass over an example, in units of a training step on it."""
NAMED = 2
"""Runs in the middle of which a continued command says where they stand."""
CLASSIFIER = 0.02
"""A product with the classifier's features of an example and back, in the same unit."""


class Tracked(NamedTuple):
    """A training run of a trial, of `trials` trials."""

    folder: ResultsFolder
    trial: int
    trials: int
    stage: Stage

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
        protocol, stage = self.folder.protocol, self.stage
        if stage.arm == COARSE:
            return protocol.network, protocol.coarse_examples
        return protocol.network, protocol.fine_examples, stage.method, stage.classifier_only, protocol.newton_products

    def part(self) -> Part:
        """Return what the time that it takes is estimated from."""
        training, evaluation = work_of_epoch(self.stage, self.folder.protocol)
        return Part(self.chain, self.kind, self.stage.epochs, training + evaluation)

    def summary(self, settings: str = "") -> str | None:
        """Return the line of text about a run that has ended, with its own `settings`; None before the end."""
        name = f"trial {self.trial + 1}/{self.trials} {_described(self, settings)}"
        # without arrays: on a device they might come in between a recording
        state = self.folder.load(self.trial, self.stage.name, weights=False)
        if state is None or state.epoch < self.stage.epochs:
            # its last state is being written
            return None
        if state.divergence is not None:
            return f"{name}: {diverged(state.divergence)}"
        last = state.history[-1]
        return f"{name}: train {100 * last['accuracy']:.1f} %, val. {100 * last['validation_accuracy']:.1f} %"


def differences(runs: Sequence[Tracked]) -> list[str]:
    """Return for each run the settings that tell it from others on its grid, as --set takes them."""
    sides = [run.stage.arm == COARSE for run in runs]
    names = [field.name for field in dataclasses.fields(Protocol) if field.name != "trials"]
    different: dict[bool, list[str]] = {}
    for side in set(sides):
        protocols = {run.folder.protocol for run, own in zip(runs, sides, strict=True) if own == side}
        different[side] = [name for name in names if len({getattr(p, name) for p in protocols}) > 1]
    return [
        ", ".join(f"{name}={getattr(run.folder.protocol, name)}" for name in different[side])
        for run, side in zip(runs, sides, strict=True)
    ]


def found(runs: Sequence[Tracked], done: Sequence[int]) -> str | None:
    """Return in words what of some runs has been done already; None if nothing has."""
    if not any(done):
        return None
    complete = sum(epochs >= run.stage.epochs for run, epochs in zip(runs, done, strict=True))
    if complete == len(runs):
        return f"Continues: all {complete} runs are done"
    begun = [
        f"trial {run.trial + 1}'s {_described(run, own)} at epoch {epochs} of {run.stage.epochs}"
        for run, epochs, own in zip(runs, done, differences(runs), strict=True)
        if 0 < epochs < run.stage.epochs
    ]
    more = [f"{len(begun) - NAMED} more have begun"] if len(begun) > NAMED else []
    return ", ".join([f"Continues: {complete} of {len(runs)} runs done", *begun[:NAMED], *more])


def _described(run: Tracked, settings: str) -> str:
    return run.stage.name + (f" ({settings})" if settings else "")


def diverged(divergence: Divergence) -> str:
    """Return in words when and where a run diverged."""
    when = f"in epoch {divergence.epoch}" if divergence.epoch else "at the start"
    return f"diverged {when}" + (f", {divergence.where}" if divergence.where else "")


def work_of_epoch(stage: Stage, protocol: Protocol) -> tuple[float, float]:
    """Estimate the work of an epoch, of training and of the evaluation after it, in training steps on a fine example.

    It counts until the first epochs of the kind have been measured.
    """
    examples = protocol.coarse_examples if stage.arm == COARSE else protocol.fine_examples
    pixels = 0.25 if stage.arm == COARSE else 1.0
    evaluation = pixels * EVALUATION * (examples + protocol.validation_examples)
    if stage.method == SGD:
        return pixels * examples, evaluation
    passes = 1.0 + 2 * protocol.newton_products
    if stage.classifier_only:
        return CLASSIFIER * passes * examples, CLASSIFIER * (examples + protocol.validation_examples)
    return passes * examples, evaluation
