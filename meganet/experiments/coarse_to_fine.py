"""The protocol of chapter 4: train on coarse images, carry the weights to the fine grid three ways, train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from meganet.backend import Array, use_backend
from meganet.datasets import ImageSet
from meganet.experiments.parallel import Workers
from meganet.experiments.pilot import Pilot
from meganet.experiments.plan import COARSE, Stage, stages, stages_to
from meganet.experiments.problems import Level, build_levels, coarse_start, starting_point
from meganet.experiments.progress import Progress
from meganet.experiments.protocol import ARMS, Protocol
from meganet.experiments.states import advice
from meganet.experiments.store import ResultsFolder, refuse, trial_lock
from meganet.experiments.tracked import Tracked
from meganet.experiments.training import Job, train
from meganet.optim import History, SGDState


def run(
    protocol: Protocol,
    data: ImageSet,
    folder: ResultsFolder,
    tables: tuple[str, ...],
    *,
    workers: Workers | None = None,
    together: bool | None = None,
    progress: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Run every trial of some tables, storing each epoch; what the folder already holds is not run again.

    Parameters
    ----------
    protocol, data, folder
        What to run, on what, and where results go; the folder's backend does the work.
    tables : tuple of str
        Of the protocol's network, for instance ``("4.2", "4.3")``; they share the coarse training.
    workers : Workers, optional
        Who makes the trials; this process, one after another, if not given.
    together : bool, optional
        Train all trials at once, and their three arms, instead of one run after another. By default where it is
        faster: on a GPU. The results are the same, on a GPU up to round-off.
    progress : bool
        Say at the start what is there already, and how long the rest will take, measured on a few steps that are made
        and thrown away; show the time elapsed and remaining: in the lines that `report` gets, on a terminal also in a
        bar on standard error.
    report : callable
        Gets these lines of text, and one for each run that ends, on a thread of its own.
    """
    workers = Workers() if workers is None else workers
    together = folder.backend.takes_stacks and workers.local if together is None else together
    job = Trials(protocol, data, folder, folder, tuple(stages(tables, protocol)), together)
    carry_out([[job]], workers, progress=progress, report=report)


def carry_out(
    rounds: Sequence[Sequence[Trials]],
    workers: Workers,
    *,
    progress: bool,
    report: Callable[[str], None],
    landscapes: Sequence[Protocol] = (),
) -> None:
    """Run what is missing of some jobs on one backend, all of one round before those of the next.

    Parameters
    ----------
    rounds : sequence of sequence of Trials
        At least one job in all.
    workers, progress, report
        As for `run`.
    landscapes : sequence of Protocol
        Those of the figures of landscapes that are drawn afterwards, for the time that is announced.
    """
    jobs = [job for part in rounds for job in part]
    # all are looked at before anything is run, so that what does not belong together is found out first
    waiting = [[(job, group) for job in part for group in job.groups()] for part in rounds]
    # jobs may share their coarse training
    runs = list({(run.folder.path, run.trial, run.stage.name): run for job in jobs for run in job.runs()}.values())
    first = jobs[0]
    together = first.protocol.trials if first.together else 1
    side_by_side = together if first.together else workers.side_by_side
    pilot = Pilot(first.data, first.folder.backend, workers, together, landscapes) if progress else None
    with Progress(runs, report=report, pilot=pilot, side_by_side=side_by_side) as shown:
        for work in waiting:
            for _ in workers.map(_call, work, shown.note):
                pass


def _call(item: tuple[Trials, list[int]]) -> None:
    job, trials = item
    job(trials)


@dataclass(frozen=True)
class Trials:
    """All stages of some trials, as a function that can be sent to another process.

    Coarse training is stored in a folder of its own if experiments that differ on the fine grid share it.
    """

    protocol: Protocol
    data: ImageSet
    folder: ResultsFolder
    coarse: ResultsFolder
    plan: tuple[Stage, ...]
    together: bool = False

    def _folder(self, stage: Stage) -> ResultsFolder:
        return self.coarse if stage.arm == COARSE else self.folder

    def runs(self) -> list[Tracked]:
        """Return all runs of all trials, for a progress bar."""
        return [
            Tracked(self._folder(stage), trial, self.protocol.trials, stage)
            for trial in range(self.protocol.trials)
            for stage in self.plan
        ]

    def groups(self) -> list[list[int]]:
        """Return the trials that are not complete, those together that are made at once."""
        waiting = [trial for trial in range(self.protocol.trials) if not self.complete(trial)]
        return [[trial] for trial in waiting] if not self.together else [waiting] if waiting else []

    def complete(self, trial: int) -> bool:
        """Whether every stage of a trial is stored, with all its files."""
        ends = ends_of(trial, self.plan, self.folder, self.coarse)
        return len(ends) == len(self.plan) and not any(
            self._folder(stage).behind(trial, stage.name, ends[stage.name]) for stage in self.plan
        )

    def __call__(self, trials: list[int]) -> None:
        """Run the trials."""
        # a run that diverges is recorded as it is, with nan for its accuracy: no warnings of NumPy beside it
        with (
            np.errstate(divide="ignore", over="ignore", invalid="ignore"),
            use_backend(self.folder.backend),
            ExitStack() as held,
        ):
            self._hold(held, self.folder, trials)
            levels = {trial: build_levels(self.protocol, self.data, trial, self.folder.backend) for trial in trials}
            ends: dict[tuple[int, str], SGDState] = {}
            for _, group in groupby(self.plan, key=_alike):
                jobs = [self._job(levels[t], ends, t, stage) for stage in group for t in trials]
                for part in [jobs] if self.together else [[job] for job in jobs]:
                    self._train(part, ends)

    def _train(self, jobs: list[Job], ends: dict[tuple[int, str], SGDState]) -> None:
        folder = self._folder(jobs[0].stage)
        with ExitStack() as held:
            if folder.path != self.folder.path:
                self._hold(held, folder, [job.trial for job in jobs])
            for job, state in zip(jobs, train(self.protocol, folder, jobs), strict=True):
                ends[job.trial, job.stage.name] = state

    @staticmethod
    def _hold(held: ExitStack, folder: ResultsFolder, trials: list[int]) -> None:
        """Wait for whoever writes the trials' files: a worker may outlive the process that sent it."""
        for trial in trials:
            held.enter_context(trial_lock(folder.path, trial))

    def _job(self, levels: tuple[Level, Level], ends: dict[tuple[int, str], SGDState], trial: int, stage: Stage) -> Job:
        coarse, fine = levels
        if stage.arm == COARSE:
            return Job(trial, stage, coarse, coarse_start(self.protocol, coarse, trial))
        # which state of those that are stored the run starts from is stored with it
        place = self.coarse if stage.start == COARSE else self.folder
        after = None if stage.start is None else place.digest(trial, stage.start)
        if stage.after is not None:
            return Job(trial, stage, fine, ends[trial, stage.after].x, after)
        trained = ends[trial, COARSE].x if (trial, COARSE) in ends else None
        return Job(trial, stage, fine, starting_point(self.protocol, levels, stage.arm, trained, trial), after)


def _alike(stage: Stage) -> tuple[bool, bool, str]:
    """Return what stages that can be trained together have in common."""
    return stage.arm == COARSE, stage.after is None, stage.method


def histories(
    protocol: Protocol,
    folder: ResultsFolder,
    tables: tuple[str, ...],
    arms: tuple[str, ...] = ARMS,
    coarse: ResultsFolder | None = None,
) -> dict[str, list[History]]:
    """Return the stored histories of the runs, by name, one for each trial in which all are complete.

    Parameters
    ----------
    protocol, folder, tables
        As for `run`.
    arms : tuple of str
        Whose runs.
    coarse : ResultsFolder, optional
        Where the coarse training is stored, if not in `folder`.
    """
    plan = stages(tables, protocol, arms)
    result: dict[str, list[History]] = {stage.name: [] for stage in plan}
    for _, ends in complete_trials(protocol, plan, folder, folder if coarse is None else coarse):
        for name, state in ends.items():
            result[name].append(state.history)
    return result


def complete_trials(
    protocol: Protocol, plan: Sequence[Stage], folder: ResultsFolder, coarse: ResultsFolder
) -> Iterator[tuple[int, dict[str, SGDState]]]:
    """Yield each trial in which all stages are complete, with the last state of each by name, without its arrays."""
    for trial in range(protocol.trials):
        ends = ends_of(trial, plan, folder, coarse)
        if len(ends) == len(plan):
            yield trial, ends


def ends_of(
    trial: int, plan: Sequence[Stage], folder: ResultsFolder, coarse: ResultsFolder, *, weights: bool = False
) -> dict[str, SGDState]:
    """Return the last state of every stage of a trial that is complete, without its arrays unless they are wanted.

    Raises
    ------
    ResultsError
        If one is not as it was written, or did not start from the one that is stored.
    """
    places = {stage.name: coarse if stage.arm == COARSE else folder for stage in plan}
    # a run that goes on meanwhile writes what another starts from first, so it is read last
    found = {stage.name: places[stage.name].stored(trial, stage.name, weights=weights) for stage in reversed(plan)}
    for stage in plan:
        stored, start = found[stage.name], stage.start
        if stored is None or start is None:
            continue
        path, origin = places[stage.name].file(trial, f"{stage.name}.npz"), places[start].file(trial, f"{start}.npz")
        before = found[start]
        if before is None:
            got = f"{str(origin)!r} missing, from which {str(path)!r} started"
            refuse("results that belong together", f"{got}; {advice(path)}")
        if before.digest != stored.origin.after:
            got = f"{str(path)!r}, which did not start from the weights in {str(origin)!r}"
            refuse("results that belong together", f"{got}; {advice(path)}")
    epochs = {stage.name: stage.epochs for stage in plan}
    states = {name: stored.state for name, stored in found.items() if stored is not None}
    return {name: states[name] for name in epochs if name in states and states[name].epoch == epochs[name]}


def weights_at(trial: int, run: str, folder: ResultsFolder, coarse: ResultsFolder) -> Array:
    """Return the stored weights at the end of coarse training, "coarse", or of an arm's SGD.

    Raises
    ------
    ResultsError
        If the run has not been made to its end.
    """
    ends = ends_of(trial, stages_to(run, folder.protocol), folder, coarse, weights=True)
    if run not in ends:
        place = coarse if run == COARSE else folder
        expected = f"a folder with the run {run} of trial {trial + 1}, net {place.protocol.network}, at its end"
        refuse(expected, repr(str(place.path)))
    return ends[run].x
