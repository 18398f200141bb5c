"""Stages with the folders in which their runs are stored: what is there of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meganet.datasets import ImageSet
from meganet.experiments.runs.folder import ResultsFolder
from meganet.experiments.runs.problems import Problems, grid_shapes
from meganet.experiments.setup.fields import setting_of
from meganet.experiments.setup.settings import FIELDS, Setup
from meganet.experiments.setup.stages import Stage, chain
from meganet.optim import History, SGDState
from meganet.store.disk import refuse
from meganet.store.states import Stored, advice


@dataclass(frozen=True)
class Case:
    """A setup, stages that are made with it, and where.

    Attributes
    ----------
    setup : Setup
    stages : tuple of Stage
        As `planned` returns them.
    folders : mapping
        Name of each stage to its folder; cases that have stages in common share folders.
    data : ImageSet

    Examples
    --------
    >>> import tempfile
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments import Stage, Study, setup_for
    >>> plans = {"net-A": (setup_for("4.1", "small"), [Stage("new")])}
    >>> case = Study(tempfile.mkdtemp(), plans, get_backend("numpy"), load_digits()).cases["net-A"]
    >>> case.histories(), case.start(trial=0, run="new").shape
    ({'new': []}, (520490,))
    """

    setup: Setup
    stages: tuple[Stage, ...]
    folders: Mapping[str, ResultsFolder]
    data: ImageSet

    @property
    def own(self) -> ResultsFolder:
        """The folder of what is not shared with other cases."""
        return self.folders[self.stages[-1].name]

    @property
    def grids(self) -> int:
        """Number of grids."""
        return len(grid_shapes(self.setup, self.data.images.shape[1:]))

    def problems(self, trial: int) -> Problems:
        """Return the problems of a trial."""
        return Problems(self.setup, self.data, trial, self.own.backend)

    def missing(self, trial: int) -> list[str]:
        """Return the names of the runs of a trial that have not been made to their ends."""
        ends = self.ends(trial)
        return [stage.name for stage in self.stages if stage.name not in ends]

    def is_stored(self, trial: int) -> bool:
        """Whether every run of a trial is stored, with all its files."""
        ends = self.ends(trial)
        return len(ends) == len(self.stages) and not any(
            self.folders[name].behind(trial, name, state) for name, state in ends.items()
        )

    def ends(self, trial: int, stages: Sequence[Stage] | None = None, *, weights: bool = False) -> dict[str, SGDState]:
        """Return the last state of every run of a trial that is complete, without its arrays unless they are wanted.

        Parameters
        ----------
        trial : int
        stages : sequence of Stage, optional
            Of which ones; each behind those that it starts from. All if not given.
        weights : bool

        Raises
        ------
        ResultsError
            If one is not as it was written, or did not start from the one that is stored.
        """
        wanted = self.stages if stages is None else stages
        # a run that goes on meanwhile writes what another starts from first, so it is read last
        found = {s.name: self.folders[s.name].stored(trial, s.name, weights=weights) for s in reversed(wanted)}
        for stage in wanted:
            self._check_origin(trial, stage, found)
        states = {stage.name: (found[stage.name], stage.length(self.setup)) for stage in wanted}
        return {name: end.state for name, (end, epochs) in states.items() if end and end.state.epoch == epochs}

    def _check_origin(self, trial: int, stage: Stage, found: Mapping[str, Stored | None]) -> None:
        stored, start = found[stage.name], stage.after
        if stored is None or start is None:
            return
        path = self.folders[stage.name].file(trial, f"{stage.name}.npz")
        origin, before = self.folders[start].file(trial, f"{start}.npz"), found[start]
        if before is None:
            got = f"{str(origin)!r} missing, from which {str(path)!r} started"
            refuse("results that belong together", f"{got}; {advice(path)}")
        if before.digest != stored.origin.after:
            got = f"{str(path)!r}, which did not start from the weights in {str(origin)!r}"
            refuse("results that belong together", f"{got}; {advice(path)}")

    def complete(self) -> Iterator[tuple[int, dict[str, SGDState]]]:
        """Yield each trial in which all runs are complete, with the last state of each, without its arrays."""
        for trial in range(self.setup.run.trials):
            ends = self.ends(trial)
            if len(ends) == len(self.stages):
                yield trial, ends

    def histories(self) -> dict[str, list[History]]:
        """Return the histories of the runs, by name, one for each trial in which all are complete."""
        result: dict[str, list[History]] = {stage.name: [] for stage in self.stages}
        for _, ends in self.complete():
            for name, state in ends.items():
                result[name].append(state.history)
        return result

    def weights(self, trial: int, run: str) -> Any:
        """Return the stored weights ``[theta; W]`` at the end of a run.

        Raises
        ------
        ResultsError
            If the run has not been made to its end.
        """
        ends = self.ends(trial, chain(self.stages, run), weights=True)
        if run not in ends:
            place = self.folders[run]
            expected = f"a folder with the run {run} of trial {trial + 1}, net {self.setup.model.network}, at its end"
            refuse(expected, repr(str(place.path)))
        return ends[run].x

    def start(self, trial: int, run: str, problems: Problems | None = None) -> Any:
        """Return the weights from which a run starts; those before it must be stored."""
        *before, stage = chain(self.stages, run)
        problems = self.problems(trial) if problems is None else problems
        if not before:
            return problems.start(stage)
        return problems.start(stage, before[-1], self.weights(trial, before[-1].name))

    def seconds(self, trial: int, run: str) -> list[float]:
        """Return the seconds of each epoch of a run; nan if they are not all known, since timings may be deleted."""
        epochs = chain(self.stages, run)[-1].length(self.setup)
        known = self.folders[run].seconds(trial).get(run, [])
        return known if len(known) == epochs else [float("nan")] * epochs


def influences(stages: Iterable[Stage], grids: int) -> set[str]:
    """Return the names of the settings that have an influence on some stages."""
    traits = set().union(*(stage.traits(stage.grid == grids - 1) for stage in stages))
    matters = {name: setting_of(field).matters for name, field in FIELDS.items() if name != "trials"}
    return {name for name, trait in matters.items() if trait is None or trait in traits}
