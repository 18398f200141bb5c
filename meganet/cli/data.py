"""`meganet data`: the data sets listed, fetched, verified."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence

from meganet.cli import options
from meganet.cli.arguments import USUAL_DATA
from meganet.datasets import CATALOGUE, DataSet
from meganet.datasets.collection import named_folders
from meganet.document.text import Screen
from meganet.ground.validate import InputError, UserError, reject


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what is to be done with the data sets."""
    usual = [*CATALOGUE] if given.action == "list" else [USUAL_DATA]
    names = [*dict.fromkeys(given.names)] or usual
    folder = options.folder_of_data(given)
    if folder is not None or given.action != "list":
        named_folders(folder)
    sets = [CATALOGUE[name] for name in names]
    if given.action == "list":
        return lambda: print(listing(names, folder))
    if given.action == "verify":
        return lambda: _verify(sets, folder)
    for data in sets:
        # what is wrong with a folder is said before anything is downloaded
        data.where(folder)
    return lambda: _fetch(sets, folder)


def listing(names: Iterable[str], folder: str | None) -> str:
    """Return a table of data sets, and where each is or how it is to be had."""
    try:
        named_folders(folder)
        problem = ""
    except InputError as error:
        # the data sets that need no folder are listed all the same
        problem = f"{error}\n\n"
    rows = [("name", "examples", "shape", "classes", "where")]
    for name in names:
        data = CATALOGUE[name]
        where = _where(data, folder) if not problem else "unknown"
        classes = () if data.classes is None else (data.classes,)
        rows.append((name, _count(data.examples), "x".join(map(str, data.shape)), _count(classes), where))
    return f"{problem}{Screen().table(rows)}\n\n'meganet data fetch NAME' gets what is not here."


def _count(numbers: Sequence[int]) -> str:
    return " + ".join(f"{number:,}" for number in numbers) or "any number"


def _where(data: DataSet, folder: str | None) -> str:
    try:
        where = data.where(folder)
    except InputError as error:
        return str(error)
    if where is None:
        return f"not here: {data.effort}"
    return where if data.as_published(folder) else f"{where}, but other files of these names"


def _fetch(sets: Iterable[DataSet], folder: str | None) -> None:
    for data in sets:
        if not data.whole(folder):
            print(f"{data.title}: {data.effort} ...", flush=True)
            data.fetch(folder, progress=sys.stderr.isatty())
        print(f"{data.title}: {_where(data, folder)}")


def _verify(sets: Iterable[DataSet], folder: str | None) -> None:
    rows, wrong = [("data set", "file", "state")], 0
    for data in sets:
        # every byte of the files is read for it
        states = data.states(folder)
        if not states:
            rows.append((data.name, "built in", "ok"))
        for name, file in states.items():
            rows.append((data.name, name if file.path is None else str(file.path), file.state))
            wrong += file.state != "ok"
    print(Screen().table(rows))
    if wrong:
        advice = "; 'meganet data fetch NAME' gets them" if folder is None else ""
        reject(
            "data", "files as they were published", f"{wrong} damaged or missing of {len(rows) - 1}{advice}", UserError
        )
