"""What becomes of the options that several commands have."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from meganet.backend import Backend, get_backend
from meganet.cli import stored
from meganet.datasets import ImageSet
from meganet.experiments.runs.problems import check_examples, load_data
from meganet.experiments.runs.study import Study
from meganet.experiments.setup.settings import FIELDS, Setup
from meganet.experiments.setup.tables import protocols, tables_of
from meganet.ground.files import user_path
from meganet.ground.validate import reject
from meganet.store.disk import entries, refuse
from meganet.workers import Workers

FEW = 8
"""Results folders that an error names."""
LONGEST_NAME = 255
"""Bytes of a file's name, as most systems have it."""


def as_typed(argument: str, given: argparse.Namespace) -> str:
    """Return an argument that an error is about as it is written on the command line, if it is one of those."""
    typed = {action.dest: action.option_strings[-1] for action in given.parser._actions if action.option_strings}
    if "results" in typed:
        # for those who read it as for those who write it, it is the folder with the runs
        typed["out"] = typed["results"]
    if "settings" in typed:
        written = {text.partition("=")[0] for text in given.settings}
        typed |= {name: f"--set {name}" for name in FIELDS if name in written or name not in typed}
    return typed.get(argument, argument)


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


def results_folder(given: argparse.Namespace, usual: Path) -> Path:
    """Return the folder that was named for results, or one in the usual folder, called by what was chosen."""
    if given.out is not None:
        return place("out", given.out)
    name = "-".join([f"{given.preset}-seed-{given.seed}", *given.settings])
    if len(os.fsencode(name)) > LONGEST_NAME:
        reject("out", "a folder, as there are too many settings to call one by them", "none")
    return usual / name


def numbers(given: argparse.Namespace) -> dict[str, int]:
    """Return the settings that have options of their own."""
    return {"seed": given.seed} | ({} if given.trials is None else {"trials": given.trials})


def names(given: argparse.Namespace) -> list[str]:
    """Return the names of the settings that the command line changes."""
    return [*numbers(given), *(text.partition("=")[0] for text in given.settings)]


def changed(setup: Setup, given: argparse.Namespace, fixed: Mapping[str, Any]) -> Setup:
    """Return the setup with what --set changes; `fixed` settings may not."""
    changes = {}
    for text in given.settings:
        name, equals, value = text.partition("=")
        if not equals:
            reject("settings", "NAME=VALUE", repr(text))
        if name in fixed:
            reject("settings", f"a setting that the command leaves open, {name} is {fixed[name]}", repr(text))
        changes[name] = value
    return setup.parsed(changes)


def folder_of_data(given: argparse.Namespace) -> str | None:
    """Return where to look first for the files of data sets, if that was said."""
    return None if given.data is None else str(place("data", given.data))


def tools(given: argparse.Namespace, setups: Sequence[Setup]) -> tuple[Backend, ImageSet, Workers]:
    """Return backend, data and workers for some setups on one data set."""
    workers = Workers(given.jobs, given.cluster)
    backend = get_backend(given.backend)
    if backend.takes_stacks and not workers.local:
        reject("jobs", "1 and no cluster on a GPU, where all trials run together", f"{given.jobs}, {given.cluster}")
    data = load_data(setups[0], folder_of_data(given), progress=not given.quiet and sys.stderr.isatty())
    check_examples(max(setups, key=lambda setup: setup.examples), data)
    # last, as it may take seconds, and before any folder is made
    workers.check()
    return backend, data, workers


def study(given: argparse.Namespace, backend: Backend, network: str | None = None) -> Study:
    """Return the study that is to be read, with runs of a network; an error says where there are runs."""
    path = place("results", given.results)
    # what cannot be looked into is told first
    entries(path)
    there = stored.networks(path)
    if not there or (network is not None and network not in there):
        _refuse_results(given, path, network)
    return Study.stored(path, folder_of_data(given), backend)


def _refuse_results(given: argparse.Namespace, path: Path, network: str | None) -> NoReturn:
    """Say what is there instead of runs of a network, where there are such runs, and how to make them."""
    there = stored.networks(path)
    holds = _runs_of(there) if there else "no runs" if path.is_dir() else "no such folder"
    wanted = () if network is None else (network,)
    others = [str(other) for other in stored.folders(path) if {*wanted} <= set(stored.networks(other))]
    listed = ", ".join(map(repr, others[:FEW])) + (f" and {len(others) - FEW} more" if others[FEW:] else "")
    words = ["meganet", "reproduce", next(n for n in protocols() if tables_of(n)[0].network == (network or "A"))]
    if given.results != given.parser.get_default("results"):
        words += ["--out", given.results]
    advice = (f"stored here: {listed}; or " if others else "") + f"make one with {shlex.join(words)!r}"
    refuse(f"a folder with {_runs_of(wanted)}", f"{given.results!r} ({holds}); {advice}", "results")


def _runs_of(networks: Sequence[str]) -> str:
    return f"runs of net {' and '.join(networks)}" if networks else "runs"


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
