"""The file of a training run's state: an NPZ file that ends with its own SHA-256 and says where it belongs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from meganet.backend import Backend
from meganet.ground.npz import SEAL, TEXT, Expected, read_sealed, write_sealed
from meganet.ground.validate import InputError
from meganet.optim import Divergence, History, SGDState
from meganet.store.disk import exists, refuse

BYTES_OF_A_ROW = 4 * 1024
"""Of a history, as text of four bytes a character; hardly a quarter is used."""


class Origin(NamedTuple):
    """Where a state belongs.

    Attributes
    ----------
    settings : str
        Digest of what the run was made with.
    trial : int
        Counts from 1.
    run : str
    after : str or None
        SHA-256 of the state from whose weights the run started; None for fresh weights.
    stage : str or None
        Digest of the stage as it is described; None in folders of format 2, whose names say it.
    """

    settings: str
    trial: int
    run: str
    after: str | None
    stage: str | None = None


class Stored(NamedTuple):
    """A state that was read, the SHA-256 of its file, and where it belongs."""

    state: SGDState
    digest: str
    origin: Origin


def pack(state: SGDState, origin: Origin, backend: Backend) -> bytes:
    """Return the content of the file."""
    arrays = {"x": state.x, **{f"memory{k}": m for k, m in enumerate(state.memory)}}
    stored: dict[str, Any] = {name: backend.to_host(array) for name, array in arrays.items()}
    if state.divergence is not None:
        stored |= {"divergence_epoch": np.array(state.divergence.epoch, np.int64)}
        stored |= {"divergence_where": np.array(state.divergence.where)}
    said = {name: value for name, value in origin._asdict().items() if (name, value) != ("stage", None)}
    texts = {"history": state.history.to_csv(), "origin": json.dumps(said)}
    return write_sealed({**stored, "epoch": np.array(state.epoch, np.int64), **texts})


def unpack(
    path: Path, parameters: int, dtype: str, memory: Expected, epochs: int, backend: Backend, *, weights: bool
) -> Stored:
    """Read a file; what it holds is limited before it is read.

    Parameters
    ----------
    path : Path
    parameters : int
        Number of weights.
    dtype : str
        Of the weights.
    memory : Expected
        What an optimiser may remember.
    epochs : int
        The most that a run has.
    backend : Backend
        Whose arrays are returned.
    weights : bool
        Without them the state has no arrays.

    Raises
    ------
    ResultsError
        If the file is not as it was written.
    """
    expected = {
        "x": Expected(dtype, (parameters,)),
        "memory0": memory,
        "epoch": Expected("int64"),
        "history": Expected(TEXT, largest=(epochs + 2) * BYTES_OF_A_ROW),
        "origin": Expected(TEXT, largest=BYTES_OF_A_ROW),
        "divergence_epoch": Expected("int64", optional=True),
        "divergence_where": Expected(TEXT, largest=BYTES_OF_A_ROW, optional=True),
    }
    try:
        arrays, digest = read_sealed(path, expected)
    except InputError as error:
        _refuse_state(path, str(error).removeprefix(f"{path}: "))
    try:
        origin = Origin(**json.loads(str(arrays["origin"])))
        epoch, history = int(arrays["epoch"]), History.from_csv(str(arrays["history"]))
    except (ValueError, TypeError, AttributeError, RecursionError, csv.Error):
        _refuse_state(path, "its history or origin cannot be read")
    if len(history) != epoch + 1:
        _refuse_state(path, f"{epoch} epochs with a history of {len(history)} rows")
    divergence = None
    if "divergence_epoch" in arrays:
        divergence = Divergence(int(arrays["divergence_epoch"]), str(arrays.get("divergence_where", "")))
    names = [name for name in ("memory0",) if name in arrays and weights]
    x = backend.asarray(arrays["x"]) if weights else np.empty(0, dtype)
    remembered = tuple(backend.asarray(arrays[name]) for name in names)
    return Stored(SGDState(x, remembered, epoch, history, divergence=divergence), digest, origin)


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 that a file says it has, at little cost; None if there is no file."""
    if not exists(path):
        return None
    try:
        with open(path, "rb") as file:
            file.seek(-SEAL, 2)
            return file.read(SEAL).decode("latin-1")
    except OSError as error:
        _refuse_state(path, str(error.strerror))


def _refuse_state(path: Path, reason: str) -> NoReturn:
    refuse("states that can be read", f"{str(path)!r} ({reason}); {advice(path)}")


def advice(path: Path) -> str:
    """Return what to do about a file of a trial that is not as it was written."""
    return f"restore it, or delete the folder {str(path.parent)!r} to run this trial again"
