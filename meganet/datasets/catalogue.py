"""The data sets by name. Each is registered by a file of its own in `datasets.sets`; nothing else lists them.

The file has a literal ``TITLES`` of its name and a line on it, for help and completion, which do not run it, and
``SET``, the `DataSet` of that name; a file of several has ``SETS``, a dict of them by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from meganet.datasets.data_set import DataSet
from meganet.datasets.images import ImageSet
from meganet.ground import validate
from meganet.ground.dropins import module_of, titles

SETS = "meganet.datasets.sets"
"""The package of the files."""


class Catalogue(Mapping[str, DataSet]):
    """All data sets by name, each imported when it is first asked for.

    Examples
    --------
    >>> from meganet.datasets import CATALOGUE
    >>> {name: data.shape for name, data in CATALOGUE.items() if data.classes == 100}
    {'cifar-100': (3, 32, 32)}
    """

    def __getitem__(self, name: str) -> DataSet:
        if name not in titles(SETS):
            raise KeyError(name)
        module = module_of(SETS, name)
        found = getattr(module, "SETS", {}).get(name) or getattr(module, "SET", None)
        if not isinstance(found, DataSet) or found.name != name:
            validate.reject_file(module.__file__, f"SET, a DataSet of the name {name!r}", validate.shown(found))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(titles(SETS))

    def __len__(self) -> int:
        return len(titles(SETS))


CATALOGUE = Catalogue()
"""The one that there is."""


def image_sets() -> tuple[str, ...]:
    """Return the names of the data sets that hold images.

    Examples
    --------
    >>> from meganet.datasets.catalogue import image_sets
    >>> image_sets()[:3]
    ('digits', 'mnist', 'fashion-mnist')
    """
    return tuple(name for name, data in CATALOGUE.items() if data.of_images)


def load(name: str, folder: str | Path | None = None, *, train: bool = True, progress: bool = True) -> ImageSet:
    """Return the images of a data set that is asked for by name.

    Parameters
    ----------
    name : str
        "digits", "mnist", "fashion-mnist", "cifar-10", "cifar-100", "stl-10", "shapes-28", ...; ``meganet data list``
        shows them, and those that files of your own have added.
    folder : path, optional
        Where to look first for its files: in a subfolder of its name, in the folder itself, and where other programs
        keep them below it. Then in ``MEGANET_DATA`` likewise, and in the user's cache; else they are downloaded to it.
    train : bool
        The training images; else those set apart for testing, of the sets that have some.
    progress : bool
        Show a bar while something is downloaded.

    Returns
    -------
    ImageSet
        Images of uint8, (N, C, H, W), and labels.

    Raises
    ------
    InputError
        If there is no data set of this name, it is one of points, has no test images, or its files are not what their
        names say.
    DataNotFoundError
        If the files are nowhere and cannot be downloaded.

    Examples
    --------
    Two images in the form of MNIST's files; without a folder those that were published are downloaded.

    >>> import tempfile
    >>> from math import prod
    >>> from pathlib import Path
    >>> from meganet import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in datasets.MNIST.files:
    ...         sizes = (2, 28, 28) if "images" in name else (2,)
    ...         header = bytes([0, 0, 8, len(sizes)]) + b"".join(n.to_bytes(4, "big") for n in sizes)
    ...         _ = (Path(folder) / name).write_bytes(header + bytes(prod(sizes)))
    ...     data = datasets.load("mnist", folder)
    >>> data.name, data.images.shape, data.labels.shape
    ('MNIST', (2, 1, 28, 28), (2,))
    >>> datasets.load("minst")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    meganet.ground.validate.InputError: name: expected one of 'cifar-10', ..., got 'minst'; did you mean 'mnist'?
    """
    module_of(SETS, name)
    return CATALOGUE[name].load(folder, train=train, progress=progress)
