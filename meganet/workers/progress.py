"""How far some runs are, by what is stored of them: the same whoever works on them."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol

from tqdm import tqdm

from meganet.workers.remaining import Remaining, duration

SECONDS, ROWS = 0.5, 20
LAYOUT = "{percentage:3.0f}%|{bar}| {desc}"


class Watched(Protocol):
    """A run that somebody makes."""

    @property
    def length(self) -> int:
        """Epochs in all."""

    @property
    def epochs(self) -> int:
        """Epochs stored."""

    @property
    def chain(self) -> Hashable:
        """The runs that are made one after another."""

    def has_begun(self) -> bool:
        """Whether anything of its chain may be stored."""

    def summary(self) -> str | None:
        """Return a line of text about a run that has ended; None before the end."""


class Progress:
    """Reports the runs that end while its ``with`` block lasts, and how long the rest takes.

    Parameters
    ----------
    runs : sequence of Watched
    done : sequence of int
        Epochs of each that are stored at the start.
    log : callable
        Gets a line of text for each run that ends, on a thread of its own. What it raises ends the block, at once where
        that is the main thread's.
    remaining : Remaining or None
        Show the time elapsed and remaining in each line, and on a terminal in a bar on standard error. Without it there
        are the lines alone.
    """

    def __init__(
        self,
        runs: Sequence[Watched],
        done: Sequence[int],
        *,
        log: Callable[[str], None],
        remaining: Remaining | None,
    ) -> None:
        self.runs, self.log, self.remaining, self._done = runs, log, remaining, list(done)
        # of a terminal that does not know its size tqdm would think that it has no line for the bar
        bar = remaining is not None and sys.stderr.isatty()
        self._bar = tqdm(total=1.0, bar_format=LAYOUT, leave=False, disable=not bar, nrows=ROWS)
        self._start = time.monotonic()
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
            left = {run.chain: run for run, n in zip(self.runs, before, strict=True) if n < run.length}
            there = {chain for chain, run in left.items() if run.has_begun()}
            done = [
                run.epochs if n < run.length and run.chain in there else n
                for run, n in zip(self.runs, before, strict=True)
            ]
            ended = []
            for k, run in enumerate(self.runs):
                if before[k] < run.length <= done[k]:
                    line = run.summary()
                    if line is None:
                        done[k] = before[k]
                    else:
                        ended.append(line)
        except OSError:
            # the folder is being moved or deleted; whoever writes there reports it
            return
        self._done = done
        if self.remaining is not None:
            self.remaining.see(done, time.monotonic())
        for line in ended:
            with self._beside_the_bar():
                self.log(line if self.remaining is None else f"{line}; {self._times(self.remaining)}")
        if self.remaining is not None and not self._bar.disable:
            complete = sum(n >= run.length for run, n in zip(self.runs, done, strict=True))
            self._bar.n = round(self.remaining.share(), 4)
            self._bar.set_description_str(f"{self._times(self.remaining)}, {complete} of {len(done)} runs")

    def _beside_the_bar(self) -> AbstractContextManager[None]:
        return nullcontext() if self._bar.disable else tqdm.external_write_mode(file=sys.stdout)

    def _times(self, remaining: Remaining) -> str:
        # without hours while there are none, so that a line fits a terminal of 80 columns
        elapsed, rest = (
            duration(seconds).removeprefix("0:") for seconds in (time.monotonic() - self._start, remaining.seconds())
        )
        return f"{elapsed} elapsed, {rest} remaining"

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
