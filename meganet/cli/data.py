"""`meganet data`: the data sets listed, fetched, verified."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from meganet._validate import reject
from meganet.cli import options
from meganet.cli.info import data_found
from meganet.cli.parser import columns
from meganet.datasets import MNIST


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Check what is given and return what is to be done with the data sets."""
    folder = options.folder_of_data(given)
    if given.action == "list":
        if folder is not None:
            MNIST.find(folder)
        return lambda: print(columns(data_found(folder)))
    if given.action == "fetch":
        found = MNIST.located(folder, progress=True)
        return lambda: print(f"MNIST: {Path(next(iter(found.values()))).parent}")
    files = MNIST.find(folder)
    if files is None:
        reject("data", "the four MNIST files in " + ", ".join(map(str, MNIST.folders(folder))), "no such files")
    MNIST.verify(files)
    return lambda: print("\n".join(f"{path}: ok" for path in files.values()))
