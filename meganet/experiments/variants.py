"""Variants of one protocol, run side by side: each differs from a common base in a few settings.

::

    coarse-1a2b3c4d/       coarse training, shared by all variants that differ on the fine grid only
    fine-5e6f7a8b/         results folder of a protocol, see `store`, shared by all variants that are the same
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meganet import _validate
from meganet._files import user_path
from meganet.backend import Array, Backend
from meganet.datasets import ImageSet
from meganet.experiments.coarse_to_fine import Trials, carry_out, complete_trials, histories, weights_at
from meganet.experiments.parallel import Workers
from meganet.experiments.plan import COARSE, protocol_for, stages
from meganet.experiments.protocol import ARMS, Protocol
from meganet.experiments.report import Diverged, divergences
from meganet.experiments.store import ResultsFolder, refuse
from meganet.optim import History

FINE = "fine"


class SettingsError(_validate.UserError):
    """Settings that a user chose do not go with those that an experiment changes."""


@dataclass(frozen=True)
class Variant:
    """A named change of a table's protocol.

    Attributes
    ----------
    name : str
        Of its row.
    changes : mapping
        Settings of `Protocol` that differ from the base.
    table : str
        Whose network and retraining it uses.
    arms : tuple of str
        What is trained on the fine grid; none for coarse training alone.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    table: str = "4.1"
    arms: tuple[str, ...] = ARMS

    def protocol(self, preset: str, settings: Mapping[str, Any]) -> Protocol:
        """Return the protocol; its own changes have the last word over `settings`.

        Raises
        ------
        SettingsError
            If they do not go together.
        """
        try:
            return protocol_for(self.table, preset, **{**settings, **self.changes})
        except _validate.InputError as error:
            _validate.reject("settings", f"some that go with {dict(self.changes)}", f"({error})", SettingsError)


class Variants:
    """Variants in one folder; the ``with`` block keeps other processes from working in it.

    Parameters
    ----------
    path : str or Path
        Whatever is run in one folder shares what it has in common.
    variants : sequence of Variant
    preset : {"small", "thesis"}
    settings : mapping
        Changes common to all, such as the number of trials.
    backend : Backend
    data : ImageSet

    Raises
    ------
    SettingsError
        If the settings do not go with a variant, or there are not enough images for it.
    """

    def __init__(
        self,
        path: str | Path,
        variants: Sequence[Variant],
        preset: str,
        settings: Mapping[str, Any],
        backend: Backend,
        data: ImageSet,
    ) -> None:
        self.path, self.variants, self.data = user_path("out", path), tuple(variants), data
        self.protocols = {variant.name: variant.protocol(preset, settings) for variant in variants}
        for name, protocol in self.protocols.items():
            if protocol.examples > len(data):
                expected = f"at most the {len(data)} of {data.name}"
                _validate.reject("examples", expected, f"{protocol.examples} in the variant {name!r}", SettingsError)
        self._backend = backend
        self._folders: dict[Path, ResultsFolder] = {}
        for protocol in self.protocols.values():
            self._coarse_of(protocol)
            self._fine_of(protocol)

    def __enter__(self) -> Variants:
        self._entered = ExitStack()
        for folder in self._folders.values():
            self._entered.enter_context(folder)
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered.close()

    def _coarse_of(self, protocol: Protocol) -> ResultsFolder:
        return self._folder(COARSE, protocol.coarse())

    def _fine_of(self, protocol: Protocol) -> ResultsFolder:
        return self._folder(FINE, protocol)

    def _folder(self, kind: str, protocol: Protocol) -> ResultsFolder:
        settings = {
            f.name: getattr(protocol, f.name)
            for f in dataclasses.fields(protocol)
            if f.name != "trials" and getattr(protocol, f.name) != f.default
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        path = self.path / f"{kind}-{digest}"
        if path not in self._folders:
            self._folders[path] = ResultsFolder(path, protocol, self._backend, self.data)
        return self._folders[path]

    def run(self, workers: Workers, *, progress: bool, report: Callable[[str], None]) -> None:
        """Run what is missing: first the coarse training, then the arms of all variants."""
        jobs: dict[Path, Trials] = {}
        coarse_jobs: dict[Path, Trials] = {}
        for variant in self.variants:
            protocol = self.protocols[variant.name]
            fine, coarse = self._fine_of(protocol), self._coarse_of(protocol)
            plan = stages((variant.table,), protocol, variant.arms)
            # one job for each folder: no two processes may write a trial's files
            others = jobs[fine.path].plan if fine.path in jobs else ()
            jobs[fine.path] = Trials(protocol, self.data, fine, coarse, tuple(dict.fromkeys((*others, *plan))))
            first = tuple(stage for stage in plan if stage.arm == COARSE)
            if first:
                coarse_jobs[coarse.path] = Trials(coarse.protocol, self.data, coarse, coarse, first)
        rounds = [list(part.values()) for part in (coarse_jobs, jobs)]
        carry_out(rounds, workers, progress=progress, report=report)

    def seconds(self, variant: str, trial: int, run: str) -> list[float]:
        """Return the seconds of each epoch of a run; nan if they are not all known, since timings may be deleted."""
        protocol = self.protocols[variant]
        epochs = protocol.sgd_epochs(run)
        place = self._coarse_of(protocol) if run == COARSE else self._fine_of(protocol)
        known = place.seconds(trial).get(run, [])
        return known if len(known) == epochs else [math.nan] * epochs

    def weights(self, variant: str, trial: int, run: str) -> Array:
        """Return the weights at the end of coarse training or of an arm's SGD."""
        protocol = self.protocols[variant]
        return weights_at(trial, run, self._fine_of(protocol), self._coarse_of(protocol))

    def histories(self) -> dict[str, dict[str, list[History]]]:
        """Return the histories of the runs of each variant, one for each trial.

        Raises
        ------
        ResultsError
            If not all have been made to their ends.
        """
        found = {}
        for variant in self.variants:
            protocol = self.protocols[variant.name]
            fine, coarse = self._fine_of(protocol), self._coarse_of(protocol)
            runs = histories(protocol, fine, (variant.table,), variant.arms, coarse)
            if any(len(of_run) < protocol.trials for of_run in runs.values()):
                refuse(f"a folder with {protocol.trials} complete trials of {variant.name}", repr(str(fine.path)))
            found[variant.name] = runs
        return found

    def divergences(self) -> list[str]:
        """Return a sentence for each run of each variant that diverged; its numbers are nan."""
        found: dict[str, None] = {}
        for variant in self.variants:
            protocol = self.protocols[variant.name]
            plan = stages((variant.table,), protocol, variant.arms)
            diverged = [
                Diverged(trial + 1, f"{run} of {variant.name}", *state.divergence)
                for trial, ends in complete_trials(protocol, plan, self._fine_of(protocol), self._coarse_of(protocol))
                for run, state in ends.items()
                if state.divergence is not None
            ]
            found |= dict.fromkeys(divergences(diverged, protocol.trials))
        return list(found)
