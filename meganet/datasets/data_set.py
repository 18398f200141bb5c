"""What is known of a data set: what is in it, where it is, how it is fetched, verified and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from meganet.datasets.collection import Collection, FileState
from meganet.datasets.images import ImageSet
from meganet.ground import validate
from meganet.ground.files import cache_folder

QUICK = 10**6
"""Bytes of a file that is verified when data sets are listed, at most."""

Reader = Callable[[Mapping[str, Path], bool], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
"""From the paths of the files by name, and whether the training images are meant, to images and labels."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set, here one that needs nothing but the package; the others say where theirs is.

    A class of it that holds images defines ``read``.

    Attributes
    ----------
    name : str
        By which it is asked for.
    title : str
        By which it is spoken of.
    examples : tuple of int
        How many there are for training, and for testing if some are set apart for it; none if there may be any number.
    shape : tuple of int
        Of one example: (channels, height, width), or (features,).
    classes : int, optional
        How many there are; None if there may be any number.

    Examples
    --------
    >>> from meganet.datasets import CATALOGUE
    >>> circle = CATALOGUE["circle"]
    >>> circle.title, circle.shape, circle.classes, circle.where()
    ('Circle', (2,), 2, 'built in')
    """

    name: str
    title: str
    examples: tuple[int, ...]
    shape: tuple[int, ...]
    classes: int | None

    @property
    def of_images(self) -> bool:
        """Whether its examples are images."""
        return len(self.shape) == 3

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

    def load(self, folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
        """Return the training images, or those for testing; see `load`."""
        if not train and len(self.examples) < 2:
            validate.reject("train", f"True, as no images of {self.title} are set apart for testing", "False")
        found = self.read(folder, train, progress)
        if found.images.shape[1:] != self.shape:
            expected, got = ("x".join(map(str, shape)) for shape in (self.shape, found.images.shape[1:]))
            validate.reject_file(found.source, f"{expected} images", got)
        if self.classes is not None and found.classes > self.classes:
            validate.reject_file(found.source, f"labels 0 to {self.classes - 1}", found.classes - 1)
        return found

    def read(self, folder: str | Path | None, train: bool, progress: bool) -> ImageSet:
        """Return the images as they are stored; a class of sets of images says how."""
        validate.reject("dataset", "a set whose images can be read", f"{self.name!r}, which does not say how")


@dataclass(frozen=True, kw_only=True)
class Points(DataSet):
    """Points of a plane, as many as one likes.

    Attributes
    ----------
    draw : callable
        The function that makes them.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.datasets import CATALOGUE
    >>> CATALOGUE["peaks"].draw(100, 5, np.random.default_rng(0)).features.shape
    (100, 2)
    """

    draw: Callable[..., Any]

    def load(self, folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
        """Refuse: they are no images."""
        got = f"{self.name!r}, points that meganet.datasets.{self.draw.__name__} makes"
        validate.reject("name", "a set of images", got)


@dataclass(frozen=True, kw_only=True)
class Drawn(DataSet):
    """Images that a function draws.

    Attributes
    ----------
    draw : callable
        ``draw(examples=..., train=...)`` returns an `ImageSet`; what depends on chance has the same seed each time.

    Examples
    --------
    >>> from meganet.datasets import CATALOGUE
    >>> shapes = CATALOGUE["shapes-56"]
    >>> shapes.examples, shapes.shape, shapes.draw(examples=10).images.shape
    ((20000, 5000), (1, 56, 56), (10, 1, 56, 56))
    """

    draw: Callable[..., ImageSet]

    def read(self, folder: str | Path | None, train: bool, progress: bool) -> ImageSet:
        if folder is not None:
            validate.reject("data", f"no folder, since {self.name} are drawn", repr(str(folder)))
        return self.draw(examples=self.examples[0 if train else 1], train=train)


@dataclass(frozen=True, kw_only=True)
class Published(DataSet):
    """A data set whose publishers serve files.

    Attributes
    ----------
    collection : Collection
        The files; they have name and title of the data set.
    size : int
        Bytes of all files as they are served.
    reader : callable
        ``reader(files, train)`` returns images, uint8 (N, C, H, W), and labels, int64 (N,), from the paths of the files
        by name. Shape and labels are checked afterwards.
    verified : bool
        Whether the digests are checked also in a folder that was named, where files may be others of the same form:
        for a set whose files nothing else tells from another's.
    packings : tuple of (Collection, callable)
        Other files in which users have the same data set, each with its reader; taken where the published ones are not.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from meganet.datasets import Collection, Published
    >>> def read(files, train):
    ...     images = np.fromfile(files["tiny.bin"], np.uint8).reshape(-1, 3, 2, 2)
    ...     return images, np.arange(len(images)) % 2
    >>> files = Collection("tiny", "Tiny", {"tiny.bin": "md5:..."}, ("https://example.org/",))
    >>> tiny = Published(collection=files, size=48, examples=(4,), shape=(3, 2, 2), classes=2, reader=read)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "tiny.bin").write_bytes(bytes(48))
    ...     tiny.load(folder).images.shape
    (4, 3, 2, 2)
    """

    name: str = field(init=False)
    title: str = field(init=False)
    collection: Collection
    size: int
    reader: Reader
    verified: bool = False
    packings: tuple[tuple[Collection, Reader], ...] = ()

    def __post_init__(self) -> None:
        validate.store(self, name=self.collection.name, title=self.collection.title)

    @property
    def effort(self) -> str:
        """What fetching takes."""
        if self.size < 10**6:
            return f"{self.size / 10**3:.0f} kB to fetch"
        return f"{self.size / 10**6:.0f} MB to fetch" if self.size < 10**9 else f"{self.size / 10**9:.1f} GB to fetch"

    def where(self, folder: str | Path | None = None) -> str | None:
        """Return the folder, or None; of large files damage is not looked for."""
        *_, found = self._kept(folder)
        return None if found is None else _folder_of(found)

    def as_published(self, folder: str | Path | None = None) -> bool:
        """Return whether the smallest file has the right content, if that is known at once.

        Data sets whose files have the same names are told apart by it.
        """
        collection, _, found = self._kept(folder)
        small = {name: path for name, path in (found or {}).items() if path.stat().st_size <= QUICK}
        return not small or collection.state(name := min(small), small[name]).state == "ok"

    def whole(self, folder: str | Path | None = None) -> bool:
        """Return whether there is nothing to fetch; files in a folder that was named may be others of the same form."""
        where = self.where(folder)
        if where is None or not Path(where).is_relative_to(cache_folder() / self.collection.name):
            return where is not None
        return all(file.state == "ok" for file in self.states(folder).values())

    def fetch(self, folder: str | Path | None = None, *, progress: bool = True) -> None:
        """Download what is missing or damaged."""
        collection, *_ = self._kept(folder)
        if collection is self.collection:
            collection.find_or_fetch(folder, progress)

    def states(self, folder: str | Path | None = None) -> dict[str, FileState]:
        """Return what is there of each file."""
        collection, *_ = self._kept(folder)
        return collection.states(folder)

    def read(self, folder: str | Path | None, train: bool, progress: bool) -> ImageSet:
        collection, reader, files = self._kept(folder)
        if files is None or collection is self.collection:
            files = collection.find_or_fetch(folder, progress)
        if self.verified:
            collection.verify(files)
        return ImageSet(self.title, *reader(files, train), _folder_of(files))

    def _kept(self, folder: str | Path | None) -> tuple[Collection, Reader, dict[str, Path] | None]:
        """Return the packing in which it is there, and its files; the published one and None if it is in none."""
        for collection, reader in ((self.collection, self.reader), *self.packings):
            if found := collection.find(folder):
                return collection, reader, found
        return self.collection, self.reader, None


def _folder_of(files: Mapping[str, Path]) -> str:
    return str(next(iter(files.values())).parent)
