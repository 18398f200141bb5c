"""A results folder: plain files, each written in one step, from which an interrupted run continues.

::

    settings.json                the protocol and where it ran
    trial-000/coarse.npz         weights after the last epoch done, with all that is needed to go on
    trial-000/coarse.csv         one row for each epoch
    trial-000/new.npz, ...       the same for every other run of the trial, see `plan`
    trial-000/timings.csv        seconds of each epoch of all of them

All files but ``timings.csv`` are the same, byte for byte, whenever the same protocol runs in the same environment; that
of the first run is recorded in ``settings.json``. Each trial's files are written by one process at a time, so that
several can share the trials.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile

import numpy as np
import scipy
from filelock import Timeout

from meganet import _validate
from meganet._files import TEMPORARY, write_atomic
from meganet._threads import thread_count
from meganet._version import __version__
from meganet.backend import Backend
from meganet.datasets import ImageSet
from meganet.experiments import locks
from meganet.experiments.protocol import Protocol
from meganet.optim import Divergence, History, SGDState
from meganet.optim.divergence import row_is_finite

SETTINGS, TIMINGS = "settings.json", "timings.csv"


class ResultsError(_validate.UserError):
    """A results folder cannot be used: it cannot be written, or holds something else than it should."""


class ResultsFolder:
    """The folder of one protocol's results. Inside its ``with`` block no other process may open it for work.

    Reading needs no block. A copy that was sent to another process works for the one that holds the block.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist.
    protocol : Protocol
        Must be the one the folder was made with; only the number of trials may differ.
    backend : Backend
        Results of different backends are not mixed in one folder.
    data : ImageSet
        Results on different data are not mixed either: the folder holds the data's SHA-256.

    Raises
    ------
    ResultsError
        If the folder cannot be written, holds results of other settings (the message names them), or another process
        works in it.
    """

    def __init__(self, path: str | Path, protocol: Protocol, backend: Backend, data: ImageSet) -> None:
        self.path, self.protocol, self.backend = Path(path).expanduser(), protocol, backend
        self.digest = data.digest
        settings = self.path / SETTINGS
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if settings.exists():
                self._check_settings(settings)
            elif any(not entry.name.startswith(".") for entry in self.path.iterdir()):
                refuse("an empty or new folder, or one with results", repr(str(self.path)))
        except OSError as error:
            refuse("a folder that can be written", f"{str(self.path)!r} ({error.strerror})")

    def __enter__(self) -> ResultsFolder:
        try:
            self._lock = locks.acquire(self.path, 0)
        except Timeout:
            refuse("a folder in which no other process works", f"{str(self.path)!r} ({locks.holder(self.path)})")
        _clear(self.path)
        if not (self.path / SETTINGS).exists():
            self.write_json(SETTINGS, {**self._identity(), "environment": environment()})
        return self

    def __exit__(self, *exception: object) -> None:
        locks.release(self.path, self._lock)
        del self._lock

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock to the process that has it: the others work for that one."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    @property
    def environment(self) -> dict[str, str]:
        """Versions, machine and cores of the first run, as they are stored."""
        try:
            stored: dict[str, str] = json.loads((self.path / SETTINGS).read_text())["environment"]
            return {str(name): str(value) for name, value in stored.items()}
        except (OSError, ValueError, KeyError, AttributeError):
            refuse("a results folder", repr(str(self.path)))

    def _identity(self) -> dict[str, Any]:
        protocol = dataclasses.asdict(self.protocol)
        del protocol["trials"]
        return {"protocol": protocol, "backend": self.backend.name, "data": self.digest}

    def _check_settings(self, path: Path) -> None:
        try:
            stored = json.loads(path.read_text())
            # results older than a setting were made with what is its default now
            defaults = {f.name: f.default for f in dataclasses.fields(Protocol) if f.name != "trials"}
            then, now = (
                {**defaults, **s["protocol"], "backend": s["backend"], "data": s["data"]}
                for s in (stored, self._identity())
            )
        except (ValueError, KeyError, TypeError):
            refuse("a results folder", f"{str(path)!r}, which cannot be read")
        different = [
            f"{k} = {then.get(k)!r} (now {now.get(k)!r})" for k in {**then, **now} if then.get(k) != now.get(k)
        ]
        if different:
            refuse("a folder made with the same settings", f"{str(self.path)!r} with {', '.join(different)}")

    def _file(self, trial: int, name: str) -> Path:
        return Path(f"trial-{trial:03d}", name)

    def save(self, trial: int, run: str, state: SGDState) -> None:
        """Store the state of one training run after an epoch."""
        history = state.history.to_csv()
        arrays = {"x": state.x, **{f"memory{k}": m for k, m in enumerate(state.memory)}}
        stored: dict[str, Any] = {name: self.backend.to_host(array) for name, array in arrays.items()}
        stored |= {"epoch": np.array(state.epoch), "history": np.array(history)}
        if state.divergence is not None:
            stored |= {f"divergence_{name}": np.array(value) for name, value in state.divergence._asdict().items()}
        packed = io.BytesIO()
        np.savez(packed, **stored)
        # the state counts and is written last: what is ahead of it is written again when the run goes on
        self._save_seconds(trial, run, state.seconds)
        self.write(self._file(trial, f"{run}.csv"), history)
        self.write(self._file(trial, f"{run}.npz"), packed.getvalue())

    def has_trial(self, trial: int) -> bool:
        """Whether anything of a trial may be stored."""
        return (self.path / self._file(trial, "")).exists()

    def epochs(self, trial: int, run: str) -> int:
        """Return how many epochs of a training run are stored, at little cost."""
        path = self.path / self._file(trial, f"{run}.csv")
        # a header, and a row for the start
        return max(path.read_text().count("\n") - 2, 0) if path.exists() else 0

    def load(self, trial: int, run: str, *, weights: bool = True) -> SGDState | None:
        """Return the stored state of a training run, or None if it has not begun; if wanted without its arrays."""
        path = self.path / self._file(trial, f"{run}.npz")
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                names = stored.files if weights else []
                memory = tuple(
                    self.backend.asarray(stored[f"memory{k}"]) for k in range(sum("memory" in n for n in names))
                )
                epoch, history = int(stored["epoch"]), History.from_csv(str(stored["history"]))
                x = self.backend.asarray(stored["x"]) if weights else np.empty(0, self.protocol.float_dtype)
                divergence = _divergence(stored, history)
        except (OSError, ValueError, KeyError, BadZipFile):
            self._refuse_state(path)
        if len(history) != epoch + 1 or x.dtype != self.protocol.float_dtype:
            self._refuse_state(path)
        return SGDState(x, memory, epoch, history, self.seconds(trial).get(run, [])[:epoch], divergence)

    def state(self, trial: int, run: str, epochs: int) -> SGDState:
        """Return the stored state of a training run that must have ended after so many epochs."""
        state = self.load(trial, run)
        if state is None or state.epoch < epochs:
            net = self.protocol.network
            refuse(f"a folder with the run {run} of trial {trial + 1}, net {net}, at its end", repr(str(self.path)))
        return state

    @staticmethod
    def _refuse_state(path: Path) -> NoReturn:
        refuse("states that can be read", f"{str(path)!r}; delete it to train that run again")

    def seconds(self, trial: int) -> dict[str, list[float]]:
        """Return the seconds of each epoch of a trial's runs."""
        path = self.path / self._file(trial, TIMINGS)
        result: dict[str, list[float]] = {}
        try:
            for row in csv.DictReader(io.StringIO(path.read_text())) if path.exists() else ():
                result.setdefault(row["run"], []).append(float(row["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            refuse("timings that can be read", f"{str(path)!r}; delete it to go on without them")
        return result

    def _save_seconds(self, trial: int, run: str, seconds: list[float]) -> None:
        table = {**self.seconds(trial), run: seconds}
        rows = [f"{name},{e + 1},{s:.6f}" for name, values in table.items() for e, s in enumerate(values)]
        self.write(self._file(trial, TIMINGS), "\n".join(["run,epoch,seconds", *rows, ""]))

    def write(self, name: str | Path, content: str | bytes) -> Path:
        """Write one file of the folder in one step and return its path."""
        return write_file(self.path / name, content)

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file of the folder and return its path."""
        return self.write(name, json_text(content))


@contextmanager
def trial_lock(folder: Path, trial: int) -> Iterator[None]:
    """Wait until nobody else writes a trial's files, clear what a killed writer left, keep others waiting inside."""
    place = folder / f"trial-{trial:03d}"
    place.mkdir(parents=True, exist_ok=True)
    with locks.waited_for(place):
        _clear(place)
        yield


def _divergence(stored: Mapping[str, Any], history: History) -> Divergence | None:
    """Return where a stored run diverged; in results from before this was stored only the epoch is known."""
    if "divergence_epoch" in stored:
        return Divergence(int(stored["divergence_epoch"]), str(stored["divergence_where"]))
    epochs = (int(row["epoch"]) for row in history if not row_is_finite(row))
    first = next(epochs, None)
    return None if first is None else Divergence(first)


def _clear(folder: Path) -> None:
    """Delete the files of a folder that were not written to their end."""
    for left_over in folder.glob(f".*{TEMPORARY}"):
        left_over.unlink()


def write_file(path: Path, content: str | bytes) -> Path:
    """Write a file of results in one step, with the folders that lead to it, and return its path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        refuse("a folder that can be written", f"{str(path)!r} ({error.strerror})")
    return path


def refuse(expected: str, got: str) -> NoReturn:
    """Raise `ResultsError` about a results folder."""
    _validate.reject("out", expected, got, ResultsError)


def environment() -> dict[str, str]:
    """Return versions, machine and cores, for the record."""
    return {
        "meganet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "threads": str(thread_count()),
    }


def json_text(content: Any) -> str:
    """Return plain data as the text of a JSON file; numbers that are not finite, which JSON does not know, as null."""
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def read_protocol(path: str | Path) -> Protocol:
    """Return the protocol that a results folder was made with; `trials` counts those that have begun.

    Raises
    ------
    ResultsError
        If the folder holds no results, or settings that this version does not know.
    """
    file = Path(path).expanduser() / SETTINGS
    try:
        settings = json.loads(file.read_text())["protocol"]
        return Protocol(**settings, trials=max(len(list(file.parent.glob("trial-*"))), 1))
    except (OSError, ValueError, KeyError, TypeError):
        refuse("a results folder", repr(str(path)))
