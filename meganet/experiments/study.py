"""Chapter 4 in one folder: the runs of both networks, and the tables, figures and report made from them.

::

    net-A/, net-B/          results folders, see `store`; tables 4.2 to 4.4 share net B's
    tables/, figures/       each table as Markdown, CSV and JSON, each figure as PNG, see `reporting`
    report.html, report.md
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from meganet._files import user_path
from meganet.backend import Array, Backend
from meganet.datasets import ImageSet
from meganet.experiments import report
from meganet.experiments.coarse_to_fine import Trials, carry_out, ends_of, histories, weights_at
from meganet.experiments.disk import entries
from meganet.experiments.parallel import Workers
from meganet.experiments.plan import COARSE, TABLES, stages, stages_to
from meganet.experiments.problems import Level, build_levels, load_data
from meganet.experiments.protocol import ARMS, Protocol
from meganet.experiments.report import Diverged, TableResult
from meganet.experiments.store import ResultsFolder, read_protocol, refuse
from meganet.optim import History, SGDState


def networks_of(tables: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the tables of each network, in order."""
    found: dict[str, tuple[str, ...]] = {}
    for table in tables:
        network = TABLES[table].network
        found[network] = (*found.get(network, ()), table)
    return found


class Study:
    """A folder with everything about some tables; its ``with`` block keeps other processes from working in it.

    Parameters
    ----------
    path : str or Path
    protocols : mapping
        Network to its protocol.
    backend : Backend
    data : ImageSet
    """

    def __init__(self, path: str | Path, protocols: Mapping[str, Protocol], backend: Backend, data: ImageSet) -> None:
        self.path, self.data = user_path("out", path), data
        self.folders = {
            network: ResultsFolder(self.path / f"net-{network}", protocol, backend, data)
            for network, protocol in protocols.items()
        }

    @classmethod
    def open(cls, path: str | Path, data_folder: str | None, backend: Backend) -> Study:
        """Return the study that a folder holds, for reading; `data_folder` is where to look first for MNIST.

        Raises
        ------
        ResultsError
            If there are no results.
        """
        root = user_path("out", path)
        names = [name for name in entries(root) if re.fullmatch("net-.", name)]
        if not names:
            refuse("a folder with results of 'meganet reproduce'", repr(str(path)))
        protocols = {name[-1]: read_protocol(root / name) for name in names}
        for network, protocol in protocols.items():
            if protocol.network != network:
                got = f"{str(root / f'net-{network}')!r} with those of net {protocol.network}"
                refuse(f"results of net {network}", got)
        return cls(path, protocols, backend, load_data(next(iter(protocols.values())), data_folder, progress=False))

    def __enter__(self) -> Study:
        self._entered = ExitStack()
        for folder in self.folders.values():
            self._entered.enter_context(folder)
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.close()

    def run(
        self,
        tables: Iterable[str],
        *,
        workers: Workers,
        progress: bool,
        line: Callable[[str], None],
        landscapes: bool = False,
    ) -> None:
        """Run what is missing for the tables; the time that is announced includes that of `landscapes`."""
        jobs = []
        for network, of_network in networks_of(tables).items():
            folder, protocol = self.folders[network], self.folders[network].protocol
            several, trials = "s" if len(of_network) > 1 else "", protocol.trials
            size = f"{trials} trial{'s' if trials > 1 else ''}"
            line(f"Table{several} {', '.join(of_network)}: net {network}, {size}, {folder.backend.name}")
            together = folder.backend.takes_stacks and workers.local
            plan = tuple(stages(of_network, protocol))
            jobs.append(Trials(protocol, self.data, folder, folder, plan, together))
        drawn = [job.protocol for job in jobs] if landscapes else []
        carry_out([jobs], workers, progress=progress, report=line, landscapes=drawn)

    def complete(self) -> tuple[str, ...]:
        """Return the tables that have at least one complete trial."""
        known = (table for table, plan in TABLES.items() if plan.network in self.folders)
        return tuple(table for table in known if any(not missing for _, missing in self._trials(table)))

    def results(self, tables: Iterable[str]) -> list[TableResult]:
        """Return the tables from what is stored, over the trials that are complete; they name those that are not.

        Raises
        ------
        ResultsError
            If there is none.
        """
        found = []
        for table in tables:
            runs: dict[str, list[History]] = defaultdict(list)
            seconds, diverged, lacking = [], [], []
            for trial, (ends, missing) in enumerate(self._trials(table)):
                if missing:
                    lacking.append(_lack(trial, missing))
                    continue
                seconds.append({name: state.seconds for name, state in ends.items()})
                for name, state in ends.items():
                    runs[name].append(state.history)
                    if state.divergence is not None:
                        diverged.append(Diverged(trial + 1, name, *state.divergence))
            if not runs:
                self._refuse_table(table)
            protocol = self._folder(TABLES[table].network).protocol
            found += report.results(table, protocol, runs, seconds, diverged, lacking)
        return found

    def lacking(self) -> str:
        """Return in words which runs the trials lack, each network's for its retraining by SGD."""
        tables = [t for t, plan in TABLES.items() if plan.network in self.folders and not plan.solvers]
        return "; ".join(f"for table {table} {self._lacking(table)}" for table in tables)

    def _lacking(self, table: str) -> str:
        return "; ".join(_lack(trial, missing) for trial, (_, missing) in enumerate(self._trials(table)) if missing)

    def _refuse_table(self, table: str) -> NoReturn:
        expected = f"a folder with a complete trial of table {table}"
        refuse(expected, f"{str(self.path)!r}, where {self._lacking(table)}")

    def _trials(self, table: str) -> Iterator[tuple[dict[str, SGDState], list[str]]]:
        """Yield for each trial the last states of the runs that are complete, and the names of the other runs."""
        folder = self._folder(TABLES[table].network)
        plan = stages((table,), folder.protocol)
        for trial in range(folder.protocol.trials):
            ends = ends_of(trial, plan, folder, folder)
            yield ends, [stage.name for stage in plan if stage.name not in ends]

    def levels(self, network: str, trial: int) -> tuple[Level, Level]:
        """Return the coarse and the fine problem of a trial."""
        folder = self._folder(network)
        return build_levels(folder.protocol, self.data, trial, folder.backend)

    def weights(self, network: str, trial: int, run: str) -> Array:
        """Return the weights ``[theta; W]`` at the end of coarse training, "coarse", or of an arm's SGD.

        Raises
        ------
        ResultsError
            If the run has not been made to its end.
        """
        folder = self._folder(network)
        return weights_at(trial, run, folder, folder)

    def first_trial(self, networks: Iterable[str], *, trained: bool = True) -> int | None:
        """Return the first trial in which coarse training and the arms' SGD are complete, for every network.

        With `trained`, for what shows their weights, one in which none of them diverged; None if all did.

        Raises
        ------
        ResultsError
            If there is no complete one.
        """
        networks, complete = tuple(networks), False
        folders = [self._folder(network) for network in networks]
        for trial in range(min(folder.protocol.trials for folder in folders)):
            plans = [(stages_to(run, folder.protocol), run, folder) for folder in folders for run in (COARSE, *ARMS)]
            if all(run in ends_of(trial, plan, folder, folder) for plan, run, folder in plans):
                complete = True
                if not (trained and self.has_diverged(networks, trial)):
                    return trial
        if not complete:
            refuse("a folder with a trial that is complete", repr(str(self.path)))
        return None

    def has_diverged(self, networks: Iterable[str], trial: int) -> bool:
        """Whether in a trial coarse training or an arm's SGD diverged."""
        folders = [self._folder(network) for network in networks]
        states = [folder.load(trial, run, weights=False) for folder in folders for run in (COARSE, *ARMS)]
        return any(state is not None and state.divergence is not None for state in states)

    def histories(self, table: str) -> dict[str, list[History]]:
        """Return the histories of a table's runs over the trials that are complete.

        Raises
        ------
        ResultsError
            If there is none.
        """
        folder = self._folder(TABLES[table].network)
        found = histories(folder.protocol, folder, (table,))
        if not all(found.values()):
            self._refuse_table(table)
        return found

    def _folder(self, network: str) -> ResultsFolder:
        if network not in self.folders:
            refuse(f"a folder with results of net {network}", repr(str(self.path)))
        return self.folders[network]


def _lack(trial: int, missing: Sequence[str]) -> str:
    return f"trial {trial + 1} lacks {', '.join(missing)}"
