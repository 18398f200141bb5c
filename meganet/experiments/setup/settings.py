"""What an experiment is made with: frozen, nested settings, complete enough to run it twice with the same result.

Every setting says its type, default, meaning, the source of the default and its bounds in its own field. From there the
option ``--set``, the help, ``settings.json``, the report and the documentation take them. The default of a new setting
is what was done before there was one, so that stored results stay what they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from meganet.experiments.setup.fields import Section, as_text, different, parsed, setting, setting_of
from meganet.experiments.setup.stages import SGD, STEIHAUG
from meganet.ground import dropins, validate

MODELS = "meganet.experiments.models"
"""Where networks are registered."""
INTERPOLATIONS = ("linear", "constant")
SEEN = ("original", *INTERPOLATIONS)
NEIGHBOURS = ("pixels", "vec")
LARGEST_TRIALS = 10_000
"""Each trial has a folder, which is looked at again and again."""
LARGEST_RADIUS = 1000.0


def data_sets() -> tuple[str, ...]:
    """Return the names of the data sets of images.

    Examples
    --------
    >>> from meganet.experiments.setup.settings import data_sets
    >>> {"mnist", "digits", "cifar-10"} <= set(data_sets())
    True
    """
    # imported when a value is asked for: the list of settings takes no time
    from meganet.datasets.catalogue import image_sets

    return image_sets()


def networks() -> tuple[str, ...]:
    """Return the names of the networks.

    Examples
    --------
    >>> from meganet.experiments.setup.settings import networks
    >>> {"A", "B"} <= set(networks())
    True
    """
    return tuple(dropins.titles(MODELS))


@dataclass(frozen=True)
class Data(Section):
    """The images of a trial: three disjoint sets, for validation, for coarse and for fine training.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> data = Setup.of(dataset="digits", coarse_examples=3000).data
    >>> data.dataset, data.coarse_examples, data.fine_examples
    ('digits', 3000, 10000)
    """

    dataset: str = setting("mnist", "The images, see 'meganet data list'", "thesis, section 4.1", choices=data_sets)
    coarse_examples: int = setting(40_000, "Images for coarse training", "thesis, section 4.1")
    fine_examples: int = setting(10_000, "Images for fine training", "thesis, section 4.1", matters="fine images")
    validation_examples: int = setting(10_000, "Images for validation")
    data_scaling: str = setting(
        "unit", "Pixels: unit, 0 to 1, or standardize", "calibration", choices=("standardize", "unit")
    )
    training_images: str = setting(
        "linear",
        "original, or P R x: linear, constant",
        "calibration; both are in thesis, equation (3.3)",
        choices=SEEN,
        matters="finest",
    )


@dataclass(frozen=True)
class Model(Section):
    """The network, its numbers, and the weights that it starts from.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> Setup.of(network="B").model.network, Setup().model.dtype
    ('B', 'float32')
    """

    network: str = setting("A", "A; B has pooling between its layers", "thesis, section 3.2", choices=networks)
    dtype: str = setting("float32", "Numbers are float32 or float64", choices=("float32", "float64"))
    theta_init: str = setting("meganet", "First stencils: he or meganet", "calibration", choices=("he", "meganet"))
    W_std: float = setting(0.1, "Deviation of the first W", "calibration")
    W_clip: float = setting(0.2, "Largest number of the first W", "Meganet", above=0.0)
    W_smoothing: float = setting(1.0, "Diffusion of the first W, 0 for none", "calibration")


@dataclass(frozen=True)
class Levels(Section):
    """The grids, and how weights go from one to the next.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> Setup.of(grids=(7, 14, 28), interpolation="constant").levels
    Levels(grids=(7, 14, 28), interpolation='constant', classifier_scaling='logits')
    """

    grids: tuple[int, ...] = setting((), "Widths as 7,14,28; none: half, full")
    interpolation: str = setting(
        "linear", "The choice of P: linear or constant", choices=INTERPOLATIONS, matters="transfer"
    )
    classifier_scaling: str = setting(
        "logits", "Factor on W: logits, none or thesis", choices=("logits", "none", "thesis"), matters="transfer"
    )


@dataclass(frozen=True)
class Penalties(Section):
    """The regularisers R(theta) and R(W).

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> Setup.of(theta_alpha=0.0).penalties
    Penalties(theta_alpha=0.0, W_alpha=0.03125, W_alpha_coarse=0.125, mesh_width=1.0)
    """

    theta_alpha: float = setting(2.0**-3, "Weight of R(theta)", "thesis, section 4.1", matters="network")
    W_alpha: float = setting(2.0**-5, "Weight of R(W) on the finest grid", "thesis, section 4.1", matters="finest")
    W_alpha_coarse: float = setting(
        4 * 2.0**-5, "Weight of R(W) on all other grids", "thesis, section 4.1", matters="below"
    )
    mesh_width: float = setting(1.0, "h of the differences in R(W)", "calibration", above=0.0)


@dataclass(frozen=True)
class Descent(Section):
    """Training by SGD.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> descent = Setup.of(learning_rate=0.01, momentum=0.9).descent
    >>> [round(descent.rate(epoch), 4) for epoch in (1, 2, 8)]
    [0.0141, 0.01, 0.005]
    """

    coarse_epochs: int = setting(20, "Epochs of coarse training", "thesis, section 4.1", matters="coarse_epochs")
    fine_epochs: int = setting(10, "Epochs of fine training", "thesis, section 4.1", matters="fine_epochs")
    learning_rate: float = setting(
        0.003, "a, of the rate a / sqrt(epoch / 2)", "thesis, section 4.1", above=0.0, matters=SGD
    )
    batch_size: int = setting(32, "Images of a step", "thesis, section 4.1", matters=SGD)
    momentum: float = setting(0.0, "Nesterov momentum, 0 for none", "calibration", matters=SGD)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, which counts from 1."""
        return self.learning_rate / (0.5 * epoch) ** 0.5


@dataclass(frozen=True)
class Newton(Section):
    """Training by Newton's method, in tables 4.3 and 4.4.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> Setup.of(newton_steps=5).newton
    Newton(classifier_epochs=5, newton_steps=5, newton_products=10, trust_radius=1.0)
    """

    classifier_epochs: int = setting(
        5, "Epochs for the classifier alone", "thesis, section 4.4", matters="classifier_epochs"
    )
    newton_steps: int = setting(1, "Newton steps in an epoch", matters="newton")
    newton_products: int = setting(10, "Most Hessian products in a step", "Meganet", matters="newton")
    trust_radius: float = setting(
        1.0, "First trust radius, at most 1000", above=0.0, largest=LARGEST_RADIUS, matters=STEIHAUG
    )


@dataclass(frozen=True)
class Readings(Section):
    """Readings of the original that only the question of the causes changes.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> Setup.of(W_neighbours="vec").readings
    Readings(validation_images='original', W_neighbours='vec', W_transfer='pixels')
    """

    validation_images: str = setting("original", "original, or P R x: linear, constant", choices=SEEN, matters="finest")
    W_neighbours: str = setting("pixels", "Neighbours in R(W): pixels or vec", choices=NEIGHBOURS)
    W_transfer: str = setting("pixels", "Neighbours for P of W: pixels or vec", choices=NEIGHBOURS, matters="transfer")


@dataclass(frozen=True)
class Run(Section):
    """How often, and from which random numbers.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> Setup.of(trials=3, seed=1).run
    Run(trials=3, seed=1)
    """

    trials: int = setting(20, "Times that all is run, on new images", "thesis, section 4.1", largest=LARGEST_TRIALS)
    seed: int = setting(0, "Seed of everything random", minimum=0, largest=2**128)


@dataclass(frozen=True)
class Setup:
    """Every setting of an experiment, in sections; the names of settings are unique, so they also stand alone.

    By default they are those that the thesis prints; see `PRESETS` for those that were fitted to its tables.

    Examples
    --------
    >>> from meganet.experiments import Setup
    >>> setup = Setup.of(grids=(7, 14, 28), momentum=0.9)
    >>> setup.levels.grids, setup.descent.momentum, setup.data.fine_examples
    ((7, 14, 28), 0.9, 10000)
    >>> setup.changed(momentum=0.0) == Setup.of(grids=(7, 14, 28))
    True
    """

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    levels: Levels = field(default_factory=Levels)
    penalties: Penalties = field(default_factory=Penalties)
    descent: Descent = field(default_factory=Descent)
    newton: Newton = field(default_factory=Newton)
    readings: Readings = field(default_factory=Readings)
    run: Run = field(default_factory=Run)

    def __post_init__(self) -> None:
        fewest = min(self.data.coarse_examples, self.data.fine_examples)
        if self.descent.batch_size > fewest:
            expected = f"at most the {fewest} training examples of a grid"
            validate.reject("batch_size", expected, str(self.descent.batch_size))
        if self.descent.momentum >= 1:
            validate.reject("momentum", "a number in [0, 1)", repr(self.descent.momentum))
        validate.mesh_width("mesh_width", self.penalties.mesh_width)

    @classmethod
    def of(cls, **settings: Any) -> Setup:
        """Return the setup with these settings, all others by default."""
        return cls().changed(**settings)

    def changed(self, **settings: Any) -> Setup:
        """Return the setup with some settings changed; `InputError` for a name or a value that there is not."""
        sections: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            sections.setdefault(SECTIONS[validate.choice("settings", name, SECTIONS)], {})[name] = value
        changed = {name: dataclasses.replace(getattr(self, name), **values) for name, values in sections.items()}
        return dataclasses.replace(self, **changed)

    def parsed(self, settings: Mapping[str, str]) -> Setup:
        """Return the setup with settings given as text, as on a command line."""
        values = {
            name: parsed(name, text, DEFAULTS[validate.choice("settings", name, DEFAULTS)])
            for name, text in settings.items()
        }
        return self.changed(**values)

    def values(self) -> dict[str, Any]:
        """Return every setting by its name; a new dict each time."""
        return dict(self._values)

    @cached_property
    def _values(self) -> dict[str, Any]:
        return {name: getattr(getattr(self, section), name) for name, section in SECTIONS.items()}

    def changes(self) -> dict[str, Any]:
        """Return the settings that are not the default."""
        return different(self._values, DEFAULTS)

    def nested(self) -> dict[str, dict[str, Any]]:
        """Return the settings by section, as plain data."""
        return dataclasses.asdict(self)

    @property
    def examples(self) -> int:
        """Examples that a trial needs."""
        return self.data.coarse_examples + self.data.fine_examples + self.data.validation_examples

    def nearest_preset(self) -> tuple[str, dict[str, Any]]:
        """Return the preset from which the fewest settings differ, the default one of two, and these settings.

        Network, trials and seed do not count.
        """

        def changes(preset: str) -> dict[str, Any]:
            found = different(self._values, Setup.of(**PRESETS[preset])._values)
            return {name: value for name, value in found.items() if name not in ("network", "trials", "seed")}

        # the first of two that are as near
        return min(((preset, changes(preset)) for preset in PRESETS), key=lambda pair: len(pair[1]))

    def reading(self) -> str:
        """Return which preset of `READINGS` has the settings, sizes aside; an empty text if none has."""
        own = {name: value for name, value in self.changes().items() if name not in NAMED}
        return next((preset for preset, changes in READINGS.items() if changes == own), "")


_FOUND = [(part, name) for name, section in vars(Setup()).items() for part in dataclasses.fields(section)]
FIELDS = {part.name: part for part, _ in _FOUND}
"""Every setting by its name."""
SECTIONS = {part.name: section for part, section in _FOUND}
"""In which section each is."""
DEFAULTS = {name: part.default for name, part in FIELDS.items()}

SIZES = ("dataset", "coarse_examples", "fine_examples", "validation_examples", "coarse_epochs", "fine_epochs")
"""Settings on which the numbers depend most."""
NAMED = ("network", "dtype", "seed", "trials", *SIZES)
"""Settings that say on what an experiment is run, how long and how often; any of them goes with a reading."""
FITTED: dict[str, Any] = {"theta_alpha": 0.0, "W_smoothing": 10.0, "newton_steps": 5}
"""Settings that differ from the printed ones, by `meganet.experiments.questions.reading` fitted to table 4.1, and the
Newton steps of an epoch, to table 4.3."""
READINGS: dict[str, dict[str, Any]] = {"thesis": FITTED, "printed": {}}
"""The two readings of the thesis by the presets that have them: fitted to its tables, and to the letter."""
PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        **FITTED,
        "dataset": "digits",
        "coarse_examples": 3000,
        "fine_examples": 1000,
        "validation_examples": 1000,
        "coarse_epochs": 8,
        "fine_epochs": 5,
        "trials": 3,
    },
    **READINGS,
}
"""Settings of each preset that differ from those that the thesis prints."""


@dataclass(frozen=True)
class Described:
    """A setting as a user chooses it: its type, "int", "float", "str" or "ints" for several, and defaults as text.

    Those of the presets small and thesis stand beside one another, with a slash, where they differ. `printed` is that
    of the preset of this name, where it is not that of the preset thesis.

    Examples
    --------
    >>> from meganet.experiments.setup.settings import described
    >>> next(setting for setting in described() if setting.name == "batch_size").meaning
    'Images of a step'
    """

    name: str
    section: str
    kind: str
    choices: tuple[str, ...]
    default: str
    meaning: str
    source: str
    printed: str


def described() -> list[Described]:
    """Return all settings, section by section.

    Examples
    --------
    >>> from meganet.experiments.setup.settings import described
    >>> {setting.name: setting.default for setting in described() if setting.section == "run"}
    {'trials': '3/20', 'seed': '0'}
    """
    found = []
    for name, part in FIELDS.items():
        known = setting_of(part)
        values = [as_text(PRESETS[preset].get(name, part.default)) for preset in ("small", "thesis")]
        kind = "ints" if isinstance(part.default, tuple) else type(part.default).__name__
        default = "/".join(dict.fromkeys(values))
        printed = as_text(part.default) if name in FITTED else ""
        source = f"fitted; printed: {known.source}" if printed else known.source
        found.append(Described(name, SECTIONS[name], kind, known.allowed(), default, known.meaning, source, printed))
    return found
