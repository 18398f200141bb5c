"""The results folder of a setup: its runs, stored as `meganet.store` does."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from meganet.backend import Backend, get_backend
from meganet.datasets import ImageSet
from meganet.experiments.runs.problems import grid_shapes, network_parts
from meganet.experiments.runs.record import settings_of, values_of
from meganet.experiments.setup.settings import DEFAULTS, Setup
from meganet.experiments.setup.stages import Stage
from meganet.store.disk import refuse
from meganet.store.folder import Kind, StateFolder
from meganet.store.settings import SETTINGS, read_settings


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
        different = [f"{k} = {old.get(k)!r} (now {new.get(k)!r})" for k in compared if old.get(k) != new.get(k)]
        if different:
            got = f"{str(self.path / SETTINGS)!r} with {', '.join(different)}"
            refuse("a folder made with the same settings", got)

    @property
    def environment(self) -> dict[str, str]:
        """Versions, machine and cores of the first run, as they are stored."""
        stored = read_settings(self.path)
        if stored is None:
            refuse("a results folder", f"{str(self.path)!r}, without {SETTINGS}")
        return {str(name): str(value) for name, value in stored["environment"].items()}
