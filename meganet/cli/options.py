"""Options that several commands have, and what becomes of them."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meganet._files import user_path
from meganet._validate import reject
from meganet.backend import ENVIRONMENT_VARIABLE, Backend, get_backend
from meganet.datasets import ImageSet
from meganet.experiments import PRESETS, Protocol, Workers, load_data

SETTINGS_HELP = "Settings for --set: " + ", ".join(f.name for f in dataclasses.fields(Protocol))


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add what says which protocol to run."""
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="small", help="size of the run (default: %(default)s)"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="number of trials")
    parser.add_argument("--seed", type=int, metavar="S", default=0, help="seed of everything random (default: 0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings", help="change a setting; repeatable"
    )


def add_work(parser: argparse.ArgumentParser) -> None:
    """Add what says where and on what to run."""
    _add_tools(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at a time, in processes of their own")
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="Dask scheduler (tcp://host:port) whose workers make the trials, or 'ray'"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bar, and no times: estimated, elapsed or remaining"
    )


def _add_tools(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", help=f"numpy or cupy (default: {ENVIRONMENT_VARIABLE}, else numpy)")
    parser.add_argument("--data", metavar="DIR", help="where to look first for the MNIST files")


def add_stored(parser: argparse.ArgumentParser) -> None:
    """Add what says where stored runs lie, and on what to work with them."""
    parser.add_argument(
        "--results",
        metavar="DIR",
        default=str(Path("meganet-results", "small-seed-0")),
        help="results folder of 'meganet reproduce' (default: %(default)s)",
    )
    _add_tools(parser)


def place(argument: str, text: str) -> Path:
    """Return a file or a folder that was named on the command line, which need not exist."""
    path = user_path(argument, text)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError as error:
        reject(argument, "a path that can be used", f"{text!r} ({error.strerror})")
    return path


def numbers(given: argparse.Namespace) -> dict[str, int]:
    """Return the settings that have options of their own."""
    return {"seed": given.seed} | ({} if given.trials is None else {"trials": given.trials})


def names(given: argparse.Namespace) -> list[str]:
    """Return the names of the settings that the command line changes."""
    return [*numbers(given), *(text.partition("=")[0] for text in given.settings)]


def changed(protocol: Protocol, given: argparse.Namespace, fixed: Mapping[str, Any]) -> Protocol:
    """Return the protocol with what --set changes; `fixed` settings may not."""
    changes = {}
    for text in given.settings:
        name, equals, value = text.partition("=")
        if not equals:
            reject("--set", "NAME=VALUE", repr(text))
        if name in fixed:
            reject("--set", f"a setting that the command leaves open, {name} is {fixed[name]}", repr(text))
        changes[name] = value
    return protocol.replaced(changes)


def folder_of_data(given: argparse.Namespace) -> str | None:
    """Return where to look first for the MNIST files, if that was said."""
    return None if given.data is None else str(place("data", given.data))


def tools(given: argparse.Namespace, protocols: Sequence[Protocol]) -> tuple[Backend, ImageSet, Workers]:
    """Return backend, data and workers for some protocols on one data set."""
    workers = Workers(given.jobs, given.cluster)
    backend = get_backend(given.backend)
    if backend.takes_stacks and not workers.local:
        reject("jobs", "1 and no cluster on a GPU, where all trials run together", f"{given.jobs}, {given.cluster}")
    data = load_data(protocols[0], folder_of_data(given), progress=not given.quiet and sys.stderr.isatty())
    needed = max(protocol.examples for protocol in protocols)
    if needed > len(data):
        reject("examples", f"at most the {len(data)} of {data.name}", str(needed))
    # last, as it may take seconds, and before any folder is made
    workers.check()
    return backend, data, workers


def command() -> str:
    """Return the command line that is being run, without what says where files lie and who works."""
    words, places = iter(sys.argv[1:]), ("--data", "--out", "--results", "--cluster")
    kept = []
    for word in words:
        if word in places:
            next(words, None)
        elif not word.startswith(tuple(f"{place}=" for place in places)):
            kept.append(word)
    return shlex.join(["meganet", *kept])
