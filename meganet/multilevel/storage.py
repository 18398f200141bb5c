"""The file of a training's state: an NPZ file that ends with its own SHA-256 and says what it was made with."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meganet.backend import to_host
from meganet.ground import validate
from meganet.ground.npz import TEXT, Expected, read_sealed, write_sealed
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.state import COLUMNS, TrainingState
from meganet.optim import Divergence, History
from meganet.store.disk import write_file

LARGEST_TEXT = 2**26
"""Bytes of a history, or of what a training was made with, as text of four bytes a character."""
NUMBERS = ("level", "phase", "rounds")
MOST_MEMORY = 4
"""Arrays that a rule may remember."""


def save_state(path: str | os.PathLike[str], state: TrainingState, made_with: str = "") -> None:
    """Write a state; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        In a folder that is there.
    state : TrainingState
    made_with : str
        Everything that the training depends on, as text: `load_state` compares it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import TrainingState, in_space, load_state, save_state
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 16, 16), 4), classes=2, grids=(8, 16))
    >>> state = TrainingState(np.zeros(hierarchy[0].unknowns, np.float32), level=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(Path(folder, "state.npz"), state, "seed 0")
    ...     load_state(Path(folder, "state.npz"), hierarchy, "seed 0").x.shape
    (550,)
    """
    stored: dict[str, Any] = {"x": to_host(state.x), "seconds": np.array(state.seconds, np.float64)}
    stored |= {f"memory{k}": to_host(part) for k, part in enumerate(state.memory)}
    stored |= {name: np.array(getattr(state, name), np.int64) for name in NUMBERS}
    stored |= {"history": state.history.to_csv(), "made_with": made_with}
    if state.divergence is not None:
        stored["divergence_epoch"] = np.array(state.divergence.epoch, np.int64)
        stored["divergence_where"] = state.divergence.where
    write_file(Path(path), write_sealed(stored))


def load_state(
    path: str | os.PathLike[str], hierarchy: Hierarchy, made_with: str = "", dtype: Any = np.float32
) -> TrainingState:
    """Return the state in a file, on the backend of the hierarchy.

    Parameters
    ----------
    path : path
    hierarchy : Hierarchy
        Over which it was trained.
    made_with : str
        What `save_state` was given.
    dtype : dtype
        Of the weights.

    Raises
    ------
    InputError
        If there is no such file, if it is not as it was written, or if it was made with something else.

    Examples
    --------
    See `save_state`.

    >>> from meganet.multilevel import load_state
    """
    most, kind = max(level.unknowns for level in hierarchy), str(validate.float_dtype("dtype", dtype))
    vector = Expected(kind, (None,), largest=most * np.dtype(kind).itemsize)
    expected = {
        "x": vector,
        **{f"memory{k}": replace(vector, optional=True) for k in range(MOST_MEMORY)},
        **{name: Expected("int64") for name in NUMBERS},
        "seconds": Expected("float64", (None,), largest=LARGEST_TEXT),
        "history": Expected(TEXT, largest=LARGEST_TEXT),
        "made_with": Expected(TEXT, largest=LARGEST_TEXT),
        "divergence_epoch": Expected("int64", optional=True),
        "divergence_where": Expected(TEXT, largest=LARGEST_TEXT, optional=True),
    }
    found, _ = read_sealed(path, expected)
    if str(found["made_with"]) != made_with:
        validate.reject_file(path, f"a training with {made_with}", str(found["made_with"]))
    try:
        history = History.from_csv(str(found["history"]))
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        validate.reject_file(path, "a history as it was written", validate.worded(error))
    if len(history) and history.columns != COLUMNS:
        validate.reject_file(path, f"a history of {', '.join(COLUMNS)}", ", ".join(history.columns))
    backend = hierarchy[0].network.backend
    numbers = {name: int(found[name]) for name in NUMBERS}
    where = None
    if "divergence_epoch" in found:
        where = Divergence(int(found["divergence_epoch"]), str(found["divergence_where"]))
    return TrainingState(
        backend.asarray(found["x"]),
        **numbers,
        memory=tuple(backend.asarray(found[f"memory{k}"]) for k in range(MOST_MEMORY) if f"memory{k}" in found),
        history=history,
        seconds=found["seconds"].tolist(),
        divergence=where,
    )
