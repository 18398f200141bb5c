"""Trials are carried out: stage by stage, here, in other processes or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meganet.backend import use_backend
from meganet.experiments.runs.case import Case
from meganet.experiments.runs.pilot import Pilot
from meganet.experiments.runs.problems import Problems
from meganet.experiments.runs.tracked import Tracked, found, told_apart
from meganet.experiments.runs.training import StageRun, train
from meganet.experiments.setup.stages import SGD, Stage, chain, together
from meganet.optim import SGDState
from meganet.store.folder import trial_lock
from meganet.workers import Workers
from meganet.workers.progress import Progress
from meganet.workers.remaining import Part, Remaining


def carry_out(
    rounds: Sequence[Sequence[Job]],
    workers: Workers,
    *,
    progress: bool,
    log: Callable[[str], None],
    landscapes: Sequence[Case] = (),
) -> None:
    """Run what is missing of some jobs on one backend, all of one round before those of the next.

    Parameters
    ----------
    rounds : sequence of sequence of Job
        At least one job in all.
    workers : Workers
    progress : bool
        Say at the start what is there already, and how long the rest will take, measured on a few steps that are made
        and thrown away; show the time elapsed and remaining: in the lines that `log` gets, on a terminal also in a
        bar on standard error.
    log : callable
        Gets these lines of text, and one for each run that ends, on a thread of its own.
    landscapes : sequence of Case
        Those of the figures of landscapes that are drawn afterwards, for the time that is announced.
    """
    jobs = [job for part in rounds for job in part]
    # all are looked at before anything is run, so that what does not belong together is found out first
    waiting = [[(job, group) for job in part for group in job.groups()] for part in rounds]
    # jobs may share runs
    runs = list({(run.folder.path, run.trial, run.stage.name): run for job in jobs for run in job.runs()}.values())
    runs = told_apart(runs)
    done, remaining = [run.epochs for run in runs], None
    if progress:
        first = jobs[0]
        stacked = len(first.trials) if first.stacked else 1
        known = found(runs, done)
        if known is not None:
            log(known)
        left = [run for run, epochs in zip(runs, done, strict=True) if epochs < run.length]
        pilot = Pilot(first.case.own.backend, workers, stacked, landscapes)
        parts = [Part(run.chain, run.kind, run.length) for run in runs]
        remaining = Remaining(parts, done, pilot.measured(left), stacked if first.stacked else workers.side_by_side)
        if left:
            log(pilot.estimate(remaining.seconds(), len(left)))
    with Progress(runs, done, log=log, remaining=remaining) as shown:
        for work in waiting:
            for _ in workers.map(_call, work, shown.note):
                pass


def _call(item: tuple[Job, list[int]]) -> None:
    job, trials = item
    job(trials)


@dataclass(frozen=True)
class Job:
    """All stages of the trials of a case from `first_trial` on, as a function that can be sent to another process.

    With `stacked` all trials are trained at once, and the stages of one problem and method, instead of one run after
    another: faster on a GPU. The results are the same, on a GPU up to round-off.
    """

    case: Case
    stacked: bool = False
    first_trial: int = 1

    @property
    def trials(self) -> range:
        """Their numbers, from 0."""
        return range(self.first_trial - 1, self.case.setup.run.trials)

    def runs(self) -> list[Tracked]:
        """Return all runs of all trials, for a progress bar."""
        return [Tracked(self.case, trial, stage) for trial in self.trials for stage in self.case.stages]

    def groups(self) -> list[list[int]]:
        """Return the trials that are not complete, those that are made at once together."""
        waiting = [trial for trial in self.trials if not self.case.is_stored(trial)]
        return [[trial] for trial in waiting] if not self.stacked else [waiting] if waiting else []

    def __call__(self, trials: list[int]) -> None:
        """Run the trials."""
        folder = self.case.own
        # a run that diverges is recorded as it is, with nan for its accuracy: no warnings of NumPy beside it
        with (
            np.errstate(divide="ignore", over="ignore", invalid="ignore"),
            use_backend(folder.backend),
            ExitStack() as held,
        ):
            self._hold(held, folder.path, trials)
            problems = {trial: self.case.problems(trial) for trial in trials}
            ends: dict[tuple[int, str], SGDState] = {}
            for group in together(self.case.stages):
                runs = [self._run(problems[trial], ends, stage) for stage in group for trial in trials]
                for part in [runs] if self.stacked else [[run] for run in runs]:
                    self._train(part, ends)

    def _train(self, runs: list[StageRun], ends: dict[tuple[int, str], SGDState]) -> None:
        folder = runs[0].folder
        with ExitStack() as held:
            if folder.path != self.case.own.path:
                self._hold(held, folder.path, [run.problems.number for run in runs])
            for run, state in zip(runs, train(runs), strict=True):
                ends[run.problems.number, run.stage.name] = state

    @staticmethod
    def _hold(held: ExitStack, path: Path, trials: list[int]) -> None:
        """Wait for whoever writes the trials' files: a worker may outlive the process that sent it."""
        for trial in trials:
            held.enter_context(trial_lock(path, trial))

    def _run(self, problems: Problems, ends: dict[tuple[int, str], SGDState], stage: Stage) -> StageRun:
        folder, line = self.case.folders[stage.name], chain(self.case.stages, stage.name)
        visits = sum(s.method == SGD and s.grid == stage.grid for s in line[:-1])
        if stage.after is None:
            return StageRun(problems, stage, folder, problems.start(stage), visits=visits)
        # which state of those that are stored the run starts from is stored with it
        after = self.case.folders[stage.after].digest(problems.number, stage.after)
        x = ends[problems.number, stage.after].x
        return StageRun(problems, stage, folder, problems.start(stage, line[-2], x), after, visits)
