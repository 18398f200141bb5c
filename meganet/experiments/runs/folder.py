"""A results folder: plain files, each written in one step, from which an interrupted run continues.

::

    settings.json                the settings and where it ran, see `record`
    trial-000/coarse.npz         weights after the last epoch done, with all that is needed to go on, see `states`
    trial-000/coarse.csv         one row for each epoch
    trial-000/new.npz, ...       the same for every other stage of the trial
    trial-000/timings.csv        seconds of each epoch of all of them, see `timings`

All files but ``timings.csv`` are the same, byte for byte, whenever the same settings run in the same environment; that
of the first run is recorded in ``settings.json``. Each trial's files are written by one process at a time, so that
several can share the trials.

The files belong together, and a reader checks it. Settings, states and timings hold their own SHA-256; a state holds
its history too, of which the CSV is a copy, and digests of the settings and of the state that its run started from. An
epoch is done when its state is written: before that the timings are, after that the CSV. So a process that is killed
leaves timings that are one epoch ahead at most, or a CSV that is one behind, which the next run of the same command
writes again. Everything else was edited, deleted or damaged, and is named with what to do about it. Deleting the folder
of a trial, to run it again, is always possible.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from meganet._disk import ResultsError, entries, exists, locked, make_folder, make_inside, read_file, refuse, write_file
from meganet._files import user_path
from meganet._npz import Expected
from meganet.backend import Backend, get_backend
from meganet.datasets import ImageSet
from meganet.experiments.runs.problems import grid_shapes, network_parts
from meganet.experiments.runs.record import SETTINGS, check_same, identity_of, read_settings, settings_of
from meganet.experiments.runs.record import to_text as settings_text
from meganet.experiments.runs.states import BYTES_OF_A_ROW, Origin, Stored, advice, digest_of, pack, unpack
from meganet.experiments.runs.timings import TIMINGS, Timings, as_lists, read_timings
from meganet.experiments.runs.timings import to_text as timings_text
from meganet.experiments.setup.settings import DEFAULTS, Setup
from meganet.experiments.setup.stages import Stage
from meganet.optim import SGDState

ATTEMPTS = 1000


class ResultsFolder:
    """The folder of the results of one setup. Inside its ``with`` block no other process may open it for work.

    Reading needs no block. A copy that was sent to another process works for the one that holds the block.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist.
    setup : Setup
        Must be the one the folder was made with; only the number of trials may differ, and settings that are not among
        the `names`.
    stages : iterable of Stage
        What it may hold, as `planned` returns them.
    backend : Backend
        Results of different backends are not mixed in one folder.
    data : ImageSet
        Results on different data are not mixed either: the folder holds the data's SHA-256.
    names : collection of str
        The settings that have an influence on the stages.

    Raises
    ------
    ResultsError
        If the folder cannot be written, holds results of other settings (the message names them) or of another format,
        settings that are not as they were written, or another process works in it.
    """

    def __init__(
        self,
        path: str | Path,
        setup: Setup,
        stages: Iterable[Stage],
        backend: Backend,
        data: ImageSet,
        names: Collection[str] = DEFAULTS,
    ) -> None:
        self.path, self.setup, self.backend = user_path("out", path), setup, backend
        self.stages = {stage.name: stage for stage in stages}
        self._settings = settings_of(setup, backend.name, data.digest)
        self._shape, self._classes, self._names = data.images.shape[1:], data.classes, names
        make_folder(self.path)
        self._adopt()

    def _adopt(self) -> bool:
        """Take over the settings that are stored, if any, which must be the same."""
        stored = read_settings(self.path)
        if stored is not None:
            check_same(self.path, stored, self._settings, self._names)
            self._settings = stored
        elif any(not name.startswith(".") for name in entries(self.path)):
            refuse("an empty or new folder, or one with results", f"{str(self.path)!r}, without {SETTINGS}")
        return stored is not None

    def __enter__(self) -> ResultsFolder:
        make_folder(self.path)
        with ExitStack() as held:
            held.enter_context(locked(self.path, wait=False))
            if not self._adopt():
                write_file(self.path / SETTINGS, settings_text(self._settings))
            self._held = held.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.close()
        del self._held

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock to the process that has it: the others work for that one."""
        return {name: value for name, value in vars(self).items() if name != "_held"}

    @property
    def environment(self) -> dict[str, str]:
        """Versions, machine and cores of the first run, as they are stored."""
        stored = read_settings(self.path)
        if stored is None:
            refuse("a results folder", f"{str(self.path)!r}, without {SETTINGS}")
        return {str(name): str(value) for name, value in stored["environment"].items()}

    def file(self, trial: int, name: str) -> Path:
        """Return the path of a file of a trial."""
        return folder_of_trial(self.path, trial) / name

    def save(self, trial: int, run: str, state: SGDState, after: str | None = None) -> None:
        """Store the state of one training run after an epoch.

        Parameters
        ----------
        trial : int
        run : str
            Name of its stage.
        state : SGDState
        after : str, optional
            Digest of the state that the run started from; None for fresh weights.
        """
        origin = Origin(identity_of(self._settings), trial + 1, run, after, self.stages[run].digest())
        content = pack(state, origin, self.backend)
        # one that goes on with stored weights finds its folder, unless somebody has deleted it
        if after is None:
            make_inside(folder_of_trial(self.path, trial))
        timings = self._timings(trial)
        timings[run] = dict(enumerate(state.seconds, start=1))
        # see above: what each kill leaves depends on this order
        write_file(self.file(trial, TIMINGS), timings_text(timings))
        write_file(self.file(trial, f"{run}.npz"), content)
        write_file(self.file(trial, f"{run}.csv"), state.history.to_csv())

    def epochs(self, trial: int, run: str) -> int:
        """Return about how many epochs of a training run are stored, at little cost; whoever needs them checks them."""
        try:
            content = read_file(self.file(trial, f"{run}.csv"), self._history_bytes)
        except ResultsError:
            return 0
        # a header, and a row for the start
        return max(content.count(b"\n") - 2, 0) if content is not None else 0

    def has_trial(self, trial: int) -> bool:
        """Whether anything of a trial may be stored."""
        return os.path.exists(folder_of_trial(self.path, trial))

    def stored(self, trial: int, run: str, *, weights: bool = True) -> Stored | None:
        """Return what is stored of a training run, or None if it has not begun; if wanted without its arrays.

        Raises
        ------
        ResultsError
            If its files are not as they were written.
        """
        path = self.file(trial, f"{run}.npz")
        for _ in range(ATTEMPTS):
            found = self._read(path, trial, run, weights)
            problem = self._mismatch(found, trial, run)
            if problem is None:
                return found
            # a run that goes on meanwhile may have written between two of our looks at its files
            if digest_of(path) == (found.digest if found else None):
                break
        refuse("results that belong together", f"{problem}; {advice(path)}")

    def load(self, trial: int, run: str, *, weights: bool = True) -> SGDState | None:
        """Return the stored state of a training run, or None if it has not begun; if wanted without its arrays."""
        found = self.stored(trial, run, weights=weights)
        return found.state if found else None

    def resume(self, trial: int, run: str, after: str | None = None) -> SGDState | None:
        """Return the same for a run that goes on, and make good what a killed process has left undone.

        It must have started from the state with the digest `after`.
        """
        found = self.stored(trial, run)
        if found is None:
            return None
        if found.origin.after != after:
            path = self.file(trial, f"{run}.npz")
            refuse("results that belong together", f"{str(path)!r}, which started from other weights; {advice(path)}")
        if self.behind(trial, run, found.state):
            write_file(self.file(trial, f"{run}.csv"), found.state.history.to_csv())
        return found.state

    def behind(self, trial: int, run: str, state: SGDState) -> bool:
        """Whether a process was killed before it wrote the CSV of a run's last epoch."""
        return self._copy(trial, run) != state.history.to_csv().encode()

    def digest(self, trial: int, run: str) -> str:
        """Return the digest of a stored state, for the runs that start from it."""
        path = self.file(trial, f"{run}.npz")
        digest = digest_of(path)
        if digest is None:
            refuse("a folder that stays while it is worked in", f"{str(path)!r}, which was deleted")
        return digest

    def _read(self, path: Path, trial: int, run: str, weights: bool) -> Stored | None:
        if not exists(path):
            return None
        stage = self.stages[run]
        number, dtype = self._parameters(stage.grid), self.setup.model.dtype
        memory = (
            Expected("float64", (1,), optional=True) if stage.by_newton else Expected(dtype, (number,), optional=True)
        )
        found = unpack(path, number, dtype, memory, self._epochs, self.backend, weights=weights)
        state, origin = found.state, found.origin
        problem = None
        if origin.settings != identity_of(self._settings):
            problem = "which was made with other settings, on another backend or other data"
        elif (origin.trial, origin.run) != (trial + 1, run):
            problem = f"which is the run {origin.run} of trial {origin.trial}"
        elif origin.stage not in (None, stage.digest()):
            problem = f"which was made when the stage {run} was another one"
        if problem is not None:
            refuse("results that belong together", f"{str(path)!r}, {problem}; {advice(path)}")
        known = self._timings(trial).get(run, {})
        state.seconds += [known.get(epoch, float("nan")) for epoch in range(1, state.epoch + 1)]
        return found

    def _mismatch(self, found: Stored | None, trial: int, run: str) -> str | None:
        """Return in words which files of a run do not belong together, None if all do."""
        state, table, timings = (str(self.file(trial, name)) for name in (f"{run}.npz", f"{run}.csv", TIMINGS))
        copied, timed = self._copy(trial, run), max(self._timings(trial).get(run, {}), default=0)
        done = found.state.epoch if found else 0
        if found is None and copied is not None:
            return f"{state!r} missing beside {table!r}"
        if timed > done + 1:
            return f"{timings!r} with {timed} epochs of {run}, of which {state!r} has {done or 'none'}"
        if found is None:
            return None
        divergence = found.state.divergence
        # the epochs that are left of a run that diverged are written at once
        before = done - 1 if divergence is None else min(max(divergence.epoch - 1, 0), done - 1)
        if copied is None and before > 0:
            return f"{table!r} missing beside {state!r}"
        lines = found.state.history.to_csv().encode().splitlines(keepends=True)
        # a header, and a row for the start
        if copied not in (None, *(b"".join(lines[: epochs + 2]) for epochs in range(max(before, 0), done + 1))):
            return f"{table!r}, which is not the history in {state!r}"
        return None

    def _copy(self, trial: int, run: str) -> bytes | None:
        """Return the CSV of a run."""
        return read_file(self.file(trial, f"{run}.csv"), self._history_bytes)

    def _timings(self, trial: int) -> Timings:
        return read_timings(self.file(trial, TIMINGS))

    def seconds(self, trial: int) -> dict[str, list[float]]:
        """Return the seconds of each epoch of a trial's runs; nan where they are not known."""
        return as_lists(self._timings(trial))

    @cached_property
    def _epochs(self) -> int:
        """The most that a run has."""
        return max((stage.length(self.setup) for stage in self.stages.values()), default=1)

    @property
    def _history_bytes(self) -> int:
        return (self._epochs + 2) * BYTES_OF_A_ROW

    def _parameters(self, grid: int) -> int:
        """Return the number of weights on a grid."""
        shape = grid_shapes(self.setup, self._shape)[grid]
        network, classifier, _ = network_parts(self.setup, self._classes, get_backend("numpy"), True, shape)
        return network.parameters.size + classifier.parameters.size


def folder_of_trial(folder: Path, trial: int) -> Path:
    """Return the path of a trial's folder in a results folder."""
    return folder / f"trial-{trial:03d}"


@contextmanager
def trial_lock(folder: Path, trial: int) -> Iterator[None]:
    """Wait until nobody else writes a trial's files, clear what a killed writer left, keep others waiting inside."""
    place = folder_of_trial(folder, trial)
    make_inside(place)
    with locked(place, wait=True):
        yield
