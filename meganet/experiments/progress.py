"""How far all trials are, read from the results folders: the same whoever works on them."""

from __future__ import annotations

import _thread
import dataclasses
import math
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from meganet.experiments.plan import COARSE, SGD, Stage
from meganet.experiments.protocol import Protocol
from meganet.experiments.remaining import Part, Remaining, duration
from meganet.experiments.store import ResultsFolder
from meganet.optim import Divergence

SECONDS, ROWS = 0.5, 20
LAYOUT = "{percentage:3.0f}%|{bar}| {desc}"
EVALUATION = 0.3
"""Forward pass over an example, in units of a training step on it."""
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
        name = f"trial {self.trial + 1}/{self.trials} {self.stage.name}" + (f" ({settings})" if settings else "")
        # without arrays: on a device they might come in between a recording
        state = self.folder.load(self.trial, self.stage.name, weights=False)
        if state is None or state.epoch < self.stage.epochs:
            # its last state is being written
            return None
        # timings may have been deleted
        last, seconds = state.history[-1], [value for value in state.seconds if math.isfinite(value)]
        note = f"accuracy {100 * last['accuracy']:.1f} %, validation {100 * last['validation_accuracy']:.1f} %"
        if state.divergence is not None:
            note = diverged(state.divergence)
        return f"{name}: {note}" + (f", {np.median(seconds):.1f} s per epoch" if seconds else "")


class Progress:
    """Reports the runs that end while its ``with`` block lasts, and how long the rest takes.

    Parameters
    ----------
    runs : sequence of Tracked
    report : callable
        Gets a line of text for each run that ends, on a thread of its own. What it raises ends the block, at once where
        that is the main thread's.
    shown : bool
        Show the time elapsed and remaining: on a terminal in a bar on standard error, elsewhere in the lines.
    side_by_side : int or None
        How many trials go on at a time, if that is known.
    """

    def __init__(
        self,
        runs: Sequence[Tracked],
        *,
        report: Callable[[str], None],
        shown: bool,
        side_by_side: int | None = None,
    ) -> None:
        self.runs, self.report = runs, report
        self._settings = differences(runs)
        self.in_lines = shown and not sys.stderr.isatty()
        # of a terminal that does not know its size tqdm would think that it has no line for the bar
        self._bar = tqdm(total=1.0, bar_format=LAYOUT, leave=False, disable=not shown or self.in_lines, nrows=ROWS)
        self._done = [run.epochs for run in runs]
        self._start = time.monotonic()
        parts = [run.part() for run in runs]
        self.remaining = Remaining(parts, self._done, side_by_side)
        self._take_timings()
        self._stop, self._failure = threading.Event(), Future[None]()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._interrupts = threading.current_thread() is threading.main_thread()

    def note(self, line: str) -> None:
        """Say something on standard error, beside the bar."""
        with self._beside_the_bar():
            print(f"meganet: {line}", file=sys.stderr, flush=True)

    def _watch(self) -> None:
        pause = SECONDS
        try:
            while not self._stop.wait(pause):
                begun = time.monotonic()
                self._look()
                # of very many trials looking takes its time
                pause = max(SECONDS, 10 * (time.monotonic() - begun))
        except BaseException as error:
            self._failure.set_exception(error)
            if self._interrupts and not self._stop.is_set():
                _thread.interrupt_main()

    def _look(self) -> None:
        """See what is new in the folders and say it."""
        before = self._done
        try:
            left = {run.chain: run for run, n in zip(self.runs, before, strict=True) if n < run.stage.epochs}
            there = {chain for chain, run in left.items() if run.folder.has_trial(run.trial)}
            done = [
                run.epochs if n < run.stage.epochs and run.chain in there else n
                for run, n in zip(self.runs, before, strict=True)
            ]
            ended = []
            for k, run in enumerate(self.runs):
                if before[k] < run.stage.epochs <= done[k]:
                    line = run.summary(self._settings[k])
                    if line is None:
                        done[k] = before[k]
                    else:
                        ended.append(line)
        except OSError:
            # the folder is being moved or deleted; whoever writes there reports it
            return
        self._done = done
        self.remaining.see(done, time.monotonic())
        self._take_timings()
        for line in ended:
            with self._beside_the_bar():
                self.report(f"{line}; {self._times()}" if self.in_lines else line)
        if not self._bar.disable:
            complete = sum(n >= run.stage.epochs for run, n in zip(self.runs, done, strict=True))
            self._bar.n = round(self.remaining.share(), 4)
            self._bar.set_description_str(f"{self._times()}, {complete} of {len(done)} runs")

    def _take_timings(self) -> None:
        """Let the runs' own timings count until their kind has been measured."""
        unmeasured = self.remaining.unmeasured()
        for run, epochs in zip(self.runs, self._done, strict=True):
            if epochs and run.kind in unmeasured:
                seconds = run.folder.seconds(run.trial).get(run.stage.name, [])
                if seconds:
                    training, evaluation = work_of_epoch(run.stage, run.folder.protocol)
                    self.remaining.known[run.kind] = float(np.mean(seconds)) * (1 + evaluation / training)
                    unmeasured.remove(run.kind)

    def _beside_the_bar(self) -> AbstractContextManager[None]:
        return nullcontext() if self._bar.disable else tqdm.external_write_mode(file=sys.stdout)

    def _times(self) -> str:
        return f"{duration(time.monotonic() - self._start)} elapsed, {self._left()}"

    def _left(self) -> str:
        seconds = self.remaining.seconds()
        return "remaining time unknown" if seconds is None else f"about {duration(seconds)} remaining"

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._stop.set()
            try:
                self._thread.join()
            finally:
                # in the place of the interrupt that it made
                if self._failure.done():
                    self._failure.result()
            self._look()
        finally:
            self._bar.close()


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
