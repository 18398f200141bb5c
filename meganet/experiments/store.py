"""A results folder: plain files, each written in one step, from which an interrupted run continues.

::

    settings.json                the protocol and where it ran
    trial-000/coarse.npz         weights after the last epoch done, with all that is needed to go on
    trial-000/coarse.csv         one row for each epoch
    trial-000/new.npz, ...       the same for each arm
    timings.csv                  seconds of each epoch
    table.md, table.csv, summary.json, convergence.png

All files but ``timings.csv`` and the environment in ``settings.json`` are the same, byte for byte, whenever the same
protocol runs in the same environment.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import platform
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import scipy

from meganet import _validate
from meganet._files import write_atomic
from meganet._version import __version__
from meganet.backend import Backend
from meganet.experiments.protocol import Protocol
from meganet.optim import History, SGDState


class ResultsFolder:
    """The folder of one protocol's results.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist.
    protocol : Protocol
        Must be the one the folder was made with; only the number of trials may differ.
    backend : Backend
        Results of different backends are not mixed in one folder.

    Raises
    ------
    InputError
        If the folder cannot be written or holds results of other settings (the message names them).
    """

    def __init__(self, path: str | Path, protocol: Protocol, backend: Backend) -> None:
        self.path, self.protocol, self.backend = Path(path).expanduser(), protocol, backend
        settings = self.path / "settings.json"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if settings.exists():
                self._check_settings(settings)
            elif any(self.path.iterdir()):
                _validate.reject("out", "an empty or new folder, or one with results", f"{str(self.path)!r}")
            write_atomic(settings, _json({**self._identity(), "trials": protocol.trials, "environment": environment()}))
        except OSError as error:
            _validate.reject("out", "a folder that can be written", f"{str(self.path)!r} ({error.strerror})")

    def _identity(self) -> dict[str, Any]:
        protocol = dataclasses.asdict(self.protocol)
        del protocol["trials"]
        return {"protocol": protocol, "backend": self.backend.name}

    def _check_settings(self, path: Path) -> None:
        try:
            stored = json.loads(path.read_text())
            then, now = ({**s["protocol"], "backend": s["backend"]} for s in (stored, self._identity()))
        except (ValueError, KeyError, TypeError):
            _validate.reject("out", "a results folder", f"{str(path)!r}, which cannot be read")
        different = [
            f"{k} = {then.get(k)!r} (now {now.get(k)!r})" for k in {**then, **now} if then.get(k) != now.get(k)
        ]
        if different:
            _validate.reject(
                "out", "a folder made with the same settings", f"{str(self.path)!r} with {', '.join(different)}"
            )

    def _file(self, trial: int, arm: str, suffix: str) -> Path:
        return self.path / f"trial-{trial:03d}" / f"{arm}.{suffix}"

    def save(self, trial: int, arm: str, state: SGDState) -> None:
        """Store the state of one training run after an epoch."""
        path = self._file(trial, arm, "npz")
        path.parent.mkdir(exist_ok=True)
        history = state.history.to_csv()
        arrays = {"x": state.x, **{f"memory{k}": m for k, m in enumerate(state.memory)}}
        stored: dict[str, Any] = {name: self.backend.to_host(array) for name, array in arrays.items()}
        stored |= {"epoch": np.array(state.epoch), "history": np.array(history)}
        # seconds differ from run to run, so they have a file of their own; the state, written last, counts
        self._save_seconds(trial, arm, state.seconds)
        packed = io.BytesIO()
        np.savez(packed, **stored)
        write_atomic(path, packed.getvalue())
        write_atomic(self._file(trial, arm, "csv"), history)

    def load(self, trial: int, arm: str) -> SGDState | None:
        """Return the stored state of a training run, or None if it has not begun."""
        path = self._file(trial, arm, "npz")
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                memory = tuple(
                    self.backend.asarray(stored[f"memory{k}"]) for k in range(sum("memory" in n for n in stored.files))
                )
                epoch, history = int(stored["epoch"]), History.from_csv(str(stored["history"]))
                x = self.backend.asarray(stored["x"])
        except (OSError, ValueError, KeyError, BadZipFile):
            _validate.reject("out", "states that can be read", f"{str(path)!r}; delete it to train that run again")
        return SGDState(x, memory, epoch, history, self.seconds().get((trial, arm), [])[:epoch])

    def seconds(self) -> dict[tuple[int, str], list[float]]:
        """Return the seconds of each epoch by (trial, arm)."""
        path = self.path / "timings.csv"
        result: dict[tuple[int, str], list[float]] = {}
        if path.exists():
            for row in csv.DictReader(io.StringIO(path.read_text())):
                result.setdefault((int(row["trial"]), row["arm"]), []).append(float(row["seconds"]))
        return result

    def _save_seconds(self, trial: int, arm: str, seconds: list[float]) -> None:
        table = {**self.seconds(), (trial, arm): seconds}
        rows = [f"{t},{a},{e + 1},{s:.6f}" for (t, a), values in table.items() for e, s in enumerate(values)]
        write_atomic(self.path / "timings.csv", "\n".join(["trial,arm,epoch,seconds", *rows, ""]))

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the report and return its path."""
        write_atomic(self.path / name, content)
        return self.path / name

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file of the report and return its path."""
        return self.write(name, _json(content))


def environment() -> dict[str, str]:
    """Return versions and machine, for the record."""
    return {
        "meganet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
