"""What every question is given and gives back; what it costs to ask one.

A file in this folder that has ``TITLES``, a line on each question by its name, and ``QUESTIONS``, its `Question` by the
same name, is all that a new question takes: `meganet experiment NAME` asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from meganet._version import __version__
from meganet.backend import Backend
from meganet.datasets import ImageSet
from meganet.document import Document, Grid, Heading, Paragraph, csv_text
from meganet.experiments.runs.diverged import Diverged, divergences
from meganet.experiments.runs.problems import Shape, grid_shapes
from meganet.experiments.runs.study import SettingsError, Study, shared_by
from meganet.experiments.runs.work import epoch_flop
from meganet.experiments.setup.settings import Setup
from meganet.experiments.setup.stages import Stage, planned
from meganet.experiments.setup.tables import setup_for, tables_of
from meganet.ground import dropins, validate
from meganet.store.disk import write_file, writing
from meganet.workers import Workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACE = "meganet.experiments.questions"
BASE = "4.1"
"""The protocol from which questions take sizes."""


@dataclass(frozen=True)
class Variant:
    """Runs of a protocol with some settings changed.

    Attributes
    ----------
    name : str
        Of its case; no two variants of a question share one.
    changes : mapping
        Settings that differ from those of the preset and of the user; they have the last word.
    protocol : str
        Such as "4.1", whose network and stages it has.
    rows : tuple of str
        Which rows of the protocol's tables are run, with all before them; none for what is before them alone.

    Examples
    --------
    >>> from meganet.experiments.questions.base import Variant
    >>> variant = Variant("constant P", {"interpolation": "constant"}, "4.2", ("multigrid",))
    >>> [stage.name for stage in variant.stages()]
    ['coarse', 'multigrid']
    >>> variant.setup("small", {"seed": 7}).changes()["interpolation"]
    'constant'
    """

    name: str
    changes: Mapping[str, Any]
    protocol: str
    rows: tuple[str, ...]

    def setup(self, preset: str, settings: Mapping[str, Any]) -> Setup:
        """Return the setup, changed from a preset and the settings of the user.

        Raises
        ------
        SettingsError
            If they do not go together.
        """
        try:
            return setup_for(self.protocol, preset, **{**settings, **self.changes})
        except validate.InputError as error:
            validate.reject("settings", f"some that go with {dict(self.changes)}", f"({error})", SettingsError)

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages that are run, for any number of grids."""
        return tuple(dict.fromkeys(s for table in tables_of(self.protocol) for s in table.stages(self.rows)))


@dataclass(frozen=True)
class Context:
    """Where and with what a question is answered.

    Attributes
    ----------
    path : Path
        Folder of the runs; questions that are asked in one folder share those that they have in common.
    name : str
        Of the question, and of the files of its answer.
    preset : {"small", "thesis", "printed"}
    settings : mapping
        Settings that the user has changed, for all runs.
    backend, data, workers
    progress : bool
    log : callable
        Gets a line of text for each run that has ended.
    diverged : list of str
        A sentence for each run that diverged, of all that `runs` made.

    Examples
    --------
    Five small networks, one for each candidate of a fit:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.backend import get_backend
    >>> from meganet.datasets import load_digits
    >>> from meganet.experiments import Workers
    >>> from meganet.experiments.questions.base import Context, question_of
    >>> folder, name = Path(tempfile.mkdtemp()), "calibration-theta-alpha"
    >>> sizes = {"fine_examples": 64, "validation_examples": 50, "fine_epochs": 1, "trials": 1}
    >>> context = Context(folder, name, "small", sizes, get_backend("numpy"), load_digits(), Workers(), False, print)
    >>> answer = question_of(name).ask(context)
    trial 1/1 new (theta_alpha=0.125): train ... %, val. ... %
    trial 1/1 new (theta_alpha=0.015625): train ... %, val. ... %
    trial 1/1 new (theta_alpha=0.0): train ... %, val. ... %
    >>> answer.columns[:2], len(answer.rows)
    (['stage', 'theta_alpha'], 3)
    """

    path: Path
    name: str
    preset: str
    settings: Mapping[str, Any]
    backend: Backend
    data: ImageSet
    workers: Workers
    progress: bool
    log: Callable[[str], None]
    diverged: list[str] = field(default_factory=list)

    @property
    def how(self) -> dict[str, Any]:
        """Who makes runs of arms and what is said on the way, as `Arms.run` takes it."""
        return {"workers": self.workers, "progress": self.progress, "log": self.log}

    @property
    def base(self) -> Setup:
        """The setup without any variant's changes."""
        return setup_for(BASE, self.preset, **self.settings)

    def runs(self, variants: Sequence[Variant]) -> Study:
        """Run variants as far as they are missing and return them, each a case of its name."""
        plans = {variant.name: (variant.setup(self.preset, self.settings), variant.stages()) for variant in variants}
        study = Study(self.path, plans, self.backend, self.data, shared=True)
        with study:
            study.run(self.workers, progress=self.progress, log=self.log)
        for name, case in study.cases.items():
            found = [
                Diverged(trial + 1, f"{run} of {name}", *state.divergence)
                for trial, ends in case.complete()
                for run, state in ends.items()
                if state.divergence is not None
            ]
            texts = divergences(found, case.setup.run.trials)
            self.diverged.extend(text for text in texts if text not in self.diverged)
        return study

    def write(self, ending: str, content: str | bytes) -> Path:
        """Write a file of the answer, such as "momentum.md", and return its path."""
        with writing(self.path):
            return write_file(self.path / f"{self.name}.{ending}", content)


@dataclass(frozen=True)
class Answer:
    """What a question gives back.

    Attributes
    ----------
    rows : sequence of dict
        Of a table, at least one, each with the same columns: text or numbers, which are written exactly into the CSV
        and with four digits elsewhere.
    notes : sequence of str
        Sentences below the table.
    figure : matplotlib Figure, optional

    Examples
    --------
    >>> from meganet.experiments.questions.base import Answer
    >>> answer = Answer([{"net": "A", "gap": 1 / 3}], ["In points."])
    >>> print(answer.to_csv(), end="")
    net,gap
    A,0.3333333333333333
    """

    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()
    figure: Figure | None = None

    @property
    def columns(self) -> list[str]:
        """The titles of the columns."""
        return list(self.rows[0])

    def to_document(self, title: str) -> Document:
        """Return title, table and notes."""
        rows = [self.columns, *([_text(value) for value in row.values()] for row in self.rows)]
        written = Paragraph(f"Written by meganet {__version__}.")
        texts = [all(isinstance(row[column], str) for row in self.rows) for column in self.columns]
        keys = texts.index(False) if False in texts else 1
        return Document([Heading(title, 1), Grid(rows, max(keys, 1)), *map(Paragraph, self.notes), written])

    def to_csv(self) -> str:
        """Return the table as CSV; every number reads back exactly."""
        return csv_text([self.columns, *(row.values() for row in self.rows)])


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Question(Protocol):
    """What can be asked: which runs it takes, and what they say."""

    def variants(self, base: Setup) -> Sequence[Variant]:
        """Return all that is run, with the sizes of a setup."""

    def ask(self, context: Context) -> Answer:
        """Make the runs that are missing and say what they show."""


class Cost(NamedTuple):
    """What is trained for a question: runs of all trials, and their arithmetic, see `epoch_flop`."""

    runs: int
    tflop: float


@runtime_checkable
class OwnTrainings(Question, Protocol):
    """A question that trains otherwise than by the stages of a protocol: a base class of those that do."""

    def variants(self, base: Setup) -> Sequence[Variant]:
        """Return none: nothing is trained by stages."""
        return []

    def cost(self, base: Setup, image_shape: Shape, classes: int) -> Cost:
        """Return what it costs with the sizes of a setup, on images of a shape."""


def questions() -> dict[str, str]:
    """Return the name of every question with its words.

    Examples
    --------
    >>> from meganet.experiments.questions.base import questions
    >>> questions()["worth"]
    'Is multigrid worth it?'
    """
    return dropins.titles(PLACE)


def question_of(name: str) -> Question:
    """Return a question by its name; `InputError` if there is none."""
    found: Question = dropins.value_of(PLACE, name, "QUESTIONS", "a Question", _is_question)
    return found


def _is_question(value: Any) -> bool:
    return all(callable(getattr(value, method, None)) for method in ("variants", "ask"))


def cost(question: Question, preset: str, image_shape: Shape = (1, 28, 28), classes: int = 10) -> Cost:
    """Return what a question costs in a folder without runs; those that variants share count once.

    Image shape and classes are those of the data; in the presets they are digits.

    Examples
    --------
    >>> from meganet.experiments.questions.base import cost, question_of
    >>> cost(question_of("interpolation"), "small")
    Cost(runs=30, tflop=...)
    """
    base = setup_for(BASE, preset)
    if isinstance(question, OwnTrainings):
        return question.cost(base, image_shape, classes)
    made: dict[Any, float] = {}
    trials = 0
    for variant in question.variants(base):
        setup = variant.setup(preset, {})
        shapes, values, trials = grid_shapes(setup, image_shape), setup.values(), setup.run.trials
        plan = planned(variant.stages(), len(shapes))
        for stage in plan:
            kind, names = shared_by(stage, plan, len(shapes))
            key = stage.name, kind, *(values[name] for name in sorted(names))
            made[key] = stage.length(setup) * epoch_flop(setup, stage, shapes, classes)
    return Cost(trials * len(made), trials * sum(made.values()) / 1e12)


def costs(preset: str) -> dict[str, Cost]:
    """Return what each question costs in a preset, by its name."""
    return {name: cost(question_of(name), preset) for name in questions()}
