"""The results folder of a setup: its runs, stored as `meganet.store` does, and what they were made with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from meganet.backend import Backend, get_backend
from meganet.datasets import ImageSet
from meganet.experiments.runs.problems import grid_shapes, network_parts
from meganet.experiments.setup.fields import as_text
from meganet.experiments.setup.settings import DEFAULTS, FITTED, LARGEST_TRIALS, Setup
from meganet.experiments.setup.stages import Stage
from meganet.ground import validate
from meganet.ground.files import user_path
from meganet.store.disk import entries, refuse
from meganet.store.folder import Kind, StateFolder
from meganet.store.settings import FORMAT, PART, SETTINGS, environment, read_settings

TRIAL = re.compile(r"trial-(\d{3,9})")


class ResultsFolder(StateFolder):
    """The folder of the results of one setup, see `store.folder.StateFolder`.

    Parameters
    ----------
    path : str or Path
        Made if it does not exist.
    setup : Setup
        Must be the one the folder was made with; only the number of trials may differ, and settings that are not among
        the `names`.
    stages : iterable of Stage
        What it may hold, as `planned` returns them.
    backend : Backend
        Results of different backends are not mixed in one folder.
    data : ImageSet
        Results on different data are not mixed either: the folder holds the data's SHA-256.
    names : collection of str
        The settings that have an influence on the stages.

    Raises
    ------
    ResultsError
        As `StateFolder`; of other settings the message names those that differ.

    Examples
    --------
    >>> import tempfile
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments import ResultsFolder, Setup, Stage
    >>> folder = ResultsFolder(tempfile.mkdtemp(), Setup(), [Stage("new")], get_backend("numpy"), load_digits())
    >>> folder.load(0, "new") is None, folder.kind("new").parameters
    (True, 520490)
    """

    def __init__(
        self,
        path: str | Path,
        setup: Setup,
        stages: Iterable[Stage],
        backend: Backend,
        data: ImageSet,
        names: Collection[str] = DEFAULTS,
    ) -> None:
        self.setup, self.stages = setup, {stage.name: stage for stage in stages}
        self._shape, self._classes, self._names = data.images.shape[1:], data.classes, names
        super().__init__(path, settings_of(setup, backend.name, data.digest), backend)

    def make_kind(self, run: str) -> Kind:
        """Return what the run of a stage looks like when it is stored."""
        stage, setup = self.stages[run], self.setup
        shape = grid_shapes(setup, self._shape)[stage.grid]
        network, classifier, _ = network_parts(setup, self._classes, get_backend("numpy"), True, shape)
        parameters = network.parameters.size + classifier.parameters.size
        return Kind(parameters, setup.model.dtype, stage.length(setup), stage.by_newton, stage.digest())

    def check_same(self, stored: dict[str, Any], given: dict[str, Any]) -> None:
        """Raise `ResultsError` if what is stored was made with other settings, on another backend or other data."""
        old, new = ({**values_of(s), "backend": s["backend"], "data": s["data"]} for s in (stored, given))
        compared = [name for name in {**old, **new} if name in self._names or name not in DEFAULTS]
        different = [name for name in compared if old.get(name) != new.get(name)]
        if different:
            words = ", ".join(f"{name} = {old.get(name)!r} (now {new.get(name)!r})" for name in different)
            advice = ""
            if set(different) <= FITTED.keys():
                # the preset may have had other settings when the folder was made
                sets = " ".join(f"--set {name}={as_text(old[name])}" for name in different)
                advice = f"; to continue it, add {sets} --out {shlex.quote(str(self.path.parent))}"
            refuse("a folder made with the same settings", f"{str(self.path / SETTINGS)!r} with {words}{advice}")

    @property
    def made_with(self) -> dict[str, str]:
        """Backend, digest of the data, and `environment`."""
        return {name: str(self._settings[name]) for name in ("backend", "data")} | self.environment

    @property
    def environment(self) -> dict[str, str]:
        """Versions, machine and cores of the first run, as they are stored."""
        stored = read_settings(self.path)
        if stored is None:
            refuse("a results folder", f"{str(self.path)!r}, without {SETTINGS}")
        return {str(name): str(value) for name, value in stored["environment"].items()}


def settings_of(setup: Setup, backend: str, data: str) -> dict[str, Any]:
    """Return the content of ``settings.json``; the number of trials is that of their folders."""
    made_with = setup.nested()
    del made_with["run"]["trials"]
    where = {"backend": backend, "data": data, "environment": environment(backend)}
    return {"format": FORMAT, PART[FORMAT]: made_with, **where}


def values_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in the content by their names, those that are not there by their defaults.

    Results older than a setting were made with what is its default now.
    """
    found: dict[str, Any] = content[PART[content["format"]]]
    if content["format"] == FORMAT:
        found = {name: value for section in found.values() for name, value in section.items()}
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return {name: value for name, value in {**DEFAULTS, **found, **lists}.items() if name != "trials"}


def read_setup(path: str | Path) -> Setup:
    """Return the setup that a results folder was made with; `trials` counts to the last one that has begun.

    Raises
    ------
    ResultsError
        If the folder holds no results, or settings that this version does not know.
    """
    folder = user_path("out", path)
    stored = read_settings(folder)
    if stored is None:
        refuse("a results folder", f"{str(path)!r}, without {SETTINGS}")
    numbers = [int(match[1]) + 1 for match in map(TRIAL.fullmatch, entries(folder)) if match]
    # no folder of a trial of ours has a number beyond the largest
    begun = [number for number in numbers if number <= LARGEST_TRIALS]
    try:
        return Setup.of(**values_of(stored), trials=max(begun, default=1))
    except (TypeError, validate.InputError) as error:
        refuse("settings that this version knows", f"{str(folder / SETTINGS)!r} ({error})")
