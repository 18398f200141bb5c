"""Ways of training that a question compares on the same images: each is a hierarchy and a schedule, in many trials.

What a run of an arm ends with is stored in one sealed file, ``NAME-DIGEST/trial-000.npz``, where the digest is of all
that it was made with. So an interrupted comparison goes on with the runs that are missing, and questions share runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from meganet.backend import Array, Backend, random_stream, use_backend
from meganet.datasets import ImageSet, scale_images
from meganet.experiments.runs.study import SettingsError
from meganet.experiments.setup.settings import Setup
from meganet.ground import dropins, validate
from meganet.ground.npz import TEXT, Expected, read_sealed, write_sealed
from meganet.multilevel import Hierarchy, Level, Schedule, TrainingState, train
from meganet.networks.architecture import described
from meganet.networks.work import products
from meganet.objective import Objective
from meganet.store.disk import exists, make_folder, write_file
from meganet.workers import Workers

SPLIT, TRAINING = range(2)
"""Numbers of random streams."""
EVALUATED = 32
"""Training images that are evaluated on the way, where nobody looks: an evaluation takes no time."""
LARGEST_TEXT = 2**22
ADDRESS = " at 0x"
"""In a text that is another one in every process."""


class Sizes(NamedTuple):
    """Images of a trial.

    Examples
    --------
    >>> from meganet.experiments.runs.arms import Sizes
    >>> Sizes(training=2000, validation=1000).needed
    3000
    """

    training: int
    validation: int

    @property
    def needed(self) -> int:
        """All of them."""
        return self.training + self.validation


class Outcome(NamedTuple):
    """What a run of an arm ends with.

    Attributes
    ----------
    accuracy : float
        In validation, in percent; nan if it diverged.
    loss : float
        In validation.
    work : float
        Arithmetic of the training steps, in TFLOP.
    seconds : float
        Of the training steps.
    x : array
        The weights ``[theta; W]`` on the level of the last phase, on the host.
    """

    accuracy: float
    loss: float
    work: float
    seconds: float
    x: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Arm:
    """A way of training.

    Attributes
    ----------
    name : str
        As folders may be called; arms that differ in anything may share it.
    hierarchy : Hierarchy
    schedule : Schedule
        Its phases, like the hierarchy's transfer, say in text what they are: that is what runs are known by.
    after : Arm, optional
        The run starts from the weights that this one ends with, of the same trial, on the level of the same name; its
        work is counted too.
    share : float
        Of the training images, the first so many are used: at most 1, all of them.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.experiments.runs.arms import Arm
    >>> from meganet.multilevel import in_space, nested
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(14, 28))
    >>> arm = Arm("nested", hierarchy, nested(hierarchy, epochs=(2, 1)))
    >>> f"{arm.work(1000) / 1e9:.2f} GFLOP"
    '0.45 GFLOP'
    """

    name: str
    hierarchy: Hierarchy
    schedule: Schedule
    after: Arm | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        if not dropins.is_name(self.name):
            validate.reject("name", f"a name of {dropins.PLAIN}", validate.shown(self.name))
        if validate.real("share", self.share, above=0) > 1:
            validate.reject("share", "at most 1", str(self.share))
        if nameless := [text for text in self._settings if ADDRESS in text]:
            expected = "settings whose text says what they are, which functions and most objects do not"
            validate.reject("schedule", expected, nameless[0])
        if self.after and self.after.level.name not in (names := [level.name for level in self.hierarchy]):
            validate.reject("after", f"an arm that ends on one of {', '.join(names)}", self.after.level.name)

    @property
    def level(self) -> Level:
        """The one whose weights it ends with."""
        return self.hierarchy[self.end]

    @property
    def end(self) -> int:
        """The number of that level."""
        return max(self.hierarchy.number(level) for level in self.schedule[-1].levels)

    def examples(self, training: int) -> int:
        """Return how many of so many training images are used."""
        return round(self.share * training)

    def work(self, training: int) -> float:
        """Return about the arithmetic of a run, of levels that are trained together the mean."""
        before, used = self.after.work(training) if self.after else 0.0, self.examples(training)
        for phase in self.schedule:
            if phase.classifier_only:
                level = self.hierarchy[phase.levels[0]]
                *network, classifier = products(level.network, level.classifier.range_shape[0])
                before += used * (sum(network) + phase.epochs * 2 * classifier)
            else:
                before += phase.epochs * used * float(np.mean([self.hierarchy[k].flop for k in phase.levels]))
        return before

    def text(self) -> str:
        """Return in text what the weights depend on, besides images and seed."""
        lines = [repr(self.hierarchy), *map(_described, self.hierarchy), *self._settings]
        lines += [f"of the images {self.share!r}"] if self.share < 1 else []
        return "\n".join([*lines, *(["after", self.after.text()] if self.after else [])])

    @property
    def _settings(self) -> list[str]:
        """The transfer and every phase, to the last digit."""
        return [repr(getattr(self.hierarchy, "transfer", None)), *map(repr, self.schedule)]


class Arms:
    """Runs of arms on the images of one data set.

    Parameters
    ----------
    path : Path
        Folder of the runs.
    data : ImageSet
    sizes : Sizes
    setup : Setup
        Whose seed and dtype are taken.
    backend : Backend
    tuning : bool
        Of other images and other random numbers than the trials: for choosing settings before them.

    Raises
    ------
    SettingsError
        If there are fewer images than a trial needs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import meganet as mn
    >>> from meganet.experiments import Setup
    >>> from meganet.experiments.runs.arms import Arm, Arms, Sizes
    >>> from meganet.multilevel import in_space, nested
    >>> folder, digits = Path(tempfile.mkdtemp()), mn.datasets.load_digits()
    >>> arms = Arms(folder, digits, Sizes(64, 32), Setup(), mn.get_backend("numpy"))
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 2), classes=10, grids=(14, 28))
    >>> outcome = arms.run([Arm("nested", hierarchy, nested(hierarchy))], trials=1)[0][0]
    >>> outcome.x.shape, outcome.accuracy > 5
    ((15708,), True)
    """

    def __init__(
        self, path: Path, data: ImageSet, sizes: Sizes, setup: Setup, backend: Backend, *, tuning: bool = False
    ) -> None:
        if sizes.needed > len(data):
            sets = "coarse_examples + validation_examples"
            validate.reject(sets, f"at most the {len(data)} of {data.name}", str(sizes.needed), SettingsError)
        self.path, self.data, self.sizes, self.setup = path, data, sizes, setup
        self.backend, self.tuning = backend, tuning
        self._images: dict[int, Any] = {}

    def run(
        self,
        arms: Sequence[Arm],
        trials: int,
        workers: Workers | None = None,
        *,
        progress: bool = False,
        log: Callable[[str], None] = lambda line: None,
    ) -> list[list[Outcome]]:
        """Make the runs that are missing; return those of every arm, trial by trial.

        Trials are the outer loop, so that arms are made in turn and what disturbs a machine meets all of them.
        """
        workers = Workers() if workers is None else workers
        lines = [line for arm in arms for line in lines_of(arm)]
        missing = {
            self._file(line[-1], trial): (len(line), line[-1], trial)
            for trial in range(trials)
            for line in lines
            if not exists(self._file(line[-1], trial))
        }
        # what others start from comes first where runs are made side by side
        rounds = [None] if workers.local else sorted({depth for depth, _, _ in missing.values()})
        with tqdm(total=len(missing), unit="run", disable=not progress) as bar:
            for number in rounds:
                items = [(arm, trial) for depth, arm, trial in missing.values() if number in (None, depth)]
                for line in workers.map(self._make, items, log):
                    bar.update()
                    log(line)
        return [[self.outcome(arm, trial) for trial in range(trials)] for arm in arms]

    def outcome(self, arm: Arm, trial: int) -> Outcome:
        """Return what a run ended with; make it if it is missing."""
        path = self._file(arm, trial)
        if not exists(path):
            self._make((arm, trial))
        expected = {
            "x": Expected(self.setup.model.dtype, (arm.level.unknowns,)),
            "numbers": Expected("float64", (4,)),
            "made_with": Expected(TEXT, largest=LARGEST_TEXT),
        }
        found, _ = read_sealed(path, expected)
        if str(found["made_with"]) != self._made_with(arm, trial):
            validate.reject_file(path, f"a run of {arm.name}", "one of something else")
        accuracy, loss, work, seconds = found["numbers"].tolist()
        return Outcome(accuracy, loss, work, seconds, found["x"])

    def trial(self, trial: int) -> tuple[Array, Any, Array, Any]:
        """Return training images and labels, validation images and labels, on the backend."""
        if trial not in self._images:
            order = self._stream(trial, SPLIT).permutation(len(self.data))
            held, chosen = np.split(order[: self.sizes.needed], [self.sizes.validation])
            parts = []
            for part in (chosen, held):
                scaled = scale_images(self.data.images[part], "standardize").astype(self.setup.model.dtype)
                parts += [self.backend.asarray(scaled), self.data.labels[part]]
            self._images = {trial: tuple(parts)}
        found: tuple[Array, Any, Array, Any] = self._images[trial]
        return found

    def trained(self, arm: Arm, trial: int, callback: Callable[[TrainingState], bool | None] | None = None) -> Outcome:
        """Make a run, stored or not, and return what it ends with; `callback` is called as by `multilevel.train`."""
        start = self.outcome(arm.after, trial) if arm.after else None
        if start is not None and not np.isfinite(start.accuracy):
            # it diverged
            return start._replace(x=np.full(arm.level.unknowns, np.nan, self.setup.model.dtype))
        hierarchy = arm.hierarchy
        images, labels, held_images, held_labels = self.trial(trial)
        used = arm.examples(self.sizes.training)
        # which may leave out the finest grid of a comparison
        images, held_images = (hierarchy.images(-1, part) for part in (images[:used], held_images))
        x0 = self._start(arm, start) if start else None
        # a run that diverges is an outcome as any other
        with use_backend(self.backend), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            state = train(
                hierarchy,
                images,
                labels[:used],
                arm.schedule,
                x0=x0,
                evaluated=min(EVALUATED, used),
                on_divergence="stop",
                callback=callback,
                seed=self.seed(trial),
            )
            # what diverged is not there yet
            level, x = arm.level, hierarchy.carry(state.x, state.level, arm.end)
            held = hierarchy.images(arm.end, held_images)
            found = Objective(level.network, level.classifier, held, held_labels).evaluate(x)
        work, seconds = state.work / 1e12, sum(state.seconds)
        if start:
            work, seconds = work + start.work, seconds + start.seconds
        accuracy = float("nan") if state.divergence else 100 * found.accuracy
        return Outcome(accuracy, found.loss, work, seconds, self.backend.to_host(x))

    def seed(self, trial: int) -> int:
        """Return the seed of `multilevel.train` in a trial."""
        return int(self._stream(trial, TRAINING).integers(2**62))

    def run_name(self, arm: Arm, trial: int) -> str:
        """Return what a run is called, the name of its file: it stands for all that the run was made with."""
        return self._file(arm, trial).relative_to(self.path).with_suffix("").as_posix()

    def _make(self, item: tuple[Arm, int]) -> str:
        """Make a run and store it; return a line on it."""
        arm, trial = item
        outcome = self.trained(arm, trial)
        numbers = np.array(outcome[:4], np.float64)
        path = self._file(arm, trial)
        make_folder(path.parent)
        write_file(path, write_sealed({"x": outcome.x, "numbers": numbers, "made_with": self._made_with(arm, trial)}))
        which = "tuning" if self.tuning else f"trial {trial + 1}"
        rates = ", ".join(dict.fromkeys(phase.cells[2] for phase in arm.schedule))
        accuracy = f"{outcome.accuracy:.2f} % in validation"
        return f"{which} {arm.name} (rate {rates}): {accuracy}, {outcome.work:.3g} TFLOP"

    def _start(self, arm: Arm, start: Outcome) -> Array:
        """Return the weights that another arm ends with on the level of the first phase: levels have the same names."""
        names = [level.name for level in arm.hierarchy]
        ended = arm.after.level.name if arm.after else ""
        here = max(arm.hierarchy.number(level) for level in arm.schedule[0].levels)
        return arm.hierarchy.carry(self.backend.asarray(start.x), names.index(ended), here)

    def _stream(self, trial: int, number: int) -> np.random.Generator:
        return random_stream(self.setup.run.seed, trial, number, int(self.tuning))

    def _made_with(self, arm: Arm, trial: int) -> str:
        own = f"{self.data.digest}, {self.sizes}, seed {self.setup.run.seed}, {self.setup.model.dtype}"
        return f"{own}, {self.backend.name}, trial {trial}{', tuning' * self.tuning}\n{arm.text()}"

    def _file(self, arm: Arm, trial: int) -> Path:
        digest = hashlib.sha256(self._made_with(arm, 0).encode()).hexdigest()[:12]
        return self.path / f"{arm.name}-{digest}" / f"trial-{trial:03d}.npz"


def _described(level: Level) -> str:
    """Return in text what a level's network is made of, with a digest of its numbers that are no weights."""
    description, arrays = described(level.network)
    text = f"{level.name}, {level.outputs} outputs: {json.dumps(description)}"
    for name, array in arrays.items():
        text += f", {name} {array.dtype} {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"
    return text


def lines_of(arm: Arm) -> list[tuple[Arm, ...]]:
    """Return for an arm, and for each that it starts from, which others lead to it, the first one first.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import meganet as mn
    >>> from meganet.experiments.runs.arms import Arm, lines_of
    >>> from meganet.multilevel import in_space, nested
    >>> hierarchy = in_space(mn.ConvolutionLayer((1, 28, 28), 4), classes=10, grids=(14, 28))
    >>> first = Arm("first", hierarchy, nested(hierarchy))
    >>> [[arm.name for arm in line] for line in lines_of(replace(first, name="second", after=first))]
    [['first'], ['first', 'second']]
    """
    before = lines_of(arm.after) if arm.after else []
    return [*before, (*(before[-1] if before else ()), arm)]
