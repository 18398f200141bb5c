"""What PyTorch makes of the single grid's trainings, for the picture of `worth`.

`benchmarks/worth_peer.py` makes every run of the single grid once more, and in turn with it the same training by
PyTorch, and writes what it finds beside the runs. It is a file that may be there or not: nothing here needs PyTorch.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from meganet.document import csv_text
from meganet.experiments.runs.arms import Outcome
from meganet.ground import validate
from meganet.store.disk import read_file, write_file, writing

NAME = "single grid, PyTorch"
FILE = "worth-pytorch.csv"
SCRIPT = "benchmarks/worth_peer.py"
LARGEST = 2**22
"""Bytes of the file."""


class Pair(NamedTuple):
    """A training of ours and its twin, whose rounds took turns.

    Attributes
    ----------
    run : str
        What ours is called in the folder of the runs, see `Arms.run_name`.
    budget : float
    trial : int
        From 1.
    accuracy, seconds : float
        Of the twin: in validation, in percent, and of the training steps.
    own_accuracy, own_seconds : float
        The same of ours.
    made_with : str
        Versions, threads and processor.
    """

    run: str
    budget: float
    trial: int
    accuracy: float
    seconds: float
    own_accuracy: float
    own_seconds: float
    made_with: str


def write(folder: Path, pairs: Sequence[Pair]) -> Path:
    """Write the file into a folder of runs, in one step, and return its path.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.experiments.questions.peer import Pair, read, write
    >>> folder, pair = Path(tempfile.mkdtemp()), Pair("single-0/trial-000", 0.5, 1, 90.0, 3.0, 90.1, 2.0, "PyTorch 2")
    >>> write(folder, [pair]).name, read(folder) == [pair]
    ('worth-pytorch.csv', True)
    """
    with writing(folder):
        return write_file(folder / FILE, csv_text([Pair._fields, *pairs]))


def read(folder: Path) -> list[Pair]:
    """Return what the file of a folder says; nothing if there is none.

    Raises
    ------
    UserError
        If it is not such a file, or damaged.
    """
    path = folder / FILE
    content = read_file(path, LARGEST)
    if content is None:
        return []
    try:
        columns, *rows = csv.reader(io.StringIO(content.decode() or "\n"), strict=True)
    except (UnicodeDecodeError, csv.Error) as error:
        _refuse(path, validate.worded(error))
    if tuple(columns) != Pair._fields:
        _refuse(path, f"the columns {','.join(columns) or 'none'}")
    if not rows:
        _refuse(path, "one without rows")
    return [_pair(path, row) for row in rows]


def _pair(path: Path, row: Sequence[str]) -> Pair:
    try:
        run, budget, trial, *numbers, made_with = row
        accuracy, seconds, own_accuracy, own_seconds = map(float, numbers)
        pair = Pair(run, float(budget), int(trial), accuracy, seconds, own_accuracy, own_seconds, made_with)
    except ValueError:
        _refuse(path, f"the row {','.join(row)}")
    # the accuracies of a run that diverged are not numbers
    sound = all(math.isnan(value) or 0 <= value <= 100 for value in (pair.accuracy, pair.own_accuracy))
    if not sound or not all(0 < value < math.inf for value in (pair.budget, pair.seconds, pair.own_seconds)):
        _refuse(path, f"the row {','.join(row)}")
    return pair


def _refuse(path: Path, got: str) -> NoReturn:
    validate.reject_file(path, f"the table that {SCRIPT} writes", got)


def outcomes(
    folder: Path, pairs: Sequence[Pair], own: Mapping[float, Mapping[str, Outcome]]
) -> dict[float, list[Outcome]]:
    """Return what PyTorch's trainings end with, for each budget, in terms of ours; nothing without pairs.

    Parameters
    ----------
    folder : Path
        Whose file is meant in an error.
    pairs : sequence of Pair
    own : mapping
        For each budget our runs, by their names.

    Returns
    -------
    dict
        Work and weights are those of our runs. The seconds are theirs too, times the median ratio of the seconds of a
        budget's pairs: so one clock, at one time, has measured all that is compared, whatever else the machine did
        when the pairs were made.

    Raises
    ------
    UserError
        If one of our runs has no twin: the file belongs to others.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from meganet.experiments.questions.peer import Pair, outcomes
    >>> from meganet.experiments.runs.arms import Outcome
    >>> pair = Pair("single-0/trial-000", 0.5, 1, 90.0, 3.0, 90.1, 2.0, "PyTorch 2")
    >>> own = {0.5: {pair.run: Outcome(90.1, 0.3, 1.0, 4.0, np.zeros(0))}}
    >>> ((twin,),) = outcomes(Path(), [pair], own).values()
    >>> twin.accuracy, twin.work, twin.seconds
    (90.0, 1.0, 6.0)
    """
    twins, found = {pair.run: pair for pair in pairs}, {}
    for budget, runs in own.items() if pairs else ():
        if missing := [name for name in runs if name not in twins]:
            got = f"none of {missing[0]}; {SCRIPT} with the settings of the experiment makes it again"
            validate.reject_file(folder / FILE, "PyTorch's twins of all runs of the single grid", got)
        ratio = float(np.median([twins[name].seconds / twins[name].own_seconds for name in runs]))
        found[budget] = [
            one._replace(accuracy=twins[name].accuracy, loss=math.nan, seconds=ratio * one.seconds)
            for name, one in runs.items()
        ]
    return found


def note(pairs: Sequence[Pair]) -> list[str]:
    """Return in words how much longer PyTorch took; nothing without pairs.

    Examples
    --------
    >>> from meganet.experiments.questions.peer import Pair, note
    >>> print(*note([Pair("single-0/trial-000", 0.5, 1, 90.0, 3.0, 90.1, 2.0, "PyTorch 2")]))
    PyTorch makes the single grid's trainings from the same weights, with the same mini-batches and rates, and took 1.50
    times our time (quartiles of trainings 1.50 to 1.50), its rounds in turn with ours; its seconds are ours times the
    ratio of the budget. Made with PyTorch 2.
    """
    if not pairs:
        return []
    few, middle, many = np.quantile([pair.seconds / pair.own_seconds for pair in pairs], [0.25, 0.5, 0.75])
    return [
        "PyTorch makes the single grid's trainings from the same weights, with the same mini-batches and rates, and "
        f"took {middle:.2f} times our time (quartiles of trainings {few:.2f} to {many:.2f}), its rounds in turn with "
        "ours; its seconds are ours times the ratio of the budget. "
        f"Made with {'; '.join(dict.fromkeys(pair.made_with for pair in pairs))}."
    ]
