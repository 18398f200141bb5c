"""How far all trials are, read from the results folders: the same whoever works on them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from tqdm import tqdm

from meganet.experiments.plan import COARSE, SGD, Stage
from meganet.experiments.protocol import Protocol
from meganet.experiments.store import ResultsFolder

SECONDS = 0.5
LAYOUT = "{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"
EVALUATION = 0.3
"""Forward pass over an example, in units of a training step on it."""


class Tracked(NamedTuple):
    """A training run with the work of one of its epochs."""

    folder: ResultsFolder
    trial: int
    stage: Stage
    work: float

    @property
    def epochs(self) -> int:
        """Epochs stored."""
        return self.folder.epochs(self.trial, self.stage.name)


class Progress:
    """A bar over all epochs of some runs, with the time left, while its ``with`` block runs."""

    def __init__(self, runs: Sequence[Tracked], *, shown: bool) -> None:
        self.runs, self.shown = runs, shown
        self._stop = threading.Event()

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS):
            self._show()

    def _show(self) -> None:
        try:
            epochs = [run.epochs for run in self.runs]
        except OSError:
            # the folder is being moved or deleted; whoever writes there reports it
            return
        complete = sum(count >= run.stage.epochs for run, count in zip(self.runs, epochs, strict=True))
        self._bar.set_postfix_str(f"{complete} of {len(epochs)} runs", refresh=False)
        self._bar.update(sum(run.work * n for run, n in zip(self.runs, epochs, strict=True)) - self._bar.n)
        self._bar.refresh()

    def __enter__(self) -> Progress:
        if self.shown:
            total = sum(run.work * run.stage.epochs for run in self.runs)
            done = sum(run.work * run.epochs for run in self.runs)
            self._bar = tqdm(total=total, initial=done, bar_format=LAYOUT, leave=False)
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.shown:
            self._stop.set()
            self._thread.join()
            self._show()
            self._bar.close()


def work_of_epoch(stage: Stage, protocol: Protocol) -> float:
    """Estimate the work of an epoch, in training steps on a fine example."""
    pixels = 0.25 if stage.arm == COARSE else 1.0
    examples = protocol.coarse_examples if stage.arm == COARSE else protocol.fine_examples
    evaluated = examples + protocol.validation_examples
    if stage.method == SGD:
        return pixels * (examples + EVALUATION * evaluated)
    if stage.classifier_only:
        return 0.1 * examples
    return examples * (1 + 2 * protocol.newton_products) + EVALUATION * evaluated
