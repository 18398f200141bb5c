"""Everything about some cases in one folder: made, resumed, read.

::

    net-A/, net-B/         a results folder, see `folder`, for each case of chapter 4
    coarse-1a2b3c4d/       or, for cases that share runs, one for what several start from,
    fine-5e6f7a8b/         and one for the rest of each, named by a digest of its settings
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from meganet.backend import Backend, get_backend
from meganet.datasets import ImageSet
from meganet.experiments.runs.case import Case, influences
from meganet.experiments.runs.folder import ResultsFolder, read_setup, values_of
from meganet.experiments.runs.jobs import Job, carry_out
from meganet.experiments.runs.problems import check_examples, grid_shapes, load_data, network_parts
from meganet.experiments.setup.settings import DEFAULTS, Setup
from meganet.experiments.setup.stages import Stage, chain, planned
from meganet.experiments.setup.tables import stages_of
from meganet.ground import dropins, validate
from meganet.ground.files import user_path
from meganet.store.disk import entries, refuse
from meganet.store.settings import read_settings
from meganet.workers import Workers

OWN = "fine"
Plan = tuple[Setup, Iterable[Stage]]
"""A setup and stages, for any number of grids."""


class SettingsError(validate.UserError):
    """Settings that a user chose do not go together, or with the data."""


class Study:
    """Cases in one folder; its ``with`` block keeps other processes from working in it.

    Parameters
    ----------
    path : str or Path
    plans : mapping
        Name of each case to its setup and stages. Names are those of the folders, unless runs are shared.
    backend : Backend
    data : ImageSet
    shared : bool
        Cases share the runs that they have in common, those that others start from also where settings differ that
        have no influence on them.
    first_trial : int
        From 1, at most the number of trials of every case; the trials before it are not run: they are made elsewhere.

    Raises
    ------
    InputError
        If a case has not so many trials.
    SettingsError
        If there are not enough images, or there is no such grid or network.
    ResultsError
        If a folder cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments import Study, setup_for, tables_of
    >>> (table,) = tables_of("4.1")
    >>> plan = setup_for("4.1", "small"), table.stages()
    >>> study = Study(tempfile.mkdtemp(), {"net-A": plan}, get_backend("numpy"), load_digits())
    >>> [stage.name for stage in study.cases["net-A"].stages]
    ['coarse', 'new', 'transfer', 'multigrid']
    >>> study.cases["net-A"].missing(trial=0)
    ['coarse', 'new', 'transfer', 'multigrid']
    """

    def __init__(
        self,
        path: str | Path,
        plans: Mapping[str, Plan],
        backend: Backend,
        data: ImageSet,
        *,
        shared: bool = False,
        first_trial: int = 1,
    ) -> None:
        self.path, self.backend, self.data = user_path("out", path), backend, data
        self._folders: dict[Path, ResultsFolder] = {}
        if not plans:
            validate.reject("plans", "one case or more", "none")
        self.first_trial = validate.integer("first_trial", first_trial)
        trials = [setup.run.trials for setup, _ in plans.values()]
        if self.first_trial > min(trials):
            validate.reject("first_trial", f"at most the number of trials, {min(trials)}", str(first_trial))
        for name in plans if not shared else ():
            if not dropins.is_name(name):
                validate.reject("plans", f"names of {dropins.PLAIN}", validate.shown(name))
        # of all cases, before any folder is made
        checked = {name: (setup, _planned(name, setup, stages, data)) for name, (setup, stages) in plans.items()}
        self.cases = {name: self._case(name, *plan, shared) for name, plan in checked.items()}

    def __enter__(self) -> Study:
        with ExitStack() as entered:
            for folder in self._folders.values():
                entered.enter_context(folder)
            self._entered = entered.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.close()

    def _case(self, name: str, setup: Setup, plan: tuple[Stage, ...], shared: bool) -> Case:
        if not shared:
            folder = self._folder(self.path / name, setup, plan, DEFAULTS)
            return Case(setup, plan, {stage.name: folder for stage in plan}, self.data)
        folders, grids = {}, len(grid_shapes(setup, self.data.images.shape[1:]))
        for stage in plan:
            kind, names = shared_by(stage, plan, grids)
            own = _alone(setup, names)
            folders[stage.name] = self._folder(self._place(kind, own, names), own, [stage], names)
        return Case(setup, plan, folders, self.data)

    def _folder(self, path: Path, setup: Setup, stages: Iterable[Stage], names: Collection[str]) -> ResultsFolder:
        if path not in self._folders:
            self._folders[path] = ResultsFolder(path, setup, stages, self.backend, self.data, names)
        found = self._folders[path]
        found.stages |= {stage.name: stage for stage in stages}
        return found

    def _place(self, kind: str, setup: Setup, names: Iterable[str]) -> Path:
        """Return the folder of runs with these settings; one that an earlier version has named otherwise counts."""
        changes = {name: value for name, value in setup.changes().items() if name != "trials"}
        digest = hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:8]
        path = self.path / f"{kind}-{digest}"
        if path.exists():
            return path
        wanted = {name: setup.values()[name] for name in names}
        named = re.compile(f"{re.escape(kind)}-[0-9a-f]{{8}}")
        places = [self.path / name for name in entries(self.path) if named.fullmatch(name)]
        for other in filter(_holds, places):
            stored = read_settings(other)
            values = {} if stored is None else values_of(stored)
            if all(name in values and values[name] == value for name, value in wanted.items()):
                return other
        return path

    @classmethod
    def stored(cls, path: str | Path, data_folder: str | None, backend: Backend) -> Study:
        """Return what a folder of ``meganet reproduce`` holds, for reading; `data_folder` is where to look for data.

        Raises
        ------
        ResultsError
            If there are no results.
        """
        root = user_path("out", path)
        names = [name for name in entries(root) if re.fullmatch("net-.+", name) and _holds(root / name)]
        if not names:
            refuse("a folder with results of 'meganet reproduce'", repr(str(path)))
        setups = {name: read_setup(root / name) for name in names}
        for name, setup in setups.items():
            if name != f"net-{setup.model.network}":
                got = f"{str(root / name)!r} with those of net {setup.model.network}"
                refuse(f"results of net {name.removeprefix('net-')}", got)
        data = load_data(next(iter(setups.values())), data_folder, progress=False)
        shape = data.images.shape[1:]
        plans = {
            name: (setup, stages_of(setup.model.network, len(grid_shapes(setup, shape))))
            for name, setup in setups.items()
        }
        return cls(path, plans, backend, data)

    def run(
        self,
        workers: Workers,
        *,
        progress: bool,
        log: Callable[[str], None],
        landscapes: bool = False,
    ) -> None:
        """Run what is missing: first what others start from, then the rest.

        Parameters
        ----------
        workers, progress, log
            See `jobs.carry_out`.
        landscapes : bool
            The time that is announced includes that of the figures of landscapes.
        """
        first: dict[Path, Case] = {}
        rest: dict[Path, Case] = {}
        for case in self.cases.values():
            for stage in case.stages:
                folder = case.folders[stage.name]
                if folder.path != case.own.path:
                    alone = Case(folder.setup, (stage,), {stage.name: folder}, self.data)
                    first[folder.path] = _longer(first.get(folder.path, alone), case.setup)
            # one job for each folder: no two processes may write a trial's files
            others = rest.get(case.own.path, case)
            stages = {stage.name: stage for stage in (*others.stages, *case.stages)}
            plan = planned(stages.values(), case.grids)
            joined = replace(others, stages=plan, folders={**others.folders, **case.folders})
            rest[case.own.path] = _longer(joined, case.setup)
        stacked = self.backend.takes_stacks and workers.local
        rounds = [[Job(case, stacked, self.first_trial) for case in part.values()] for part in (first, rest)]
        drawn = list(self.cases.values()) if landscapes else []
        carry_out(rounds, workers, progress=progress, log=log, landscapes=drawn)

    def part(self, name: str, stages: Iterable[Stage]) -> Case:
        """Return a case with some of its stages alone, as a table has them."""
        case = self.cases[name]
        return replace(case, stages=planned(stages, case.grids))


def _holds(folder: Path) -> bool:
    """Whether there is a folder, and something in it: a process may have been killed when it had just made it."""
    return os.path.isdir(folder) and any(not name.startswith(".") for name in entries(folder))


def shared_by(stage: Stage, plan: Sequence[Stage], grids: int) -> tuple[str, set[str]]:
    """Return the kind of folder of a stage where runs are shared, and the settings that tell it from others.

    What others start from on another grid, and coarse training alone, is told by the settings that have an influence
    on it; the rest by all.
    """
    carried = {chain(plan, other.name)[0] for other in plan if other.transfers}
    if stage in carried or all(other.after is None and other.grid < grids - 1 for other in plan):
        return stage.name, influences([stage], grids)
    return OWN, DEFAULTS.keys() - {"trials"}


def _alone(setup: Setup, names: Collection[str]) -> Setup:
    """Return a setup with the settings that have an influence, all others by default as far as they go together."""
    known = {name: value for name, value in setup.values().items() if name in names or name == "trials"}
    values = {**DEFAULTS, **known}
    if values["batch_size"] > min(values["coarse_examples"], values["fine_examples"]):
        known |= {name: setup.values()[name] for name in ("batch_size", "coarse_examples", "fine_examples")}
    return Setup.of(**known)


def _longer(case: Case, setup: Setup) -> Case:
    """Return a case with as many trials as a setup has, if these are more."""
    trials = max(case.setup.run.trials, setup.run.trials)
    return replace(case, setup=case.setup.changed(trials=trials))


def _planned(name: str, setup: Setup, stages: Iterable[Stage], data: ImageSet) -> tuple[Stage, ...]:
    """Return the stages of a case for its grids, once it is clear that data and networks are there for them."""
    check_examples(setup, data, f" in {name}", SettingsError)
    with validate.raised_as(SettingsError):
        shapes = grid_shapes(setup, data.images.shape[1:])
    try:
        for shape in shapes:
            network_parts(setup, data.classes, get_backend("numpy"), True, shape)
    except validate.UserError:
        # of a file that registers the network
        raise
    except validate.InputError as error:
        widths = ",".join(map(str, setup.levels.grids)) or "half the data's and the data's"
        expected = f"grids for which net {setup.model.network} and images of {data.images.shape[1:]} can be made"
        validate.reject("grids", expected, f"{widths} ({error})", SettingsError)
    with validate.raised_as(SettingsError):
        found = planned(stages, len(shapes))
    if not found:
        validate.reject("stages", f"one or more in {name}", "none", SettingsError)
    return found
