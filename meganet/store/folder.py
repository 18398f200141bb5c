"""A results folder: plain files, each written in one step, from which an interrupted run continues.

::

    settings.json                what the runs were made with, see `settings`
    trial-000/coarse.npz         weights after the last epoch done, with all that is needed to go on, see `states`
    trial-000/coarse.csv         one row for each epoch
    trial-000/new.npz, ...       the same for every other run of the trial
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
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from meganet.backend import Backend
from meganet.ground.files import user_path
from meganet.ground.npz import Expected
from meganet.optim import SGDState
from meganet.store.disk import (
    ResultsError,
    entries,
    exists,
    locked,
    make_folder,
    make_inside,
    read_file,
    refuse,
    write_file,
)
from meganet.store.settings import FORMAT, SETTINGS, identity_of, read_settings, to_text
from meganet.store.states import BYTES_OF_A_ROW, Origin, Stored, advice, digest_of, pack, unpack
from meganet.store.timings import TIMINGS, Timings, as_lists, read_timings
from meganet.store.timings import to_text as timings_text

ATTEMPTS = 1000


class Kind(NamedTuple):
    """What a run looks like when it is stored.

    Attributes
    ----------
    parameters : int
        Number of its weights.
    dtype : str
        Of them.
    epochs : int
        How many it has at its end.
    scalar : bool
        Its optimiser remembers a number; else, if anything, vectors like the weights.
    digest : str
        Of all that is said of the run.
    """

    parameters: int
    dtype: str
    epochs: int
    scalar: bool
    digest: str


class StateFolder(ABC):
    """A folder of training runs. Inside its ``with`` block no other process may open it for work.

    Reading needs no block. A copy that was sent to another process works for the one that holds the block.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist.
    content : dict
        Of ``settings.json``, see `settings`.
    backend : Backend
        Whose arrays are stored and returned.

    Raises
    ------
    ResultsError
        If the folder cannot be written, holds something else or another format, settings that are not as they were
        written, or another process works in it.
    """

    def __init__(self, path: str | Path, content: dict[str, Any], backend: Backend) -> None:
        self.path, self.backend, self._settings = user_path("out", path), backend, content
        self._kinds: dict[str, Kind] = {}
        make_folder(self.path)
        self._adopt()

    @abstractmethod
    def make_kind(self, run: str) -> Kind:
        """Return what a run looks like when it is stored."""

    @abstractmethod
    def check_same(self, stored: dict[str, Any], given: dict[str, Any]) -> None:
        """Raise `ResultsError` if the runs of a folder with one content cannot be those of the other."""

    def kind(self, run: str) -> Kind:
        """Return the same as `make_kind`, which is asked once."""
        if run not in self._kinds:
            self._kinds[run] = self.make_kind(run)
        return self._kinds[run]

    def _adopt(self) -> bool:
        """Take over the settings that are stored, if any, which must be the same."""
        stored = read_settings(self.path)
        if stored is not None:
            self.check_same(stored, self._settings)
            self._settings = stored
        elif any(not name.startswith(".") for name in entries(self.path)):
            refuse("an empty or new folder, or one with results", f"{str(self.path)!r}, without {SETTINGS}")
        return stored is not None

    def __enter__(self) -> Self:
        make_folder(self.path)
        with ExitStack() as held:
            held.enter_context(locked(self.path, wait=False))
            if not self._adopt():
                write_file(self.path / SETTINGS, to_text(self._settings))
            self._held = held.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.close()
        del self._held

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock to the process that has it: the others work for that one."""
        return {name: value for name, value in vars(self).items() if name != "_held"}

    def file(self, trial: int, name: str) -> Path:
        """Return the path of a file of a trial."""
        return folder_of_trial(self.path, trial) / name

    def save(self, trial: int, run: str, state: SGDState, after: str | None = None) -> None:
        """Store the state of one training run after an epoch.

        Parameters
        ----------
        trial : int
        run : str
        state : SGDState
        after : str, optional
            Digest of the state that the run started from; None for fresh weights.
        """
        origin = Origin(identity_of(self._settings), trial + 1, run, after, self._described(run))
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

    def _described(self, run: str) -> str | None:
        """Return the digest of a stage that its states hold; those of format 2 have none."""
        return self.kind(run).digest if self._settings["format"] == FORMAT else None

    def epochs(self, trial: int, run: str) -> int:
        """Return about how many epochs of a training run are stored, at little cost; whoever needs them checks them."""
        try:
            content = self._copy(trial, run)
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
        kind = self.kind(run)
        shape = (kind.parameters,)
        memory = Expected("float64", (1,), optional=True) if kind.scalar else Expected(kind.dtype, shape, optional=True)
        found = unpack(path, kind.parameters, kind.dtype, memory, kind.epochs, self.backend, weights=weights)
        state, origin = found.state, found.origin
        problem = None
        if origin.settings != identity_of(self._settings):
            problem = "which was made with other settings, on another backend or other data"
        elif (origin.trial, origin.run) != (trial + 1, run):
            problem = f"which is the run {origin.run} of trial {origin.trial}"
        elif origin.stage != self._described(run):
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
        return read_file(self.file(trial, f"{run}.csv"), (self.kind(run).epochs + 2) * BYTES_OF_A_ROW)

    def _timings(self, trial: int) -> Timings:
        return read_timings(self.file(trial, TIMINGS))

    def seconds(self, trial: int) -> dict[str, list[float]]:
        """Return the seconds of each epoch of a trial's runs; nan where they are not known."""
        return as_lists(self._timings(trial))


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
